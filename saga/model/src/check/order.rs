//! Order: what may stand before the pivot and after it, and that nothing stands after an end.

use alloc::{format, string::String, vec::Vec};

use super::Fault;
use crate::{
    contract::RecoveryClass,
    flow::Flow,
    graph::{BlockIndex, Graph, Kind, NodeIndex},
};

pub(super) fn check(flow: &Flow, faults: &mut Vec<Fault>) {
    let main = flow.graph.block(Graph::MAIN);
    let is_pivot = |node: &NodeIndex| matches!(flow.graph.node(*node).kind, Kind::Pivot);
    let mut walk = Walk {
        flow,
        faults,
        has_pivot: main.nodes.iter().any(is_pivot),
        past_pivot: false,
    };
    walk.block(Graph::MAIN);
}

struct Walk<'flow> {
    flow: &'flow Flow,
    faults: &'flow mut Vec<Fault>,
    has_pivot: bool,
    past_pivot: bool,
}

/// Whether what follows a node or a block is ever reached.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    GoesOn,
    Ends,
}

impl Walk<'_> {
    fn block(&mut self, block: BlockIndex) -> Then {
        let nodes = &self.flow.graph.block(block).nodes;
        let mut end = None;
        for (at, &node) in nodes.iter().enumerate() {
            self.refuse_misplaced(node);
            if self.node(node) == Then::Ends && end.is_none() {
                end = Some(at);
            }
        }
        let Some(end) = end else {
            return Then::GoesOn;
        };
        if let Some(&after) = nodes.get(end + 1) {
            self.refuse_unreachable(after, nodes[end]);
        }
        Then::Ends
    }

    fn node(&mut self, node: NodeIndex) -> Then {
        let flow = self.flow;
        let ends = match &flow.graph.node(node).kind {
            Kind::Fail { .. } => true,
            Kind::All { branches } => self.blocks(branches).any(Then::is_end),
            Kind::Choose { arms, optional, .. } => {
                self.blocks(arms).all(Then::is_end) && !optional && !arms.is_empty()
            }
            _ => false,
        };
        if ends { Then::Ends } else { Then::GoesOn }
    }

    /// Walks all of them, so that the faults of each are found.
    fn blocks(&mut self, blocks: &[BlockIndex]) -> impl Iterator<Item = Then> + use<> {
        let then: Vec<_> = blocks.iter().map(|block| self.block(*block)).collect();
        then.into_iter()
    }

    /// The return of a definition that always fails is no fault: something must be returned.
    fn refuse_unreachable(&mut self, node: NodeIndex, end: NodeIndex) {
        if matches!(self.flow.graph.node(node).kind, Kind::Return { .. }) {
            return;
        }
        let what = format!(
            "`{}` never runs, as `{}` before it always turns the saga; leave it out",
            self.id(node),
            self.id(end)
        );
        self.fault(node, what);
    }

    fn refuse_misplaced(&mut self, node: NodeIndex) {
        let id = self.id(node);
        let what = match &self.flow.graph.node(node).kind {
            Kind::Pivot => return self.pivot(node),
            Kind::Step { spec, .. } => match (spec.class, self.past_pivot) {
                (RecoveryClass::Compensatable, true) => format!(
                    "`{id}` is compensatable, but after the pivot nothing is compensated; make it retryable, or move it before the pivot"
                ),
                (RecoveryClass::Retryable, false) => self.too_early(id),
                _ => return,
            },
            Kind::Check { .. } | Kind::Fail { .. } if self.past_pivot => format!(
                "`{id}` can turn the saga, but after the pivot nothing is undone; move it before the pivot"
            ),
            _ => return,
        };
        self.fault(node, what);
    }

    fn too_early(&self, id: &str) -> String {
        if self.has_pivot {
            format!(
                "`{id}` is retryable, but before the pivot a later failure would have to undo it; make it compensatable, or move it after the pivot"
            )
        } else {
            format!(
                "`{id}` is retryable, but there is no pivot before it; call `pivot()` before it, or make it compensatable"
            )
        }
    }

    fn pivot(&mut self, node: NodeIndex) {
        if self.flow.graph.node(node).block != Graph::MAIN {
            let what = "the pivot stands inside a branch; move it to the main line";
            self.fault(node, what.into());
        } else if self.past_pivot {
            self.fault(node, "this is a second pivot; leave one out".into());
        } else {
            self.past_pivot = true;
        }
    }

    fn id(&self, node: NodeIndex) -> &str {
        &self.flow.graph.node(node).id
    }

    fn fault(&mut self, node: NodeIndex, what: String) {
        self.faults.push(Fault::new(self.flow.place(node), what));
    }
}

impl Then {
    fn is_end(self) -> bool {
        self == Self::Ends
    }
}
