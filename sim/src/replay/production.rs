//! The definition's functions as the runtime calls them.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use sagalog_engine::Evaluate;
use sagalog_model::{AnyDefinition, Expression, Outputs, Payload};

use crate::author;

/// A panic parks the node that needed the value, with the runtime's words: they are on record.
pub(super) struct Production;

impl Evaluate for Production {
    fn evaluate(
        &self,
        definition: &AnyDefinition,
        what: Expression,
        outputs: &dyn Outputs,
    ) -> Result<Payload, String> {
        let value = catch_unwind(AssertUnwindSafe(|| definition.evaluate(what, outputs)));
        let value =
            value.map_err(|panic| format!("the definition's code panicked: {}", said(&*panic)))?;
        value.map_err(|error| error.to_string())
    }

    fn accepts(
        &self,
        definition: &AnyDefinition,
        signal: &str,
        payload: &Payload,
    ) -> Result<(), String> {
        let read = catch_unwind(AssertUnwindSafe(|| definition.accepts(signal, payload)));
        let read = read.map_err(|panic| format!("reading it panicked: {}", said(&*panic)))?;
        read.map_err(|error| error.to_string())
    }
}

fn said(panic: &(dyn Any + Send)) -> &str {
    author::said(panic).unwrap_or("it did not say why")
}
