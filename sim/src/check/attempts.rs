//! I11, I12: attempts and waits within policy over restarts, nothing given up too early, and no
//! timeout before its last recorded deadline.

use std::time::Duration;

use sagalog_model::{
    AttemptNumber, Direction, Retry, SagaEvent, StepSpec,
    event::{AttemptAsked, AttemptExtended, ParkCause, RetryScheduled, TurnCause},
    graph::Otherwise,
    log::Time,
};
use sagalog_projections::{
    Attempts, Phase, SagaState, StepState,
    attempts::Retrying,
    retry::{Jitter, wait_after},
    step::failed_permanently,
};

use super::Broken;

/// Looks at an event before it is folded.
pub(super) fn within_policy(state: &SagaState, event: &SagaEvent, at: Time) -> Result<(), Broken> {
    match event {
        SagaEvent::AttemptAsked(e) if e.deadline <= at => {
            let what = format!("an attempt of {} is over when it is asked", e.node);
            Err(("I12", what))
        }
        SagaEvent::AttemptAsked(e) => asked(state, e),
        SagaEvent::AttemptRenewed(e)
            if e.direction == Direction::Action && state.turn().is_some() =>
        {
            let what = format!("the action of {} is asked again after the turn", e.node);
            Err(("I10", what))
        }
        SagaEvent::AttemptAdmitted(e) if e.direction == Direction::Action => {
            admitted(state, &e.node, e.deadline)
        }
        SagaEvent::AttemptExtended(e) => extended(state, e, at),
        SagaEvent::RetryScheduled(e) => planned(state, e, at),
        SagaEvent::Turned(e) if e.cause == TurnCause::StepFailed => {
            given_up(state, e.node.as_deref(), Direction::Action)
        }
        SagaEvent::Parked(e) if e.cause == ParkCause::Compensation => parked(state, &e.node),
        SagaEvent::CompensationSkipped(e) => {
            given_up(state, Some(&e.node), Direction::Compensation)
        }
        SagaEvent::AttemptTimedOut(e) => {
            not_before(deadline(state, &e.node, e.direction), at, event)
        }
        SagaEvent::RetryDue(e) => not_before(retry(state, &e.node, e.direction), at, event),
        SagaEvent::SleepEnded(e) => not_before(phase_until(state, &e.node), at, event),
        SagaEvent::WaitTimedOut(e) => not_before(phase_until(state, &e.node), at, event),
        SagaEvent::DeadlinePassed(_) => not_before(state.deadline(), at, event),
        _ => Ok(()),
    }
}

fn asked(state: &SagaState, e: &AttemptAsked) -> Result<(), Broken> {
    let (node, direction) = (&e.node, e.direction);
    let step = state.graph().find(node).and_then(|index| state.step(index));
    // Behind the pivot its attempts go on when it has passed.
    let until = step.map_or(e.until, |(_, step)| {
        step.until.filter(|_| !step.until_passed)
    });
    if direction == Direction::Action && until.is_some_and(|until| e.deadline > until) {
        return Err((
            "I12",
            format!("an attempt of {node} outlasts its step's deadline"),
        ));
    }
    let Some((spec, step)) = step else {
        return Ok(());
    };
    let attempts = step.attempts(direction);
    let max = policy(spec, direction).map_or(0, |policy| policy.attempts);
    if attempts.spent() >= max {
        let spent = attempts.spent();
        return Err((
            "I11",
            format!(
                "{spent} attempts of the {direction} of {node} were asked, {max} is the policy"
            ),
        ));
    }
    let in_flight = step.action.open.is_some() || step.probe.open.is_some();
    if direction == Direction::Compensation && in_flight {
        return Err((
            "I10",
            format!("{node} is undone while its action is under way"),
        ));
    }
    // Whatever was planned was looked at when it was; what a person wants has no wait.
    if direction == Direction::Probe || attempts.retry != Retrying::No || attempts.spent() == 0 {
        return Ok(());
    }
    match wait(state, spec, attempts, node, direction)? {
        wait if wait.is_zero() => may_be_asked_again(step, spec, node, direction),
        _ => Err(("I11", format!("{node} is asked again without its wait"))),
    }
}

/// What waited for long has its whole time again, within that of its step.
fn admitted(state: &SagaState, node: &str, deadline: Time) -> Result<(), Broken> {
    let step = state.graph().find(node).and_then(|index| state.step(index));
    let until = step.and_then(|(_, step)| step.until.filter(|_| !step.until_passed));
    if until.is_some_and(|until| deadline > until) {
        let what = format!("the attempt of {node} is admitted beyond its step's deadline");
        return Err(("I12", what));
    }
    Ok(())
}

/// A heartbeat gives no more than the step allows, and nothing after the turn.
fn extended(state: &SagaState, e: &AttemptExtended, at: Time) -> Result<(), Broken> {
    let node = &e.node;
    let Some((spec, step)) = state.graph().find(node).and_then(|index| state.step(index)) else {
        return Ok(());
    };
    let given = spec.heartbeat.map(|silence| at.after(silence));
    let until = step.until.filter(|_| !step.until_passed);
    let of_the_saga = state.deadline().filter(|_| !state.pivot_passed());
    let mut ends = [until, of_the_saga].into_iter().flatten();
    let what = if state.turn().is_some() {
        "is extended after the turn"
    } else if given.is_none_or(|given| e.deadline > given) {
        "is extended by more than its heartbeat"
    } else if ends.any(|end| e.deadline > end) {
        "is extended beyond its step's deadline or its saga's"
    } else {
        return Ok(());
    };
    Err(("I12", format!("the attempt of {node} {what}")))
}

