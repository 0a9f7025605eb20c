//! How long an attempt can be kept alive: a view of the state, with the policy of the step.

use sagalog_model::{StepSpec, log::Time, message::Heartbeat};

use crate::{saga::SagaState, step::StepState};

/// A heartbeat that moves the deadline by less than this part of the silence that is allowed is not
/// worth an event, unless it moves it to the end.
pub const LEAST_PART: u32 = 4;

/// How the open attempt of an action is kept alive; none if it is not, or there is none.
///
/// It ends at the latest with the step's deadline, or the saga's. Behind the pivot, where those have
/// no effect, no attempt takes longer than all of them were to take. Nothing in it changes while the
/// attempt is open, a deadline of the saga that is set meanwhile neither.
pub fn heartbeat(spec: &StepSpec, step: &StepState) -> Option<Heartbeat> {
    let (silence, span) = (spec.heartbeat?, spec.deadline?);
    let asked_at = step.action.open?.asked_at;
    let ahead = |deadline: &Time| *deadline > asked_at;
    let until = step.until.filter(ahead);
    let until = until.unwrap_or_else(|| asked_at.after(span));
    let until = match step.asked_within.filter(ahead) {
        Some(deadline) => until.min(deadline),
        None => until,
    };
    Some(Heartbeat { silence, until })
}

/// The deadline to which a heartbeat moves that of an action's open attempt; none if that is not
/// worth an event. After the turn none does: what is under way then is waited for until the deadline
/// that it has. A deadline of the saga that was set earlier since it was asked ends it too.
pub fn extended(state: &SagaState, spec: &StepSpec, step: &StepState, now: Time) -> Option<Time> {
    let (heartbeat, open) = (heartbeat(spec, step)?, step.action.open?);
    let of_the_saga = state.deadline().filter(|_| !state.pivot_passed());
    let until = of_the_saga.map_or(heartbeat.until, |deadline| heartbeat.until.min(deadline));
    let deadline = now.after(heartbeat.silence).min(until);
    let is_worth_it = deadline >= open.deadline.after(heartbeat.silence / LEAST_PART)
        || deadline == until && deadline > open.deadline;
    (state.turn().is_none() && is_worth_it).then_some(deadline)
}
