//! What is answered.

use sagalog_engine::Answer as Given;
use sagalog_model::{Payload, SagaId, event::NodeId};
use sagalog_projections::{SagaState, Status};
use serde::{Deserialize, Serialize};

use super::{AtParticipant, Refused, RollPage};
use crate::client::CallError;

/// What is answered to a [`Request`](super::Request).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Answer {
    /// It is done, and durable.
    Done {},
    /// Who it is that answers.
    Owner(OwnerName),
    /// Where the saga stands; all of it is durable.
    Standing(Standing),
    /// Which participants are there.
    Participants(RollPage),
    /// How it stands with the participants that a partition asks.
    Breakers(Vec<AtParticipant>),
    /// It is not done.
    Refused(Refused),
}

/// Who drives a log, or a part of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct OwnerName {
    /// The program, or what it is called as a node.
    pub program: String,
    /// Its process id.
    pub pid: u32,
    /// How many partitions the log has, which says in whose inbox a saga's requests belong.
    pub partitions: u32,
}

/// Where a saga stands, and how it ended if it has.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Standing {
    /// The saga.
    pub saga: SagaId,
    /// The name of its definition.
    pub definition: String,
    /// The version of its definition.
    pub version: u32,
    /// Where it stands.
    pub status: Status,
    /// What it returned, if it is completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Payload>,
    /// Why it went back, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The nodes whose effects are left, if it is partly compensated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<NodeId>,
}

impl Answer {
    /// What the machine says, as it is told to others.
    pub(crate) fn of(given: Given) -> Self {
        match given {
            Given::Recorded => Self::Done {},
            Given::State(state) => Self::Standing(Standing::of(&state)),
            Given::Refused(refusal) => Self::Refused(Refused::of(&CallError::Refused(refusal))),
        }
    }
}

impl Standing {
    pub(crate) fn of(state: &SagaState) -> Self {
        Self {
            saga: state.id().clone(),
            definition: state.graph().saga.clone(),
            version: state.graph().version.0,
            status: state.status(),
            output: state.output().cloned(),
            reason: state.turn().map(|turn| turn.reason.clone()),
            left: state.left().to_vec(),
        }
    }
}
