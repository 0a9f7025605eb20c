//! What the transport over RabbitMQ costs beside the broker itself, in one run: messages a second,
//! and how long one takes from publish to receipt. It starts a broker for itself.
//!
//! `cargo run --release -p sagalog-transport --example rabbitmq_speed`

#[path = "../tests/broker/mod.rs"]
mod broker;

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, future::join_all};
use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions,
    },
    types::FieldTable,
};
use sagalog_transport::{Kind, Message, MessageId, Queue, RabbitMq, Transport as _};

type Done<T> = Result<T, Box<dyn std::error::Error>>;

/// Messages of a run, their bytes, and how many are confirmed together.
const COUNT: usize = 51_200;
const BYTES: usize = 400;
const WINDOW: usize = 256;

/// Messages that are sent one after another to see how long one takes.
const SINGLES: usize = 1_000;

const PREFETCH: u16 = 1_024;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Done<()> {
    let broker = broker::Broker::start(1);
    let url = broker.url();
    let transport = RabbitMq::connect(&url).await?;
    let queue = Queue::commands("speed")?;
    transport.declare(&queue, 10 * COUNT).await?;
    println!(
        "{COUNT} messages of {BYTES} bytes, persistent, a quorum queue, confirmed in windows of {WINDOW}"
    );
    for round in 1..=3 {
        let raw = raw(&url, &queue).await?;
        let ours = ours(&transport, &queue).await?;
        println!("round {round}: raw  {raw}");
        println!("round {round}: ours {ours}");
    }
    transport.close().await;
    Ok(())
}

/// What a run took.
struct Took {
    publishing: Duration,
    receiving: Duration,
    singles: Vec<Duration>,
}

impl std::fmt::Display for Took {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rate = |span: Duration| COUNT as f64 / span.as_secs_f64();
        let mut singles = self.singles.clone();
        singles.sort_unstable();
        write!(
            f,
            "published {:.0}/s, received and acknowledged {:.0}/s, one takes {:?} (p50), {:?} (p99)",
            rate(self.publishing),
            rate(self.receiving),
            singles[SINGLES / 2],
            singles[SINGLES * 99 / 100],
        )
    }
}

/// With the client library alone: no hash, no headers, nothing matched, one word for each window.
async fn raw(url: &str, queue: &Queue) -> Done<Took> {
    let connect = || Connection::connect(url, ConnectionProperties::default());
    let (publishing, consuming) = (connect().await?, connect().await?);
    let (out, into) = (
        publishing.create_channel().await?,
        consuming.create_channel().await?,
    );
    out.confirm_select(ConfirmSelectOptions::default()).await?;
    let body = "x".repeat(BYTES).into_bytes();
    let publish = async |count: usize| -> Done<()> {
        let published = (0..count).map(|_| {
            let (name, options) = (queue.as_str().into(), BasicPublishOptions::default());
            let properties = BasicProperties::default().with_delivery_mode(2);
            out.basic_publish("".into(), name, options, &body, properties)
        });
        let published = join_all(published).await.into_iter();
        for confirmed in join_all(published.flatten()).await {
            assert!(confirmed?.is_ack());
        }
        Ok(())
    };
    let began = Instant::now();
    for _ in 0..COUNT / WINDOW {
        publish(WINDOW).await?;
    }
    let published = began.elapsed();

    into.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let began = Instant::now();
    let (name, options) = (queue.as_str().into(), BasicConsumeOptions::default());
    let consuming = into.basic_consume(name, "".into(), options, FieldTable::default());
    let mut arriving = consuming.await?;
    for number in 1..=COUNT {
        let arrived = arriving.next().await.ok_or("the channel was lost")??;
        if number % WINDOW == 0 {
            let multiple = BasicAckOptions { multiple: true };
            into.basic_ack(arrived.delivery_tag, multiple).await?;
        }
    }
    let received = began.elapsed();

    let mut singles = Vec::new();
    for _ in 0..SINGLES {
        let began = Instant::now();
        publish(1).await?;
        let arrived = arriving.next().await.ok_or("the channel was lost")??;
        singles.push(began.elapsed());
        let one = BasicAckOptions::default();
        into.basic_ack(arrived.delivery_tag, one).await?;
    }
    publishing.close(200, "done".into()).await?;
    Ok(Took {
        publishing: published,
        receiving: received,
        singles,
    })
}

async fn ours(transport: &RabbitMq, queue: &Queue) -> Done<Took> {
    let mut numbers = 0..;
    let mut messages = |count| -> Vec<_> {
        let some = numbers.by_ref().take(count);
        some.map(|number| message(queue, number)).collect()
    };
    let began = Instant::now();
    for _ in 0..COUNT / WINDOW {
        transport.publish(messages(WINDOW)).await?;
    }
    let publishing = began.elapsed();

    let began = Instant::now();
    let mut consumer = transport.consume(queue, PREFETCH.into()).await?;
    let (mut received, mut some) = (0, Vec::new());
    while received < COUNT {
        consumer.receive(&mut some, WINDOW).await?;
        received += some.len();
        let tags: Vec<_> = some.drain(..).map(|delivery| delivery.tag).collect();
        consumer.ack(&tags).await?;
    }
    let receiving = began.elapsed();

    let mut singles = Vec::new();
    for _ in 0..SINGLES {
        let began = Instant::now();
        transport.publish(messages(1)).await?;
        consumer.receive(&mut some, 1).await?;
        singles.push(began.elapsed());
        consumer.ack(&[some.remove(0).tag]).await?;
    }
    Ok(Took {
        publishing,
        receiving,
        singles,
    })
}

fn message(queue: &Queue, number: u128) -> Message {
    let (id, content) = (MessageId(number), "x".repeat(BYTES));
    Message::new(id, Kind::Request, Queue::inbox(0), queue.clone(), content)
}
