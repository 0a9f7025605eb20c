//! `sagalog saga diff`

use std::process::ExitCode;

use sagalog_model::{Payload, log::Time};
use serde::Serialize;
use serde_json::Value;

use super::{recorded::Recorded, rows::at_time, told::Told};
use crate::{
    error::{CliError, Exit},
    log::LogArg,
    output::Output,
    words::{count, plain},
};

/// Events of each that are shown behind where they part.
const SHOWN_MAX: usize = 20;

/// What is another for every saga and every run, whatever happens: moments, and ids of whoever sent something.
const OF_ITS_RUN: [&str; 6] = ["at", "deadline", "due", "until", "id", "fingerprint"];

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The id of one saga
    one: String,
    /// The id of another of the same definition
    other: String,
    #[command(flatten)]
    log: LogArg,
}

/// Where two histories part, as JSON.
#[derive(Serialize)]
struct Difference {
    one: Side,
    other: Side,
    /// Up to this version the same happened; 0 if not even the first is.
    same_up_to: u64,
    /// The versions up to there at which the same happened with other payloads.
    other_payloads_at: Vec<u64>,
}

/// One of the sagas, as JSON.
#[derive(Serialize)]
struct Side {
    saga: String,
    definition_version: u32,
    status: &'static str,
    /// What happened to it behind that version; empty if they do not part there.
    then: Vec<Told>,
    #[serde(skip)]
    started: Time,
}

/// Compares event by event. That they part is data with exit code 1, not an error of the command.
pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode, CliError> {
    let one = Recorded::read(&args.log, &args.one).await?;
    let other = Recorded::read(&args.log, &args.other).await?;
    if one.graph.saga != other.graph.saga {
        let message = format!(
            "saga {} is a {}, and {} is a {}: only histories of one definition can be compared",
            one.id, one.graph.saga, other.id, other.graph.saga
        );
        return Err(CliError::new("other_definition", Exit::Usage, message));
    }
    let difference = Difference::of(&one, &other)?;
    if output.is_json() {
        output.json(&difference)?;
    } else {
        output.print(difference.text(&one.graph.saga))?;
    }
    let is_same = difference.one.then.is_empty() && difference.other.then.is_empty();
    let is_same = is_same && difference.other_payloads_at.is_empty();
    Ok(if is_same { Exit::Done } else { Exit::Failed }.into())
}

impl Difference {
    fn of(one: &Recorded, other: &Recorded) -> Result<Self, CliError> {
        let (mut one_side, mut other_side) = (Side::of(one)?, Side::of(other)?);
        let both = one_side.then.iter().zip(&other_side.then);
        let same = both.take_while(|(one, other)| happened(one) == happened(other));
        let other_payloads = |(one, other): &(&Told, &Told)| carries(one) != carries(other);
        let mut same_up_to = 0;
        let mut other_payloads_at = Vec::new();
        for pair in same {
            same_up_to = pair.0.version;
            if other_payloads(&pair) {
                other_payloads_at.push(same_up_to);
            }
        }
        one_side.then.drain(..same_up_to as usize);
        other_side.then.drain(..same_up_to as usize);
        Ok(Self {
            one: one_side,
            other: other_side,
            same_up_to,
            other_payloads_at,
        })
    }

    fn text(&self, definition: &str) -> String {
        let mut lines = vec![format!(
            "{} ({definition} version {}) and {} (version {}): the same up to version {}",
            self.one.saga,
            self.one.definition_version,
            self.other.saga,
            self.other.definition_version,
            self.same_up_to
        )];
        if !self.other_payloads_at.is_empty() {
            let at: Vec<_> = self.other_payloads_at.iter().map(u64::to_string).collect();
            lines.push(format!("with other payloads at {}", at.join(", ")));
        }
        for side in [&self.one, &self.other] {
            lines.push(match side.then.as_slice() {
                [] => format!("{} ends there, {}", side.saga, side.status),
                then => {
                    let events = count(then.len() as u64, "event");
                    format!("{} then has {events}, and is {}", side.saga, side.status)
                }
            });
            lines.extend(side.then.iter().take(SHOWN_MAX).map(|told| side.line(told)));
            if side.then.len() > SHOWN_MAX {
                let more = side.then.len() - SHOWN_MAX;
                lines.push(format!("  and {more} more: `saga show {}`", side.saga));
            }
        }
        let lines = lines.iter().map(|line| format!("{}\n", plain(line)));
        lines.collect()
    }
}

impl Side {
    /// All that happened to it, to begin with.
    fn of(recorded: &Recorded) -> Result<Self, CliError> {
        let events = recorded.events.iter();
        let told = events.map(|(place, event)| Told::of(place.version, Some(place.at), event));
        Ok(Self {
            saga: recorded.id.to_string(),
            definition_version: recorded.graph.version.0,
            status: recorded.state()?.status().as_str(),
            then: told.collect(),
            started: recorded.events[0].0.at,
        })
    }

    fn line(&self, told: &Told) -> String {
        let at = Time::from_micros(told.at.unwrap_or_default());
        let after = at_time(at.since(self.started));
        format!(
            "{after}  {:>4}  {}  {}",
            told.version, told.kind, told.words
        )
    }
}

/// What happened, without what is another in every run.
fn happened(told: &Told) -> (&'static str, Value) {
    let mut control = value(&told.control);
    if let Value::Object(fields) = &mut control {
        fields.retain(|name, _| !OF_ITS_RUN.contains(&name.as_str()));
    }
    (told.kind, control)
}

fn carries(told: &Told) -> Option<Value> {
    told.data.as_ref().map(value)
}

fn value(payload: &Payload) -> Value {
    payload.read().expect("JSON reads as a value")
}
