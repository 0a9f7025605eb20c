//! A probe says what it found.

use sagalog::worker::{Attempt, Failure, Worker};
use sagalog_model::Step;

const RESERVE: Step<u32, String> = Step::new("inventory.reserve").compensatable();

async fn find(_: Attempt, _: u32) -> Result<String, Failure> {
    Ok(String::new())
}

fn main() {
    _ = Worker::new().probe(RESERVE, find);
}
