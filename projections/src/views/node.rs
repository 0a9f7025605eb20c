//! The row of a node.

use alloc::{string::String, sync::Arc};
use core::fmt;

use sagalog_model::{
    Kind, NodeIndex,
    event::NodeId,
    graph::participant,
    log::{StreamKey, Time},
};

use crate::{
    saga::{Phase, SagaState},
    step::UndoEnd,
    waits::{self, On},
};

/// One node of a saga that something has happened to: a step with its attempts, a sleep, a wait, or
/// whatever else a person had to see to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NodeRow {
    /// The saga's stream.
    pub stream: StreamKey,
    /// The node's place in the graph.
    pub index: NodeIndex,
    /// Its id.
    pub node: NodeId,
    /// The contract, if it is a step.
    pub contract: Option<Arc<str>>,
    /// Whether its work is done.
    pub is_done: bool,
    /// Whether it was undone.
    pub is_undone: bool,
    /// How many attempts of its action were asked.
    pub attempts: u32,
    /// How many attempts to undo it were asked.
    pub undo_attempts: u32,
    /// How the newest attempt without success ended.
    pub trouble: Option<String>,
    /// What it waits for, if it does; of several things the one that needs somebody most.
    pub wait: Option<WaitRow>,
}

/// What a node waits for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WaitRow {
    /// What kind of thing.
    pub kind: WaitKind,
    /// The contract or the signal.
    pub of: Option<Arc<str>>,
    /// Since when.
    pub since: Time,
    /// Until when at most.
    pub until: Option<Time>,
}

/// Kinds of things that sagas wait for. Ordered: those that need somebody come first.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum WaitKind {
    /// A person.
    Person,
    /// A signal.
    Signal,
    /// The time of the next attempt.
    Retry,
    /// The answer to an attempt.
    Reply,
    /// The end of a sleep.
    Sleep,
}

impl WaitKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Person,
        Self::Signal,
        Self::Retry,
        Self::Reply,
        Self::Sleep,
    ];

    /// Its word, the same in every release.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Signal => "signal",
            Self::Retry => "retry",
            Self::Reply => "reply",
            Self::Sleep => "sleep",
        }
    }
}

impl fmt::Display for WaitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl NodeRow {
    /// The row of a node of a saga in this state.
    pub fn of(stream: StreamKey, state: &SagaState, index: NodeIndex) -> Self {
        let step = state.step(index);
        let contract = match &state.graph().node(index).kind {
            Kind::Step { spec, .. } => Some(spec.name.clone()),
            _ => None,
        };
        let trouble = step.and_then(|(_, step)| {
            let all = [&step.action, &step.compensation, &step.alternative];
            let newest = all.into_iter().filter_map(|it| it.trouble.as_ref());
            newest.max_by_key(|trouble| trouble.at)
        });
        Self {
            stream,
            index,
            node: state.graph().node(index).id.clone(),
            contract,
            is_done: state.node(index).phase == Phase::Done,
            is_undone: step.is_some_and(|(_, step)| step.undo == UndoEnd::Undone),
            attempts: step.map_or(0, |(_, step)| step.action.asked),
            undo_attempts: step.map_or(0, |(_, step)| {
                step.compensation.asked + step.alternative.asked
            }),
            trouble: trouble.map(|trouble| trouble.reason.clone()),
            wait: WaitRow::of(state, index),
        }
    }

    /// The participant whose answer, or whose next attempt, it waits for.
    pub fn awaited(&self) -> Option<&str> {
        let wait = self.wait.as_ref()?;
        match wait.kind {
            WaitKind::Reply | WaitKind::Retry => wait.of.as_deref().map(participant),
            WaitKind::Person | WaitKind::Signal | WaitKind::Sleep => None,
        }
    }
}

impl WaitRow {
    /// What a node waits for, if it does.
    pub fn of(state: &SagaState, index: NodeIndex) -> Option<Self> {
        let mut first: Option<Self> = None;
        waits::each(state, index, |wait| {
            let (kind, of) = match wait.on {
                On::Person(_) => (WaitKind::Person, None),
                On::Signal(signal) => (WaitKind::Signal, Some(signal.into())),
                On::Sleep => (WaitKind::Sleep, None),
                On::Reply { contract, .. } => (WaitKind::Reply, Some(contract.clone())),
                On::Retry { contract, .. } => (WaitKind::Retry, Some(contract.clone())),
            };
            if first.as_ref().is_none_or(|first| kind < first.kind) {
                let (since, until) = (wait.since, wait.until);
                first = Some(Self {
                    kind,
                    of,
                    since,
                    until,
                });
            }
        });
        first
    }
}
