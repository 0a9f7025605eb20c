//! A handler is an async function.

use sagalog::worker::{Attempt, Failure, Worker};
use sagalog_model::Step;

const RESERVE: Step<u32, String> = Step::new("inventory.reserve").compensatable();

fn reserve(_: Attempt, _: u32) -> Result<String, Failure> {
    Ok(String::new())
}

fn main() {
    _ = Worker::new().action(RESERVE, reserve);
}
