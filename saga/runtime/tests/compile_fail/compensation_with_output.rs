//! A compensation has nothing to give.

use sagalog::worker::{Attempt, Failure, Worker};
use sagalog_model::Step;

const RESERVE: Step<u32, String> = Step::new("inventory.reserve").compensatable();

async fn release(_: Attempt, _: u32, _: Option<String>) -> Result<String, Failure> {
    Ok(String::new())
}

fn main() {
    _ = Worker::new().compensation(RESERVE, release);
}
