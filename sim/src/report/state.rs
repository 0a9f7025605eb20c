//! Where each saga stands after each of its events.

use std::{collections::BTreeMap, sync::Arc};

use sagalog_model::{Graph, Kind, SagaEvent, SagaId, event::NodeId, graph::Node, log::Time};
use sagalog_projections::{IllegalEvent, NodeState, Phase, SagaState, step::UndoEnd};
use serde::Serialize;

use super::lines::SagaEnd;
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
            definition: state.graph().saga.clone(),
            version: state.graph().version.0,
            status: state.status().as_str(),
            nodes: nodes.collect(),
        }
    }
}

/// The sagas of a run, each with the events that no line has shown yet.
pub(super) struct Histories<'a> {
    sagas: BTreeMap<&'a SagaId, History>,
}

struct History {
    fold: Fold,
    rest: std::vec::IntoIter<(Time, SagaEvent)>,
}

impl<'a> Histories<'a> {
    pub(super) fn of(world: &'a World) -> Self {
        let history = |saga: &'a SagaState| {
            let history = world.log().history(saga.id())?;
            let shown = History {
                fold: Fold::of(saga.id().clone(), saga.graph().clone()),
                rest: history.events.into_iter(),
            };
            Some((saga.id(), shown))
        };
        Self {
            sagas: world.sagas().filter_map(history).collect(),
        }
    }

    /// What the event of this line changed: a saga's lines in the log's lane come in the order of its
    /// events. Nothing from an event on that cannot follow: that is what the run is violated by.
    pub(super) fn next(&mut self, line: &TraceLine) -> Option<Changed> {
        if line.lane != Lane::Log {
            return None;
        }
        let history = self.sagas.get_mut(line.saga.as_ref()?)?;
        let (at, event) = history.rest.next()?;
        history.fold.apply(&event, at).ok().flatten()
    }
}

/// A saga's state by the production fold, and what was shown of it.
pub(super) struct Fold {
    id: SagaId,
    graph: Arc<Graph>,
    state: Option<SagaState>,
    shown: BTreeMap<NodeId, String>,
}

impl Fold {
    pub(super) fn of(id: SagaId, graph: Arc<Graph>) -> Self {
        Self {
            id,
            graph,
            state: None,
            shown: BTreeMap::new(),
        }
    }

    /// The state so far; none before the saga has begun.
    pub(super) fn state(&self) -> Option<&SagaState> {
        self.state.as_ref()
    }

    /// What an event changes. Nothing before the saga has begun.
    pub(super) fn apply(
        &mut self,
        event: &SagaEvent,
        at: Time,
    ) -> Result<Option<Changed>, IllegalEvent> {
        match (&mut self.state, event) {
            (None, SagaEvent::Started(started)) => {
                let (id, graph) = (self.id.clone(), self.graph.clone());
                self.state = Some(SagaState::start(id, graph, started, at));
            }
            (Some(state), event) => state.apply(event, at)?,
            (None, _) => {}
        }
        let Some(state) = &self.state else {
            return Ok(None);
        };
        let mut nodes = BTreeMap::new();
        for (index, node) in state.graph().iter() {
            let phase = phase(state.node(index));
            if self.shown.get(&node.id) != Some(&phase) {
                nodes.insert(node.id.to_string(), phase.clone());
                self.shown.insert(node.id.clone(), phase);
            }
        }
        Ok(Some(Changed {
            saga: self.id.to_string(),
            status: state.status().as_str(),
            nodes,
        }))
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
