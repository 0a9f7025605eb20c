//! Why a saga waits: for what, since when, until when, who can unblock it, what is next, what is
//! left. A view of the state alone, so that it can be asked of any log.

use alloc::{format, string::String, sync::Arc, vec::Vec};

use sagalog_model::{
    Direction, GapEnd, Kind, NodeIndex,
    event::{NodeId, Origin, ParkCause, TurnCause},
    graph::participant,
    log::Time,
};
use serde::Serialize;

use crate::{
    attempts::Attempts,
    saga::{Phase, SagaState, Status},
    sequence::Producer,
    undoing::{self, Undoing},
    waits::{self, On, Wait},
};

/// The answer to "why is it waiting".
#[derive(Clone, Debug, Serialize)]
pub struct Why {
    /// Where the saga stands.
    pub status: &'static str,
    /// Why it went back, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turned: Option<Turned>,
    /// That somebody has it stand still.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
    /// What it waits for now; nothing if it has ended.
    pub waiting: Vec<Waiting>,
    /// The numbers that are missing before signals that are kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Missing>,
    /// The inputs that wait for a person; the first keeps the others waiting.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<Held>,
    /// What comes after that: the nodes ahead, or the steps still to undo.
    pub to_do: Vec<NodeId>,
    /// Whether the point of no return is behind.
    pub pivot_passed: bool,
    /// The saga's own deadline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Deadline>,
    /// The nodes whose effects are left, once it has ended partly compensated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<NodeId>,
}

/// Why a saga went back.
#[derive(Clone, Debug, Serialize)]
pub struct Turned {
    /// What kind of reason.
    pub cause: TurnCause,
    /// The node that caused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// The reason in words.
    pub reason: String,
    /// When.
    pub at: Time,
}

/// A saga that somebody has stand still.
#[derive(Clone, Debug, Serialize)]
pub struct Paused {
    /// Who.
    pub by: Arc<str>,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Time,
    /// What happens next.
    pub next: String,
}

/// An input that waits for a person.
#[derive(Clone, Debug, Serialize)]
pub struct Held {
    /// Its number among those that were held.
    pub number: u64,
    /// What it is.
    pub input: Origin,
    /// Why it cannot be processed; none if it only waits behind another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when.
    pub since: Time,
}

/// Numbers that are missing before signals that are kept.
#[derive(Clone, Debug, Serialize)]
pub struct Missing {
    /// Whose numbers.
    pub producer: Arc<str>,
    /// The first that is missing.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// How many signals are kept behind them.
    pub kept: usize,
    /// Since when.
    pub since: Time,
    /// Until when they are waited for.
    pub until: Time,
    /// What happens next.
    pub next: String,
}

/// A saga's own deadline.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Deadline {
    /// When it is.
    pub at: Time,
    /// Whether it has passed without effect, because the pivot was behind.
    pub overdue: bool,
}

/// One thing that is waited for.
#[derive(Clone, Debug, Serialize)]
pub struct Waiting {
    /// The node that waits.
    pub node: NodeId,
    /// For what.
    #[serde(flatten)]
    pub what: WaitsFor,
    /// Since when.
    pub since: Time,
    /// Until when at most; never ends by itself without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Who can unblock it.
    pub who: String,
    /// What happens next.
    pub next: String,
}

/// What a node waits for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "for")]
pub enum WaitsFor {
    /// The answer to an attempt.
    Reply {
        /// The contract that was asked.
        step: Arc<str>,
        /// What was asked.
        direction: Direction,
        /// Which attempt.
        attempt: u32,
        /// How far its participant says it is, if it keeps the attempt alive.
        #[serde(skip_serializing_if = "Option::is_none")]
        progress: Option<String>,
    },
    /// The time of the next attempt.
    Retry {
        /// What will be asked.
        direction: Direction,
        /// Which attempt will be asked.
        attempt: u32,
        /// How the last one ended.
        #[serde(skip_serializing_if = "Option::is_none")]
        trouble: Option<String>,
    },
    /// The end of a sleep.
    Sleep,
    /// A signal.
    Signal {
        /// Its name.
        signal: String,
    },
    /// A person.
    Person {
        /// What could not be done.
        cause: ParkCause,
        /// Details.
        reason: String,
    },
}

