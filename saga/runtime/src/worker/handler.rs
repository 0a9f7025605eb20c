//! Handlers without their types: from a command to an outcome.

use std::{future::Future, pin::Pin};

use sagalog_model::{Command, FailureClass, Json, Outcome, Payload};
use serde::de::DeserializeOwned;

use super::{
    answer::succeeded,
    attempt::Attempt,
    failure::{Failure, Found, Given},
    link::Link,
};

/// A call under way. It ends with an outcome; it may also panic.
pub(super) type Calling = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A handler: begins a call, or says at once what came of it.
pub(super) type Handler = Box<dyn Fn(&Command, Link) -> Result<Calling, Outcome> + Send + Sync>;

pub(super) fn action<S, I: Json, O: Json, F>(
    state: S,
    handler: impl Fn(Attempt<S>, I) -> F + Send + Sync + 'static,
) -> Handler
where
    S: Clone + Send + Sync + 'static,
    F: Future<Output = Result<O, Failure>> + Send + 'static,
{
    Box::new(move |command, link| {
        let input = read(&command.input, "input")?;
        let call = handler(Attempt::linked(state.clone(), command, link), input);
        Ok(Box::pin(async move {
            match call.await {
                Ok(output) => succeeded(&output),
                Err(failure) => failure.into(),
            }
        }))
    })
}

pub(super) fn accepting<S, I: Json, O: Json, F>(
    state: S,
    handler: impl Fn(Attempt<S>, I) -> F + Send + Sync + 'static,
) -> Handler
where
    S: Clone + Send + Sync + 'static,
    F: Future<Output = Result<Given<O>, Failure>> + Send + 'static,
{
    Box::new(move |command, link| {
        let input = read(&command.input, "input")?;
        let call = handler(Attempt::linked(state.clone(), command, link), input);
        let has_heartbeat = command.heartbeat.is_some();
        Ok(Box::pin(async move {
            match call.await {
                Ok(Given::Now(output)) => succeeded(&output),
                Ok(Given::Later) if has_heartbeat => Outcome::Alive {
                    progress: String::new(),
                },
                // A saga of an older definition, whose step had none.
                Ok(Given::Later) => Outcome::Unknown {
                    reason: "it was accepted, and its saga's definition knows no heartbeat".into(),
                },
                Err(failure) => failure.into(),
            }
        }))
    })
}

pub(super) fn compensation<S, I: Json, O: Json, F>(
    state: S,
    handler: impl Fn(Attempt<S>, I, Option<O>) -> F + Send + Sync + 'static,
) -> Handler
where
    S: Clone + Send + Sync + 'static,
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    Box::new(move |command, link| {
        let input = read(&command.input, "input")?;
        let output = command.output.as_ref();
        let output = output.map(|output| read(output, "output")).transpose()?;
        let attempt = Attempt::linked(state.clone(), command, link);
        let call = handler(attempt, input, output);
        Ok(Box::pin(async move {
            match call.await {
                Ok(()) => Outcome::Succeeded(Payload::null()),
                Err(failure) => failure.into(),
            }
        }))
    })
}

pub(super) fn probe<S, I: Json, O: Json, F>(
    state: S,
    handler: impl Fn(Attempt<S>, I) -> F + Send + Sync + 'static,
) -> Handler
where
    S: Clone + Send + Sync + 'static,
    F: Future<Output = Result<Found<O>, Failure>> + Send + 'static,
{
    Box::new(move |command, link| {
        let input = read(&command.input, "input").map_err(not_found_out)?;
        let call = handler(Attempt::linked(state.clone(), command, link), input);
        Ok(Box::pin(async move {
            match call.await {
                Ok(Found::Succeeded(output)) => succeeded(&output),
                Ok(Found::NotDone) => Outcome::NotDone,
                Ok(Found::Unknown) => Outcome::Unknown {
                    reason: "the probe could not find out".into(),
                },
                Err(failure) => not_found_out(failure.into()),
            }
        }))
    })
}

/// What cannot be read never reached the handler, so nothing took effect.
fn read<T: DeserializeOwned>(payload: &Payload, what: &str) -> Result<T, Outcome> {
    payload.read().map_err(|error| Outcome::Failed {
        class: FailureClass::Permanent,
        reason: format!("the {what} cannot be read: {error}"),
    })
}

/// A probe that failed says nothing about the action.
pub(super) fn not_found_out(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Failed { reason, .. } => Outcome::Unknown { reason },
        outcome => outcome,
    }
}
