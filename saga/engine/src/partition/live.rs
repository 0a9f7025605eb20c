//! One saga that is here, and how it is folded from its history.

use alloc::{string::String, vec::Vec};

use sagalog_model::{
    AttemptNumber, Direction, NodeIndex, Outcome, RecoveryClass, Reply, SagaEvent, SagaId,
    definition::AnyDefinition,
    log::{Position, StreamKey, Time},
    system::LateSuccess,
};
use sagalog_projections::{IllegalEvent, SagaState, Timer};

use super::{
    answer::Ticket,
    registry::{Registry, UnknownDefinition},
};
use crate::{admission::Permit, decide::Refusal};

/// What a look-up in the log found.
#[derive(Clone, Debug)]
pub enum Found {
    /// The saga was never started.
    Nothing,
    /// Its whole history.
    History(History),
    /// It is there, and its history does not read.
    Unreadable(Unreadable),
}

/// A history that does not read.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// Why.
    pub why: String,
    /// Whether a later release wrote it: then another program can read it.
    pub is_newer: bool,
}

/// The history of a saga as it was read from the log.
#[derive(Clone, Debug)]
pub struct History {
    /// Its stream.
    pub key: StreamKey,
    /// Its events in order, with their times.
    pub events: Vec<(Time, SagaEvent)>,
}

/// Why a history cannot be folded.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadHistory {
    /// It does not begin with `Started`.
    #[error("the stream of saga `{saga}` does not begin with its start")]
    NoStart {
        /// The saga.
        saga: SagaId,
    },
    /// It needs a definition that neither the program nor the log has.
    #[error(transparent)]
    UnknownDefinition(#[from] UnknownDefinition),
    /// Its events do not follow one another.
    #[error(transparent)]
    IllegalEvent(#[from] IllegalEvent),
}

/// A saga that is here.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) state: SagaState,
    /// None for one that has ended and whose definition the program no longer has.
    pub(super) definition: Option<AnyDefinition>,
    pub(super) key: StreamKey,
    /// Since when it is driven again, if this owner found it held: what fell due before was missed.
    pub(super) driven_since: Time,
    /// The earliest timer, as it is filed.
    pub(super) timer: Option<(Time, Timer)>,
    /// Commands that were published and are unanswered.
    pub(super) published: Vec<Published>,
    /// Commands that their participants do not take now.
    pub(super) waiting: Vec<Place>,
    /// Whether it was paused before the newest batch.
    pub(super) was_paused: bool,
    /// Callers that wait for its end.
    pub(super) waiters: Vec<Ticket>,
}

/// An attempt of a saga.
pub(super) type Place = (NodeIndex, Direction, AttemptNumber);

/// A command that was published and is unanswered.
#[derive(Clone, Copy)]
pub(super) struct Published {
    pub(super) place: Place,
    pub(super) permit: Permit,
}

impl Live {
    /// The open attempt of a node.
    pub(super) fn open(&self, node: &str, direction: Direction) -> Option<Place> {
        let index = self.state.graph().find(node)?;
        let (_, step) = self.state.step(index)?;
        let open = step.attempts(direction).open?;
        Some((index, direction, open.number))
    }

    /// Whether a timer is of an attempt whose command waits to be admitted, or for its saga to go on.
    pub(super) fn waits(&self, timer: Timer) -> bool {
        let Timer::Attempt {
            node,
            direction,
            attempt,
        } = timer
        else {
            return false;
        };
        let place = (node, direction, attempt);
        self.waiting.contains(&place) || self.is_kept_back(place)
    }

    /// Whether a command does not leave because its saga is paused. What is with its participant is
    /// out, and so is what one has accepted.
    pub(super) fn is_kept_back(&self, place: Place) -> bool {
        let is_out = || {
            let (node, direction, _) = place;
            let step = self.state.step(node);
            let heard = step.and_then(|(_, step)| step.attempts(direction).heard.as_ref());
            heard.is_some() || self.published.iter().any(|it| it.place == place)
        };
        self.state.pause().is_some() && !is_out()
    }

    /// Whether its deadline passed while it waited to be admitted.
    pub(super) fn is_delayed(&self, (node, direction, attempt): Place) -> bool {
        let step = self.state.step(node);
        let open = step.and_then(|(_, step)| step.attempts(direction).open);
        open.is_some_and(|open| open.number == attempt && open.delayed)
    }

    pub(super) const fn new(
        state: SagaState,
        definition: Option<AnyDefinition>,
        key: StreamKey,
    ) -> Self {
        let was_paused = state.pause().is_some();
        Self {
            state,
            definition,
            key,
            was_paused,
            driven_since: Time::from_micros(0),
            timer: None,
            published: Vec::new(),
            waiting: Vec::new(),
            waiters: Vec::new(),
        }
    }

    /// Folds a history for a look-up; what is wrong with it is the asker's answer.
    pub(super) fn fold(
        saga: &SagaId,
        history: History,
        registry: &Registry,
    ) -> Result<Self, Refusal> {
        Self::try_fold(saga, history, registry).map_err(|bad| Refusal::BadHistory {
            why: alloc::format!("{bad}"),
        })
    }

    pub(super) fn try_fold(
        saga: &SagaId,
        history: History,
        registry: &Registry,
    ) -> Result<Self, BadHistory> {
        let mut events = history.events.into_iter();
        let Some((at, SagaEvent::Started(started))) = events.next() else {
            return Err(BadHistory::NoStart { saga: saga.clone() });
        };
        let (graph, definition) = registry.of(&started)?;
        let mut state = SagaState::start(saga.clone(), graph, &started, at);
        for (at, event) in events {
            state.apply(&event, at)?;
        }
        if definition.is_none() && !state.status().is_terminal() {
            return Err(UnknownDefinition {
                saga: String::from(&*started.definition),
                version: started.version,
            }
            .into());
        }
        Ok(Self::new(state, definition, history.key))
    }

    pub(super) fn ended(&self) -> Refusal {
        Refusal::Ended {
            saga: self.state.id().clone(),
            status: self.state.status(),
        }
    }

    /// Whether a reply reports an effect that the ended saga knows nothing of. Looking has none.
    pub(super) fn contradicts(&self, reply: &Reply) -> Option<LateSuccess> {
        if !self.state.status().is_terminal() {
            return None;
        }
        let forward = matches!(reply.direction, Direction::Action);
        let succeeded = matches!(reply.outcome, Outcome::Succeeded(_));
        let index = self.state.graph().find(&reply.node)?;
        let (spec, step) = self.state.step(index)?;
        let acts = spec.class != RecoveryClass::ReadOnly;
        let news = step.action.was_asked(reply.attempt) && !step.has_succeeded();
        (forward && acts && succeeded && news).then(|| LateSuccess {
            saga: reply.saga.clone(),
            node: reply.node.clone(),
            direction: reply.direction,
            attempt: reply.attempt,
        })
    }
}

/// Where a live saga's newest event is; used to order recovery.
pub(super) const fn oldest_first(live: &Live) -> (Time, Position) {
    (live.state.started_at(), Position::new(live.key.get()))
}
