//! Sagas that cannot be driven: the log says of each why, and keeps what comes for it in order.

use alloc::{string::String, sync::Arc, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{
    event::Origin,
    log::{Time, Version},
    message::SagaId,
    payload::Payload,
};

/// What becomes of sagas that cannot be driven: the events of `$held-N`.
///
/// Each says where the events begin that the sagas still held after it need: who folds begins at the
/// `oldest` of the newest event.
#[derive(Clone, Debug, PartialEq)]
pub enum HeldSagaEvent {
    /// A saga cannot be driven, or for another reason than before.
    Held(SagaHeld),
    /// Something came for it, and waits.
    Waits(InputWaits, Payload),
    /// A person wants what waits to carry something else.
    Edited(WaitingEdited, Payload),
    /// A person has given up something that waits.
    Dropped(WaitingDropped),
    /// It is driven again.
    Released(SagaReleased),
}

/// A saga cannot be driven.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SagaHeld {
    /// The saga.
    pub saga: SagaId,
    /// Why, for people.
    pub reason: String,
    /// Where to begin to read.
    pub oldest: Version,
}

/// Something came for a saga that is held. What it carries is beside it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct InputWaits {
    /// The saga.
    pub saga: SagaId,
    /// Its number among those that wait for the saga, from 1,000,001: no input that a saga itself holds has it.
    pub number: u64,
    /// What it is.
    pub input: Origin,
    /// Where to begin to read.
    pub oldest: Version,
}

/// A person wants an input that waits to carry something else, which is beside it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct WaitingEdited {
    /// The saga.
    pub saga: SagaId,
    /// The input's number.
    pub number: u64,
    /// The caller's id for the request.
    pub id: Arc<str>,
    /// Who.
    pub by: Arc<str>,
    /// Until when the request may come again, if its sender says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Where to begin to read.
    pub oldest: Version,
}

/// A person has given up an input that waits.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct WaitingDropped {
    /// The saga.
    pub saga: SagaId,
    /// The input's number.
    pub number: u64,
    /// The caller's id for the request.
    pub id: Arc<str>,
    /// Who.
    pub by: Arc<str>,
    /// Until when the request may come again, if its sender says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Why.
    pub reason: String,
    /// Where to begin to read.
    pub oldest: Version,
}

/// A saga is driven again, and what waited was processed in order.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SagaReleased {
    /// The saga.
    pub saga: SagaId,
    /// What of it was not accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedInput>,
    /// Where to begin to read.
    pub oldest: Version,
}

/// An input that was not accepted when its saga was released.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct RefusedInput {
    /// Its number.
    pub number: u64,
    /// Why.
    pub reason: String,
}

impl HeldSagaEvent {
    /// The saga that it is about.
    pub const fn saga(&self) -> &SagaId {
        match self {
            Self::Held(event) => &event.saga,
            Self::Waits(event, _) => &event.saga,
            Self::Edited(event, _) => &event.saga,
            Self::Dropped(event) => &event.saga,
            Self::Released(event) => &event.saga,
        }
    }

    /// Where the events begin that the sagas still held after it need.
    pub const fn oldest(&self) -> Version {
        match self {
            Self::Held(event) => event.oldest,
            Self::Waits(event, _) => event.oldest,
            Self::Edited(event, _) => event.oldest,
            Self::Dropped(event) => event.oldest,
            Self::Released(event) => event.oldest,
        }
    }

    /// The same, said in the event.
    pub const fn oldest_mut(&mut self) -> &mut Version {
        match self {
            Self::Held(event) => &mut event.oldest,
            Self::Waits(event, _) => &mut event.oldest,
            Self::Edited(event, _) => &mut event.oldest,
            Self::Dropped(event) => &mut event.oldest,
            Self::Released(event) => &mut event.oldest,
        }
    }
}
