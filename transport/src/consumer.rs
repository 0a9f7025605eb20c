//! The receiving side.

use std::sync::Arc;

use async_trait::async_trait;

use crate::message::Message;

/// Receives from one queue.
///
/// Dropped, it returns its unacknowledged deliveries to the queue, where they are delivered again
/// with [`Delivery::redelivered`] set.
#[async_trait]
pub trait Consumer: Send + 'static {
    /// Waits for a message and then adds what is there to `into`, at most `max` (at least one).
    ///
    /// With as many deliveries unacknowledged as the prefetch allows it waits: cancel it,
    /// acknowledge, call it again. Cancelled, it has received nothing.
    ///
    /// # Errors
    /// [`ConsumerError`]; `into` is as it was.
    async fn receive(&mut self, into: &mut Vec<Delivery>, max: usize) -> Result<(), ConsumerError>;

    /// Whether nothing waits for this consumer in the queue at this moment. What it received and
    /// has not acknowledged does not count. Where a queue is delivered to one consumer at a time,
    /// those behind another cannot know what that one holds and may return: for them it is not empty.
    ///
    /// # Errors
    /// [`ConsumerError`].
    async fn is_empty(&mut self) -> Result<bool, ConsumerError>;

    /// Tells the queue that these deliveries need not be delivered again. Tags that are not
    /// outstanding here are ignored.
    ///
    /// # Errors
    /// [`ConsumerError`]: then some of them will be delivered again.
    async fn ack(&mut self, tags: &[Tag]) -> Result<(), ConsumerError>;

    /// Gives one delivery back, for this reason. A tag that is not outstanding here is ignored.
    ///
    /// # Errors
    /// [`ConsumerError`]: then it will be delivered again.
    async fn nack(&mut self, tag: Tag, reason: &str, then: Nack) -> Result<(), ConsumerError>;
}

/// One message, received.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// What it is acknowledged by.
    pub tag: Tag,
    /// Whether it may have been delivered before. `false` does not prove that it was not.
    pub redelivered: bool,
    /// The message.
    pub message: Arc<Message>,
}

/// Names a delivery to the consumer that received it, and to no other.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Tag {
    /// Number of the delivery, never given twice by one queue or channel.
    pub number: u64,
    /// Where the implementation finds it.
    pub slot: u32,
}

/// What becomes of a delivery that is given back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Nack {
    /// It is delivered again, to this or another consumer, perhaps at once.
    Requeue,
    /// It goes to [`Queue::dead_letters`](crate::Queue::dead_letters) with the reason.
    DeadLetter,
}

/// Why a consumer can do nothing any more. What it had not acknowledged returns to the queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConsumerError {
    /// The transport was closed. Stop.
    #[error("the transport is closed")]
    Closed,
    /// The connection was lost. Consume again.
    #[error("the connection to the queue was lost")]
    Lost,
}
