//! Why something was not done, as data.

use std::borrow::Cow;

use sagalog_engine::Refusal;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::client::CallError;

/// Why something was not done. The code is stable, the message is for people, and the refusal is what
/// programs that know it may look at.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    code: Cow<'static, str>,
    /// What, where and why.
    pub message: String,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "known"
    )]
    refusal: Option<Refusal>,
}

impl Refused {
    pub(crate) fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            refusal: None,
        }
    }

    /// What a client was told, as data.
    pub fn of(error: &CallError) -> Self {
        let message = match error {
            CallError::BadId(_, why) => format!("{error}: {why}"),
            _ => error.to_string(),
        };
        let refusal = match error {
            CallError::Refused(refusal) => Some(refusal.clone()),
            _ => None,
        };
        Self {
            refusal,
            ..Self::new(code(error), message)
        }
    }

    /// A word that stays the same from release to release, such as `not_parked`.
    pub fn code(&self) -> &str {
        &self.code
    }
}

/// The same error as if the saga was driven in this process, where that can be told.
impl From<Refused> for CallError {
    fn from(refused: Refused) -> Self {
        match refused.refusal {
            Some(refusal) => Self::Refused(refusal),
            None => Self::RefusedThere(refused),
        }
    }
}

/// A refusal that only a later release knows is left to its code and message.
fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Refusal>, D::Error> {
    let text = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(text.get()).ok())
}

fn code(error: &CallError) -> Cow<'static, str> {
    let code = match error {
        CallError::BadId(..) => "bad_id",
        CallError::Refused(refusal) => match refusal {
            Refusal::NoSuchSaga { .. } => "no_such_saga",
            Refusal::OtherContent { .. } => "other_content",
            Refusal::NoSuchDefinition { .. } => "no_such_definition",
            Refusal::BadHistory { .. } => "bad_history",
            Refusal::SagaHeld { .. } => "saga_held",
            Refusal::NoSuchParticipant { .. } => "no_such_participant",
            Refusal::NoSuchLetter { .. } => "no_such_letter",
            Refusal::LetterUnderWay { .. } => "letter_under_way",
            Refusal::LetterUnsendable { .. } => "letter_unsendable",
            Refusal::LetterPast { .. } => "letter_past",
            Refusal::PayloadTooLarge { .. } => "payload_too_large",
            Refusal::Busy { .. } => "busy",
            Refusal::Ended { .. } => "ended",
            Refusal::PivotPassed { .. } => "pivot_passed",
            Refusal::AlreadyPaused { .. } => "already_paused",
            Refusal::NotPaused { .. } => "not_paused",
            Refusal::HasTurned { .. } => "has_turned",
            Refusal::UnknownSignal { .. } => "unknown_signal",
            Refusal::TooManySignals => "too_many_signals",
            Refusal::TooManyRequests => "too_many_requests",
            Refusal::TooManyRemembered { .. } => "too_many_remembered",
            Refusal::Expired { .. } => "expired",
            Refusal::TooManyWaiting => "too_many_waiting",
            Refusal::TooManyProducers => "too_many_producers",
            Refusal::TooFarAhead { .. } => "too_far_ahead",
            Refusal::BadNumber { .. } => "bad_number",
            Refusal::OtherContentOfNumber { .. } => "other_content_of_number",
            Refusal::GivenUp { .. } => "given_up",
            Refusal::CannotBeProcessed { .. } => "cannot_be_processed",
            Refusal::TooManyHeld => "too_many_held",
            Refusal::NotHeld { .. } => "not_held",
            Refusal::NotTheFirstHeld { .. } => "not_the_first_held",
            Refusal::NoSuchNode { .. } => "no_such_node",
            Refusal::NotParked { .. } => "not_parked",
            Refusal::NotAsked { .. } => "not_asked",
            Refusal::NoHeartbeat { .. } => "no_heartbeat",
            _ => "refused",
        },
        CallError::NoSuchPartition { .. } => "no_such_partition",
        CallError::Elsewhere { .. } => "elsewhere",
        CallError::Stopped { .. } => "stopped",
        CallError::NoAnswer { .. } => "no_answer",
        CallError::RefusedThere(refused) => return refused.code.clone(),
        _ => "failed",
    };
    code.into()
}
