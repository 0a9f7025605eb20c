//! The seam to the user's code: the only place where the engine runs functions that it does not own.

use alloc::string::String;

use sagalog_model::{
    Payload, SagaEvent,
    definition::{AnyDefinition, Expression},
    expr::Outputs,
    log::Time,
};
use sagalog_projections::SagaState;

/// Evaluates the pure functions of a definition.
///
/// Whoever drives the engine implements it, because catching a panic needs `std`. A failure, a panic
/// included, parks the node that needed the value, and nothing else.
pub trait Evaluate {
    /// Evaluates one expression over the recorded outputs.
    ///
    /// # Errors
    /// Why there is no value, for people.
    fn evaluate(
        &self,
        definition: &AnyDefinition,
        what: Expression,
        outputs: &dyn Outputs,
    ) -> Result<Payload, String>;

    /// Whether a payload is one of a signal of the definition. One that is not is held with what
    /// comes behind it.
    ///
    /// # Errors
    /// Why it is not, for people.
    fn accepts(
        &self,
        definition: &AnyDefinition,
        signal: &str,
        payload: &Payload,
    ) -> Result<(), String>;

    /// This event comes next for a saga in this state: for whoever counts or traces. A start is told with the
    /// state that it made. It is not durable yet, and after a take-over the same may be told again; what is
    /// done with it changes nothing that is decided.
    fn decided(&self, _state: &SagaState, _event: &SagaEvent, _at: Time) {}
}
