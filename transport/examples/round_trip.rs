//! How long one message takes from publish over receive to acknowledge, in one process.
//!
//! `cargo run --release -p sagalog-transport --example round_trip`

use std::{sync::Arc, time::Instant};

use sagalog_transport::{InProcess, Kind, Message, MessageId, Queue, Transport};

const COUNT: u64 = 1_000_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    for batch in [1, 16, 256] {
        println!(
            "batch {batch:>3}: one task  {:.2} us a message",
            one_task(batch).await?
        );
        println!(
            "batch {batch:>3}: two tasks {:.2} us a message",
            two_tasks(batch).await?
        );
    }
    Ok(())
}

async fn one_task(batch: u64) -> Result<f64, Box<dyn std::error::Error>> {
    let (transport, queue) = transport().await?;
    let mut consumer = transport.consume(&queue, 1024).await?;
    let (mut deliveries, mut tags) = (Vec::new(), Vec::new());
    let began = Instant::now();
    for at in 0..COUNT / batch {
        transport.publish(messages(&queue, at, batch)).await?;
        consumer.receive(&mut deliveries, 1024).await?;
        tags.extend(deliveries.drain(..).map(|delivery| delivery.tag));
        consumer.ack(&tags).await?;
        tags.clear();
    }
    Ok(began.elapsed().as_secs_f64() * 1e6 / COUNT as f64)
}

async fn two_tasks(batch: u64) -> Result<f64, Box<dyn std::error::Error>> {
    let (transport, queue) = transport().await?;
    let mut consumer = transport.consume(&queue, 1024).await?;
    let began = Instant::now();
    let receiving = tokio::spawn(async move {
        let (mut deliveries, mut tags) = (Vec::new(), Vec::new());
        let mut received = 0;
        while received < COUNT / batch * batch {
            consumer.receive(&mut deliveries, 1024).await?;
            tags.extend(deliveries.drain(..).map(|delivery| delivery.tag));
            consumer.ack(&tags).await?;
            received += tags.len() as u64;
            tags.clear();
        }
        Ok::<_, sagalog_transport::ConsumerError>(())
    });
    for at in 0..COUNT / batch {
        let mut left = messages(&queue, at, batch);
        while let Err(full) = transport.publish(left).await {
            left = full.0.into_iter().map(|it| it.message).collect();
            transport.room(&queue).await;
        }
    }
    receiving.await??;
    Ok(began.elapsed().as_secs_f64() * 1e6 / COUNT as f64)
}

async fn transport() -> Result<(Arc<dyn Transport>, Queue), Box<dyn std::error::Error>> {
    let transport: Arc<dyn Transport> = Arc::new(InProcess::new());
    let queue = Queue::commands("payments")?;
    transport.declare(&queue, 4096).await?;
    Ok((transport, queue))
}

fn messages(queue: &Queue, at: u64, batch: u64) -> Vec<Message> {
    let inbox = Queue::inbox(0);
    let messages = (0..batch).map(|number| {
        let id = MessageId(u128::from(at * batch + number));
        let content = "x".repeat(300);
        Message::new(id, Kind::Request, inbox.clone(), queue.clone(), content)
    });
    messages.collect()
}
