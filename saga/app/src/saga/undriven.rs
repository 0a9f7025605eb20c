//! Sagas that cannot be driven: the log says why, and keeps what comes for them.

use std::{process::ExitCode, sync::Arc};

use sagalog::{Payload, history::Reader, request::Request};
use sagalog_eventlog::EventLog;
use sagalog_model::{
    SagaId,
    event::Origin,
    log::{PartitionId, Time},
};
use sagalog_projections::held_sagas::HeldSaga;
use serde::Serialize;

use super::rows::what_is_held;
use crate::{
    error::{CliError, Exit},
    log::partition_of,
    output::Output,
    words::{count, plain, utc},
};

/// A saga that cannot be driven, as JSON. Times are microseconds since 1970.
#[derive(Serialize)]
pub(super) struct Undriven {
    pub(super) saga: String,
    status: &'static str,
    pub(super) since: u64,
    pub(super) reason: String,
    /// What waits for it, in order.
    pub(super) waits: Vec<Waits>,
}

/// Something that waits for a saga that cannot be driven, as JSON.
#[derive(Serialize)]
pub(super) struct Waits {
    pub(super) number: u64,
    since: u64,
    input: Origin,
    content: Payload,
}

impl Undriven {
    fn of(saga: &SagaId, held: &HeldSaga) -> Self {
        let waits = held.inputs.iter().map(|input| Waits {
            number: input.number,
            since: input.since.as_micros(),
            input: input.input.clone(),
            content: input.content.clone(),
        });
        Self {
            saga: saga.to_string(),
            status: "held",
            since: held.since.as_micros(),
            reason: held.reason.clone(),
            waits: waits.collect(),
        }
    }

    /// What can be done: the saga can be tried, and a person decides about what waits.
    pub(super) fn actions(&self) -> Vec<String> {
        let saga = &self.saga;
        let mut actions = vec![format!("held release {saga} 0")];
        for number in self.waits.iter().map(|waits| waits.number) {
            actions.push(format!("held edit {saga} {number}"));
            actions.push(format!("held drop {saga} {number}"));
        }
        actions
    }

    /// Says what would be done about something that waits, or about the saga.
    pub(super) fn would(
        &self,
        word: &str,
        request: &Request,
        output: Output,
    ) -> Result<ExitCode, CliError> {
        let saga = &self.saga;
        let (Request::Release { number, .. } | Request::Drop { number, .. }) = request else {
            let message = format!(
                "what {word} would come to is not known: saga {saga} is held, as it cannot be driven: {}",
                self.reason
            );
            let held = CliError::new("saga_held", Exit::Conflict, message);
            return Err(held.legal(self.actions()));
        };
        let number = *number;
        let input = self.waits.iter().find(|input| input.number == number);
        if input.is_none() && number > 0 {
            let message = format!("input {number} does not wait for saga {saga}");
            let not_held = CliError::new("not_held", Exit::Conflict, message);
            return Err(not_held.legal(self.actions()));
        }
        if output.is_json() {
            output.json(&Would { would: word, input })?;
        } else if let Some(input) = input {
            let what = what_is_held(&input.input);
            output.line(plain(&format!("would {word} input {number}, {what}")))?;
        } else {
            output.line(plain(&format!("would {word} saga {saga}")))?;
        }
        Ok(Exit::Done.into())
    }

    /// Says so.
    pub(super) fn print(&self, output: Output) -> Result<(), CliError> {
        if output.is_json() {
            return output.json(self);
        }
        let saga = &self.saga;
        let waits = count(self.waits.len() as u64, "input");
        output.line(plain(&format!("{saga} is held: it cannot be driven")))?;
        output.line(plain(&format!("  why        {}", self.reason)))?;
        output.line(plain(&format!(
            "  since      {}",
            utc(Time::from_micros(self.since))
        )))?;
        output.line(plain(&format!("  behind it  {waits}")))?;
        for input in &self.waits {
            let what = what_is_held(&input.input);
            output.line(plain(&format!("    {} {what}", input.number)))?;
            output.line(plain(&format!("      carries {}", input.content)))?;
        }
        output.line("  unblocked  by a program that can drive it, when it takes the saga over")?;
        output.line(plain(&format!(
            "  next       `held release {saga} 0` tries it now"
        )))
    }
}

/// What would be done, as JSON.
#[derive(Serialize)]
struct Would<'a> {
    would: &'a str,
    /// What it would be done about; missing if that is the saga.
    #[serde(rename = "held", skip_serializing_if = "Option::is_none")]
    input: Option<&'a Waits>,
}

/// All of a log.
pub(super) async fn all(log: &Arc<dyn EventLog>) -> Result<Vec<Undriven>, CliError> {
    let mut all = Vec::new();
    for partition in (0..log.partitions()).map(PartitionId::new) {
        let held = Reader::new(log.clone(), partition).held_sagas().await?;
        all.extend(held.iter().map(|(saga, held)| Undriven::of(saga, held)));
    }
    Ok(all)
}

/// This one, if it cannot be driven.
pub(super) async fn find(
    log: &Arc<dyn EventLog>,
    saga: &SagaId,
) -> Result<Option<Undriven>, CliError> {
    let partition = partition_of(&**log, saga);
    let held = Reader::new(log.clone(), partition).held_sagas().await?;
    Ok(held.get(saga).map(|held| Undriven::of(saga, held)))
}
