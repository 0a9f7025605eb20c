//! The transport over RabbitMQ 3.10 and later: the queues, properties and headers of
//! `docs/protocol.md`.
//!
//! - **Nothing confirmed is lost.** Queues are quorum queues, messages persistent, publishing is
//!   confirmed in windows of 256, and a message that no queue took is
//!   [`NoSuchQueue`](crate::WhyUndelivered::NoSuchQueue).
//! - **Two connections**, one to publish and one to consume: a broker that is short of memory or
//!   disk blocks those that publish, and acknowledgements must go on. While it does, publishing
//!   waits for some seconds and then answers [`Full`](crate::WhyUndelivered::Full).
//! - **A lost connection is made again** by whoever needs it next, after a growing delay, with all
//!   that was declared. A consumer says [`Lost`](crate::ConsumerError::Lost) and is made anew by its
//!   owner; what it had not acknowledged is delivered again.
//! - **What cannot be read** becomes a dead letter with the reason in its headers, and stays
//!   unacknowledged until the broker has that.
//!
//! Bounds: bodies [`BODY_MAX_BYTES`], headers [`HEADERS_MAX_BYTES`], dead letters
//! [`DEAD_LETTERS_MAX`]. A queue may take up to a window of messages more than its capacity, as the
//! broker tells publishers afterwards that it is full.

mod acknowledged;
mod address;
mod consumer;
mod envelope;
mod link;
mod publisher;
mod streams;
mod topology;
mod trial;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use lapin::{
    Channel, ErrorKind,
    options::{BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use tokio::{select, time::sleep, time::timeout};
use tokio_util::sync::CancellationToken;

use self::{
    address::Address,
    consumer::{RabbitConsumer, Subscription, look_at},
    link::{Cause, Link, PATIENCE},
    publisher::Publisher,
    topology::Topology,
};
pub use self::{
    address::ConnectError,
    envelope::{BODY_MAX_BYTES, HEADERS_MAX_BYTES},
    streams::{QUIET, RabbitStreams, StreamBounds},
    topology::DEAD_LETTERS_MAX,
};
use crate::{
    consumer::Consumer,
    message::Message,
    queue::Queue,
    transport::{ConsumeError, DeclareError, PublishError, Transport, Undelivered, WhyUndelivered},
};

/// The transport over RabbitMQ.
pub struct RabbitMq {
    topology: Arc<Topology>,
    publishing: Arc<Link>,
    consuming: Arc<Link>,
    publisher: Arc<Publisher>,
    generations: AtomicU32,
    closed: CancellationToken,
}

/// Windows of messages that are on their way at a time. With one, a command waits for the replies before it to
/// be on disk, and a reply for the commands.
const WINDOWS: usize = 4;

/// How long to wait before trying a full queue again: the broker does not tell when it has room.
const ROOM: Duration = Duration::from_millis(50);

impl RabbitMq {
    /// Connects, and declares what every transport needs there. Must be called inside tokio.
    ///
    /// The URL is `amqp://user:password@host:port/vhost`, with `%2f` for the vhost `/`.
    ///
    /// # Errors
    /// [`ConnectError`] says what to put right. This does not wait for a broker that is not there.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        let address = Arc::new(Address::parse(url)?);
        address.check_version().await?;
        let topology = Arc::new(Topology::default());
        let closed = CancellationToken::new();
        let link = |purpose| {
            let link = Link::new(address.clone(), topology.clone(), purpose, closed.clone());
            Arc::new(link)
        };
        let (publishing, consuming) = (link("publishes"), link("consumes"));
        publishing.open().await?;
        consuming.open().await?;
        Ok(Self {
            publisher: Arc::new(Publisher::start(&publishing, WINDOWS, &closed)),
            topology,
            publishing,
            consuming,
            generations: AtomicU32::new(0),
            closed,
        })
    }

    async fn unless_closed<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.closed.run_until_cancelled(work).await
    }

