//! Deciding again what is on record (I19): a batch states the input that led to it as its first
//! event, and the time that was decided with, so nothing else is needed.

use alloc::{boxed::Box, string::String, vec::Vec};

use sagalog_model::{
    Direction, NodeIndex, Numbered, Outcome, Payload, Reply, SagaEvent, SagaId,
    event::SagaEvent as E,
};
use sagalog_projections::{SagaState, Timer};

use crate::{
    decide::{
        Context, Refusal, decide,
        held::{WAITED, told},
        start,
    },
    input::{Meanwhile, Request, SagaInput, Wish},
};

/// Decides a recorded batch again. `before` is the fold of what the saga's stream holds before it,
/// none if it begins with the batch; `fact` is the batch's first event, and the context's time the
/// batch's own. Gives the state after it, and all events of the batch as they are decided now.
///
/// # Errors
/// [`CannotRedecide`]: such a batch does not come of this definition under these rules.
pub fn redecide(
    saga: &SagaId,
    before: Option<SagaState>,
    fact: &SagaEvent,
    context: Context<'_>,
) -> Result<(SagaState, Vec<SagaEvent>), CannotRedecide> {
    match (fact, before) {
        (E::Started(started), None) => Ok(start(saga.clone(), started.input.clone(), context)),
        (E::Started(_), Some(_)) => Err(CannotRedecide::BeginsTwice),
        (_, None) => Err(CannotRedecide::NoBeginning),
        (fact, Some(mut state)) => {
            let input = SagaInput::recorded(saga, fact, &state)
                .ok_or_else(|| CannotRedecide::NoFact { kind: fact.kind() })?;
            let events = decide(&mut state, &input, context)?;
            Ok((state, events))
        }
    }
}

