//! What the nodes of a saga wait for now. A view of the state alone.

use alloc::sync::Arc;

use sagalog_model::{AttemptNumber, Direction, Kind, NodeIndex, log::Time};

use crate::{
    attempts::Retrying,
    saga::{Parked, Phase, SagaState},
};

/// One thing that a node waits for.
#[derive(Clone, Copy, Debug)]
pub struct Wait<'a> {
    /// What.
    pub on: On<'a>,
    /// Since when.
    pub since: Time,
    /// Until when at most; never ends by itself without one.
    pub until: Option<Time>,
}

/// What a node waits for.
#[derive(Clone, Copy, Debug)]
pub enum On<'a> {
    /// A person.
    Person(&'a Parked),
    /// A signal of this name.
    Signal(&'a str),
    /// The end of a sleep.
    Sleep,
    /// The answer to an attempt.
    Reply {
        /// The contract that was asked.
        contract: &'a Arc<str>,
        /// What was asked.
        direction: Direction,
        /// Which attempt.
        attempt: AttemptNumber,
    },
    /// The time of the next attempt.
    Retry {
        /// The contract that will be asked.
        contract: &'a Arc<str>,
        /// What will be asked.
        direction: Direction,
        /// Which attempt.
        attempt: AttemptNumber,
    },
}

/// Calls `wait` with everything that a node of a saga waits for.
pub fn each<'a>(state: &'a SagaState, index: NodeIndex, mut wait: impl FnMut(Wait<'a>)) {
    if state.status().is_terminal() {
        return;
    }
    let node = state.node(index);
    if let Some(parked) = &node.parked {
        let (on, since) = (On::Person(parked), parked.since);
        return wait(Wait {
            on,
            since,
            until: None,
        });
    }
    let goes_forward = state.turn().is_none();
    let (on, until) = match (&state.graph().node(index).kind, node.phase) {
        (Kind::Sleep { .. }, Phase::Sleeping { until }) if goes_forward => (On::Sleep, until),
        (Kind::Signal { signal, .. }, Phase::Waiting { until }) if goes_forward => {
            (On::Signal(signal), until)
        }
        _ => return each_of_step(state, index, wait),
    };
    wait(Wait {
        on,
        since: node.since,
        until: Some(until),
    });
}

fn each_of_step<'a>(state: &'a SagaState, index: NodeIndex, mut wait: impl FnMut(Wait<'a>)) {
    let Some((spec, step)) = state.step(index) else {
        return;
    };
    let awaited = |direction: &Direction| state.awaits(spec, step, *direction);
    for direction in Direction::ALL.into_iter().filter(awaited) {
        let Some(contract) = spec.terms(direction).map(|terms| terms.name) else {
            continue;
        };
        let attempts = step.attempts(direction);
        if let Some(open) = attempts.open {
            wait(Wait {
                on: On::Reply {
                    contract,
                    direction,
                    attempt: open.number,
                },
                since: open.asked_at,
                until: (!open.delayed).then_some(open.deadline),
            });
        }
        if let Retrying::At(due) = attempts.retry {
            let trouble = attempts.trouble.as_ref();
            wait(Wait {
                on: On::Retry {
                    contract,
                    direction,
                    attempt: attempts.next(),
                },
                since: trouble.map_or_else(|| state.changed_at(), |trouble| trouble.at),
                until: Some(due),
            });
        }
    }
}
