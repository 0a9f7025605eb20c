//! The seam to whoever watches a process work: counts, traces, judges its health.
//!
//! What is told is what drivers know anyway, and a watcher changes nothing of what they do. They wait for it, so it
//! must neither wait nor lock; what it keeps is its own to bound.

use std::{sync::Arc, time::Duration};

use sagalog_engine::{Evaluate, Partition, admission::Load};
use sagalog_model::{
    Command, Outcome, SagaEvent,
    dead_letter::Cause,
    log::{Epoch, PartitionId, Position, Time},
};
use sagalog_projections::{SagaState, Status, dead_letters::Phase};
use sagalog_transport::MessageId;

/// Watches a process; see [`RuntimeBuilder::observed`](crate::RuntimeBuilder::observed). All of it is optional.
pub trait Observe: Send + Sync + 'static {
    /// This event comes next for a saga in this state. It is not durable yet; after an append of which nobody
    /// knows what became, the same may be told again.
    fn decided(&self, _state: &SagaState, _event: &SagaEvent, _at: Time) {}

    /// A commit of a partition is durable.
    fn appended(&self, _partition: PartitionId, _commit: Commit) {}

    /// Messages were handed to the transport: so many, of which these were not taken.
    fn sent(&self, _partition: PartitionId, _messages: usize, _not_taken: usize, _took: Duration) {}

    /// A partition was taken over, or its driver takes stock, which it does every [`TAKES_STOCK`].
    fn stands(&self, _partition: PartitionId, _standing: Standing) {}

    /// A partition was given up or lost.
    fn given_up(&self, _partition: PartitionId) {}

    /// A message is a dead letter.
    fn died(&self, _cause: Cause) {}

    /// The connection to a queue of a partition was lost.
    fn disconnected(&self, _partition: PartitionId) {}

    /// The log of a partition is published up to here.
    fn published(&self, _partition: PartitionId, _through: Position) {}

    /// The W3C trace context, `traceparent`, that goes with a command of a saga in this state.
    fn traceparent(&self, _state: &SagaState, _command: &Command) -> Option<String> {
        None
    }

    /// A worker of this process has performed a command, or it was cancelled at its deadline.
    fn called(&self, _called: &Called<'_>) {}
}

/// What a worker did with a command.
#[derive(Debug)]
pub struct Called<'a> {
    /// The command.
    pub command: &'a Command,
    /// The id of its message.
    pub message: MessageId,
    /// The W3C trace context of its message.
    pub traceparent: Option<&'a str>,
    /// What became of it.
    pub outcome: &'a Outcome,
    /// How long it ran.
    pub took: Duration,
}

/// How often a driver tells where its partition [stands](Observe::stands).
pub const TAKES_STOCK: Duration = Duration::from_secs(5);

/// What one commit held, and how long it took.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Commit {
    /// How many inputs.
    pub batches: usize,
    /// How many events.
    pub events: u64,
    /// From the append until it was known to be durable.
    pub took: Duration,
}

/// Where a partition stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// When.
    pub at: Time,
    /// The ownership's number.
    pub epoch: Epoch,
    /// Sagas that go forward.
    pub running: usize,
    /// Sagas that go back.
    pub compensating: usize,
    /// Those of both of which a node waits for a person.
    pub parked: usize,
    /// Those of both that hold inputs.
    pub holding: usize,
    /// Sagas that cannot be driven.
    pub held: usize,
    /// Dead letters that wait for a person.
    pub dead_letters: usize,
    /// The newest event.
    pub tail: Position,
    /// The newest that is known to be durable.
    pub durable: Position,
    /// Commands that were published and not answered.
    pub unanswered: usize,
    /// How many those may be.
    pub window: usize,
    /// How it stands with each participant that was asked.
    pub loads: Vec<Load>,
}

impl Standing {
    pub(crate) fn of<E: Evaluate>(machine: &Partition<E>, epoch: Epoch, at: Time) -> Self {
        let (unanswered, window) = machine.window();
        let mut standing = Self {
            at,
            epoch,
            running: 0,
            compensating: 0,
            parked: 0,
            holding: 0,
            held: machine.held_sagas().len(),
            dead_letters: machine.dead_letters().count(Phase::Waiting),
            tail: machine.tail(),
            durable: machine.durable(),
            unanswered,
            window,
            loads: machine.loads().collect(),
        };
        for (_, state, _) in machine.sagas() {
            match state.status() {
                Status::Running => standing.running += 1,
                Status::Compensating => standing.compensating += 1,
                _ => continue,
            }
            standing.parked += usize::from(state.parked().next().is_some());
            standing.holding += usize::from(!state.held().is_empty());
        }
        standing
    }
}

/// Nobody watches.
pub(crate) struct Nobody;

impl Observe for Nobody {}

/// Whoever watches, if anybody does.
#[derive(Clone)]
pub(crate) struct Watch {
    observer: Arc<dyn Observe>,
    is_wanted: bool,
}

impl Watch {
    pub(crate) fn nobody() -> Self {
        Self {
            observer: Arc::new(Nobody),
            is_wanted: false,
        }
    }

    pub(crate) fn by(observer: Arc<dyn Observe>) -> Self {
        Self {
            observer,
            is_wanted: true,
        }
    }

    /// Whether it is worth to take stock.
    pub(crate) const fn is_wanted(&self) -> bool {
        self.is_wanted
    }
}

impl std::ops::Deref for Watch {
    type Target = dyn Observe;

    fn deref(&self) -> &Self::Target {
        &*self.observer
    }
}
