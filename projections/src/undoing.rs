//! What a saga that has turned must still do for each of its steps.

use alloc::vec::Vec;

use sagalog_model::{Kind, NodeIndex, RecoveryClass, StepSpec, graph::Node};

use crate::{
    saga::SagaState,
    step::{StepState, UndoEnd},
};

/// How far a step of a turned saga is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Undoing {
    /// There is nothing to undo: it was never asked, or every attempt was answered Failed, or it
    /// changes nothing.
    Nothing,
    /// An attempt or a probe is unanswered; it is waited for until its deadline.
    Settling,
    /// The newest attempt ended in doubt and its participant can say what became of it.
    CanProbe,
    /// It took effect, or may have: it is undone once everything that depends on it is.
    Due,
    /// It is undone, or left with a reason.
    Over,
}

/// How far a step of a turned saga is.
pub fn of(spec: &StepSpec, step: &StepState) -> Undoing {
    if spec.class == RecoveryClass::ReadOnly {
        Undoing::Nothing
    } else if step.undo != UndoEnd::Open {
        Undoing::Over
    } else if step.has_succeeded() || step.compensation.asked > 0 {
        // What was begun is ended, even if a late answer says that there was nothing to undo.
        Undoing::Due
    } else if step.action.open.is_some() || step.probe.open.is_some() {
        Undoing::Settling
    } else if step.can_probe(spec) {
        Undoing::CanProbe
    } else if step.action.may_have_taken_effect() {
        Undoing::Due
    } else {
        Undoing::Nothing
    }
}

/// The steps whose effects are left, in the order of the definition: given up by policy or by a
/// person, or done by a person where the runtime never knew the input to undo it with.
pub fn left(state: &SagaState) -> Vec<NodeIndex> {
    let is_left = |(index, node): (NodeIndex, &Node)| {
        let Kind::Step { spec, .. } = &node.kind else {
            return None;
        };
        let left = match &state.node(index).step {
            Some(step) => matches!(step.undo, UndoEnd::Left { .. }),
            None => spec.undo.is_some() && state.node(index).by_hand,
        };
        left.then_some(index)
    };
    state.graph().iter().filter_map(is_left).collect()
}
