//! Timers: deadlines that were recorded, and what each is for.

use sagalog_model::{AttemptNumber, Direction, Kind, NodeIndex, StepSpec, log::Time};

use crate::{
    attempts::{OpenAttempt, Retrying},
    saga::{Phase, SagaState},
    sequence::ProducerIndex,
    step::StepState,
};

/// What a deadline is for. Ordered: of several that are due together, the first here comes first, so
/// that nothing is asked anew in the moment in which a deadline ends it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Timer {
    /// The saga's deadline.
    SagaDeadline,
    /// A step's own deadline.
    StepDeadline {
        /// The step's node.
        node: NodeIndex,
    },
    /// An attempt counts as unknown from then on.
    Attempt {
        /// The step's node.
        node: NodeIndex,
        /// What was asked.
        direction: Direction,
        /// Which attempt.
        attempt: AttemptNumber,
    },
    /// A wait ends without its signal.
    Wait {
        /// The node.
        node: NodeIndex,
    },
    /// A sleep ends.
    Sleep {
        /// The node.
        node: NodeIndex,
    },
    /// Missing numbers were waited for long enough.
    Gap {
        /// Whose numbers.
        producer: ProducerIndex,
    },
    /// The next attempt is asked.
    Retry {
        /// The step's node.
        node: NodeIndex,
        /// What is asked.
        direction: Direction,
    },
}

/// The earliest timer of a saga, if it has one.
pub fn next(state: &SagaState) -> Option<(Time, Timer)> {
    let mut earliest = None;
    each(state, |due, timer| {
        let candidate = (due, timer);
        if earliest.is_none_or(|earliest| candidate < earliest) {
            earliest = Some(candidate);
        }
    });
    earliest
}

/// Of the timers that are due by now the one that comes first: after a downtime those of different
/// times are due together, and what a deadline ends is not asked anew before it.
pub fn first_due(state: &SagaState, now: Time) -> Option<(Time, Timer)> {
    let mut first = None;
    each(state, |due, timer| {
        let candidate = (timer, due);
        if due <= now && first.is_none_or(|first| candidate < first) {
            first = Some(candidate);
        }
    });
    first.map(|(timer, due)| (due, timer))
}

/// Calls `found` with every timer of a saga, in no order.
pub fn each(state: &SagaState, mut found: impl FnMut(Time, Timer)) {
    if state.status().is_terminal() {
        return;
    }
    let turned = state.turn().is_some();
    if let (Some(due), false, false) = (state.deadline(), state.deadline_passed(), turned) {
        found(due, Timer::SagaDeadline);
    }
    for (index, producer) in state.sequences().producers() {
        if let Some(until) = producer.gap.and_then(|gap| gap.until) {
            found(until, Timer::Gap { producer: index });
        }
    }
    for (index, _) in state.graph().iter() {
        let node = state.node(index);
        match node.phase {
            Phase::Sleeping { until } if !turned => found(until, Timer::Sleep { node: index }),
            Phase::Waiting { until } if !turned && !has_its_signal(state, index) => {
                found(until, Timer::Wait { node: index });
            }
            _ => {}
        }
        if let Some((spec, step)) = state.step(index) {
            each_of_step(state, index, spec, step, &mut found);
        }
    }
}

/// Whether the signal that a node waits for came while the saga is paused: it was first, and the saga goes
/// on with it.
fn has_its_signal(state: &SagaState, index: NodeIndex) -> bool {
    let signal = match &state.graph().node(index).kind {
        Kind::Signal { signal, .. } if state.pause().is_some() => signal,
        _ => return false,
    };
    state.signals().oldest(signal).is_some()
}

/// The time of an attempt stands still while its command waits, but that of an action only until the
/// turn: from there on it is not asked any more.
const fn waits_to_be_admitted(direction: Direction, open: OpenAttempt, turned: bool) -> bool {
    open.delayed && !(turned && matches!(direction, Direction::Action))
}

fn each_of_step(
    state: &SagaState,
    node: NodeIndex,
    spec: &StepSpec,
    step: &StepState,
    found: &mut impl FnMut(Time, Timer),
) {
    let turned = state.turn().is_some();
    let asking = state.node(node).phase == Phase::Asking;
    if let (Some(until), true, false, false) = (step.until, asking, step.until_passed, turned) {
        found(until, Timer::StepDeadline { node });
    }
    for direction in Direction::ALL {
        let attempts = step.attempts(direction);
        let is_idle = attempts.open.is_none() && !matches!(attempts.retry, Retrying::At(_));
        if is_idle || !state.awaits(spec, step, direction) {
            continue;
        }
        if let Some(open) = attempts.open
            && !state.is_answered(node, direction, open.number)
            && !waits_to_be_admitted(direction, open, turned)
        {
            found(
                open.deadline,
                Timer::Attempt {
                    node,
                    direction,
                    attempt: open.number,
                },
            );
        }
        if let Retrying::At(due) = attempts.retry {
            found(due, Timer::Retry { node, direction });
        }
    }
}