    async fn begin(&self, queue: &Queue, prefetch: usize) -> Result<RabbitConsumer, ConsumeError> {
        let unavailable = |error: Cause| ConsumeError::Unavailable(error);
        let connection = self.consuming.connection().await.map_err(unavailable)?;
        let declared = self.topology.declare_again(&connection, queue).await;
        declared.map_err(|error| unavailable(error.into()))?;
        let channel = self.consuming.channel().await.map_err(unavailable)?;
        let begun = timeout(PATIENCE, subscribe(&channel, queue, prefetch)).await;
        let subscription = begun
            .map_err(|_| unavailable(format!("the queue {queue} does not answer").into()))?
            .map_err(|error| match error.kind() {
                ErrorKind::ProtocolError(told) if told.get_id() == 404 => {
                    ConsumeError::NoSuchQueue(queue.clone())
                }
                _ => unavailable(error.into()),
            })?;
        Ok(RabbitConsumer::new(
            queue.clone(),
            channel,
            self.generations.fetch_add(1, Ordering::Relaxed),
            subscription,
            self.publisher.clone(),
            self.closed.clone(),
        ))
    }
}

/// Begins to consume.
async fn subscribe(
    channel: &Channel,
    queue: &Queue,
    prefetch: usize,
) -> lapin::Result<Subscription> {
    let told = u16::try_from(prefetch.max(1)).unwrap_or(u16::MAX);
    channel.basic_qos(told, BasicQosOptions::default()).await?;
    // Asked before: afterwards the broker counts the one that it delivers to, whichever that is.
    let is_behind_another =
        queue.has_one_consumer() && look_at(channel, queue).await?.consumer_count() > 0;
    let options = BasicConsumeOptions::default();
    let name = queue.as_str().into();
    let arriving = channel.basic_consume(name, "".into(), options, FieldTable::default());
    Ok(Subscription {
        arriving: arriving.await?,
        prefetch: told.into(),
        is_behind_another,
    })
}

#[async_trait]
impl Transport for RabbitMq {
    async fn declare(&self, queue: &Queue, capacity: usize) -> Result<(), DeclareError> {
        let declaring = self.unless_closed(async {
            let connection = self.consuming.connection().await;
            let connection = connection.map_err(DeclareError::Unavailable)?;
            self.topology
                .declare(&connection, queue, capacity.max(1))
                .await
        });
        declaring.await.unwrap_or(Err(DeclareError::Closed))
    }

    async fn publish(&self, messages: Vec<Message>) -> Result<(), PublishError> {
        let mut taken = Vec::with_capacity(messages.len());
        let mut outgoing = Vec::with_capacity(messages.len());
        for message in &messages {
            match envelope::write(message) {
                Ok(message) => {
                    outgoing.push(message);
                    taken.push(None);
                }
                Err(envelope::TooLarge) => taken.push(Some(WhyUndelivered::TooLarge)),
            }
        }
        let mut answers = self.publisher.publish(outgoing).await.into_iter();
        let undelivered: Vec<_> = messages
            .into_iter()
            .zip(taken)
            .filter_map(|(message, refused)| {
                let why = refused.or_else(|| answers.next()?.err())?;
                Some(Undelivered { message, why })
            })
            .collect();
        if undelivered.is_empty() {
            Ok(())
        } else {
            Err(PublishError(undelivered))
        }
    }

    async fn room(&self, _: &Queue) {
        select! {
            () = sleep(ROOM) => {}
            () = self.closed.cancelled() => {}
        }
    }

    async fn consume(
        &self,
        queue: &Queue,
        prefetch: usize,
    ) -> Result<Box<dyn Consumer>, ConsumeError> {
        let begun = self.unless_closed(self.begin(queue, prefetch)).await;
        let consumer = begun.unwrap_or(Err(ConsumeError::Closed))?;
        Ok(Box::new(consumer))
    }

    async fn close(&self) {
        self.closed.cancel();
        tokio::join!(self.publishing.close(), self.consuming.close());
    }
}
