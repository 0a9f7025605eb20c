//! Commands and replies over the broker alone, through the queues that sagas use.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use hdrhistogram::Histogram;
use sagalog::Transport;
use sagalog_transport::{Consumer, Delivery, Kind, Message, MessageId, PublishError, Queue, Tag};
use tokio::{
    select,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::{
    CliError, Exit,
    bench::{counted::latencies, workload::PARTICIPANT},
    error::chain,
};

/// How often it is looked which commands are due.
const TICK: Duration = Duration::from_millis(2);

/// What a step's command and its reply have, in bytes.
const COMMAND: usize = 600;
const REPLY: usize = 300;

/// As many as an owner takes from its inbox, and a worker from its queue.
const PREFETCH: usize = 1_024;
const AT_ONCE: usize = 128;

/// Batches that are published at a time.
const BATCHES: usize = 4;

/// How long an answer may take before it is lost.
const LOST: Duration = Duration::from_secs(30);

/// How long it takes from publishing a command to receiving its reply, at a rate of commands and replies a
/// second, through the inboxes of so many partitions. All that is sent is answered.
///
/// # Errors
/// If the broker cannot be used, or something is lost.
pub(in crate::bench) async fn round_trips(
    transport: Arc<dyn Transport>,
    partitions: u32,
    rate: f64,
    span: Duration,
) -> Result<Histogram<u64>, CliError> {
    let began = Instant::now();
    let took = Arc::new(Mutex::new(latencies()));
    let mut beside = JoinSet::new();
    beside.spawn(answer(transport.clone()));
    for partition in 0..partitions {
        beside.spawn(receive(transport.clone(), partition, began, took.clone()));
    }
    let sent = send(&transport, partitions, rate / 2.0, began, span).await?;
    let last = Instant::now();
    let mut look = interval(TICK);
    loop {
        if took.lock().expect("nothing panics under this lock").len() >= sent {
            break;
        }
        if last.elapsed() > LOST {
            return Err(lost("replies did not come"));
        }
        select! {
            ended = beside.join_next() => {
                ended.expect("they run for ever").expect("none is aborted")?;
            }
            _ = look.tick() => {}
        }
    }
    let took = took.lock().expect("nothing panics under this lock");
    Ok(took.clone())
}

/// Publishes commands when they are due. Their ids say when that was.
async fn send(
    transport: &Arc<dyn Transport>,
    partitions: u32,
    rate: f64,
    began: Instant,
    span: Duration,
) -> Result<u64, CliError> {
    let (mut sent, mut on_their_way) = (0, FuturesUnordered::new());
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let content = text(COMMAND);
    while began.elapsed() < span {
        tick.tick().await;
        let due = (began.elapsed().as_secs_f64() * rate) as u64;
        let at = began.elapsed().as_micros();
        let commands: Vec<_> = (sent..due)
            .map(|number| {
                let id = MessageId(at << 64 | u128::from(number));
                let from = Queue::inbox((number % u64::from(partitions)) as u32);
                Message::new(id, Kind::Request, from, commands(), content.clone())
            })
            .collect();
        sent = sent.max(due);
        if !commands.is_empty() {
            on_their_way.push(transport.publish(commands));
        }
        if on_their_way.len() == BATCHES {
            published(on_their_way.next().await)?;
        }
    }
    while let Some(taken) = on_their_way.next().await {
        published(Some(taken))?;
    }
    Ok(sent)
}

/// Replies that are on their way, and the commands that they answer.
type Answering = BoxFuture<'static, (Result<(), PublishError>, Vec<Tag>)>;

/// Answers whatever is asked, at once, and acknowledges it when its reply was taken.
async fn answer(transport: Arc<dyn Transport>) -> Result<(), CliError> {
    let mut consumer = consume(&transport, &commands()).await?;
    let mut deliveries = Vec::new();
    let mut on_their_way = FuturesUnordered::<Answering>::new();
    let content = text(REPLY);
    loop {
        select! {
            biased;
            Some((taken, tags)) = on_their_way.next() => {
                published(Some(taken))?;
                acknowledge(&mut *consumer, &tags).await?;
            }
            received = consumer.receive(&mut deliveries, AT_ONCE), if on_their_way.len() < BATCHES => {
                received.map_err(|error| lost(&chain(&error)))?;
                let (tags, replies): (Vec<Tag>, Vec<Message>) = deliveries
                    .drain(..)
                    .map(|Delivery { tag, message, .. }| (tag, reply(&message, &content)))
                    .unzip();
                let transport = transport.clone();
                on_their_way.push(Box::pin(async move { (transport.publish(replies).await, tags) }));
            }
        }
    }
}

fn reply(command: &Message, content: &str) -> Message {
    let (from, to) = (command.to.clone(), command.from.clone());
    let id = MessageId(!command.id.0);
    let mut reply = Message::new(id, Kind::Response, from, to, content.to_owned());
    reply.correlation = Some(command.id);
    reply
}

/// Notes how long each answer took.
async fn receive(
    transport: Arc<dyn Transport>,
    partition: u32,
    began: Instant,
    took: Arc<Mutex<Histogram<u64>>>,
) -> Result<(), CliError> {
    let mut consumer = consume(&transport, &Queue::inbox(partition)).await?;
    let mut deliveries = Vec::new();
    loop {
        let received = consumer.receive(&mut deliveries, AT_ONCE).await;
        received.map_err(|error| lost(&chain(&error)))?;
        let now = began.elapsed().as_micros() as u64;
        let tags: Vec<_> = deliveries.iter().map(|delivery| delivery.tag).collect();
        {
            let mut took = took.lock().expect("nothing panics under this lock");
            for delivery in deliveries.drain(..) {
                if let Some(command) = delivery.message.correlation {
                    let asked = (command.0 >> 64) as u64;
                    took.saturating_record(now.saturating_sub(asked));
                }
            }
        }
        acknowledge(&mut *consumer, &tags).await?;
    }
}

async fn consume(
    transport: &Arc<dyn Transport>,
    queue: &Queue,
) -> Result<Box<dyn Consumer>, CliError> {
    let consumer = transport.consume(queue, PREFETCH).await;
    consumer.map_err(|error| lost(&chain(&error)))
}

async fn acknowledge(consumer: &mut dyn Consumer, tags: &[Tag]) -> Result<(), CliError> {
    let told = consumer.ack(tags).await;
    told.map_err(|error| lost(&chain(&error)))
}

fn published(taken: Option<Result<(), PublishError>>) -> Result<(), CliError> {
    taken
        .unwrap_or(Ok(()))
        .map_err(|error| lost(&chain(&error)))
}

fn lost(why: &str) -> CliError {
    let message = format!("the broker alone could not be measured: {why}");
    CliError::new("no_limit", Exit::Failed, message)
}

fn commands() -> Queue {
    Queue::commands(PARTICIPANT).expect("a constant that names a queue")
}

/// JSON of so many bytes.
fn text(bytes: usize) -> String {
    format!("\"{:x>width$}\"", "", width = bytes.saturating_sub(2))
}
