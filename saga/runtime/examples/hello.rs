//! The smallest saga: one step, one handler, on a log in memory.
//!
//! ```text
//! cargo run -p sagalog --example hello
//! ```
//!
//! Look at the three parts: the contracts (`GREETING`, `GREET`), which clients, definitions and
//! workers share; the definition, which is data; the handlers, which are async functions. And at the
//! second start under the same id: it is the same saga, and `greet` does not run again.

use std::{error::Error, sync::Arc};

use sagalog::{Attempt, Ended, Failure, MemoryLog, Runtime, Saga, Step, Worker};

const GREETING: Saga<String, String> = Saga::new("greeting");
const GREET: Step<String, String> = Step::new("greeter.greet").compensatable();

async fn greet(at: Attempt, name: String) -> Result<String, Failure> {
    println!("greet runs for {}, attempt {}", at.saga, at.number);
    Ok(format!("hello, {name}"))
}

async fn take_back(_: Attempt, name: String, _: Option<String>) -> Result<(), Failure> {
    println!("sorry, {name}");
    Ok(())
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let (mut saga, name) = GREETING.define(1);
    let greeted = saga.step("greet", GREET, name);
    let greeting = saga.returns(greeted)?;

    let worker = Worker::new()
        .action(GREET, greet)
        .compensation(GREET, take_back);
    let runtime = Runtime::on(Arc::new(MemoryLog::new()))
        .definition(greeting)
        .worker(worker)
        .start()
        .await?;

    let client = runtime.client();
    for _ in 0..2 {
        let ended = client.run(GREETING, "g-1", &"world".to_owned()).await?;
        println!("g-1 ended: {ended:?}");
        assert_eq!(ended, Ended::Completed("hello, world".to_owned()));
    }
    runtime.stop().await?;
    Ok(())
}
