//! Why something was not done, as data.

use std::borrow::Cow;

use sagalog_engine::Refusal;
use serde::{Deserialize, Serialize};

use crate::client::CallError;

/// Why something was not done. The code is stable, the message is for people.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    code: Cow<'static, str>,
    /// What, where and why.
    pub message: String,
}

impl Refused {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
        }
    }

    /// What a client was told, as data.
    pub fn of(error: &CallError) -> Self {
        let message = match error {
            CallError::BadId(_, why) => format!("{error}: {why}"),
            _ => error.to_string(),
        };
        Self::new(code(error), message)
    }

    /// A word that stays the same from release to release, such as `not_parked`.
    pub fn code(&self) -> &str {
        &self.code
    }
}

fn code(error: &CallError) -> &'static str {
    match error {
        CallError::BadId(..) => "bad_id",
        CallError::Refused(refusal) => match refusal {
            Refusal::NoSuchSaga { .. } => "no_such_saga",
            Refusal::OtherContent { .. } => "other_content",
            Refusal::NoSuchDefinition { .. } => "no_such_definition",
            Refusal::BadHistory { .. } => "bad_history",
            Refusal::PayloadTooLarge { .. } => "payload_too_large",
            Refusal::Busy { .. } => "busy",
            Refusal::Ended { .. } => "ended",
            Refusal::PivotPassed { .. } => "pivot_passed",
            Refusal::UnknownSignal { .. } => "unknown_signal",
            Refusal::TooManySignals => "too_many_signals",
            Refusal::NoSuchNode { .. } => "no_such_node",
            Refusal::NotParked { .. } => "not_parked",
            Refusal::NotAsked { .. } => "not_asked",
            Refusal::NoHeartbeat { .. } => "no_heartbeat",
            _ => "refused",
        },
        CallError::Elsewhere { .. } => "elsewhere",
        CallError::Stopped { .. } => "stopped",
        _ => "failed",
    }
}
