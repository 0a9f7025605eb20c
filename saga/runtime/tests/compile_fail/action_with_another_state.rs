//! The state is not that of the worker.

use sagalog::worker::{Attempt, Failure, Worker};
use sagalog_model::Step;

const RESERVE: Step<u32, String> = Step::new("inventory.reserve").compensatable();

async fn reserve(_: Attempt<u8>, _: u32) -> Result<String, Failure> {
    Ok(String::new())
}

fn main() {
    _ = Worker::with("state").action(RESERVE, reserve);
}
