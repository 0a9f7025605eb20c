//! A handler may be moved between threads while it waits.

use sagalog::worker::{Attempt, Failure, Worker};
use sagalog_model::Step;

const RESERVE: Step<u32, String> = Step::new("inventory.reserve").compensatable();

async fn reserve(_: Attempt, _: u32) -> Result<String, Failure> {
    let local = std::rc::Rc::new(());
    std::future::ready(()).await;
    drop(local);
    Ok(String::new())
}

fn main() {
    _ = Worker::new().action(RESERVE, reserve);
}
