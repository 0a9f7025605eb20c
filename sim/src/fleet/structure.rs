//! Comparing a graph with another one, as far as a saga has come.

use std::{fmt, sync::Arc};

use sagalog_eventlog::Row;
use sagalog_model::{
    Graph, Kind, NodeIndex, Payload, SagaId,
    event::{NodeId, Started},
    graph::{BlockIndex, Source},
};
use sagalog_projections::{Phase, SagaState};
use serde::Serialize;

use super::decode;

/// A node that a saga has come to and that another graph does not have as it was.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct NodeChange {
    /// The node.
    pub node: NodeId,
    /// What became of it.
    #[serde(flatten)]
    pub change: Change,
}

/// What became of a node.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "change")]
#[non_exhaustive]
pub enum Change {
    /// It is not there any more.
    Gone,
    /// It is there, in another place.
    Moved,
    /// Another node was put before it.
    Behind {
        /// The other one.
        other: NodeId,
    },
    /// It does something else.
    Kind,
    /// Its contract or that contract's policies differ.
    Contract,
    /// It is computed from something else.
    Reads,
    /// Its branches or arms differ.
    Branches,
    /// What its branch or arm gives is computed from something else.
    Result,
    /// The saga has another deadline.
    Deadline,
}

impl fmt::Display for NodeChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = &self.node;
        match &self.change {
            Change::Gone => write!(f, "node `{node}` is gone"),
            Change::Moved => write!(f, "node `{node}` stands elsewhere"),
            Change::Behind { other } => write!(f, "node `{other}` comes before `{node}`"),
            Change::Kind => write!(f, "node `{node}` does something else"),
            Change::Contract => write!(f, "node `{node}` has another contract or other policies"),
            Change::Reads => write!(f, "node `{node}` is computed from something else"),
            Change::Branches => write!(f, "node `{node}` has other branches"),
            Change::Result => write!(f, "a branch of node `{node}` gives something else"),
            Change::Deadline => write!(f, "the saga has another deadline"),
        }
    }
}

/// What a history adds up to.
pub(super) fn fold(
    saga: &SagaId,
    graph: &Arc<Graph>,
    started: &Started,
    rows: &[Row],
) -> Result<SagaState, String> {
    let at = rows.first().map(|row| row.at).unwrap_or_default();
    let mut state = SagaState::start(saga.clone(), graph.clone(), started, at);
    let events = rows
        .iter()
        .flat_map(|row| row.events.iter().map(|event| (row.at, event)));
    for (at, event) in events.skip(1) {
        let event = decode(event).map_err(|why| why.to_string())?;
        state.apply(&event, at).map_err(|why| why.to_string())?;
    }
    Ok(state)
}

/// The first node that the saga has come to and that `other` does not have as it was.
pub(super) fn first_change(state: &SagaState, other: &Graph) -> Option<NodeChange> {
    let comparing = Comparing {
        state,
        ours: state.graph(),
        other,
    };
    if comparing.ours.deadline != other.deadline {
        return comparing.changed(Graph::START, Change::Deadline);
    }
    comparing.block(Graph::MAIN, Graph::MAIN)
}

struct Comparing<'a> {
    state: &'a SagaState,
    ours: &'a Graph,
    other: &'a Graph,
}

