//! What participants were asked and how they answered, counted.

use alloc::sync::Arc;

use sagalog_model::{AttemptNumber, Direction, SagaEvent, log::Time};

use super::{Changes, message::contract};
use crate::saga::SagaState;

/// How often a contract was asked, and what became of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Attempts that were asked, in all directions.
    pub asked: u64,
    /// Attempts that took effect.
    pub succeeded: u64,
    /// Attempts that took no effect, probes that found none among them.
    pub failed: u64,
    /// Attempts that may have taken effect, as their participant says.
    pub unknown: u64,
    /// Attempts that were not answered in time.
    pub timed_out: u64,
    /// Attempts that were answered while they were waited for.
    pub answered: u64,
    /// How long those took together, in microseconds.
    pub micros: u64,
    /// How long the longest of them took, in microseconds.
    pub longest: u64,
    /// When it was last asked or heard of.
    pub last_at: Time,
}

impl Tally {
    /// This and what was counted elsewhere.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            asked: self.asked + other.asked,
            succeeded: self.succeeded + other.succeeded,
            failed: self.failed + other.failed,
            unknown: self.unknown + other.unknown,
            timed_out: self.timed_out + other.timed_out,
            answered: self.answered + other.answered,
            micros: self.micros + other.micros,
            longest: self.longest.max(other.longest),
            last_at: self.last_at.max(other.last_at),
        }
    }
}

/// What an event tells about a participant.
pub(super) struct Told {
    contract: Arc<str>,
    at: Time,
    what: What,
}

enum What {
    Asked,
    Answered(Answer, Option<u64>),
}

enum Answer {
    Succeeded,
    Failed,
    Unknown,
    TimedOut,
}

impl Told {
    /// What an event tells that comes next for a saga in this state.
    pub(super) fn of(event: &SagaEvent, state: &SagaState, at: Time) -> Option<Self> {
        use SagaEvent as E;
        let (node, direction, what) = match event {
            E::AttemptAsked(e) => (&e.node, e.direction, What::Asked),
            E::AttemptSucceeded(e) => {
                let took = took(state, &e.node, e.direction, e.attempt, at);
                (
                    &e.node,
                    e.direction,
                    What::Answered(Answer::Succeeded, took),
                )
            }
            E::AttemptFailed(e) => {
                let took = took(state, &e.node, e.direction, e.attempt, at);
                (&e.node, e.direction, What::Answered(Answer::Failed, took))
            }
            E::ActionNotFound(e) => {
                let took = took(state, &e.node, Direction::Probe, e.attempt, at);
                (
                    &e.node,
                    Direction::Probe,
                    What::Answered(Answer::Failed, took),
                )
            }
            E::AttemptUnknown(e) => {
                let took = took(state, &e.node, e.direction, e.attempt, at);
                (&e.node, e.direction, What::Answered(Answer::Unknown, took))
            }
            E::AttemptTimedOut(e) => (&e.node, e.direction, What::Answered(Answer::TimedOut, None)),
            _ => return None,
        };
        let contract = contract(state, node, direction)?;
        Some(Self { contract, at, what })
    }

    pub(super) fn count(self, changes: &mut Changes) {
        let tally = changes.tally(&self.contract);
        tally.last_at = tally.last_at.max(self.at);
        match self.what {
            What::Asked => tally.asked += 1,
            What::Answered(answer, took) => {
                match answer {
                    Answer::Succeeded => tally.succeeded += 1,
                    Answer::Failed => tally.failed += 1,
                    Answer::Unknown => tally.unknown += 1,
                    Answer::TimedOut => tally.timed_out += 1,
                }
                if let Some(micros) = took {
                    tally.answered += 1;
                    tally.micros += micros;
                    tally.longest = tally.longest.max(micros);
                }
            }
        }
    }
}

/// How long an attempt took, if it is waited for.
fn took(
    state: &SagaState,
    node: &str,
    direction: Direction,
    attempt: AttemptNumber,
    at: Time,
) -> Option<u64> {
    let (_, step) = state.step(state.graph().find(node)?)?;
    let open = step.attempts(direction).open?;
    let took = || at.as_micros().saturating_sub(open.asked_at.as_micros());
    (open.number == attempt).then(took)
}
