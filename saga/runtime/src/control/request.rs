//! What is said over the socket.

use sagalog_model::{Outcome, Payload, Token};
use serde::{Deserialize, Serialize};

use super::refused::Refused;
use crate::client::{CallError, Client};

/// What a person or a program wants of the owner. `id` makes it safe to send twice, `by` says who
/// wants it, for the log.
// Not tagged by a field: see `Kind` in the model, payloads are JSON text kept as it was written.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Request {
    /// Who owns the log.
    Who {},
    /// Send a signal.
    Signal {
        /// The saga.
        saga: String,
        /// The signal's name.
        signal: String,
        /// The sender's id for it.
        id: String,
        /// What it carries.
        payload: Payload,
    },
    /// Say what became of an attempt that was accepted, or that it is alive.
    Answer {
        /// Names the attempt.
        token: Token,
        /// What a participant says in a reply.
        outcome: Outcome,
    },
    /// Make a saga go back.
    Cancel {
        /// The saga.
        saga: String,
        /// The caller's id for the request.
        id: String,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Try a parked node again.
    Retry {
        /// The saga.
        saga: String,
        /// The caller's id for the request.
        id: String,
        /// Who.
        by: String,
        /// The node.
        node: String,
    },
    /// Take a parked node's work as done by hand.
    Resolve {
        /// The saga.
        saga: String,
        /// The caller's id for the request.
        id: String,
        /// Who.
        by: String,
        /// The node.
        node: String,
        /// What it gives.
        output: Payload,
    },
    /// Give a parked node's work up.
    Skip {
        /// The saga.
        saga: String,
        /// The caller's id for the request.
        id: String,
        /// Who.
        by: String,
        /// The node.
        node: String,
        /// Why.
        reason: String,
    },
}

/// What the owner answers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Answer {
    /// It is done, and durable.
    Done {},
    /// Who owns the log.
    Owner(OwnerName),
    /// It is not done.
    Refused(Refused),
}

/// Who owns the log.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct OwnerName {
    /// The program.
    pub program: String,
    /// Its process id.
    pub pid: u32,
}

impl Request {
    /// Does it through a client of this process; `who` does nothing. Returns when it is durable.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn apply(&self, client: &Client) -> Result<(), CallError> {
        match self {
            Self::Who {} => Ok(()),
            Self::Signal {
                saga,
                signal,
                id,
                payload,
            } => {
                client
                    .signal_payload(signal, saga, id, payload.clone())
                    .await
            }
            Self::Answer { token, outcome } => client.answer(token, outcome.clone()).await,
            Self::Cancel {
                saga,
                id,
                by,
                reason,
            } => client.acting_as(&**by).cancel(saga, id, reason).await,
            Self::Retry { saga, id, by, node } => {
                client.acting_as(&**by).retry(saga, id, node).await
            }
            Self::Resolve {
                saga,
                id,
                by,
                node,
                output,
            } => {
                client
                    .acting_as(&**by)
                    .resolve(saga, id, node, output.clone())
                    .await
            }
            Self::Skip {
                saga,
                id,
                by,
                node,
                reason,
            } => client.acting_as(&**by).skip(saga, id, node, reason).await,
        }
    }
}
