//! A handler says what became of it.

use sagalog::worker::{Attempt, Worker};
use sagalog_model::Step;

const RESERVE: Step<u32, String> = Step::new("inventory.reserve").compensatable();

async fn reserve(_: Attempt, _: u32) -> String {
    String::new()
}

fn main() {
    _ = Worker::new().action(RESERVE, reserve);
}
