//! Names of queues.

use std::{fmt, sync::Arc};

/// The name of a queue: 1 to 255 bytes of printable ASCII without spaces, as every broker takes it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Queue(Arc<str>);

impl Queue {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// Takes a name.
    ///
    /// # Errors
    /// [`BadQueueName`] if it is empty, too long, or has other characters.
    pub fn new(name: impl Into<Arc<str>>) -> Result<Self, BadQueueName> {
        let name = name.into();
        let fits = (1..=Self::MAX_BYTES).contains(&name.len());
        if fits && name.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(name))
        } else {
            Err(BadQueueName(name))
        }
    }

    /// The queue of a participant's commands: `cmd.payments`.
    ///
    /// # Errors
    /// [`BadQueueName`] if the participant's name cannot be part of a queue's.
    pub fn commands(participant: &str) -> Result<Self, BadQueueName> {
        Self::new(format!("cmd.{participant}"))
    }

    /// The inbox of a partition: `inbox.0`.
    pub fn inbox(partition: u32) -> Self {
        Self(format!("inbox.{partition}").into())
    }

    /// Where a caller that drives nothing gets its answers: `answers.` and a name that no other has.
    ///
    /// # Errors
    /// [`BadQueueName`] if the name cannot be part of a queue's.
    pub fn answers(caller: &str) -> Result<Self, BadQueueName> {
        Self::new(format!("answers.{caller}"))
    }

    /// Whether it goes when nobody has used it for a while, where a transport can do that: it is one
    /// process's own.
    pub fn is_of_one_process(&self) -> bool {
        self.0.starts_with("answers.")
    }

    /// The stream into which the log of a partition is published: `log.0`.
    pub fn log(partition: u32) -> Self {
        Self(format!("log.{partition}").into())
    }

    /// Where messages go that nobody can use: `dead`. It exists without being declared.
    pub fn dead_letters() -> Self {
        Self("dead".into())
    }

    /// Whether it is delivered to one consumer at a time, where a transport can keep that: an inbox,
    /// as one runtime owns the partition.
    pub fn has_one_consumer(&self) -> bool {
        self.0.starts_with("inbox.")
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that cannot name a queue.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a queue is named by 1 to 255 printable ASCII characters without spaces, not {0:?}")]
pub struct BadQueueName(pub Arc<str>);
