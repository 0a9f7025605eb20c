//! `sagalog request`: starts and signals that were written in callers' own transactions, and were
//! refused.
//!
//! They stand in the table `request` of a database, with the reason; nobody who drives the log is
//! needed.

use std::process::ExitCode;

use clap::Subcommand;
use comfy_table::Table;
use sagalog::postgres::{PlaceError, Refused, Requests};
use serde::Serialize;

use crate::{
    error::{CliError, Exit},
    output::{Output, columns},
    words::{plain, utc},
};

/// What to do with refused requests.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists requests that were refused, the oldest first, with the reason
    List(List),
    /// Has refused requests tried again: put right first what was wrong
    Retry(Named),
    /// Gives refused requests up: they leave the table
    Drop(Named),
}

/// Which ones.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// The most requests to list
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    table: Where,
}

/// Certain ones.
#[derive(Debug, clap::Args)]
pub(crate) struct Named {
    /// Their numbers, as `request list` shows them
    #[arg(required = true, value_name = "NUMBER")]
    numbers: Vec<i64>,
    #[command(flatten)]
    table: Where,
}

/// Where the table is.
#[derive(Debug, clap::Args)]
struct Where {
    /// The database of the table, as postgres://USER:PASSWORD@HOST:PORT/DATABASE
    // Its value may have a password in it, so the help does not show what the variable holds.
    #[arg(long, env = "SAGALOG_LOG", hide_env_values = true, value_name = "URL")]
    database: String,
    /// The schema of the table
    #[arg(long, default_value = "sagalog_requests")]
    schema: String,
}

/// The answer to `list`, as JSON.
#[derive(Serialize)]
struct Listed<'a> {
    requests: Vec<Shown<'a>>,
}

/// A refused request, as JSON.
#[derive(Serialize)]
struct Shown<'a> {
    number: i64,
    /// `start` or `signal`.
    kind: &'static str,
    saga: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    producer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    producer_number: Option<u64>,
    /// When its transaction began, in microseconds since 1970.
    at: u64,
    why: &'a str,
}

/// The answer to `retry` and `drop`, as JSON.
#[derive(Serialize)]
struct Done<'a> {
    did: &'static str,
    numbers: &'a [i64],
}

impl Command {
    pub(crate) async fn run(self, output: Output) -> Result<ExitCode, CliError> {
        match self {
            Self::List(List { limit, table }) => {
                let refused = table.open().await?.refused(limit).await;
                list(&refused.map_err(failed)?, output)
            }
            Self::Retry(Named { numbers, table }) => {
                let again = table.open().await?.try_again(&numbers).await;
                settled("retry", &numbers, &again.map_err(failed)?, output)
            }
            Self::Drop(Named { numbers, table }) => {
                let gone = table.open().await?.give_up(&numbers).await;
                settled("drop", &numbers, &gone.map_err(failed)?, output)
            }
        }
    }
}

impl Where {
    async fn open(&self) -> Result<Requests, CliError> {
        let requests = Requests::existing(&self.database, &self.schema).await;
        requests.map_err(|error| {
            let message = crate::error::chain(&error);
            match error {
                PlaceError::NotThere { .. } => {
                    CliError::new("no_requests", Exit::NotFound, message)
                        .fix("start a node of this release on it, or name the schema with --schema")
                }
                PlaceError::BadUrl | PlaceError::BadSchema(_) => {
                    CliError::new("bad_database", Exit::Usage, message)
                }
                _ => CliError::new("failed", Exit::Failed, message),
            }
        })
    }
}

impl<'a> Shown<'a> {
    fn of(refused: &'a Refused) -> Self {
        let (producer, number) = match &refused.numbered {
            Some((producer, number)) => (Some(producer.as_str()), Some(*number)),
            None => (None, None),
        };
        let is_start = refused.id.is_none() && producer.is_none();
        Self {
            number: refused.number,
            kind: if is_start { "start" } else { "signal" },
            saga: &refused.saga,
            name: &refused.name,
            id: refused.id.as_deref(),
            producer,
            producer_number: number,
            at: refused.at.as_micros(),
            why: &refused.why,
        }
    }

    /// What it is known by in its saga.
    fn known_by(&self) -> String {
        match (self.id, self.producer, self.producer_number) {
            (Some(id), ..) => id.to_owned(),
            (_, Some(producer), Some(number)) => format!("{producer}#{number}"),
            _ => "-".to_owned(),
        }
    }
}

fn list(refused: &[Refused], output: Output) -> Result<ExitCode, CliError> {
    if output.is_json() {
        let requests = refused.iter().map(Shown::of).collect();
        output.json(&Listed { requests })?;
    } else if refused.is_empty() {
        output.say("no refused requests");
    } else {
        output.line(table(refused, output).trim_fmt())?;
    }
    Ok(Exit::Done.into())
}

fn table(refused: &[Refused], output: Output) -> Table {
    let mut table = columns(["NUMBER", "WRITTEN", "KIND", "SAGA", "NAME", "ID", "WHY"]);
    for refused in refused {
        let shown = Shown::of(refused);
        table.add_row([
            shown.number.to_string(),
            utc(refused.at),
            shown.kind.into(),
            plain(shown.saga).into_owned(),
            plain(shown.name).into_owned(),
            plain(&shown.known_by()).into_owned(),
            output.cut(&plain(shown.why), 120),
        ]);
    }
    table
}

/// Says which were settled. A number that is of no refused request is an error, and the others are done.
fn settled(
    did: &'static str,
    numbers: &[i64],
    settled: &[i64],
    output: Output,
) -> Result<ExitCode, CliError> {
    let unknown: Vec<_> = numbers
        .iter()
        .filter(|number| !settled.contains(number))
        .map(i64::to_string)
        .collect();
    if output.is_json() {
        output.json(&Done {
            did,
            numbers: settled,
        })?;
    } else {
        for number in settled {
            output.line(format_args!("{did} recorded for request {number}"))?;
        }
    }
    if unknown.is_empty() {
        return Ok(Exit::Done.into());
    }
    let message = format!("no request is refused under {}", unknown.join(", "));
    Err(CliError::new("no_such_request", Exit::NotFound, message)
        .fix("`request list` shows those that are"))
}

fn failed(error: sqlx::Error) -> CliError {
    CliError::failed(&error)
}
