//! What people and programs want of whoever drives a saga, and what it answers: the same JSON over the
//! owner's socket and over the inboxes of partitions; see `docs/protocol.md`.

mod answer;
mod breakers;
mod preview;
mod refused;
mod roll;

use sagalog_engine::{
    BreakerRequest, BreakerWish, LetterRequest, LetterWish, Query, Request as Asked, input::Wish,
};
use sagalog_model::{
    Numbered, Outcome, Payload, SagaId, Token,
    dead_letter::LetterId,
    log::{PartitionId, Time},
};
use serde::{Deserialize, Serialize};

pub use answer::{Answer, OwnerName, Standing};
pub use breakers::{AtParticipant, ByHand};
pub use preview::Preview;
pub use refused::Refused;
pub use roll::{Roll, RollPage};

pub(crate) use roll::{EVERY, RollCall};

use crate::client::{CallError, Client};

/// What a person or a program wants of whoever drives a saga. `id` makes it safe to send twice, `by`
/// says who wants it, for the log.
// Not tagged by a field: see `Kind` in the model, payloads are JSON text kept as it was written.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Request {
    /// Who is it that answers.
    Who {},
    /// Start a saga. The same start twice is one start.
    Start {
        /// The saga's id, chosen by whoever starts it.
        saga: String,
        /// The name of its definition; the newest version is used.
        definition: String,
        /// What it is started with.
        input: Payload,
    },
    /// Send a signal.
    Signal {
        /// The saga.
        saga: String,
        /// The signal's name.
        signal: String,
        /// The sender's id for it.
        id: String,
        /// Until when it may come again; without it, it is known for the life of the saga.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
        /// What it carries.
        payload: Payload,
    },
    /// Send a signal that its producer numbers.
    SignalInOrder {
        /// The saga.
        saga: String,
        /// The signal.
        numbered: Numbered,
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
        /// Until when it may come again; without it, it is known for the life of the saga.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
        /// Why.
        reason: String,
    },
    /// Have a saga undone, as its operator decides; one that is paused goes back at once.
    Compensate {
        /// The saga.
        saga: String,
        /// The caller's id for the request.
        id: String,
        /// Who.
        by: String,
        /// Until when it may come again; without it, it is known for the life of the saga.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
        /// Why.
        reason: String,
    },
    /// Have a saga stand still.
    Pause {
        /// The saga.
        saga: String,
        /// The caller's id for the request.
        id: String,
        /// Who.
        by: String,
        /// Until when it may come again; without it, it is known for the life of the saga.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
        /// Why.
        reason: String,
    },
    /// Have a paused saga go on.
    Resume {
        /// The saga.
        saga: String,
        /// The caller's id for the request.
        id: String,
        /// Who.
        by: String,
        /// Until when it may come again; without it, it is known for the life of the saga.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
    },
    /// Set a saga's deadline.
    SetDeadline {
        /// The saga.
        saga: String,
        /// The caller's id for the request.
        id: String,
        /// Who.
        by: String,
        /// Until when it may come again; without it, it is known for the life of the saga.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
        /// When it turns back by itself; without it, it has no deadline any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Time>,
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
        /// Until when it may come again; without it, it is known for the life of the saga.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
        /// The node.
        node: String,
        /// Why, if that is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Take a parked node's work as done by hand.
    Resolve {
        /// The saga.
        saga: String,
        /// The caller's id for the request.
        id: String,
        /// Who.
        by: String,
        /// Until when it may come again; without it, it is known for the life of the saga.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
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
        /// Until when it may come again; without it, it is known for the life of the saga.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
        /// The node.
        node: String,
        /// Why.
        reason: String,
    },
    /// Process the first held input, and those behind it.
    Release {
        /// The saga.
        saga: String,
        /// The caller's id for the request.
        id: String,
        /// Who.
        by: String,
        /// Until when it may come again; without it, it is known for the life of the saga.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
        /// The input's number.
        number: u64,
        /// What it is to carry instead of what it came with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content: Option<Payload>,
    },
    /// Give a held input up.
    Drop {
        /// The saga.
        saga: String,
        /// The caller's id for the request.
        id: String,
        /// Who.
        by: String,
        /// Until when it may come again; without it, it is known for the life of the saga.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
        /// The input's number.
        number: u64,
        /// Why.
        reason: String,
    },
    /// Send a dead letter again to the queue that it died in.
    RetryLetter {
        /// The partition that recorded it.
        partition: u32,
        /// The letter.
        letter: LetterId,
        /// The caller's id for the request.
        id: String,
        /// Who.
        by: String,
        /// What to send instead of what came.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<String>,
    },
    /// Give a dead letter up.
    PurgeLetter {
        /// The partition that recorded it.
        partition: u32,
        /// The letter.
        letter: LetterId,
        /// The caller's id for the request.
        id: String,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Ask nothing of a participant, in one partition, until it is reset.
    OpenBreaker {
        /// The partition.
        partition: u32,
        /// The participant.
        participant: String,
        /// The caller's id for the request.
        id: String,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Ask a participant again, in one partition.
    ResetBreaker {
        /// The partition.
        partition: u32,
        /// The participant.
        participant: String,
        /// The caller's id for the request.
        id: String,
        /// Who.
        by: String,
    },
    /// Say how it stands with the participants that a partition asks.
    Breakers {
        /// The partition.
        partition: u32,
    },
    /// Say where a saga stands.
    State {
        /// The saga.
        saga: String,
    },
    /// Say that a participant is there, or which ones are.
    Participants(Roll),
    /// Say where a saga stands when it has ended, or after three seconds if it has not: then ask again.
    End {
        /// The saga.
        saga: String,
    },
}

/// Whom a request is for.
pub(crate) enum Meant {
    /// Whoever answers.
    Anybody,
    /// Whoever keeps the roll of participants: the owner of the first partition.
    Roll(Roll),
    /// The owner of a saga's partition.
    Saga(SagaId, Query),
    /// The owner of the partition that has a dead letter.
    Letter(PartitionId, LetterRequest),
    /// The owner of a partition, about a participant's breakers.
    Breaker(PartitionId, BreakerRequest),
    /// The owner of a partition, about all of them.
    Breakers(PartitionId),
}

impl Request {
    /// Does it through a client, and returns when it is durable.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn apply(&self, client: &Client) -> Result<Answer, CallError> {
        client.ask(self.clone()).await
    }

    /// The saga that it is about.
    pub fn saga(&self) -> Option<&str> {
        match self {
            Self::Who {}
            | Self::Participants(_)
            | Self::RetryLetter { .. }
            | Self::PurgeLetter { .. }
            | Self::OpenBreaker { .. }
            | Self::ResetBreaker { .. }
            | Self::Breakers { .. } => None,
            Self::Answer { token, .. } => Some(token.saga.as_str()),
            Self::Start { saga, .. }
            | Self::Signal { saga, .. }
            | Self::SignalInOrder { saga, .. }
            | Self::Cancel { saga, .. }
            | Self::Compensate { saga, .. }
            | Self::Pause { saga, .. }
            | Self::Resume { saga, .. }
            | Self::SetDeadline { saga, .. }
            | Self::Retry { saga, .. }
            | Self::Resolve { saga, .. }
            | Self::Skip { saga, .. }
            | Self::Release { saga, .. }
            | Self::Drop { saga, .. }
            | Self::State { saga }
            | Self::End { saga } => Some(saga),
        }
    }

    /// The partition that it is about, if it is about one: about a dead letter or a breaker.
    pub const fn partition(&self) -> Option<PartitionId> {
        match self {
            Self::RetryLetter { partition, .. }
            | Self::PurgeLetter { partition, .. }
            | Self::OpenBreaker { partition, .. }
            | Self::ResetBreaker { partition, .. }
            | Self::Breakers { partition } => Some(PartitionId::new(*partition)),
            _ => None,
        }
    }

    /// # Errors
    /// [`CallError::BadId`]
    pub(crate) fn saga_id(&self) -> Result<Option<SagaId>, CallError> {
        let id =
            |saga: &str| SagaId::new(saga).map_err(|why| CallError::BadId(saga.to_owned(), why));
        self.saga().map(id).transpose()
    }

    /// As it is put to the owner.
    ///
    /// # Errors
    /// [`CallError::BadId`]
    pub(crate) fn meant(self) -> Result<Meant, CallError> {
        let saga = match (self.saga_id()?, self.partition()) {
            (Some(saga), _) => saga,
            (None, Some(partition)) => return Ok(self.meant_for_partition(partition)),
            (None, None) => {
                return Ok(match self {
                    Self::Participants(roll) => Meant::Roll(roll),
                    _ => Meant::Anybody,
                });
            }
        };
        let asked = |id: String, by: String, until, wish| {
            Query::Request(Asked {
                id: id.into(),
                by: by.into(),
                until,
                wish,
            })
        };
        let query = match self {
            Self::Who {}
            | Self::Participants(_)
            | Self::RetryLetter { .. }
            | Self::PurgeLetter { .. }
            | Self::OpenBreaker { .. }
            | Self::ResetBreaker { .. }
            | Self::Breakers { .. } => {
                return Ok(Meant::Anybody);
            }
            Self::Start {
                definition, input, ..
            } => Query::Start {
                definition: definition.into(),
                input,
            },
            Self::Signal {
                signal,
                id,
                until,
                payload,
                ..
            } => Query::Signal {
                signal: signal.into(),
                id: id.into(),
                until,
                payload,
            },
            Self::SignalInOrder { numbered, .. } => Query::Numbered(numbered),
            Self::Answer { token, outcome } => Query::Reply(token.reply(outcome)),
            Self::Cancel {
                id,
                by,
                until,
                reason,
                ..
            } => {
                let reason = reason.into();
                asked(id, by, until, Wish::Cancel { reason })
            }
            Self::Compensate {
                id,
                by,
                until,
                reason,
                ..
            } => {
                let reason = reason.into();
                asked(id, by, until, Wish::Compensate { reason })
            }
            Self::Pause {
                id,
                by,
                until,
                reason,
                ..
            } => {
                let reason = reason.into();
                asked(id, by, until, Wish::Pause { reason })
            }
            Self::Resume { id, by, until, .. } => asked(id, by, until, Wish::Resume),
            Self::SetDeadline {
                id,
                by,
                until,
                deadline,
                reason,
                ..
            } => {
                let reason = reason.into();
                asked(id, by, until, Wish::SetDeadline { deadline, reason })
            }
            Self::Retry {
                id,
                by,
                until,
                node,
                reason,
                ..
            } => {
                let (node, reason) = (node.into(), reason.map(Into::into));
                asked(id, by, until, Wish::Retry { node, reason })
            }
            Self::Resolve {
                id,
                by,
                until,
                node,
                output,
                ..
            } => {
                let node = node.into();
                asked(id, by, until, Wish::Resolve { node, output })
            }
            Self::Skip {
                id,
                by,
                until,
                node,
                reason,
                ..
            } => {
                let (node, reason) = (node.into(), reason.into());
                asked(id, by, until, Wish::Skip { node, reason })
            }
            Self::Release {
                id,
                by,
                until,
                number,
                content,
                ..
            } => asked(id, by, until, Wish::Release { number, content }),
            Self::Drop {
                id,
                by,
                until,
                number,
                reason,
                ..
            } => {
                let reason = reason.into();
                asked(id, by, until, Wish::Drop { number, reason })
            }
            Self::State { .. } => Query::State,
            Self::End { .. } => Query::End,
        };
        Ok(Meant::Saga(saga, query))
    }

    fn meant_for_partition(self, partition: PartitionId) -> Meant {
        let breaker = |participant: String, id: String, by: String, wish| {
            let request = BreakerRequest {
                participant: participant.into(),
                id: id.into(),
                by: by.into(),
                wish,
            };
            Meant::Breaker(partition, request)
        };
        let (letter, id, by, wish) = match self {
            Self::RetryLetter {
                letter,
                id,
                by,
                body,
                ..
            } => {
                let body = body.map(Into::into);
                (letter, id, by, LetterWish::Retry { body })
            }
            Self::PurgeLetter {
                letter,
                id,
                by,
                reason,
                ..
            } => {
                let reason = reason.into();
                (letter, id, by, LetterWish::Purge { reason })
            }
            Self::OpenBreaker {
                participant,
                id,
                by,
                reason,
                ..
            } => {
                let reason = reason.into();
                return breaker(participant, id, by, BreakerWish::Open { reason });
            }
            Self::ResetBreaker {
                participant,
                id,
                by,
                ..
            } => return breaker(participant, id, by, BreakerWish::Reset),
            Self::Breakers { .. } => return Meant::Breakers(partition),
            _ => return Meant::Anybody,
        };
        let request = LetterRequest {
            letter,
            id: id.into(),
            by: by.into(),
            wish,
        };
        Meant::Letter(partition, request)
    }
}
