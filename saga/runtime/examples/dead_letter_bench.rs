//! How many dead letters a second a partition records: messages of 1 KiB that are no replies, in an inbox of this
//! process and a log in a file; with a broker's URL also over RabbitMQ, from its queue `dead`.
//!
//! `cargo run --release -p sagalog --example dead_letter_bench -- [amqp://…]`

use std::{error::Error, sync::Arc, time::Instant};

use sagalog::{EventLog, InProcess, RabbitMq, Runtime, SqliteLog, Transport, log::PartitionId};
use sagalog_eventlog::Subscription;
use sagalog_transport::{Kind, Message, MessageId, Queue};

/// As many as are kept at hand, so that none gives way.
const LETTERS: u64 = 10_000;
/// Messages that are published at once.
const CHUNK: u64 = 500;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let speed = measure(Arc::new(InProcess::new()), &Queue::inbox(0)).await?;
    println!("from the inbox of one process: {speed:.0} letters/s");
    if let Some(url) = std::env::args().nth(1) {
        let broker = Arc::new(RabbitMq::connect(&url).await?);
        let speed = measure(broker, &Queue::dead_letters()).await?;
        println!("from RabbitMQ's queue of dead letters: {speed:.0} letters/s");
    }
    Ok(())
}

/// Letters a second from the first publish until all are durable.
async fn measure(transport: Arc<dyn Transport>, queue: &Queue) -> Result<f64, Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let log: Arc<dyn EventLog> = Arc::new(SqliteLog::open(&dir.path().join("log.db")).await?);
    let runtime = Runtime::on(log.clone()).transport(transport.clone());
    let runtime = runtime.start().await?;
    let mut rows = Subscription::after(log, PartitionId::new(0), Default::default()).await?;
    let from = Queue::commands("nobody")?;
    let filler = "x".repeat(1_000);
    let begun = Instant::now();
    for first in (0..LETTERS).step_by(CHUNK as usize) {
        let message = |number: u64| {
            let content = format!(r#"{{"number":{number},"filler":"{filler}"}}"#);
            let id = MessageId(number.into());
            Message::new(id, Kind::Response, from.clone(), queue.clone(), content)
        };
        let chunk = (first..first + CHUNK).map(message);
        transport.publish(chunk.collect()).await?;
    }
    let mut recorded = 0;
    while recorded < LETTERS {
        for row in rows.next_page().await? {
            let died = row
                .events()
                .filter(|event| event.recorded.kind == "DeadLettered");
            recorded += died.count() as u64;
        }
    }
    let took = begun.elapsed();
    runtime.stop().await?;
    Ok(LETTERS as f64 / took.as_secs_f64())
}
