//! The row of a saga.

use alloc::{string::String, sync::Arc};

use sagalog_model::{
    SagaId,
    graph::DefinitionVersion,
    log::{StreamKey, Time, Version},
};

use crate::{saga::SagaState, saga::Status, timers};

/// One saga.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SagaRow {
    /// Its stream.
    pub stream: StreamKey,
    /// Its id.
    pub saga: SagaId,
    /// The saga's name; empty if its start does not read.
    pub definition: Arc<str>,
    /// The definition's version; 0 if its start does not read.
    pub version: DefinitionVersion,
    /// Where it stands.
    pub standing: Standing,
    /// How many events it has.
    pub events: Version,
    /// When it started.
    pub started_at: Time,
    /// When it was last changed.
    pub changed_at: Time,
    /// When it turns back by itself.
    pub deadline: Option<Time>,
    /// When something happens to it by itself next.
    pub next_timer: Option<Time>,
    /// How many of its inputs wait for a person.
    pub held: u64,
    /// Since when it is paused, if it is.
    pub paused_since: Option<Time>,
    /// Why it cannot be folded, if it cannot; then the rest is as it was before.
    pub fault: Option<String>,
}

/// Where a saga stands, as far as its events can be folded.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Standing {
    /// It goes forward.
    Running,
    /// It goes back.
    Compensating,
    /// It ended: everything on its path was done.
    Completed,
    /// It ended: everything that took effect was undone.
    Compensated,
    /// It ended: some effects are left.
    PartlyCompensated,
    /// Its events do not read, or do not follow one another: a newer release wrote them, or they are
    /// damaged.
    Unreadable,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Running,
        Self::Compensating,
        Self::Completed,
        Self::Compensated,
        Self::PartlyCompensated,
        Self::Unreadable,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Compensating => "Compensating",
            Self::Completed => "Completed",
            Self::Compensated => "Compensated",
            Self::PartlyCompensated => "PartlyCompensated",
            Self::Unreadable => "Unreadable",
        }
    }
}

impl From<Status> for Standing {
    fn from(status: Status) -> Self {
        match status {
            Status::Running => Self::Running,
            Status::Compensating => Self::Compensating,
            Status::Completed => Self::Completed,
            Status::Compensated => Self::Compensated,
            Status::PartlyCompensated => Self::PartlyCompensated,
        }
    }
}

impl SagaRow {
    /// The row of a saga in this state.
    pub fn of(stream: StreamKey, state: &SagaState) -> Self {
        let graph = state.graph();
        let is_open = !state.status().is_terminal();
        let next_timer = timers::next(state).filter(|_| is_open);
        Self {
            stream,
            saga: state.id().clone(),
            definition: graph.saga.as_str().into(),
            version: graph.version,
            standing: state.status().into(),
            events: state.version(),
            started_at: state.started_at(),
            changed_at: state.changed_at(),
            deadline: state.deadline(),
            next_timer: next_timer.map(|(due, _)| due),
            held: if is_open {
                state.held().len() as u64
            } else {
                0
            },
            paused_since: state.pause().map(|pause| pause.since),
            fault: None,
        }
    }
}
