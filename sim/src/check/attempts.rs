//! I11, I12: attempts within policy over restarts, and no timeout before its last recorded deadline.

use sagalog_model::{Direction, SagaEvent, StepSpec, graph::Otherwise, log::Time};
use sagalog_projections::{Phase, SagaState, attempts::Retrying};

type Broken = (&'static str, String);

/// Looks at an event before it is folded.
pub(super) fn within_policy(state: &SagaState, event: &SagaEvent, at: Time) -> Result<(), Broken> {
    match event {
        SagaEvent::AttemptAsked(e) => asked(state, &e.node, e.direction),
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

fn asked(state: &SagaState, node: &str, direction: Direction) -> Result<(), Broken> {
    let Some(index) = state.graph().find(node) else {
        return Ok(());
    };
    let Some((spec, step)) = state.step(index) else {
        return Ok(());
    };
    let attempts = step.attempts(direction);
    let max = most(spec, direction);
    if attempts.spent() >= max {
        let spent = attempts.spent();
        return Err((
            "I11",
            format!(
                "{spent} attempts of the {direction} of {node} were asked, {max} is the policy"
            ),
        ));
    }
    Ok(())
}

fn most(spec: &StepSpec, direction: Direction) -> u32 {
    match (direction, &spec.undo) {
        // One for each attempt that ends in doubt.
        (Direction::Probe, _) => spec.retry.attempts,
        (Direction::Compensation, Some(undo)) => undo.retry.attempts,
        (Direction::Alternative, Some(undo)) => match &undo.otherwise {
            Otherwise::Alternative { retry, .. } => retry.attempts,
            Otherwise::Park | Otherwise::Skip { .. } => 0,
        },
        _ => spec.retry.attempts,
    }
}

fn not_before(due: Option<Time>, at: Time, event: &SagaEvent) -> Result<(), Broken> {
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
