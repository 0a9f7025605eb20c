//! What is carried.

use std::{collections::BTreeMap, fmt, str::FromStr};

use sagalog_model::log::Time;

use crate::queue::Queue;

/// One message. In one process it is handed over as it is; on a wire the content is the body and
/// all else is the envelope.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Message {
    /// Its identity: the same message published twice has the same id.
    pub id: MessageId,
    /// What it is for.
    pub kind: Kind,
    /// Who sent it; an answer goes to this queue.
    pub from: Queue,
    /// Where it goes.
    pub to: Queue,
    /// The request that this answers.
    pub correlation: Option<MessageId>,
    /// The message that led to this one.
    pub causation: Option<MessageId>,
    /// When it is of no use any more. The transport carries this and does nothing about it.
    pub deadline: Option<Time>,
    /// What goes first where a transport can choose.
    pub priority: Priority,
    /// What it says: JSON text.
    pub content: String,
    /// What only some messages have; apart, so that the others stay small.
    pub details: Option<Box<Details>>,
}

impl Message {
    /// A message of normal priority that answers nothing.
    pub fn new(id: MessageId, kind: Kind, from: Queue, to: Queue, content: String) -> Self {
        Self {
            id,
            kind,
            from,
            to,
            correlation: None,
            causation: None,
            deadline: None,
            priority: Priority::Normal,
            content,
            details: None,
        }
    }

    /// Why it is a dead letter, if it is one.
    pub fn dead_letter(&self) -> Option<&DeadLetter> {
        self.details.as_ref()?.dead_letter.as_ref()
    }
}

/// A ULID that the sender derives from what the message is, and never draws: the message that is
/// sent again after a crash has the same id.
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MessageId(pub u128);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&ulid::Ulid(self.0), f)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no message's id.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not a ULID of 26 characters")]
pub struct BadMessageId(pub String);

impl FromStr for MessageId {
    type Err = BadMessageId;

    fn from_str(text: &str) -> Result<Self, BadMessageId> {
        match ulid::Ulid::from_string(text) {
            Ok(ulid) => Ok(Self(ulid.0)),
            Err(_) => Err(BadMessageId(text.into())),
        }
    }
}

/// What a message is for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// Asks for something: a command.
    Request,
    /// Answers a request: a reply.
    Response,
    /// Tells what has happened.
    Event,
    /// Tells a node or a worker what to do.
    Control,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Request, Self::Response, Self::Event, Self::Control];

    /// Its word, as it travels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
            Self::Event => "event",
            Self::Control => "control",
        }
    }

    /// The kind that this word names.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// What goes first where a transport can choose. [`InProcess`](crate::InProcess) does not choose.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Priority {
    /// When nothing else waits.
    Low,
    /// As it comes.
    #[default]
    Normal,
    /// Before normal ones.
    High,
    /// Before all others.
    Critical,
}

impl Priority {
    const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Critical];

    /// Its word, the same in every release.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The priority that this word names.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|priority| priority.as_str() == word)
    }
}

/// What only some messages have.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Details {
    /// The W3C trace context's `traceparent`.
    pub traceparent: Option<String>,
    /// The W3C trace context's `tracestate`.
    pub tracestate: Option<String>,
    /// What the sender adds for whoever reads it.
    pub metadata: BTreeMap<String, String>,
    /// Why it is a dead letter, if it is one.
    pub dead_letter: Option<DeadLetter>,
}

/// Why a message became a dead letter.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The queue it was in, or was sent to.
    pub queue: Queue,
    /// Why, to group by.
    pub why: WhyDead,
    /// Why, for people: what its consumer said.
    pub reason: String,
    /// What came, if it could not be read as a message.
    pub unread: Option<Unread>,
}

impl DeadLetter {
    /// The letter of a message that was in this queue.
    pub fn new(queue: Queue, why: WhyDead, reason: impl Into<String>) -> Self {
        Self {
            queue,
            why,
            reason: reason.into(),
            unread: None,
        }
    }
}

/// Why a message became a dead letter, to group by.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum WhyDead {
    /// Its consumer gave it back as of no use.
    Refused,
    /// It is not one of the protocol's messages.
    Unreadable,
    /// Its bytes are not those whose hash it carries.
    HashMismatch,
    /// It is larger than this transport carries.
    TooLarge,
    /// The queue it was sent to does not exist.
    NoQueue,
    /// It came back unacknowledged too often.
    DeliveryLimit,
    /// It waited for longer than its sender allowed.
    Expired,
    /// The broker gave it up for another reason.
    GivenUp,
}

/// A body that could not be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unread {
    /// Its bytes, the first of them if it is larger than the transport carries.
    pub bytes: Vec<u8>,
    /// How many it had.
    pub size: usize,
    /// The SHA-256 of all of them.
    pub sha_256: [u8; 32],
}
