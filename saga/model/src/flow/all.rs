//! Branches that run side by side.

use alloc::{
    format,
    string::{String, ToString},
};
use core::panic::Location;

use super::Flow;
use crate::{
    check::Place,
    contract::Step,
    expr::{Gives, Making, Out},
    graph::{BlockIndex, Kind, NodeIndex, Source},
};

/// The branches of [`Flow::all`].
pub struct All<'flow> {
    flow: &'flow mut Flow,
    node: NodeIndex,
    branches: usize,
}

impl<'flow> All<'flow> {
    pub(super) fn new(flow: &'flow mut Flow, node: NodeIndex) -> Self {
        Self {
            flow,
            node,
            branches: 0,
        }
    }

    /// One branch. What it gives can be read once all branches have ended.
    #[track_caller]
    pub fn branch<R, E: Gives<R>>(&mut self, body: impl FnOnce(&mut Flow) -> E) -> Out<R> {
        self.branch_at(Location::caller(), body)
    }

    /// A branch of one step.
    #[track_caller]
    pub fn step<I, O>(&mut self, id: &str, step: Step<I, O>, input: impl Gives<I>) -> Out<O> {
        let place = Location::caller();
        self.branch_at(place, |flow| flow.step_at(place, id, step, input))
    }

    fn branch_at<R, E: Gives<R>>(
        &mut self,
        place: Place,
        body: impl FnOnce(&mut Flow) -> E,
    ) -> Out<R> {
        self.branches += 1;
        let label = self.branches.to_string();
        let id = format!("{}/{label}", self.flow.graph.node(self.node).id);
        let (block, result) = self.flow.block(place, self.node, &label, |flow| {
            let given = body(flow);
            result(flow, place, id, given)
        });
        self.add(block, &result);
        result
    }

    fn add<R>(&mut self, block: BlockIndex, result: &Out<R>) {
        self.flow.graph.blocks[block.0 as usize].result = Some(Source::Copy(result.slot.node));
        if let Kind::All { branches } = self.flow.kind(self.node) {
            branches.push(block);
        }
    }
}

/// A branch always runs, so what it gives is a node: one of its own if it is not one already, or if
/// there is nothing else in the branch.
fn result<R>(flow: &mut Flow, place: Place, id: String, given: impl Gives<R>) -> Out<R> {
    let recipe = given.recipe();
    let known = match &recipe.making {
        Making::Copy(slot) if !flow.is_empty() => flow.own(place, *slot),
        _ => None,
    };
    let node = match known {
        Some(node) => node,
        None => {
            let (value, code) = flow.admit(place, recipe);
            flow.push(place, id, Kind::Value { value }, code)
        }
    };
    flow.handle(node)
}
