//! The seam to the user's code: the only place where the engine runs functions that it does not own.

use alloc::string::String;

use sagalog_model::{
    Payload,
    definition::{AnyDefinition, Expression},
    expr::Outputs,
};

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
}
