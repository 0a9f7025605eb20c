//! What a handler knows about what it is asked.

use std::{fmt, sync::Arc};

use sagalog_model::{
    AttemptNumber, Command, Direction, Heartbeat, IdempotencyKey, SagaId, Token, log::Time,
};

use super::{failure::bounded, link::Link};

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
    /// When this call is cancelled: its future is dropped at the next `await`. A
    /// [`heartbeat`](Self::heartbeat) moves it.
    pub deadline: Time,
    /// How this attempt is kept alive beyond its deadline; none if its step has no heartbeat.
    pub heartbeat: Option<Heartbeat>,
    link: Link,
}

impl<S> Attempt<S> {
    /// The attempt that a command asks for; for tests of handlers.
    pub fn of(state: S, command: &Command) -> Self {
        Self::linked(state, command, Link::default())
    }

    pub(super) fn linked(state: S, command: &Command, link: Link) -> Self {
        Self {
            state,
            saga: command.saga.clone(),
            node: command.node.clone(),
            step: command.step.clone(),
            number: command.attempt,
            key: command.key.clone(),
            action_key: command.action_key.clone(),
            deadline: command.deadline,
            heartbeat: command.heartbeat,
            link,
        }
    }

    /// Names this attempt for whoever completes it from elsewhere, in any process; see
    /// [`Client::complete`](crate::Client::complete).
    pub fn token(&self) -> Token {
        Token {
            partition: self.link.partition,
            saga: self.saga.clone(),
            node: self.node.clone(),
            direction: Direction::Action,
            attempt: self.number,
        }
    }

    /// Says that the work goes on, and how far it is, in a few words: the call goes on for three
    /// quarters of the step's heartbeat from now, and so does the attempt; but not beyond
    /// [`Heartbeat::until`]. Says nothing if the step has no heartbeat, and after the host has
    /// stopped.
    ///
    /// Never waits; of several that the host has not yet sent, the last is sent. It works on a copy
    /// of the attempt too, after the handler has accepted and returned.
    pub fn heartbeat(&self, progress: impl fmt::Display) {
        self.link.beat(bounded(progress.to_string()));
    }

    /// Waits until the saga has turned, so that it does not want this work any more: stop in good
    /// order and say what became of it. A hint that may never come; then the deadline does. A copy
    /// of the attempt in another task is told too.
    pub async fn cancelled(&self) {
        self.link.cancelled.cancelled().await;
    }

    /// Whether the saga is known to have turned.
    pub fn is_cancelled(&self) -> bool {
        self.link.cancelled.is_cancelled()
    }
}
