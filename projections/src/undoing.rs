//! What a saga that has turned must still do for each of its steps.

use alloc::vec::Vec;

use sagalog_model::{NodeIndex, RecoveryClass, StepSpec};

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
    } else if step.has_succeeded() {
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

/// The steps whose effects are left, in the order of the definition.
pub fn left(state: &SagaState) -> Vec<NodeIndex> {
    state
        .steps()
        .filter(|(_, _, step)| matches!(step.undo, UndoEnd::Left { .. }))
        .map(|(index, ..)| index)
        .collect()
}
