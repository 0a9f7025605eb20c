//! A handler is told what it serves.

use sagalog::worker::{Failure, Worker};
use sagalog_model::Step;

const RESERVE: Step<u32, String> = Step::new("inventory.reserve").compensatable();

async fn reserve(_: u32) -> Result<String, Failure> {
    Ok(String::new())
}

fn main() {
    _ = Worker::new().action(RESERVE, reserve);
}
