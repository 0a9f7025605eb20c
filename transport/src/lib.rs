//! The transport of Sagalog: it wakes and carries, and promises little on purpose.
//!
//! - **At least once.** What [`Transport::publish`] took is delivered until a consumer acknowledges
//!   it. It may be delivered twice, so receivers recognise what they have seen.
//! - **Order is not to be trusted.** One consumer of a quiet queue sees the order of publishing;
//!   a second consumer, a redelivery or a broker's failure breaks it. Who needs order numbers its
//!   messages.
//! - **Acknowledge after it is durable.** A receiver acknowledges when it no longer needs the
//!   message: the runtime after the append that the message caused, a worker after the reply was
//!   taken.
//! - **Time is not kept here.** No delays, no expiry: timers are events in the log.
//!
//! Nothing here knows what a saga is or touches the event log. [`InProcess`] is the implementation
//! for one process, [`RabbitMq`] the one for many; [`conformance`] holds what every implementation must show.
//!
//! [`LogStreams`] is the other seam: a log is published to its streams, for others to follow. It keeps order
//! and keeps what was read, and so is no queue. [`InProcessStreams`] and [`RabbitStreams`] implement it.

mod consumer;
mod log_streams;
mod message;
mod queue;
mod transport;

pub mod conformance;
pub mod in_process;
pub mod rabbitmq;

pub use consumer::{Consumer, ConsumerError, Delivery, Nack, Tag};
pub use in_process::{InProcess, InProcessStreams};
pub use log_streams::{Closed, LogStreams, StreamError, StreamMessage, StreamReader, StreamStart};
pub use message::{
    BadMessageId, DeadLetter, Details, Kind, Message, MessageId, Priority, Unread, WhyDead,
};
pub use queue::{BadQueueName, Queue};
pub use rabbitmq::{RabbitMq, RabbitStreams};
pub use transport::{
    ConsumeError, DeclareError, Difference, PublishError, Transport, Undelivered, WhyUndelivered,
};
