//! One event in words.

use sagalog_model::{Direction, SagaEvent};

/// One event in words, without times.
pub fn event(event: &SagaEvent) -> String {
    use SagaEvent as E;
    let side = |node: &str, direction: Direction| match direction {
        Direction::Action => node.to_owned(),
        _ => format!("{node} {direction}"),
    };
    let of = |node: &str, direction: Direction, attempt: u32| {
        format!("{}#{attempt}", side(node, direction))
    };
    match event {
        E::Started(e) => format!("Started {}", e.input),
        E::AttemptAsked(e) => format!("ask {}", of(&e.node, e.direction, e.attempt.0)),
        E::AttemptSucceeded(e) => match &e.output {
            Some(output) => format!(
                "{} succeeded: {output}",
                of(&e.node, e.direction, e.attempt.0)
            ),
            None => format!("{} succeeded", of(&e.node, e.direction, e.attempt.0)),
        },
        E::AttemptFailed(e) => format!(
            "{} failed: {}",
            of(&e.node, e.direction, e.attempt.0),
            e.reason
        ),
        E::AttemptUnknown(e) => format!("{} unknown", of(&e.node, e.direction, e.attempt.0)),
        E::AttemptTimedOut(e) => format!("{} timed out", of(&e.node, e.direction, e.attempt.0)),
        E::AttemptRenewed(e) => format!("{} renewed", of(&e.node, e.direction, e.attempt.0)),
        E::AttemptDelayed(e) => format!("{} delayed", of(&e.node, e.direction, e.attempt.0)),
        E::AttemptAdmitted(e) => format!("{} admitted", of(&e.node, e.direction, e.attempt.0)),
        E::AttemptExtended(e) => {
            format!("{} alive", of(&e.node, Direction::Action, e.attempt.0))
        }
        E::ActionNotFound(e) => format!(
            "{} found nothing",
            of(&e.node, Direction::Probe, e.attempt.0)
        ),
        E::RetryScheduled(e) => format!("retry of {} planned", side(&e.node, e.direction)),
        E::RetryDue(e) => format!("retry of {} due", side(&e.node, e.direction)),
        E::StepDeadlinePassed(e) => format!("deadline of {} passed", e.node),
        E::NodeCompleted(e) => match &e.output {
            Some(output) => format!("{} gives {output}", e.node),
            None => format!("{} is done", e.node),
        },
        E::ArmChosen(e) => format!("{} goes into arm {}", e.node, e.arm),
        E::SleepStarted(e) => format!("{} sleeps", e.node),
        E::SleepEnded(e) => format!("{} wakes", e.node),
        E::WaitStarted(e) => format!("{} waits", e.node),
        E::WaitTimedOut(e) => format!("{} waited in vain", e.node),
        E::SignalReceived(e) => format!("signal {} ({})", e.signal, e.id),
        E::NumberedSignalReceived(e) => {
            format!("signal {} ({}#{})", e.signal, e.producer, e.number)
        }
        E::SignalAhead(e) => format!("signal {} ({}#{}) is kept", e.signal, e.producer, e.number),
        E::GapOpened(e) => format!("{}#{} to {} missing", e.producer, e.from, e.to),
        E::SignalAdmitted(e) => format!("{}#{} is next", e.producer, e.number),
        E::GapTimedOut(e) => format!("the gap of {} timed out", e.producer),
        E::MissingAsked(e) => format!("{} is asked for {} to {}", e.producer, e.from, e.to),
        E::GapAbandoned(e) => format!("{}#{} to {} given up", e.producer, e.from, e.to),
        E::GapRejected(e) => format!("{}#{:?} rejected", e.producer, e.rejected),
        E::InputHeld(e) => match &e.held.reason {
            Some(reason) => format!("input {} HELD: {reason}", e.number),
            None => format!("input {} held behind others", e.number),
        },
        E::HeldReleased(e) => format!("{} released input {}", e.by, e.number),
        E::HeldTaken(e) => format!("input {} is processed", e.number),
        E::StillHeld(e) => format!("input {} HELD: {}", e.number, e.reason),
        E::HeldDropped(e) => format!("{} dropped input {}", e.by, e.number),
        E::SignalConsumed(e) => format!("{} takes signal {}", e.node, e.id),
        E::IdsForgotten(e) => format!("{} whose time is over are forgotten", e.of),
        E::SignalLate(e) => format!("signal {} is late", e.id),
        E::PivotPassed(_) => "pivot".into(),
        E::CancelRequested(e) => format!("cancel: {}", e.reason),
        E::CompensateRequested(e) => format!("compensate: {}", e.reason),
        E::Paused(e) => format!("PAUSED by {}: {}", e.by, e.reason),
        E::Resumed(e) => format!("resumed by {}", e.by),
        E::DeadlineSet(e) => match e.deadline {
            Some(_) => format!("{} set the deadline: {}", e.by, e.reason),
            None => format!("{} removed the deadline: {}", e.by, e.reason),
        },
        E::DeadlinePassed(_) => "deadline passed".into(),
        E::Turned(e) => match &e.node {
            Some(node) => format!("TURN at {node}: {}", e.reason),
            None => format!("TURN: {}", e.reason),
        },
        E::CompensationSkipped(e) => format!("compensation of {} skipped", e.node),
        E::Parked(e) => format!("{} PARKED: {}", e.node, e.reason),
        E::RetryRequested(e) => match &e.reason {
            Some(reason) => format!("{} asks to retry {}: {reason}", e.by, e.node),
            None => format!("{} asks to retry {}", e.by, e.node),
        },
        E::ResolvedByHand(e) => format!("{} resolved {}", e.by, e.node),
        E::SkippedByHand(e) => format!("{} skipped {}", e.by, e.node),
        E::Completed(e) => format!("COMPLETED {}", e.output),
        E::Compensated(_) => "COMPENSATED".into(),
        E::PartlyCompensated(e) => format!("PARTLY COMPENSATED, left: {}", e.left.join(", ")),
    }
}
