//! What the runtime and its participants say to each other. `docs/protocol.md` is the same for
//! people who write a participant.

use alloc::{string::String, sync::Arc};
use core::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    log::{BadName, StreamName, Time},
    payload::Payload,
};

/// Id of a saga, chosen by whoever starts it; it names the saga's stream.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SagaId(StreamName);

impl SagaId {
    /// Takes an id: 1 to 255 bytes without spaces or control characters, not beginning with `$`.
    ///
    /// # Errors
    /// [`BadName`] says what is wrong with it.
    pub fn new(id: impl Into<Arc<str>>) -> Result<Self, BadName> {
        let name = StreamName::new(id)?;
        if name.as_str().starts_with('$') {
            Err(BadName::Reserved)
        } else {
            Ok(Self(name))
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The saga's stream.
    pub fn stream(&self) -> &StreamName {
        &self.0
    }
}

impl fmt::Display for SagaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for SagaId {
    type Error = BadName;

    fn try_from(id: String) -> Result<Self, BadName> {
        Self::new(id)
    }
}

impl From<SagaId> for String {
    fn from(id: SagaId) -> Self {
        Self::from(id.as_str())
    }
}

/// What is asked of a participant.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The forward work.
    Action,
    /// Whether the action took effect.
    Probe,
    /// Undoing the action.
    Compensation,
    /// Making up for a compensation that failed for good.
    Alternative,
}

impl Direction {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Action,
        Self::Probe,
        Self::Compensation,
        Self::Alternative,
    ];

    /// Whether it belongs to the way forward: the action, and asking about it.
    pub const fn is_forward(self) -> bool {
        matches!(self, Self::Action | Self::Probe)
    }

    /// Its word in the log and in idempotency keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Probe => "probe",
            Self::Compensation => "compensation",
            Self::Alternative => "alternative",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Number of an attempt in its direction, from 1.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptNumber(pub u32);

impl fmt::Display for AttemptNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of one external effect: `tenant/saga/node/direction`. Never the attempt, so that every
/// attempt of the same work carries the same key.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IdempotencyKey(Arc<str>);

impl IdempotencyKey {
    /// The key of one direction of a node of a saga. A probe asks about the action, so it has the
    /// action's key.
    pub fn of(saga: &SagaId, node: &str, direction: Direction) -> Self {
        // Put together by hand: every command has two keys, and formatting takes several times as long.
        Self(Self::parts(saga, node, direction).join("/").into())
    }

    /// Whether it is [the key of](Self::of) this direction of this node of this saga.
    ///
    /// ```
    /// use sagalog_model::{Direction, IdempotencyKey, SagaId};
    ///
    /// let saga = SagaId::new("s1")?;
    /// let key = IdempotencyKey::of(&saga, "room", Direction::Probe);
    /// assert!(key.is_of(&saga, "room", Direction::Action));
    /// assert!(!key.is_of(&saga, "room", Direction::Compensation));
    /// assert!(!key.is_of(&saga, "roo", Direction::Action));
    /// # Ok::<(), sagalog_model::log::BadName>(())
    /// ```
    pub fn is_of(&self, saga: &SagaId, node: &str, direction: Direction) -> bool {
        let [first, parts @ ..] = Self::parts(saga, node, direction);
        let mut rest = self.0.strip_prefix(first);
        for part in parts {
            rest = rest.and_then(|rest| rest.strip_prefix('/')?.strip_prefix(part));
        }
        rest == Some("")
    }

    fn parts<'a>(saga: &'a SagaId, node: &'a str, direction: Direction) -> [&'a str; 4] {
        let direction = match direction {
            Direction::Probe => Direction::Action,
            direction => direction,
        };
        [TENANT, saga.as_str(), node, direction.as_str()]
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The only tenant until there are more.
pub const TENANT: &str = "default";

/// Asks a participant for one attempt.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// The saga.
    pub saga: SagaId,
    /// The node's id.
    pub node: Arc<str>,
    /// The name of the contract: the step's, or its alternative's.
    pub step: Arc<str>,
    /// What is asked.
    pub direction: Direction,
    /// Which attempt this is.
    pub attempt: AttemptNumber,
    /// After this it must not be started any more, and a running call is cancelled.
    pub deadline: Time,
    /// The key of what is asked.
    pub key: IdempotencyKey,
    /// The key of the action that is probed or made up for; the same as `key` for an action.
    pub action_key: IdempotencyKey,
    /// The action's input; for an alternative `{"input": .., "output": ..}`.
    pub input: Payload,
    /// For a compensation: the action's output, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Payload>,
    /// For an action that may be accepted and answered later: how to keep its attempt alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Heartbeat>,
}

/// How an attempt is kept alive beyond its deadline.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// How long the participant may be silent, in microseconds where it is written. The attempt may
    /// end after three quarters of it.
    #[serde(with = "crate::micros")]
    pub silence: Duration,
    /// When the attempt ends, whatever the participant says.
    pub until: Time,
}

/// Tells a participant that the outcome of an attempt is not waited for much longer: the saga has
/// turned. A hint, which may get lost; nobody answers it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// The saga.
    pub saga: SagaId,
    /// The node's id.
    pub node: Arc<str>,
    /// The name of the step's contract.
    pub step: Arc<str>,
    /// Which attempt of its action.
    pub attempt: AttemptNumber,
    /// The key of the action.
    pub action_key: IdempotencyKey,
}

/// A signal that its producer numbers. Producer and number are its id.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Numbered {
    /// Its name.
    pub signal: Arc<str>,
    /// Who numbers it.
    pub producer: Arc<str>,
    /// Its number among those of that producer for the saga, from 1.
    pub number: u64,
    /// What it carries.
    pub payload: Payload,
}

/// Asks a producer to send numbers again that did not come. A hint, which may get lost; nobody answers
/// it but by sending them.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Missing {
    /// The saga they are for.
    pub saga: SagaId,
    /// Who numbers them.
    pub producer: Arc<str>,
    /// The first that is missing.
    pub from: u64,
    /// The last.
    pub to: u64,
}

/// What became of one attempt.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The saga.
    pub saga: SagaId,
    /// The node's id.
    pub node: Arc<str>,
    /// What was asked.
    pub direction: Direction,
    /// Which attempt.
    pub attempt: AttemptNumber,
    /// What became of it.
    pub outcome: Outcome,
}

/// How an attempt ended, or that it has not.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It took effect. A compensation's payload is `null`; a probe's is the action's output.
    Succeeded(Payload),
    /// Nothing took effect, the participant vouches for it.
    Failed {
        /// Whether asking again can help.
        class: FailureClass,
        /// Why, for people.
        reason: String,
    },
    /// It may have taken effect or not.
    Unknown {
        /// Why, for people.
        reason: String,
    },
    /// A probe's answer: the action has not taken effect so far.
    NotDone,
    /// Of an action: it is accepted, or still under way, and its outcome comes later.
    Alive {
        /// How far it is, for people; may be empty.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        progress: String,
    },
}

/// Whether asking again can help.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// It can.
    Transient,
    /// It cannot.
    Permanent,
}
