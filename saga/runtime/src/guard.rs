//! Runs the definitions' functions so that a panic stays theirs.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use sagalog_engine::Evaluate;
use sagalog_model::{
    Expression, Outputs, Payload, SagaEvent, definition::AnyDefinition, log::Time,
};
use sagalog_projections::SagaState;

use crate::observe::Watch;

/// Catches panics of expressions: the node that needed the value is parked, and nothing else. Tells whoever
/// watches what is decided.
pub(crate) struct Guard(Watch);

impl Guard {
    pub(crate) const fn watched(by: Watch) -> Self {
        Self(by)
    }

    /// Nobody is told what is decided, as it is only tried.
    pub(crate) fn unwatched() -> Self {
        Self(Watch::nobody())
    }
}

impl Evaluate for Guard {
    fn evaluate(
        &self,
        definition: &AnyDefinition,
        what: Expression,
        outputs: &dyn Outputs,
    ) -> Result<Payload, String> {
        // Expressions are `fn` pointers over shared references: they leave nothing half changed.
        match catch_unwind(AssertUnwindSafe(|| definition.evaluate(what, outputs))) {
            Ok(value) => value.map_err(|error| error.to_string()),
            Err(panic) => Err(format!("the definition's code panicked: {}", said(&*panic))),
        }
    }

    fn accepts(
        &self,
        definition: &AnyDefinition,
        signal: &str,
        payload: &Payload,
    ) -> Result<(), String> {
        match catch_unwind(AssertUnwindSafe(|| definition.accepts(signal, payload))) {
            Ok(read) => read.map_err(|error| error.to_string()),
            Err(panic) => Err(format!("reading it panicked: {}", said(&*panic))),
        }
    }

    fn decided(&self, state: &SagaState, event: &SagaEvent, at: Time) {
        self.0.decided(state, event, at);
    }
}

fn said(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it did not say why")
}
