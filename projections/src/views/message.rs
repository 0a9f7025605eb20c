//! The row of a message.

use alloc::{borrow::ToOwned, sync::Arc};
use core::fmt;

use sagalog_model::{
    AttemptNumber, Direction, SagaEvent,
    event::NodeId,
    graph::participant,
    log::{Position, StreamKey, Time},
};

use crate::saga::SagaState;

/// One message that a saga has sent or has taken. What it carries is in the log, at its position.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MessageRow {
    /// Where the event is that tells of it.
    pub position: Position,
    /// When that was recorded.
    pub at: Time,
    /// The saga's stream.
    pub stream: StreamKey,
    /// What kind of message.
    pub kind: MessageKind,
    /// Its type: the contract, the signal, or what an operator wants.
    pub name: Arc<str>,
    /// Who is at the other end; nobody is named who sends a signal without numbering it.
    pub party: Option<Arc<str>>,
    /// What it is about, if it is a command or its answer.
    pub about: Option<About>,
}

/// What a command or its answer is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct About {
    /// The step's node.
    pub node: NodeId,
    /// What was asked.
    pub direction: Direction,
    /// Which attempt.
    pub attempt: AttemptNumber,
}

/// Kinds of messages.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum MessageKind {
    /// The saga asks a participant, or a producer for what is missing.
    Command,
    /// A participant has done it.
    Succeeded,
    /// A participant vouches that nothing took effect.
    Failed,
    /// A participant cannot say.
    Unknown,
    /// A participant says that it is still at it.
    Progress,
    /// A signal.
    Signal,
    /// A start, or a wish of an operator.
    Request,
}

impl MessageKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Command,
        Self::Succeeded,
        Self::Failed,
        Self::Unknown,
        Self::Progress,
        Self::Signal,
        Self::Request,
    ];

    /// Its word, the same in every release.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Progress => "progress",
            Self::Signal => "signal",
            Self::Request => "request",
        }
    }

    /// Whether the saga has sent it; otherwise it was sent to the saga.
    pub const fn is_sent(self) -> bool {
        matches!(self, Self::Command)
    }
}

impl fmt::Display for MessageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a message is, apart from where it is on record.
struct Said {
    kind: MessageKind,
    name: Arc<str>,
    party: Option<Arc<str>>,
    about: Option<About>,
}

impl MessageRow {
    /// The message that an event tells of, if it tells of one. An input that is held is none until it is
    /// processed.
    pub(super) fn of(
        event: &SagaEvent,
        state: &SagaState,
        stream: StreamKey,
        position: Position,
        at: Time,
    ) -> Option<Self> {
        let Said {
            kind,
            name,
            party,
            about,
        } = said(event, state)?;
        Some(Self {
            position,
            at,
            stream,
            kind,
            name,
            party,
            about,
        })
    }
}

fn said(event: &SagaEvent, state: &SagaState) -> Option<Said> {
    use MessageKind as K;
    use SagaEvent as E;
    let step = |kind, node: &NodeId, direction, attempt| {
        let name = contract(state, node, direction)?;
        Some(Said {
            kind,
            party: Some(participant(&name).into()),
            name,
            about: Some(About {
                node: node.clone(),
                direction,
                attempt,
            }),
        })
    };
    let other = |kind, name: Arc<str>, party: Option<&Arc<str>>| {
        Some(Said {
            kind,
            name,
            party: party.cloned(),
            about: None,
        })
    };
    let request = |what: &str, by| other(K::Request, what.to_owned().into(), by);
    match event {
        E::Started(_) => request("start", None),
        E::AttemptAsked(e) => step(K::Command, &e.node, e.direction, e.attempt),
        E::AttemptRenewed(e) => step(K::Command, &e.node, e.direction, e.attempt),
        E::AttemptSucceeded(e) => step(K::Succeeded, &e.node, e.direction, e.attempt),
        E::AttemptFailed(e) => step(K::Failed, &e.node, e.direction, e.attempt),
        E::AttemptUnknown(e) => step(K::Unknown, &e.node, e.direction, e.attempt),
        E::ActionNotFound(e) => step(K::Failed, &e.node, Direction::Probe, e.attempt),
        E::AttemptExtended(e) => step(K::Progress, &e.node, Direction::Action, e.attempt),
        E::SignalReceived(e) => other(K::Signal, e.signal.clone(), None),
        E::NumberedSignalReceived(e) => other(K::Signal, e.signal.clone(), Some(&e.producer)),
        E::SignalAhead(e) => other(K::Signal, e.signal.clone(), Some(&e.producer)),
        E::MissingAsked(e) => other(K::Command, "missing".into(), Some(&e.producer)),
        E::CancelRequested(e) => request("cancel", Some(&e.by)),
        E::CompensateRequested(e) => request("compensate", Some(&e.by)),
        E::Paused(e) => request("pause", Some(&e.by)),
        E::Resumed(e) => request("resume", Some(&e.by)),
        E::DeadlineSet(e) => request("set-deadline", Some(&e.by)),
        E::RetryRequested(e) => request("retry", Some(&e.by)),
        E::ResolvedByHand(e) => request("resolve", Some(&e.by)),
        E::SkippedByHand(e) => request("skip", Some(&e.by)),
        E::HeldReleased(e) => request("release", Some(&e.by)),
        E::HeldDropped(e) => request("drop", Some(&e.by)),
        _ => None,
    }
}

/// The contract that is asked of a node in a direction.
pub(super) fn contract(state: &SagaState, node: &str, direction: Direction) -> Option<Arc<str>> {
    let graph = state.graph();
    let sagalog_model::Kind::Step { spec, .. } = &graph.node(graph.find(node)?).kind else {
        return None;
    };
    spec.terms(direction).map(|terms| terms.name.clone())
}
