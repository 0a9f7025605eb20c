//! Breakers that people open: the log says who keeps everything from which participant, and why.

use alloc::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::log::Version;

/// What people do to breakers: the events of `$breakers-N`.
///
/// Each says where the events begin that are needed after it: who folds begins at the `oldest` of the newest
/// event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BreakerEvent {
    /// Nothing is asked of a participant until it is reset.
    Opened(BreakerOpened),
    /// It is asked again.
    Reset(BreakerReset),
}

/// A person keeps everything from a participant.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct BreakerOpened {
    /// The participant.
    pub participant: Arc<str>,
    /// The caller's id for the request.
    pub id: Arc<str>,
    /// Who.
    pub by: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
    /// Where to begin to read.
    pub oldest: Version,
}

/// A person has a participant asked again, whether a person or its failures had opened its breakers.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct BreakerReset {
    /// The participant.
    pub participant: Arc<str>,
    /// The caller's id for the request.
    pub id: Arc<str>,
    /// Who.
    pub by: Arc<str>,
    /// Where to begin to read.
    pub oldest: Version,
}

impl BreakerEvent {
    /// The participant that it is about.
    pub const fn participant(&self) -> &Arc<str> {
        match self {
            Self::Opened(event) => &event.participant,
            Self::Reset(event) => &event.participant,
        }
    }

    /// The caller's id for the request.
    pub const fn id(&self) -> &Arc<str> {
        match self {
            Self::Opened(event) => &event.id,
            Self::Reset(event) => &event.id,
        }
    }

    /// Where the events begin that are needed after it.
    pub const fn oldest(&self) -> Version {
        match self {
            Self::Opened(event) => event.oldest,
            Self::Reset(event) => event.oldest,
        }
    }

    /// The same, said in the event.
    pub const fn oldest_mut(&mut self) -> &mut Version {
        match self {
            Self::Opened(event) => &mut event.oldest,
            Self::Reset(event) => &mut event.oldest,
        }
    }
}
