//! Where each saga stands after each of its events.

use std::collections::BTreeMap;

use sagalog_model::{Kind, SagaEvent, event::NodeId, graph::Node, log::Time};
use sagalog_projections::{NodeState, Phase, SagaState, step::UndoEnd};
use serde::Serialize;

use super::run::SagaEnd;
use crate::world::{Lane, TraceLine, World};

/// What an event of a saga changed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Changed {
    /// The saga.
    pub saga: String,
    /// Where it stands now.
    pub status: &'static str,
    /// The nodes that stand elsewhere than before.
    pub nodes: BTreeMap<String, String>,
}

/// A node, and how far it came.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct NodeEnd {
    /// Its id.
    pub node: String,
    /// What it does: the contract that it asks, or the kind of node.
    pub does: String,
    /// How far it came: `ahead`, `asked #1`, `done`, `undone` and so on.
    pub phase: String,
}

impl SagaEnd {
    pub(super) fn of(state: &SagaState) -> Self {
        let nodes = state.graph().iter().map(|(index, node)| NodeEnd {
            node: node.id.to_string(),
            does: does(node),
            phase: phase(state.node(index)),
        });
        Self {
            saga: state.id().as_str().to_owned(),
            status: state.status().as_str(),
            nodes: nodes.collect(),
        }
    }
}

/// Folds each saga's history once more, one event for each line of the log's lane.
pub(super) struct States<'a> {
    world: &'a World,
    sagas: BTreeMap<&'a str, Fold>,
}

struct Fold {
    rest: std::vec::IntoIter<(Time, SagaEvent)>,
    state: Option<SagaState>,
    shown: BTreeMap<NodeId, String>,
}

impl<'a> States<'a> {
    pub(super) fn of(world: &'a World) -> Self {
        let fold = |saga: &'a SagaState| {
            let history = world.log().history(saga.id())?;
            let fold = Fold {
                rest: history.events.into_iter(),
                state: None,
                shown: BTreeMap::new(),
            };
            Some((saga.id().as_str(), fold))
        };
        Self {
            world,
            sagas: world.sagas().filter_map(fold).collect(),
        }
    }

    /// What the event of this line changed. A line of the log begins with its saga, and a saga's
    /// lines come in the order of its events.
    pub(super) fn next(&mut self, line: &TraceLine) -> Option<Changed> {
        if line.lane != Lane::Log {
            return None;
        }
        let (saga, _) = line.what.split_once(": ")?;
        let fold = self.sagas.get_mut(saga)?;
        let (at, event) = fold.rest.next()?;
        fold.apply(self.world, saga, &event, at)
    }
}

impl Fold {
    /// Nothing from an event on that cannot follow: that is what the run is violated by.
    fn apply(&mut self, world: &World, saga: &str, event: &SagaEvent, at: Time) -> Option<Changed> {
        match (&mut self.state, event) {
            (None, SagaEvent::Started(started)) => {
                let id = world.saga(saga)?.id().clone();
                let graph = world.setup().definition.graph().clone();
                self.state = Some(SagaState::start(id, graph, started, at));
            }
            (Some(state), event) => state.apply(event, at).ok()?,
            (None, _) => return None,
        }
        let state = self.state.as_ref()?;
        let mut nodes = BTreeMap::new();
        for (index, node) in state.graph().iter() {
            let phase = phase(state.node(index));
            if self.shown.get(&node.id) != Some(&phase) {
                nodes.insert(node.id.to_string(), phase.clone());
                self.shown.insert(node.id.clone(), phase);
            }
        }
        Some(Changed {
            saga: saga.to_owned(),
            status: state.status().as_str(),
            nodes,
        })
    }
}

fn does(node: &Node) -> String {
    match &node.kind {
        Kind::Start => "start".into(),
        Kind::Entry => "arm".into(),
        Kind::Step { spec, .. } => spec.name.to_string(),
        Kind::Value { .. } => "value".into(),
        Kind::Check { .. } => "check".into(),
        Kind::Fail { .. } => "fail".into(),
        Kind::All { .. } => "all".into(),
        Kind::Choose { optional: true, .. } => "when".into(),
        Kind::Choose { .. } => "choose".into(),
        Kind::Sleep { .. } => "sleep".into(),
        Kind::Signal { .. } => "signal".into(),
        Kind::Pivot => "pivot".into(),
        Kind::Return { .. } => "return".into(),
    }
}

/// How far a node is, as far as a person wants to know.
fn phase(node: &NodeState) -> String {
    if node.parked.is_some() {
        return "parked".into();
    }
    if let Some(step) = &node.step {
        match step.undo {
            UndoEnd::Undone => return "undone".into(),
            UndoEnd::Left { .. } => return "left".into(),
            UndoEnd::Open if step.alternative.asked > 0 => {
                return format!("alternative #{}", step.alternative.asked);
            }
            UndoEnd::Open if step.compensation.asked > 0 => {
                return format!("undoing #{}", step.compensation.asked);
            }
            UndoEnd::Open => {}
        }
    }
    match (node.phase, &node.step) {
        (Phase::Ahead, _) => "ahead".into(),
        (Phase::Asking, Some(step)) if step.probe.open.is_some() => {
            format!("probed #{}", step.probe.asked)
        }
        (Phase::Asking, Some(step)) if step.action.open.is_some() => {
            format!("asked #{}", step.action.asked)
        }
        (Phase::Asking, Some(step)) if step.has_succeeded() => "done".into(),
        (Phase::Asking, Some(step)) if step.action.last_is_doubtful() => "in doubt".into(),
        (Phase::Asking, Some(step)) if step.action.trouble.is_some() => "failed".into(),
        (Phase::Asking, _) => "asked".into(),
        (Phase::Sleeping { .. }, _) => "sleeps".into(),
        (Phase::Waiting { .. }, _) => "waits".into(),
        (Phase::InArm { .. }, _) => "in its arm".into(),
        (Phase::Done, _) => "done".into(),
    }
}
