//! A run as text: the plan first, then what happened, in lanes.

use std::fmt::Write as _;

use sagalog_model::{Direction, SagaEvent, log::Time};

use crate::{
    check::Violation,
    world::{BEGINNING, Lane, TraceLine, World},
};

/// The most lines of a report; the healthy middle is left out.
const LINES_MAX: usize = 60;

/// The timeline of a run: plan, times in milliseconds from the beginning, lanes.
pub(crate) fn timeline(world: &World, violation: Option<&Violation>) -> String {
    let mut text = String::new();
    let plan = world.plan().to_string();
    let plan = if plan.is_empty() {
        "nothing goes wrong".to_owned()
    } else {
        plan.replace('\n', "\n      ")
    };
    writeln!(text, "plan  {plan}").expect("a string takes everything");
    writeln!(
        text,
        "   t  node       log                                   world"
    )
    .expect("a string takes everything");
    let lines: Vec<String> = world.trace().iter().map(line).collect();
    let room = LINES_MAX - plan.lines().count() - 4;
    if lines.len() <= room {
        text.extend(lines);
    } else {
        let (head, tail) = (room / 3, room - room / 3 - 1);
        text.extend(lines[..head].iter().cloned());
        writeln!(text, "      … {} lines …", lines.len() - head - tail)
            .expect("a string takes everything");
        text.extend(lines[lines.len() - tail..].iter().cloned());
    }
    match violation {
        Some(violation) => {
            let saga = violation
                .saga
                .as_ref()
                .map_or_else(String::new, |saga| format!(" of {saga}"));
            writeln!(
                text,
                "{:>4}  VIOLATION {}{saga}: {}",
                millis(violation.at),
                violation.invariant,
                violation.what
            )
        }
        None => writeln!(text, "      all invariants hold"),
    }
    .expect("a string takes everything");
    text
}

fn line(line: &TraceLine) -> String {
    let indent = match line.lane {
        Lane::Node => 0,
        Lane::Log => 11,
        Lane::World => 49,
    };
    format!("{:>4}  {:indent$}{}\n", millis(line.at), "", line.what)
}

fn millis(at: Time) -> u128 {
    at.since(BEGINNING).as_millis()
}

/// One event in words, without times.
pub(crate) fn event(event: &SagaEvent) -> String {
    use SagaEvent as E;
    let of = |node: &str, direction: Direction, attempt: u32| match direction {
        Direction::Action => format!("{node}#{attempt}"),
        _ => format!("{node} {direction}#{attempt}"),
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
        E::ActionNotFound(e) => format!(
            "{} found nothing",
            of(&e.node, Direction::Probe, e.attempt.0)
        ),
        E::RetryScheduled(e) => format!("retry of {} planned", of(&e.node, e.direction, 0)),
        E::RetryDue(e) => format!("retry of {} due", of(&e.node, e.direction, 0)),
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
        E::SignalConsumed(e) => format!("{} takes signal {}", e.node, e.id),
        E::SignalLate(e) => format!("signal {} is late", e.id),
        E::PivotPassed(_) => "pivot".into(),
        E::CancelRequested(e) => format!("cancel: {}", e.reason),
        E::DeadlinePassed(_) => "deadline passed".into(),
        E::Turned(e) => match &e.node {
            Some(node) => format!("TURN at {node}: {}", e.reason),
            None => format!("TURN: {}", e.reason),
        },
        E::CompensationSkipped(e) => format!("compensation of {} skipped", e.node),
        E::Parked(e) => format!("{} PARKED: {}", e.node, e.reason),
        E::RetryRequested(e) => format!("{} asks to retry {}", e.by, e.node),
        E::ResolvedByHand(e) => format!("{} resolved {}", e.by, e.node),
        E::SkippedByHand(e) => format!("{} skipped {}", e.by, e.node),
        E::Completed(e) => format!("COMPLETED {}", e.output),
        E::Compensated(_) => "COMPENSATED".into(),
        E::PartlyCompensated(e) => format!("PARTLY COMPENSATED, left: {}", e.left.join(", ")),
    }
}
