//! How a saga that goes back ends if whatever it asks is answered well.

use alloc::vec::Vec;

use sagalog_model::{Direction, Outcome, Payload, Reply, SagaEvent, event::NodeId, log::Time};
use sagalog_projections::{SagaState, Timer, timers};

use crate::{
    decide::{Context, decide},
    input::{Meanwhile, SagaInput},
};

/// The most answers and timers that are gone through.
const INPUTS_MAX: usize = 10_000;

/// Where a way back leads to.
#[derive(Clone, Debug)]
pub struct WayBack {
    /// The state in the end: an ended saga, or one that waits for a person.
    pub state: SagaState,
    /// The nodes whose compensations or alternatives succeed, in this order.
    pub undone: Vec<NodeId>,
}

/// Goes the way back to its end: what is asked succeeds at once, what is under way counts as done, and what waits for its
/// next attempt gets it. Nothing of it depends on what participants give, so it is how it will be if all goes well. A saga
/// that goes forward stays where it is, as there it would depend on that.
pub fn way_back(state: &SagaState, context: Context<'_>) -> WayBack {
    let mut back = WayBack {
        state: state.clone(),
        undone: Vec::new(),
    };
    let mut now = context.now;
    for _ in 0..INPUTS_MAX {
        let Some((at, input)) = next_input(&back.state) else {
            break;
        };
        now = now.max(at);
        match decide(&mut back.state, &input, Context { now, ..context }) {
            Ok(events) if !events.is_empty() => {
                back.undone.extend(events.iter().filter_map(undone));
            }
            _ => break,
        }
    }
    back
}

/// What comes next on the way back, and not before when; none if nothing comes by itself.
fn next_input(state: &SagaState) -> Option<(Time, SagaInput)> {
    if state.turn().is_none() || state.status().is_terminal() {
        return None;
    }
    let directions = [
        Direction::Action,
        Direction::Probe,
        Direction::Compensation,
        Direction::Alternative,
    ];
    let asked = state.steps().find_map(|(index, _, step)| {
        directions.into_iter().find_map(|direction| {
            let open = step.attempts(direction).open?;
            Some((
                open.asked_at,
                SagaInput::Reply(Reply {
                    saga: state.id().clone(),
                    node: state.graph().node(index).id.clone(),
                    direction,
                    attempt: open.number,
                    outcome: Outcome::Succeeded(Payload::null()),
                }),
            ))
        })
    });
    asked.or_else(|| next_attempt(state))
}

fn next_attempt(state: &SagaState) -> Option<(Time, SagaInput)> {
    let mut next = None;
    timers::each(state, |due, timer| {
        let is_first = next.is_none_or(|(first, _)| due < first);
        if matches!(timer, Timer::Retry { .. }) && is_first {
            next = Some((due, timer));
        }
    });
    let meanwhile = Meanwhile::Asked;
    next.map(|(due, timer)| (due, SagaInput::TimerFired { timer, meanwhile }))
}

fn undone(event: &SagaEvent) -> Option<NodeId> {
    match event {
        SagaEvent::AttemptSucceeded(it)
            if matches!(
                it.direction,
                Direction::Compensation | Direction::Alternative
            ) =>
        {
            Some(it.node.clone())
        }
        _ => None,
    }
}
