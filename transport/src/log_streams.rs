//! The streams into which a log is published, one for each partition.
//!
//! A stream keeps what was published for a while, whoever has read it, so that any number of readers
//! can read all of it, each at its own pace. It is a copy for others to follow, never what the log is
//! read from by its owner.

use async_trait::async_trait;
use sagalog_model::log::PartitionId;

use crate::transport::{DeclareError, WhyUndelivered};

/// Streams of a broker into which a log is published. Used as `Arc<dyn LogStreams>`.
///
/// - **In order, at least once.** What one caller publishes stands there in the order of publishing. What was
///   not confirmed may stand there or not, and published again it stands there twice: nothing recognises it.
/// - **Not for ever.** What is old is cut off, and a stream may be deleted and made anew. Readers must
///   see by what the messages say whether something is missing.
/// - **Readers hold up nobody**, and one that is slow may find that its place was cut off.
#[async_trait]
pub trait LogStreams: Send + Sync + 'static {
    /// Makes sure that the stream of a partition is there, as it is wanted.
    ///
    /// # Errors
    /// [`DeclareError`]
    async fn declare(&self, partition: PartitionId) -> Result<(), DeclareError>;

    /// A message near the end of the stream: not always the last one, but nothing is behind it that
    /// was not published shortly after it. `None` if the stream is empty, or gives nothing for
    /// [`QUIET`](crate::rabbitmq::QUIET).
    ///
    /// # Errors
    /// [`StreamError`]
    async fn last(&self, partition: PartitionId) -> Result<Option<StreamMessage>, StreamError>;

    /// Publishes messages of JSON text in this order; done when the broker has taken all of them.
    ///
    /// # Errors
    /// [`StreamError`]: then any of them may be there.
    async fn publish(
        &self,
        partition: PartitionId,
        contents: Vec<String>,
    ) -> Result<(), StreamError>;

    /// Begins to read. This does not wait for a broker that is not there, nor for a stream that was not declared
    /// yet: the reader does.
    fn read(&self, partition: PartitionId, from: StreamStart) -> Box<dyn StreamReader>;

    /// Ends it: publishing and reading fail from now on, those who wait are woken.
    async fn close(&self);
}

/// Reads one stream, for ever.
#[async_trait]
pub trait StreamReader: Send {
    /// Waits for messages and appends at least one and at most `max` of them.
    ///
    /// A connection that is lost is made again, and reading goes on behind the last message that was
    /// read. If that one is not there any more, it goes on with what there is: with the oldest message
    /// that was not cut off, or with the first of a stream that was made anew, so that messages may be
    /// missing or come again. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Closed`] if the streams were closed.
    async fn next(&mut self, into: &mut Vec<StreamMessage>, max: usize) -> Result<(), Closed>;
}

/// A message as it stands in a stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StreamMessage {
    /// Its place in the stream. Places rise; after a stream was made anew they begin again.
    pub offset: u64,
    /// What it says: JSON text.
    pub content: String,
}

/// Where to begin to read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StreamStart {
    /// With the oldest message there is.
    First,
    /// With the message at this offset, at which one was read before. If there is none any more, as in
    /// [`StreamReader::next`].
    At(u64),
}

/// The streams were closed. Stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the streams of the published log are closed")]
pub struct Closed;

/// Why nothing can be said of a stream, or not all was published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The stream is not there and cannot be made.
    #[error(transparent)]
    Declare(#[from] DeclareError),
    /// The broker did not confirm all. Look at what is there, and go on from that.
    #[error("what was published to the stream {stream} was not confirmed: {why}")]
    Unconfirmed {
        /// The name of the stream.
        stream: String,
        /// What the broker did.
        why: WhyUndelivered,
    },
    /// The broker could not be reached or refused. Try again.
    #[error("the broker is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The streams were closed. Stop.
    #[error(transparent)]
    Closed(#[from] Closed),
}