/// Explains a state.
pub fn why(state: &SagaState) -> Why {
    let mut waiting = Vec::new();
    if !state.status().is_terminal() {
        for (index, _) in state.graph().iter() {
            waits_of(state, index, &mut waiting);
        }
    }
    Why {
        status: state.status().as_str(),
        turned: state.turn().map(|turn| Turned {
            cause: turn.cause,
            node: turn.node.clone(),
            reason: turn.reason.clone(),
            at: turn.at,
        }),
        paused: state.pause().map(|pause| Paused {
            by: pause.by.clone(),
            reason: pause.reason.clone(),
            since: pause.since,
            next: String::from("`saga resume`; until then nothing more is asked"),
        }),
        missing: missing(state),
        held: held(state),
        to_do: to_do(state, &waiting),
        waiting,
        pivot_passed: state.pivot_passed(),
        deadline: state.deadline().map(|at| Deadline {
            at,
            overdue: state.deadline_passed() && state.pivot_passed(),
        }),
        left: state.left().to_vec(),
    }
}

fn held(state: &SagaState) -> Vec<Held> {
    if state.status().is_terminal() {
        return Vec::new();
    }
    let held = state.held().iter().map(|held| Held {
        number: held.number,
        input: held.input.clone(),
        reason: held.reason.clone(),
        since: held.since,
    });
    held.collect()
}

fn missing(state: &SagaState) -> Vec<Missing> {
    if state.status().is_terminal() {
        return Vec::new();
    }
    let producers = state.sequences().producers().map(|(_, known)| known);
    producers
        .filter_map(|producer| missing_of(state, producer))
        .collect()
}

fn missing_of(state: &SagaState, producer: &Producer) -> Option<Missing> {
    let gap = producer.gap?;
    let (from, to) = producer.missing()?.into_inner();
    let (_, first) = producer.ahead().first_key_value()?;
    let gaps = state.graph().gaps(&first.signal);
    let next = if gap.asked < gaps.asks {
        format!("{} is asked for them", producer.name)
    } else {
        match gaps.then {
            GapEnd::Reject => String::from("what is kept is rejected"),
            GapEnd::Release => String::from("the saga goes on without them"),
        }
    };
    Some(Missing {
        producer: producer.name.clone(),
        from,
        to,
        kept: producer.ahead().len(),
        since: gap.since,
        until: gap.until.unwrap_or(gap.since),
        next,
    })
}

fn waits_of(state: &SagaState, index: NodeIndex, waiting: &mut Vec<Waiting>) {
    let id = &state.graph().node(index).id;
    waits::each(state, index, |wait| {
        let (what, who, next) = in_words(state, index, &wait);
        waiting.push(Waiting {
            node: id.clone(),
            what,
            since: wait.since,
            until: wait.until,
            who,
            next,
        });
    });
}

