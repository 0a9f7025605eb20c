//! A saga's history in two lanes: what it did going forward, and what it made up for going back.
//!
//! A view for people: it keeps what [`SagaState`] may forget, such as how each attempt ended, and it
//! takes from that state everything that the state knows, so the two cannot disagree.

mod fold;

use alloc::{string::String, sync::Arc, vec::Vec};

use sagalog_model::{
    Direction, FailureClass, Graph, Payload, SagaEvent, SagaId,
    event::{NodeId, ParkCause},
    log::{Position, Time, Version},
};
use serde::Serialize;

use crate::{
    saga::IllegalEvent,
    why::{Deadline, Turned, Waiting},
};

/// What has happened to a saga, up to some event.
#[derive(Clone, Debug, Serialize)]
pub struct Timeline {
    /// The saga.
    pub saga: SagaId,
    /// Its definition.
    pub definition: String,
    /// Its definition's version.
    pub definition_version: u32,
    /// Where it stands.
    pub status: &'static str,
    /// Its beginning.
    pub started: Place,
    /// The newest event.
    pub last: Place,
    /// What it was started with.
    pub input: Payload,
    /// What it gave, once it is completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Payload>,
    /// Its own deadline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Deadline>,
    /// Whether the point of no return is behind.
    pub pivot_passed: bool,
    /// Why it went back, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turned: Option<Turned>,
    /// What was done going forward, in the order in which it began.
    pub forward: Vec<Item>,
    /// What was done going back, in the order in which it began.
    pub compensation: Vec<Item>,
    /// What it waits for now.
    pub waiting: Vec<Waiting>,
    /// What is not begun: the nodes that may still run, or the steps that are still to be undone.
    pub ahead: Vec<Ahead>,
    /// The nodes whose effects are left, once it has ended partly compensated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<NodeId>,
}

/// An event of the saga and where it is.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    /// Where.
    pub place: Place,
    /// What.
    pub event: &'a SagaEvent,
}

/// Where and when an event is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Place {
    /// Place in the partition.
    pub position: Position,
    /// Place in the saga's stream.
    pub version: Version,
    /// When.
    pub at: Time,
}

/// Something in a lane.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// A node that was entered.
    Node(Entry),
    /// Something that happened to the saga as a whole.
    Note(Note),
}

/// A node that was entered, or that is undone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// The node.
    pub node: NodeId,
    /// What it does: `step`, `value`, `check`, `fail`, `choice`, `sleep`, `signal` or `pivot`.
    pub does: &'static str,
    /// In how many branches and arms it stands.
    pub depth: u32,
    /// The contract that is asked, or the signal that is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<Arc<str>>,
    /// Its beginning.
    pub began: Place,
    /// Its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Place>,
    /// How it ended; nothing while it is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
    /// Whether it waits for a person.
    pub parked: bool,
    /// When it ends by itself, if it is a sleep or a wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// What its participant was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Payload>,
    /// What it gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Payload>,
    /// What happened at it, in order.
    pub moments: Vec<Moment>,
}

/// How a node ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It is done.
    Done,
    /// It is not, and took no effect.
    Failed,
    /// It may have taken effect.
    InDoubt,
    /// A person gave it up.
    Skipped,
    /// The saga turned before it ended.
    Dropped,
    /// A wait ended without its signal.
    TimedOut,
    /// Its effect is undone.
    Undone,
    /// Its effect is left.
    Left,
}

/// Something that happened at a node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moment {
    /// Where and when.
    #[serde(flatten)]
    pub place: Place,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened at a node.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum What {
    /// A participant was asked.
    Attempt {
        /// For what.
        direction: Direction,
        /// Which attempt.
        attempt: u32,
        /// When it counts as unknown.
        deadline: Time,
        /// Whether that was set anew after a downtime.
        renewed: bool,
        /// How it ended; nothing while it is unanswered.
        #[serde(skip_serializing_if = "Option::is_none")]
        ended: Option<Ended>,
    },
    /// An answer to an attempt that had ended already.
    LateAnswer {
        /// To what was asked.
        direction: Direction,
        /// Which attempt.
        attempt: u32,
        /// The answer.
        answer: Ended,
    },
    /// The next attempt waits.
    Retry {
        /// For what.
        direction: Direction,
        /// Until then.
        due: Time,
    },
    /// The step's own deadline passed.
    StepDeadlinePassed,
    /// A choice went into an arm.
    Arm {
        /// The arm; nothing if it went into none.
        #[serde(skip_serializing_if = "Option::is_none")]
        arm: Option<String>,
    },
    /// A wait took a signal.
    Signal {
        /// The signal's id.
        id: Arc<str>,
    },
    /// It waits for a person.
    Parked {
        /// What could not be done.
        cause: ParkCause,
        /// Details.
        reason: String,
    },
    /// A person wants it tried again.
    RetryRequested {
        /// Who.
        by: Arc<str>,
    },
    /// A person has done it by hand.
    ResolvedByHand {
        /// Who.
        by: Arc<str>,
    },
    /// A person has given it up.
    SkippedByHand {
        /// Who.
        by: Arc<str>,
        /// Why.
        reason: String,
    },
    /// It is left undone, as its policy says.
    Skipped {
        /// Why.
        reason: String,
    },
}

/// How an attempt ended.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Ended {
    /// When.
    pub at: Time,
    /// How.
    pub outcome: AttemptEnd,
    /// Whether asking again could help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<FailureClass>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The ways in which an attempt ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptEnd {
    /// It took effect.
    Succeeded,
    /// It took no effect.
    Failed,
    /// It may have taken effect, says its participant.
    Unknown,
    /// No answer came in time.
    TimedOut,
    /// A probe found no effect so far.
    NotFound,
    /// Another attempt, a probe or a person settled what it was for.
    SettledOtherwise,
}

/// Something that happened to the saga as a whole.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Note {
    /// Where and when.
    #[serde(flatten)]
    pub place: Place,
    /// What.
    #[serde(flatten)]
    pub what: Noted,
}

/// What happened to the saga as a whole.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Noted {
    /// A signal came in.
    SignalReceived {
        /// Its name.
        signal: Arc<str>,
        /// The sender's id for it.
        id: Arc<str>,
    },
    /// A signal came when nothing waits for it any more.
    SignalLate {
        /// The sender's id for it.
        id: Arc<str>,
    },
    /// Somebody wants the saga undone.
    CancelRequested {
        /// Who.
        by: Arc<str>,
        /// Why.
        reason: String,
    },
    /// The saga's deadline passed.
    DeadlinePassed,
}

/// A node that is not begun.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Ahead {
    /// The node.
    pub node: NodeId,
    /// What it does.
    pub does: &'static str,
    /// In how many branches and arms it stands.
    pub depth: u32,
    /// The contract that is asked, or the signal that is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<Arc<str>>,
}

impl Timeline {
    /// Folds the first events of a saga's stream; `None` if they do not begin with its start.
    ///
    /// # Errors
    /// [`IllegalEvent`] if one cannot follow the ones before it.
    pub fn of<'a>(
        saga: &SagaId,
        graph: &Arc<Graph>,
        events: impl IntoIterator<Item = Placed<'a>>,
    ) -> Result<Option<Self>, IllegalEvent> {
        fold::timeline(saga, graph, events.into_iter())
    }
}

impl Place {
    /// How long after `earlier` this is.
    pub const fn since(self, earlier: Self) -> core::time::Duration {
        self.at.since(earlier.at)
    }
}
