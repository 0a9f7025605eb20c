//! The contract of a transport.

use std::fmt;

use async_trait::async_trait;

use crate::{consumer::Consumer, message::Message, queue::Queue};

/// Carries messages between queues, at least once. Used as `Arc<dyn Transport>`.
///
/// Every call may be made by many tasks at once.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Makes sure that a queue is there that takes `capacity` waiting messages; at least one.
    ///
    /// The bound is for publishers: what returns unacknowledged always finds room. A broker may take
    /// some more than that, as it tells its publishers later than they publish.
    ///
    /// # Errors
    /// [`DeclareError`].
    async fn declare(&self, queue: &Queue, capacity: usize) -> Result<(), DeclareError>;

    /// Hands over messages, each to the queue it names; done when the queues have taken them.
    ///
    /// **It never waits for room.** A runtime that waited for a worker's queue while that worker
    /// waits for the runtime's inbox would wait for ever; so a full queue is an answer, the sender
    /// keeps the message, and may [wait for room](Self::room) if nobody waits for the sender.
    /// One message that cannot be delivered does not keep back the others.
    ///
    /// Dropped before it is done, it may have handed over any of them.
    ///
    /// # Errors
    /// [`PublishError`] gives back what was not taken, in its order; all else was taken.
    async fn publish(&self, messages: Vec<Message>) -> Result<(), PublishError>;

    /// Waits until publishing to `queue` may be worth a try again. A hint, no reservation: another
    /// may be first, and a transport that cannot see the queue waits for a moment only.
    async fn room(&self, queue: &Queue);

    /// Begins to receive from a queue, with at most `prefetch` deliveries (at least one) not yet
    /// acknowledged.
    ///
    /// # Errors
    /// [`ConsumeError`].
    async fn consume(
        &self,
        queue: &Queue,
        prefetch: usize,
    ) -> Result<Box<dyn Consumer>, ConsumeError>;

    /// Ends it: publishing and receiving fail from now on, those who wait are woken.
    async fn close(&self);
}

/// Why a queue could not be declared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeclareError {
    /// It is there as another. Change the configuration, or empty and delete the queue.
    #[error(
        "queue {queue} is there and different: {difference}; change the configuration, or empty and delete the queue"
    )]
    Different {
        /// The queue.
        queue: Queue,
        /// What is there, and what is wanted.
        difference: Difference,
    },
    /// The transport was closed. Stop.
    #[error("the transport is closed")]
    Closed,
    /// The broker could not be reached or refused. Try again.
    #[error("the broker is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// In what a queue that is there is not the one that is wanted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// Which property.
    pub what: String,
    /// What it is.
    pub there: String,
    /// What it should be.
    pub wanted: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "its {} is {}, wanted is {}",
            self.what, self.there, self.wanted
        )
    }
}

/// Why nothing can be received from a queue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsumeError {
    /// No queue of that name. Declare it first.
    #[error("there is no queue {0}")]
    NoSuchQueue(Queue),
    /// The transport was closed. Stop.
    #[error("the transport is closed")]
    Closed,
    /// The broker could not be reached or refused. Try again.
    #[error("the broker is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Messages that were not taken, at least one, in the order they were given.
#[derive(Debug, thiserror::Error)]
#[error("{} messages were not delivered, the first to {} because {}", .0.len(), .0[0].message.to, .0[0].why)]
pub struct PublishError(pub Vec<Undelivered>);

/// A message that was not taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Undelivered {
    /// The message.
    pub message: Message,
    /// Why.
    pub why: WhyUndelivered,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WhyUndelivered {
    /// Its queue holds as much as it may. Publish it again later.
    #[error("the queue is full")]
    Full,
    /// It is larger than this transport carries. Give up.
    #[error("it is larger than the transport carries")]
    TooLarge,
    /// There is no such queue. Declare it, or give up.
    #[error("there is no such queue")]
    NoSuchQueue,
    /// It is not known whether it was taken. Publish it again under the same id.
    #[error("it was not confirmed")]
    Unconfirmed,
    /// The transport was closed. Stop.
    #[error("the transport is closed")]
    Closed,
}
