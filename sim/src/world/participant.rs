//! A participant as the author states it: functions of a model, without their types.

use std::{any::type_name, sync::Arc, time::Duration};

use sagalog_model::{FailureClass, Json, Outcome, Payload};

use super::models::Models;

/// Serves one direction of a step: from its input, and for an undo the output, to what it gives.
pub(crate) type Function =
    Arc<dyn Fn(&mut Models, &Payload, Option<&Payload>) -> Result<Payload, Outcome> + Send + Sync>;

/// Finds out whether an action took effect: its output, if it did.
pub(crate) type Probe =
    Arc<dyn Fn(&Models, &Payload) -> Result<Option<Payload>, Outcome> + Send + Sync>;

/// What the author says of a step's participant.
#[derive(Clone, Default)]
pub(crate) struct Participant {
    /// The queue that it takes commands from.
    pub(crate) queue: Arc<str>,
    pub(crate) action: Option<Function>,
    pub(crate) undo: Option<Function>,
    pub(crate) probe: Option<Probe>,
    /// If it accepts actions and completes them later: how long that takes.
    pub(crate) takes: Option<Duration>,
    /// The types of the models that its functions work on.
    pub(crate) models: Vec<Needed>,
}

/// A model that a function works on.
#[derive(Clone)]
pub(crate) struct Needed {
    pub(crate) name: &'static str,
    pub(crate) is_in: fn(&Models) -> bool,
}

impl Needed {
    pub(crate) fn of<S: 'static>() -> Self {
        Self {
            name: type_name::<S>(),
            is_in: |models| models.get::<S>().is_some(),
        }
    }
}

/// Why a participant of the author's has no output. On each of them its model is left as it was: what
/// may have happened all the same is the business of plans (`in doubt, done`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fails(Outcome);

impl Fails {
    /// Nothing took effect, and asking again cannot help.
    pub fn permanent(reason: impl ToString) -> Self {
        Self::of(FailureClass::Permanent, reason.to_string())
    }

    /// Nothing took effect, and asking again can help.
    pub fn transient(reason: impl ToString) -> Self {
        Self::of(FailureClass::Transient, reason.to_string())
    }

    /// It does not know whether it took effect. It did not.
    pub fn unknown(reason: impl ToString) -> Self {
        Self(Outcome::Unknown {
            reason: reason.to_string(),
        })
    }

    const fn of(class: FailureClass, reason: String) -> Self {
        Self(Outcome::Failed { class, reason })
    }
}

impl From<Fails> for Outcome {
    fn from(fails: Fails) -> Self {
        fails.0
    }
}

pub(crate) fn read<T: Json>(payload: &Payload, what: &str) -> Result<T, Outcome> {
    let why = |error| Fails::permanent(format!("the {what} does not read: {error}")).into();
    payload.read().map_err(why)
}

pub(crate) fn write<T: Json>(output: &T) -> Result<Payload, Outcome> {
    let why = |error| Fails::permanent(format!("the output does not write: {error}")).into();
    Payload::of(output).map_err(why)
}