fn planned(state: &SagaState, e: &RetryScheduled, at: Time) -> Result<(), Broken> {
    let (node, direction) = (&e.node, e.direction);
    let Some((spec, step)) = state.graph().find(node).and_then(|index| state.step(index)) else {
        return Ok(());
    };
    may_be_asked_again(step, spec, node, direction)?;
    let wait = wait(state, spec, step.attempts(direction), node, direction)?;
    if e.due == at.after(wait) {
        return Ok(());
    }
    let waits = e.due.since(at);
    Err((
        "I11",
        format!("the {direction} of {node} waits {waits:?}, its policy says {wait:?}"),
    ))
}

/// The wait that the policy gives; none if the budget is spent or the newest failure was for good.
fn wait(
    state: &SagaState,
    spec: &StepSpec,
    attempts: &Attempts,
    node: &str,
    direction: Direction,
) -> Result<Duration, Broken> {
    let jitter = Jitter {
        saga: state.id(),
        node,
        direction,
        attempt: AttemptNumber(attempts.asked),
    };
    let wait = policy(spec, direction)
        .filter(|_| !failed_permanently(attempts))
        .and_then(|policy| wait_after(&policy, attempts.spent(), jitter));
    wait.ok_or_else(|| {
        (
            "I11",
            format!("the {direction} of {node} is asked again after its last failure"),
        )
    })
}

/// I9: a participant that can say what became of an attempt is asked before it acts again.
fn may_be_asked_again(
    step: &StepState,
    spec: &StepSpec,
    node: &str,
    direction: Direction,
) -> Result<(), Broken> {
    if direction == Direction::Action && step.can_probe(spec) {
        return Err((
            "I9",
            format!("{node} is in doubt, and asked again without a probe"),
        ));
    }
    Ok(())
}

/// A direction is given up only for good, or when its budget is spent.
fn given_up(state: &SagaState, node: Option<&str>, direction: Direction) -> Result<(), Broken> {
    let step = node.and_then(|node| state.step(state.graph().find(node)?));
    let Some((spec, step)) = step else {
        return Ok(());
    };
    let attempts = step.attempts(direction);
    let max = policy(spec, direction).map_or(0, |policy| policy.attempts);
    if failed_permanently(attempts) || attempts.spent() >= max {
        return Ok(());
    }
    let (spent, node) = (attempts.spent(), node.unwrap_or_default());
    Err((
        "I11",
        format!("the {direction} of {node} is given up after {spent} of {max} attempts"),
    ))
}

/// A compensation waits for a person only after everything that its policy names.
fn parked(state: &SagaState, node: &str) -> Result<(), Broken> {
    let step = state.graph().find(node).and_then(|index| state.step(index));
    let otherwise = step.and_then(|(spec, _)| Some(&spec.undo.as_ref()?.otherwise));
    match otherwise {
        Some(Otherwise::Skip { .. }) => Err((
            "I9",
            format!("{node} is parked, and its policy is to leave it"),
        )),
        Some(Otherwise::Alternative { .. }) => given_up(state, Some(node), Direction::Alternative),
        Some(Otherwise::Park) | None => given_up(state, Some(node), Direction::Compensation),
    }
}

fn policy(spec: &StepSpec, direction: Direction) -> Option<Retry> {
    match (direction, &spec.undo) {
        // One for each attempt that ends in doubt.
        (Direction::Probe | Direction::Action, _) => Some(spec.retry),
        (Direction::Compensation, undo) => undo.as_ref().map(|undo| undo.retry),
        (Direction::Alternative, Some(undo)) => match &undo.otherwise {
            Otherwise::Alternative { retry, .. } => Some(*retry),
            Otherwise::Park | Otherwise::Skip { .. } => None,
        },
        (Direction::Alternative, None) => None,
    }
}

pub(super) fn not_before(due: Option<Time>, at: Time, event: &SagaEvent) -> Result<(), Broken> {
    match due {
        Some(due) if due <= at => Ok(()),
        Some(due) => Err((
            "I12",
            format!(
                "{} comes {:?} before its deadline",
                event.kind(),
                due.since(at)
            ),
        )),
        None => Err(("I12", format!("{} has no deadline on record", event.kind()))),
    }
}

fn deadline(state: &SagaState, node: &str, direction: Direction) -> Option<Time> {
    let (_, step) = state.step(state.graph().find(node)?)?;
    step.attempts(direction).open.map(|open| open.deadline)
}

fn retry(state: &SagaState, node: &str, direction: Direction) -> Option<Time> {
    let (_, step) = state.step(state.graph().find(node)?)?;
    match step.attempts(direction).retry {
        Retrying::At(due) => Some(due),
        Retrying::No | Retrying::Now => None,
    }
}

fn phase_until(state: &SagaState, node: &str) -> Option<Time> {
    match state.node(state.graph().find(node)?).phase {
        Phase::Sleeping { until } | Phase::Waiting { until } => Some(until),
        _ => None,
    }
}
