//! How long the worker host takes for one command, from publish to the reply acknowledged.
//!
//! `cargo run --release -p sagalog --example worker_bench`

use std::{error::Error, sync::Arc, time::Duration, time::Instant};

use sagalog::{
    clock::{Clock, SystemClock},
    worker::{Attempt, Failure, Worker, WorkerHost, command_queue},
};
use sagalog_model::{
    AttemptNumber, Command, Direction, IdempotencyKey, Payload, Reply, SagaId, Step,
};
use sagalog_transport::{InProcess, Kind, Message, MessageId, Queue, Transport};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

#[derive(Serialize, Deserialize)]
struct Charge {
    cents: u64,
    card: String,
    reservation: String,
}

#[derive(Serialize, Deserialize)]
struct Payment {
    id: String,
    cents: u64,
}

const CHARGE: Step<Charge, Payment> = Step::new("payments.charge").read_only();
const SLOW_CHARGE: Step<Charge, Payment> = Step::new("payments.slow_charge").read_only();
const COUNT: u64 = 300_000;
const WINDOW: u64 = 512;

async fn charge(attempt: Attempt<()>, charge: Charge) -> Result<Payment, Failure> {
    Ok(Payment {
        id: format!("pay-{}", attempt.saga),
        cents: charge.cents,
    })
}

async fn slow_charge(attempt: Attempt<()>, input: Charge) -> Result<Payment, Failure> {
    tokio::task::yield_now().await;
    charge(attempt, input).await
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("encode and decode alone  {:.2} us", codec()?);
    println!("ready at once            {:.2} us", run(CHARGE).await?);
    println!("waits once               {:.2} us", run(SLOW_CHARGE).await?);
    Ok(())
}

fn codec() -> Result<f64, Box<dyn Error>> {
    let began = Instant::now();
    for number in 0..COUNT {
        let text = serde_json::to_string(&command(CHARGE, number)?)?;
        std::hint::black_box(serde_json::from_str::<Command>(&text)?);
    }
    Ok(began.elapsed().as_secs_f64() * 1e6 / COUNT as f64)
}

async fn run(step: Step<Charge, Payment>) -> Result<f64, Box<dyn Error>> {
    let transport: Arc<dyn Transport> = Arc::new(InProcess::new());
    let worker = Worker::new()
        .action(CHARGE, charge)
        .action(SLOW_CHARGE, slow_charge);
    let host = WorkerHost::new(worker, transport.clone(), Arc::new(SystemClock))?;
    host.declare().await?;
    let stop = CancellationToken::new();
    let host = tokio::spawn(host.run(stop.clone()));

    let inbox = Queue::inbox(0);
    transport.declare(&inbox, 4096).await?;
    let mut consumer = transport.consume(&inbox, 4096).await?;
    let (mut deliveries, mut tags) = (Vec::new(), Vec::new());
    let (mut sent, mut answered) = (0, 0);
    let began = Instant::now();
    while answered < COUNT {
        let more = (COUNT - sent).min(WINDOW - (sent - answered));
        let messages = (sent..sent + more).map(|number| message(step, number));
        transport
            .publish(messages.collect::<Result<_, _>>()?)
            .await?;
        sent += more;
        consumer.receive(&mut deliveries, 512).await?;
        for delivery in deliveries.drain(..) {
            let reply: Reply = serde_json::from_str(&delivery.message.content)?;
            std::hint::black_box(reply);
            tags.push(delivery.tag);
        }
        consumer.ack(&tags).await?;
        answered += tags.len() as u64;
        tags.clear();
    }
    let span = began.elapsed().as_secs_f64() * 1e6 / COUNT as f64;
    stop.cancel();
    host.await??;
    Ok(span)
}

fn message(step: Step<Charge, Payment>, number: u64) -> Result<Message, Box<dyn Error>> {
    let content = serde_json::to_string(&command(step, number)?)?;
    let to = command_queue(step.name())?;
    let id = MessageId(u128::from(number) << 70);
    Ok(Message::new(
        id,
        Kind::Request,
        Queue::inbox(0),
        to,
        content,
    ))
}

fn command(step: Step<Charge, Payment>, number: u64) -> Result<Command, Box<dyn Error>> {
    let saga = SagaId::new(format!("order-{number}"))?;
    let key = IdempotencyKey::of(&saga, "charge", Direction::Action);
    let input = Charge {
        cents: number,
        card: "4242-4242-4242-4242".into(),
        reservation: format!("reservation-{number}"),
    };
    Ok(Command {
        saga,
        node: "charge".into(),
        step: step.name().into(),
        direction: Direction::Action,
        attempt: AttemptNumber(1),
        deadline: SystemClock.now().after(Duration::from_secs(30)),
        action_key: key.clone(),
        key,
        input: Payload::of(&input)?,
        output: None,
        heartbeat: None,
    })
}
