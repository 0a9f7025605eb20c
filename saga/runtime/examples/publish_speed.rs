//! How many events a second a runtime publishes of a log that has many, and a follower follows, beside what the client library
//! alone publishes to a stream in the same run. It starts PostgreSQL and RabbitMQ for itself.
//!
//! `cargo run --release -p sagalog --example publish_speed`

#[path = "../../../transport/tests/broker/mod.rs"]
mod broker;
#[path = "../tests/double/mod.rs"]
mod double;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use sagalog::{
    Ended, EventLog, LogStreams, PostgresLog, PostgresOptions, RabbitStreams,
    follow::Follower,
    log::{PartitionId, Position},
};
use sagalog_eventlog::{Page, test_servers::PostgresServer};
use sagalog_transport::StreamStart;

use double::{DOUBLE, id};

type Done<T> = Result<T, Box<dyn std::error::Error>>;

/// Sagas in the log, and how many of them run at a time.
const SAGAS: u32 = 20_000;
const AT_A_TIME: u32 = 500;

/// Messages that are confirmed together when the client library is alone, as the publisher does it.
const WINDOW: usize = 256;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Done<()> {
    for partitions in [1, 16] {
        let server = PostgresServer::start();
        let url = server.new_database("speed");
        let options = PostgresOptions {
            partitions: Some(partitions),
            ..PostgresOptions::default()
        };
        let log: Arc<dyn EventLog> = Arc::new(PostgresLog::open_with(&url, options).await?);
        fill(log.clone()).await?;
        measure(log).await?;
    }
    Ok(())
}

async fn fill(log: Arc<dyn EventLog>) -> Done<()> {
    let runtime = double::on(log).start().await?;
    for first in (0..SAGAS).step_by(AT_A_TIME as usize) {
        let mut running = tokio::task::JoinSet::new();
        for number in first..first + AT_A_TIME {
            let client = runtime.client();
            running.spawn(async move { client.run(DOUBLE, &id(number), &number).await });
        }
        while let Some(ended) = running.join_next().await {
            assert!(matches!(ended??, Ended::Completed(_)));
        }
    }
    runtime.stop().await?;
    Ok(())
}

async fn measure(log: Arc<dyn EventLog>) -> Done<()> {
    let broker = broker::Broker::start(1);
    let url = broker.url();
    let streams: Arc<dyn LogStreams> = Arc::new(RabbitStreams::connect(&url).await?);
    let partitions: Vec<_> = (0..log.partitions()).map(PartitionId::new).collect();
    let mut events = 0;
    for partition in &partitions {
        events += log.tail(*partition).await?.get();
    }

    let runtime = double::on(log.clone()).publish_log(streams.clone()).start();
    let runtime = runtime.await?;
    let looking = RabbitStreams::connect(&url).await?;
    // At first it is found out that the stream is empty, which takes seconds.
    while published(&looking, partitions[0]).await? == Position::default() {}
    let began = Instant::now();
    for partition in &partitions {
        let tail = log.tail(*partition).await?;
        while published(&looking, *partition).await? < tail {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let publishing = began.elapsed();
    runtime.stop().await?;

    let began = Instant::now();
    let follower = Follower::of(streams.clone()).partitions(partitions.clone());
    let mut follower = follower.start();
    let mut followed = 0;
    while followed < events {
        let page = follower.next().await?;
        followed += page
            .rows
            .iter()
            .map(|named| named.row.events.len() as u64)
            .sum::<u64>();
    }
    let following = began.elapsed();
    drop(follower);

    // The same bytes in as many messages, and an event in each message.
    let pages = pages(&*streams, &*log, &partitions).await?;
    let bytes = pages.iter().map(String::len).sum::<usize>();
    let raw_pages = raw(&url, &pages).await?;
    let size = bytes / usize::try_from(events)?;
    let single = "x".repeat(size);
    let raw_events = raw(&url, &vec![single; usize::try_from(events.min(50_000))?]).await?;

    let rate = |span: Duration, count: u64| count as f64 / span.as_secs_f64();
    let (ours, alone) = (rate(publishing, events), rate(raw_pages, events));
    println!(
        "{} partitions, {events} events in {} messages of {} bytes on average:",
        partitions.len(),
        pages.len(),
        bytes / pages.len()
    );
    println!(
        "  published    {ours:>9.0} events/s, from the first row to the last, read from PostgreSQL"
    );
    println!(
        "  raw          {alone:>9.0} events/s, the same messages from memory: {:.2} of it are published",
        ours / alone
    );
    println!(
        "  raw          {:>9.0} events/s with one in each message of {size} bytes",
        rate(raw_events, events.min(50_000))
    );
    println!(
        "  followed     {:>9.0} events/s, verified",
        rate(following, events)
    );
    streams.close().await;
    Ok(())
}

async fn published(streams: &RabbitStreams, partition: PartitionId) -> Done<Position> {
    let Ok(Some(last)) = streams.last(partition).await else {
        return Ok(Position::default());
    };
    let end = Page::read(&last.content)?.positions.end;
    Ok(Position::new(end.get() - 1))
}

/// What was published.
async fn pages(
    streams: &dyn LogStreams,
    log: &dyn EventLog,
    partitions: &[PartitionId],
) -> Done<Vec<String>> {
    let mut pages = Vec::new();
    for partition in partitions {
        let tail = log.tail(*partition).await?;
        let mut reader = streams.read(*partition, StreamStart::First);
        let mut end = Position::default();
        while end <= tail {
            let mut messages = Vec::new();
            reader.next(&mut messages, 16).await?;
            for message in messages {
                end = Page::read(&message.content)?.positions.end;
                pages.push(message.content);
            }
        }
    }
    Ok(pages)
}

/// With the client library alone: no hash, no headers, nothing matched.
async fn raw(url: &str, contents: &[String]) -> Done<Duration> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let selected = channel.confirm_select(ConfirmSelectOptions::default());
    selected.await?;
    let began = Instant::now();
    for window in contents.chunks(WINDOW) {
        let published = window.iter().map(|content| {
            let (name, options) = ("log.0".into(), BasicPublishOptions::default());
            let properties = BasicProperties::default().with_delivery_mode(2);
            channel.basic_publish("".into(), name, options, content.as_bytes(), properties)
        });
        let published = join_all(published).await.into_iter();
        for confirmed in join_all(published.flatten()).await {
            assert!(confirmed?.is_ack());
        }
    }
    let took = began.elapsed();
    connection.close(200, "done".into()).await?;
    Ok(took)
}