/// What is waited for, who can unblock it, and what happens next.
fn in_words(state: &SagaState, index: NodeIndex, wait: &Wait<'_>) -> (WaitsFor, String, String) {
    let id = &state.graph().node(index).id;
    match wait.on {
        On::Person(parked) => (
            WaitsFor::Person {
                cause: parked.cause,
                reason: parked.reason.clone(),
            },
            String::from("an operator"),
            format!("`saga retry`, `saga resolve` or `saga skip` of node {id}"),
        ),
        On::Sleep => (
            WaitsFor::Sleep,
            String::from("nobody: it ends by itself"),
            after(state, index),
        ),
        On::Signal(signal) => (
            WaitsFor::Signal {
                signal: signal.into(),
            },
            format!("whoever sends the signal {signal}"),
            format!(
                "{}; without the signal the same, with none",
                after(state, index)
            ),
        ),
        On::Reply {
            contract,
            direction,
            attempt,
        } => {
            let heard = attempts(state, index, direction).and_then(|it| it.heard.as_ref());
            let what = WaitsFor::Reply {
                step: contract.clone(),
                direction,
                attempt: attempt.0,
                progress: heard.map(|heard| heard.progress.clone()),
            };
            let open = attempts(state, index, direction).and_then(|it| it.open);
            let next = if state.pause().is_some() && open.is_some_and(|open| open.delayed) {
                String::from("it is asked when the saga is resumed; its time stands still")
            } else if open.is_some_and(|open| open.delayed) {
                String::from("it is asked when its participant takes it; its time stands still")
            } else if direction.is_forward() && state.turn().is_some() {
                String::from("it is undone once this is settled")
            } else {
                format!(
                    "without an answer it counts as unknown; {}",
                    left_of_budget(state, index, direction)
                )
            };
            (what, format!("participant {}", participant(contract)), next)
        }
        On::Retry {
            contract,
            direction,
            attempt,
        } => {
            let trouble = attempts(state, index, direction).and_then(|it| it.trouble.as_ref());
            let what = WaitsFor::Retry {
                direction,
                attempt: attempt.0,
                trouble: trouble.map(|trouble| trouble.reason.clone()),
            };
            let who = format!("nobody: {} is asked again by itself", participant(contract));
            (what, who, left_of_budget(state, index, direction))
        }
    }
}

fn attempts(state: &SagaState, index: NodeIndex, direction: Direction) -> Option<&Attempts> {
    let (_, step) = state.step(index)?;
    Some(step.attempts(direction))
}

fn left_of_budget(state: &SagaState, index: NodeIndex, direction: Direction) -> String {
    if direction == Direction::Probe {
        return String::from("then the action is asked again, if its budget allows");
    }
    let left = state.step(index).map_or(0, |(spec, step)| {
        let budget = spec
            .terms(direction)
            .map_or(0, |terms| terms.retry.attempts);
        budget.saturating_sub(step.attempts(direction).spent())
    });
    match left {
        0 => String::from("no further attempt is left in its budget"),
        1 => String::from("1 further attempt is left in its budget"),
        more => format!("{more} further attempts are left in its budget"),
    }
}

/// The node that follows in the same block.
fn after(state: &SagaState, index: NodeIndex) -> String {
    let graph = state.graph();
    let block = graph.block(graph.node(index).block);
    let next = block.nodes.iter().skip_while(|node| **node != index).nth(1);
    match next.map(|next| &graph.node(*next).id) {
        Some(id) => format!("then {id}"),
        None => String::from("then its branch ends"),
    }
}

fn to_do(state: &SagaState, waiting: &[Waiting]) -> Vec<NodeId> {
    let is_waiting = |id: &NodeId| waiting.iter().any(|waiting| waiting.node == *id);
    let graph = state.graph();
    match state.status() {
        Status::Running => graph
            .iter()
            .filter(|(index, node)| {
                let passive = matches!(node.kind, Kind::Start | Kind::Entry);
                let may_run = state.node(*index).phase == Phase::Ahead
                    && !passive
                    && state.is_reachable(*index);
                may_run && !is_waiting(&node.id) && !state.is_done(*index)
            })
            .map(|(_, node)| node.id.clone())
            .collect(),
        Status::Compensating => {
            let mut steps: Vec<_> = state
                .steps()
                .filter(|(_, spec, step)| {
                    matches!(
                        undoing::of(spec, step),
                        Undoing::Due | Undoing::Settling | Undoing::CanProbe
                    )
                })
                .map(|(index, ..)| graph.node(index).id.clone())
                .filter(|id| !is_waiting(id))
                .collect();
            steps.reverse();
            steps
        }
        Status::Completed | Status::Compensated | Status::PartlyCompensated => Vec::new(),
    }
}
