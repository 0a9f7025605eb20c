//! The shapes of handlers that work in a transaction.

use std::future::Future;

use sqlx::PgConnection;

use crate::worker::{Attempt, Failure};

/// The forward work of a step in a transaction: an async function of a [`PgConnection`], an
/// [`Attempt`] and the step's input. In a closure, say the types of its arguments.
///
/// This is not implemented by hand: every such function has it.
pub trait TransactionalAction<'t, S, I, O>: Send + Sync {
    /// The call.
    type Calling: Future<Output = Result<O, Failure>> + Send + 't;

    /// Begins a call.
    fn begin(&self, transaction: &'t mut PgConnection, at: Attempt<S>, input: I) -> Self::Calling;
}

impl<'t, S, I, O, H, F> TransactionalAction<'t, S, I, O> for H
where
    H: Fn(&'t mut PgConnection, Attempt<S>, I) -> F + Send + Sync,
    F: Future<Output = Result<O, Failure>> + Send + 't,
{
    type Calling = F;

    fn begin(&self, transaction: &'t mut PgConnection, at: Attempt<S>, input: I) -> F {
        self(transaction, at, input)
    }
}

/// Undoing a step in a transaction: an async function of a [`PgConnection`], an [`Attempt`], the
/// action's input and its output. In a closure, say the types of its arguments.
///
/// This is not implemented by hand: every such function has it.
pub trait TransactionalCompensation<'t, S, I, O>: Send + Sync {
    /// The call.
    type Calling: Future<Output = Result<(), Failure>> + Send + 't;

    /// Begins a call.
    fn begin(
        &self,
        transaction: &'t mut PgConnection,
        at: Attempt<S>,
        input: I,
        output: O,
    ) -> Self::Calling;
}

impl<'t, S, I, O, H, F> TransactionalCompensation<'t, S, I, O> for H
where
    H: Fn(&'t mut PgConnection, Attempt<S>, I, O) -> F + Send + Sync,
    F: Future<Output = Result<(), Failure>> + Send + 't,
{
    type Calling = F;

    fn begin(&self, transaction: &'t mut PgConnection, at: Attempt<S>, input: I, output: O) -> F {
        self(transaction, at, input, output)
    }
}
