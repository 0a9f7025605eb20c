//! What of a definition an exploration came to: ways forward and back, arms, deadlines.

use std::sync::Arc;

use sagalog_model::{
    Direction, Graph, Kind, SagaEvent, StepSpec,
    graph::{BlockIndex, Otherwise},
};
use serde::Serialize;

use crate::world::World;

/// How often an exploration went each way that a definition has.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Coverage {
    graph: Option<Arc<Graph>>,
    ways: Vec<Covered>,
    /// For each node what can happen at it, and the place of that in `ways`; last for the saga.
    places: Vec<Vec<(Way, usize)>>,
}

/// A way that a definition has.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Covered {
    /// In words: `charge`, `compensation of charge`, `arm card of pay`.
    pub way: String,
    /// In how many runs it was gone.
    pub runs: u64,
}

/// What can happen at a node or to the saga.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    Done,
    Failed,
    TimedOut,
    AskedAgain,
    Probed,
    Compensated,
    MadeUpFor,
    Skipped,
    DeadlinePassed,
    Arm(u32),
}

impl Coverage {
    pub(crate) fn of(graph: &Arc<Graph>) -> Self {
        let mut coverage = Self {
            graph: Some(graph.clone()),
            ..Self::default()
        };
        for node in &graph.nodes {
            coverage.add_place(ways_of(graph, &node.id, &node.kind));
        }
        let mut saga = vec![
            (Way::Done, "the saga completed".to_owned()),
            (Way::Compensated, "the saga went back to its end".to_owned()),
        ];
        if graph.deadline.is_some() {
            saga.push((Way::DeadlinePassed, "deadline of the saga".to_owned()));
        }
        coverage.add_place(saga);
        coverage
    }

    fn add_place(&mut self, ways: Vec<(Way, String)>) {
        let mut place = Vec::new();
        for (way, words) in ways {
            place.push((way, self.ways.len()));
            self.ways.push(Covered {
                way: words,
                runs: 0,
            });
        }
        self.places.push(place);
    }

    /// Adds the ways that a run went.
    pub(crate) fn add(&mut self, world: &World) {
        let Some(graph) = &self.graph else { return };
        let mut gone = vec![false; self.ways.len()];
        for (_, event) in world.log().saga_events() {
            let Some((node, way)) = way(event) else {
                continue;
            };
            let place = match node {
                Some(node) => graph.find(node).map(|node| node.0 as usize),
                None => Some(graph.nodes.len()),
            };
            let ways = place.map_or(&[][..], |place| &self.places[place]);
            if let Some((_, at)) = ways.iter().find(|(known, _)| *known == way) {
                gone[*at] = true;
            }
        }
        for (covered, gone) in self.ways.iter_mut().zip(gone) {
            covered.runs += u64::from(gone);
        }
    }

    /// Every way, in the order of the definition.
    pub fn ways(&self) -> &[Covered] {
        &self.ways
    }

    /// The ways that no run went.
    pub fn missed(&self) -> impl Iterator<Item = &str> {
        let missed = self.ways.iter().filter(|covered| covered.runs == 0);
        missed.map(|covered| &*covered.way)
    }
}

fn ways_of(graph: &Graph, id: &str, kind: &Kind) -> Vec<(Way, String)> {
    match kind {
        Kind::Step { spec, .. } => ways_of_step(id, spec),
        Kind::Choose { arms, optional, .. } => {
            let arm = |(at, block): (u32, &BlockIndex)| {
                let words = if *optional {
                    format!("{id}, taken")
                } else {
                    format!("arm {} of {id}", graph.block(*block).label)
                };
                (Way::Arm(at), words)
            };
            let mut ways: Vec<_> = (0..).zip(arms).map(arm).collect();
            if *optional {
                ways.push((Way::Arm(ways.len() as u32), format!("{id}, not taken")));
            }
            ways
        }
        Kind::Signal { .. } => vec![
            (Way::Done, id.to_owned()),
            (Way::DeadlinePassed, format!("deadline of {id}")),
        ],
        Kind::Check { .. } => vec![
            (Way::Done, id.to_owned()),
            (Way::Failed, format!("refusal of {id}")),
        ],
        Kind::Fail { .. } => vec![(Way::Failed, id.to_owned())],
        Kind::Sleep { .. } | Kind::Pivot => vec![(Way::Done, id.to_owned())],
        // They are gone wherever what is around them is.
        Kind::Start | Kind::Entry | Kind::Value { .. } | Kind::All { .. } | Kind::Return { .. } => {
            vec![]
        }
    }
}

fn ways_of_step(id: &str, spec: &StepSpec) -> Vec<(Way, String)> {
    let mut ways = vec![
        (Way::Done, id.to_owned()),
        (Way::Failed, format!("failure of {id}")),
        (Way::TimedOut, format!("timeout of {id}")),
    ];
    let mut add = |holds: bool, way, words: &str| {
        if holds {
            ways.push((way, format!("{words} of {id}")));
        }
    };
    add(spec.retry.attempts > 1, Way::AskedAgain, "retry");
    add(spec.probed, Way::Probed, "probe");
    add(spec.deadline.is_some(), Way::DeadlinePassed, "deadline");
    if let Some(undo) = &spec.undo {
        add(true, Way::Compensated, "compensation");
        match undo.otherwise {
            Otherwise::Park => {}
            Otherwise::Skip { .. } => add(true, Way::Skipped, "skipped compensation"),
            Otherwise::Alternative { .. } => add(true, Way::MadeUpFor, "alternative"),
        }
    }
    ways
}

/// Which way an event tells of: at a node, or of the saga.
fn way(event: &SagaEvent) -> Option<(Option<&str>, Way)> {
    use SagaEvent as E;
    let (node, way) = match event {
        E::AttemptSucceeded(e) => {
            let way = match e.direction {
                Direction::Action | Direction::Probe => Way::Done,
                Direction::Compensation => Way::Compensated,
                Direction::Alternative => Way::MadeUpFor,
            };
            (&e.node, way)
        }
        E::AttemptAsked(e) => match e.direction {
            Direction::Probe => (&e.node, Way::Probed),
            Direction::Action if e.attempt.0 > 1 => (&e.node, Way::AskedAgain),
            _ => return None,
        },
        E::AttemptFailed(e) if e.direction == Direction::Action => (&e.node, Way::Failed),
        E::AttemptTimedOut(e) if e.direction == Direction::Action => (&e.node, Way::TimedOut),
        E::StepDeadlinePassed(e) => (&e.node, Way::DeadlinePassed),
        E::WaitTimedOut(e) => (&e.node, Way::DeadlinePassed),
        E::CompensationSkipped(e) => (&e.node, Way::Skipped),
        E::ArmChosen(e) => (&e.node, Way::Arm(e.arm)),
        E::SignalConsumed(e) => (&e.node, Way::Done),
        E::SleepEnded(e) => (&e.node, Way::Done),
        E::NodeCompleted(e) => (&e.node, Way::Done),
        E::Turned(e) => (e.node.as_ref()?, Way::Failed),
        E::PivotPassed(e) => (&e.node, Way::Done),
        E::DeadlinePassed(_) => return Some((None, Way::DeadlinePassed)),
        E::Completed(_) => return Some((None, Way::Done)),
        E::Compensated(_) | E::PartlyCompensated(_) => return Some((None, Way::Compensated)),
        _ => return None,
    };
    Some((Some(node), way))
}
