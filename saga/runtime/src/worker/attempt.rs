//! What a handler knows about what it is asked.

use std::sync::Arc;

use sagalog_model::{AttemptNumber, Command, IdempotencyKey, SagaId, log::Time};

/// What a handler knows about what it is asked, besides the input.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attempt<S = ()> {
    /// What the worker was made with: pools, clients, settings.
    pub state: S,
    /// The saga.
    pub saga: SagaId,
    /// The node's id in the saga's graph.
    pub node: Arc<str>,
    /// The step's name.
    pub step: Arc<str>,
    /// Which attempt this is, from 1.
    pub number: AttemptNumber,
    /// The name of the effect: hand it on to whatever makes the effect happen once.
    pub key: IdempotencyKey,
    /// The key of the action that is probed or made up for; the same as `key` for an action.
    pub action_key: IdempotencyKey,
    /// When this call is cancelled: its future is dropped at the next `await`.
    pub deadline: Time,
}

impl<S> Attempt<S> {
    /// The attempt that a command asks for; for tests of handlers.
    pub fn of(state: S, command: &Command) -> Self {
        Self {
            state,
            saga: command.saga.clone(),
            node: command.node.clone(),
            step: command.step.clone(),
            number: command.attempt,
            key: command.key.clone(),
            action_key: command.action_key.clone(),
            deadline: command.deadline,
        }
    }
}
