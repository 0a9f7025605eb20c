//! Commands that are to be published, within the window.

use alloc::collections::{BTreeMap, VecDeque};

use sagalog_model::{
    AttemptNumber, Command, Direction, NodeIndex, SagaEvent, SagaId,
    log::{Position, Time},
};
use sagalog_projections::SagaState;

use super::live::Live;
use crate::command::command;

/// Attempts that were asked in state and not yet published, oldest first (I14).
#[derive(Clone, Default)]
pub(super) struct Asks {
    queue: VecDeque<Ask>,
    unanswered: usize,
}

#[derive(Clone)]
struct Ask {
    /// I5: nothing is published before the event that asks it is durable.
    gate: Position,
    saga: SagaId,
    node: NodeIndex,
    direction: Direction,
    attempt: AttemptNumber,
}

impl Asks {
    /// Queues what a batch asks, and gives back the places of what it settles.
    pub(super) fn after(&mut self, live: &mut Live, events: &[SagaEvent], gate: Position) {
        let state = &live.state;
        let before = live.published.len();
        live.published
            .retain(|(node, direction, attempt)| is_awaited(state, *node, *direction, *attempt));
        self.unanswered -= before - live.published.len();
        for event in events {
            let (id, direction, attempt) = match event {
                SagaEvent::AttemptAsked(e) => (&e.node, e.direction, e.attempt),
                SagaEvent::AttemptRenewed(e) => (&e.node, e.direction, e.attempt),
                _ => continue,
            };
            let node = state
                .graph()
                .find(id)
                .expect("the fold knows the nodes of its events");
            self.queue.push_back(Ask {
                gate,
                saga: state.id().clone(),
                node,
                direction,
                attempt,
            });
        }
    }

    /// Queues what a folded state says is asked and unanswered. What is overdue already is left to
    /// its timer, which renews it or gives it up.
    pub(super) fn again(&mut self, live: &Live, gate: Position, now: Time) {
        for (node, spec, step) in live.state.steps() {
            for direction in Direction::ALL {
                if let Some(open) = step.attempts(direction).open
                    && open.deadline > now
                    && live.state.awaits(spec, step, direction)
                {
                    let saga = live.state.id().clone();
                    self.queue.push_back(Ask {
                        gate,
                        saga,
                        node,
                        direction,
                        attempt: open.number,
                    });
                }
            }
        }
    }

    /// The next command; those that a later event has superseded are dropped (I6).
    pub(super) fn poll(
        &mut self,
        sagas: &mut BTreeMap<SagaId, Live>,
        durable: Position,
        window: usize,
    ) -> Option<Command> {
        while self.unanswered < window {
            let ask = self.queue.pop_front_if(|ask| ask.gate <= durable)?;
            let Some(live) = sagas.get_mut(&ask.saga) else {
                continue;
            };
            if !is_awaited(&live.state, ask.node, ask.direction, ask.attempt) {
                continue;
            }
            let Some(command) = command(&live.state, ask.node, ask.direction, ask.attempt) else {
                continue;
            };
            let place = (ask.node, ask.direction, ask.attempt);
            if !live.published.contains(&place) {
                live.published.push(place);
                self.unanswered += 1;
            }
            return Some(command);
        }
        None
    }
}

#[cfg(feature = "mutants")]
impl Asks {
    pub(super) fn reverse(&mut self) {
        self.queue.make_contiguous().reverse();
    }

    pub(super) fn retain(&mut self, keep: impl Fn(Direction) -> bool) {
        self.queue.retain(|ask| keep(ask.direction));
    }
}

/// Whether an attempt is unanswered, and its answer still matters.
fn is_awaited(
    state: &SagaState,
    node: NodeIndex,
    direction: Direction,
    attempt: AttemptNumber,
) -> bool {
    !state.status().is_terminal()
        && state.step(node).is_some_and(|(spec, step)| {
            step.attempts(direction).is_open(attempt) && state.awaits(spec, step, direction)
        })
}
