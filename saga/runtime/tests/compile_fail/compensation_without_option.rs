//! Whether the action took effect may not be known.

use sagalog::worker::{Attempt, Failure, Worker};
use sagalog_model::Step;

const RESERVE: Step<u32, String> = Step::new("inventory.reserve").compensatable();

async fn release(_: Attempt, _: u32, _: String) -> Result<(), Failure> {
    Ok(())
}

fn main() {
    _ = Worker::new().compensation(RESERVE, release);
}