impl Comparing<'_> {
    fn changed(&self, node: NodeIndex, change: Change) -> Option<NodeChange> {
        let node = self.ours.node(node).id.clone();
        Some(NodeChange { node, change })
    }

    /// A block is as it was if its nodes are, up to the last that the saga has come to.
    fn block(&self, ours: BlockIndex, other: BlockIndex) -> Option<NodeChange> {
        let (ours, other) = (self.ours.block(ours), self.other.block(other));
        let come_to = ours.nodes.iter().rposition(|node| self.is_entered(*node));
        let come_to = &ours.nodes[..come_to.map_or(0, |last| last + 1)];
        for (at, node) in come_to.iter().enumerate() {
            let there = other.nodes.get(at).copied();
            if let Some(change) = self.node(*node, there) {
                return Some(change);
            }
        }
        let parent = ours.inside.filter(|_| come_to.len() == ours.nodes.len())?;
        if self.same_source(ours.result.as_ref(), other.result.as_ref()) {
            return None;
        }
        self.changed(parent, Change::Result)
    }

    fn node(&self, ours: NodeIndex, there: Option<NodeIndex>) -> Option<NodeChange> {
        let id = &self.ours.node(ours).id;
        let there = match there.filter(|there| self.other.node(*there).id == *id) {
            Some(there) => there,
            None if self.other.find(id).is_none() => return self.changed(ours, Change::Gone),
            None => {
                let before = there.map(|there| self.other.node(there).id.clone());
                let new = before.filter(|before| self.ours.find(before).is_none());
                let change = new.map_or(Change::Moved, |other| Change::Behind { other });
                return self.changed(ours, change);
            }
        };
        let (kind, is) = (&self.ours.node(ours).kind, &self.other.node(there).kind);
        if let Some(change) = self.kind(kind, is) {
            return self.changed(ours, change);
        }
        let mut branches = branches(kind).iter().zip(branches(is));
        branches.find_map(|(ours, other)| self.block(*ours, *other))
    }

    fn kind(&self, ours: &Kind, other: &Kind) -> Option<Change> {
        let changed = |is_same: bool, change| (!is_same).then_some(change);
        let about = match (ours, other) {
            (Kind::Step { spec, .. }, Kind::Step { spec: is, .. }) => {
                changed(spec == is, Change::Contract)
            }
            (
                Kind::Signal { signal, gaps, .. },
                Kind::Signal {
                    signal: is,
                    gaps: are,
                    ..
                },
            ) => changed((signal, gaps) == (is, are), Change::Contract),
            (Kind::Choose { optional, .. }, Kind::Choose { optional: is, .. }) => changed(
                optional == is && self.same_labels(ours, other),
                Change::Branches,
            ),
            (Kind::All { .. }, Kind::All { .. }) => {
                changed(self.same_labels(ours, other), Change::Branches)
            }
            _ => changed(
                std::mem::discriminant(ours) == std::mem::discriminant(other),
                Change::Kind,
            ),
        };
        let reads = || {
            let is_same = self.same_source(ours.source(), other.source());
            changed(is_same, Change::Reads)
        };
        about.or_else(reads)
    }

    fn same_labels(&self, ours: &Kind, other: &Kind) -> bool {
        let labels = |graph: &Graph, kind: &Kind| -> Vec<String> {
            let blocks = branches(kind).iter();
            blocks
                .map(|block| graph.block(*block).label.clone())
                .collect()
        };
        labels(self.ours, ours) == labels(self.other, other)
    }

    /// Numbers of nodes differ between graphs, their ids do not.
    fn same_source(&self, ours: Option<&Source>, other: Option<&Source>) -> bool {
        match (ours, other) {
            (Some(ours), Some(other)) => parts(self.ours, ours) == parts(self.other, other),
            (ours, other) => ours.is_none() && other.is_none(),
        }
    }

    /// An `all` has no event of its own: it was come to with the first of its branches.
    fn is_entered(&self, index: NodeIndex) -> bool {
        let node = self.state.node(index);
        let mut inside = branches(&self.ours.node(index).kind).iter();
        node.phase != Phase::Ahead
            || node.parked.is_some()
            || inside.any(|block| {
                let mut nodes = self.ours.block(*block).nodes.iter();
                nodes.any(|node| self.is_entered(*node))
            })
    }
}

fn branches(kind: &Kind) -> &[BlockIndex] {
    match kind {
        Kind::All { branches } | Kind::Choose { arms: branches, .. } => branches,
        _ => &[],
    }
}

/// A source as it is told apart from others: whether code computes it, from which nodes and with which constants.
fn parts<'a>(graph: &'a Graph, source: &'a Source) -> (bool, Vec<&'a str>, &'a [Payload]) {
    let reads = source.reads().iter().map(|node| &*graph.node(*node).id);
    let (is_computed, constants) = match source {
        Source::Copy(_) => (false, [].as_slice()),
        Source::Constant(constant) => (false, std::slice::from_ref(constant)),
        Source::Computed { constants, .. } => (true, constants.as_slice()),
    };
    (is_computed, reads.collect(), constants)
}
