//! Commands that are to be published, within the window.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
};

use sagalog_model::{
    AttemptNumber, Command, Direction, IdempotencyKey, Missing, NodeIndex, SagaEvent, SagaId,
    Withdrawal,
    log::{Position, Time},
};
use sagalog_projections::SagaState;

use super::live::Live;
use crate::{command::command, rules::Rules};

/// Attempts that were asked in state and not yet published, oldest first (I14).
#[derive(Clone, Default)]
pub(super) struct Asks {
    queue: VecDeque<Ask>,
    unanswered: usize,
    /// What participants are told of a turn, once that is durable.
    withdrawals: VecDeque<(Position, Withdrawal)>,
    /// What producers are asked for, once it is on record that they are.
    missing: VecDeque<(Position, Missing)>,
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
        live.published.retain(|(node, direction, attempt)| {
            is_awaited(state, *node, *direction, *attempt)
                && !was_accepted(state, *node, *direction)
        });
        self.unanswered -= before - live.published.len();
        for event in events {
            let (id, direction, attempt) = match event {
                SagaEvent::Turned(_) => {
                    self.withdraw(state, gate);
                    continue;
                }
                SagaEvent::MissingAsked(e) => {
                    let missing = Missing {
                        saga: state.id().clone(),
                        producer: e.producer.clone(),
                        from: e.from,
                        to: e.to,
                    };
                    self.missing.push_back((gate, missing));
                    continue;
                }
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

    /// Queues what the participants of a turned saga are told: nobody waits for long for what they
    /// have under way.
    fn withdraw(&mut self, state: &SagaState, gate: Position) {
        for (node, spec, step) in state.steps() {
            let Some(open) = step.action.open else {
                continue;
            };
            let node = state.graph().node(node).id.clone();
            let withdrawal = Withdrawal {
                saga: state.id().clone(),
                action_key: IdempotencyKey::of(state.id(), &node, Direction::Action),
                node,
                step: spec.name.clone(),
                attempt: open.number,
            };
            self.withdrawals.push_back((gate, withdrawal));
        }
    }

    /// The next withdrawal whose turn is durable (I5).
    pub(super) fn poll_withdrawal(&mut self, durable: Position) -> Option<Withdrawal> {
        let is_durable = |(gate, _): &mut (Position, Withdrawal)| *gate <= durable;
        let (_, withdrawal) = self.withdrawals.pop_front_if(is_durable)?;
        Some(withdrawal)
    }

    /// The next request for missing numbers that is durable (I5).
    pub(super) fn poll_missing(&mut self, durable: Position) -> Option<Missing> {
        let is_durable = |(gate, _): &mut (Position, Missing)| *gate <= durable;
        let (_, missing) = self.missing.pop_front_if(is_durable)?;
        Some(missing)
    }

    /// Queues what a folded state says that producers were asked for and have not sent.
    fn ask_for_missing(&mut self, state: &SagaState, gate: Position, now: Time) {
        for (_, producer) in state.sequences().producers() {
            let Some((gap, missing)) = producer.gap.zip(producer.missing()) else {
                continue;
            };
            if gap.asked > 0 && gap.until.is_some_and(|until| until > now) {
                let (from, to) = missing.into_inner();
                let missing = Missing {
                    saga: state.id().clone(),
                    producer: producer.name.clone(),
                    from,
                    to,
                };
                self.missing.push_back((gate, missing));
            }
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
        self.ask_for_missing(&live.state, gate, now);
        if live.state.turn().is_some() {
            self.withdraw(&live.state, gate);
        }
    }

    /// The next command; those that a later event has superseded are dropped (I6).
    pub(super) fn poll(
        &mut self,
        sagas: &mut BTreeMap<SagaId, Box<Live>>,
        durable: Position,
        rules: &Rules,
    ) -> Option<Command> {
        #[cfg(feature = "mutants")]
        if mutant!(rules, HeldSagaStopsItsNeighbours)
            && sagas.values().any(|live| !live.state.held().is_empty())
        {
            return None;
        }
        while self.unanswered < rules.window {
            let ask = self.queue.pop_front_if(|ask| ask.gate <= durable)?;
            let Some(live) = sagas.get_mut(&ask.saga) else {
                continue;
            };
            // What is accepted needs not be asked, and a command says no deadline that is not durable.
            if !is_awaited(&live.state, ask.node, ask.direction, ask.attempt)
                || was_accepted(&live.state, ask.node, ask.direction)
            {
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

/// Whether the open attempt is kept alive by its participant: then it has no place in the window,
/// where what takes long would keep others from being asked.
fn was_accepted(state: &SagaState, node: NodeIndex, direction: Direction) -> bool {
    let step = state.step(node);
    step.is_some_and(|(_, step)| step.attempts(direction).heard.is_some())
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
        && !state.is_answered(node, direction, attempt)
}