/// Why a recorded batch cannot be decided again.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CannotRedecide {
    /// A batch behind the first one begins with the start.
    #[error("a later batch starts the saga again")]
    BeginsTwice,
    /// The first batch does not begin with the start.
    #[error("the first batch does not begin with the start")]
    NoBeginning,
    /// A batch does not begin with something that came in.
    #[error("the batch begins with {kind}, which no input is recorded as")]
    NoFact {
        /// What it begins with.
        kind: &'static str,
    },
    /// The input is refused now.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl SagaInput {
    /// The input that is recorded as this event, as far as decisions depend on it: what an undone
    /// step's participant gave, and what was cut off for its length, is not on record.
    fn recorded(saga: &SagaId, fact: &SagaEvent, before: &SagaState) -> Option<Self> {
        let graph = before.graph();
        let reply = |node: &_, direction, attempt, outcome| {
            Self::Reply(Reply {
                saga: saga.clone(),
                node: Clone::clone(node),
                direction,
                attempt,
                outcome,
            })
        };
        let fired = |timer| Self::TimerFired {
            timer,
            meanwhile: Meanwhile::Asked,
        };
        let timer =
            |node: &str, timer: fn(NodeIndex) -> Timer| Some(fired(timer(graph.find(node)?)));
        let wish = |id: &_, by: &_, until, wish| {
            Self::Request(Request {
                id: Clone::clone(id),
                by: Clone::clone(by),
                until,
                wish,
            })
        };
        Some(match fact {
            E::AttemptSucceeded(e) => {
                let output = e.output.clone().unwrap_or_else(Payload::null);
                reply(&e.node, e.direction, e.attempt, Outcome::Succeeded(output))
            }
            E::AttemptFailed(e) => {
                let (class, reason) = (e.class, e.reason.clone());
                let outcome = Outcome::Failed { class, reason };
                reply(&e.node, e.direction, e.attempt, outcome)
            }
            E::AttemptUnknown(e) => {
                let reason: String = e.reason.clone();
                reply(&e.node, e.direction, e.attempt, Outcome::Unknown { reason })
            }
            E::AttemptExtended(e) => {
                let progress: String = e.progress.clone();
                let outcome = Outcome::Alive { progress };
                reply(&e.node, Direction::Action, e.attempt, outcome)
            }
            E::ActionNotFound(e) => reply(&e.node, Direction::Probe, e.attempt, Outcome::NotDone),
            E::AttemptTimedOut(e) => fired(Timer::Attempt {
                node: graph.find(&e.node)?,
                direction: e.direction,
                attempt: e.attempt,
            }),
            E::AttemptRenewed(e) => Self::TimerFired {
                timer: Timer::Attempt {
                    node: graph.find(&e.node)?,
                    direction: e.direction,
                    attempt: e.attempt,
                },
                meanwhile: Meanwhile::Unowned,
            },
            E::AttemptDelayed(e) => Self::TimerFired {
                timer: Timer::Attempt {
                    node: graph.find(&e.node)?,
                    direction: e.direction,
                    attempt: e.attempt,
                },
                meanwhile: Meanwhile::Waiting,
            },
            E::AttemptAdmitted(e) => Self::Admitted {
                node: graph.find(&e.node)?,
                direction: e.direction,
                attempt: e.attempt,
            },
            E::RetryDue(e) => fired(Timer::Retry {
                node: graph.find(&e.node)?,
                direction: e.direction,
            }),
            E::SleepEnded(e) => timer(&e.node, |node| Timer::Sleep { node })?,
            E::WaitTimedOut(e) => timer(&e.node, |node| Timer::Wait { node })?,
            E::StepDeadlinePassed(e) => timer(&e.node, |node| Timer::StepDeadline { node })?,
            E::DeadlinePassed(_) => fired(Timer::SagaDeadline),
            E::SignalReceived(e) => Self::Signal {
                signal: e.signal.clone(),
                id: e.id.clone(),
                until: e.until,
                payload: e.payload.clone(),
            },
            E::NumberedSignalReceived(e) => Self::Numbered(Numbered {
                signal: e.signal.clone(),
                producer: e.producer.clone(),
                number: e.number,
                payload: e.payload.clone(),
            }),
            E::SignalAhead(e) => Self::Numbered(Numbered {
                signal: e.signal.clone(),
                producer: e.producer.clone(),
                number: e.number,
                payload: e.payload.clone(),
            }),
            E::GapTimedOut(e) => {
                let (producer, _) = before.sequences().find(&e.producer)?;
                fired(Timer::Gap { producer })
            }
            E::InputHeld(e) => {
                let input = told(saga, &e.input, &e.held.content).ok()?;
                match e.held.reason.as_deref() {
                    Some(WAITED) => Self::Hold(Box::new(input)),
                    _ => input,
                }
            }
            E::HeldReleased(e) => wish(
                &e.id,
                &e.by,
                e.until,
                Wish::Release {
                    number: e.number,
                    content: e.content.clone(),
                },
            ),
            E::HeldDropped(e) => wish(
                &e.id,
                &e.by,
                e.until,
                Wish::Drop {
                    number: e.number,
                    reason: e.reason.as_str().into(),
                },
            ),
            E::CancelRequested(e) => wish(
                &e.id,
                &e.by,
                e.until,
                Wish::Cancel {
                    reason: e.reason.as_str().into(),
                },
            ),
            E::CompensateRequested(e) => wish(
                &e.id,
                &e.by,
                e.until,
                Wish::Compensate {
                    reason: e.reason.as_str().into(),
                },
            ),
            E::Paused(e) => wish(
                &e.id,
                &e.by,
                e.until,
                Wish::Pause {
                    reason: e.reason.as_str().into(),
                },
            ),
            E::Resumed(e) => wish(&e.id, &e.by, e.until, Wish::Resume),
            E::DeadlineSet(e) => wish(
                &e.id,
                &e.by,
                e.until,
                Wish::SetDeadline {
                    deadline: e.deadline,
                    reason: e.reason.as_str().into(),
                },
            ),
            E::RetryRequested(e) => wish(
                &e.id,
                &e.by,
                e.until,
                Wish::Retry {
                    node: e.node.clone(),
                    reason: e.reason.as_deref().map(Into::into),
                },
            ),
            E::ResolvedByHand(e) => wish(
                &e.id,
                &e.by,
                e.until,
                Wish::Resolve {
                    node: e.node.clone(),
                    output: e.output.clone(),
                },
            ),
            E::SkippedByHand(e) => wish(
                &e.id,
                &e.by,
                e.until,
                Wish::Skip {
                    node: e.node.clone(),
                    reason: e.reason.as_str().into(),
                },
            ),
            _ => return None,
        })
    }
}
