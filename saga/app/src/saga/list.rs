//! `sagalog saga list`

use std::{process::ExitCode, sync::Arc};

use comfy_table::Table;
use sagalog::SagaState;
use sagalog_eventlog::EventLog;
use serde::Serialize;

use super::scan::{Filter, Scan};
use crate::{
    error::{CliError, Exit},
    log::LogArg,
    output::{Output, columns},
    words::{count, span, utc},
};

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: Filter,
    /// The most sagas to list
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Goes on behind this one: the `next` of the list before
    #[arg(long, value_name = "NEXT", default_value_t = 0)]
    after: u64,
    #[command(flatten)]
    log: LogArg,
}

/// A page of sagas, as JSON. Times are microseconds since 1970.
#[derive(Serialize)]
struct Listed {
    sagas: Vec<Saga>,
    /// What to give as `--after` for the rest; missing if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
    /// How many sagas were passed whose histories do not read or fold; missing if there were none.
    #[serde(skip_serializing_if = "is_none")]
    left_out: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes what it skips by reference"
)]
const fn is_none(count: &u64) -> bool {
    *count == 0
}

#[derive(Serialize)]
struct Saga {
    saga: String,
    definition: String,
    definition_version: u32,
    status: &'static str,
    /// The nodes that wait for a person.
    parked: Vec<String>,
    events: u64,
    started_at: u64,
    changed_at: u64,
}

/// Lists sagas, folding each one's events: the cost is that of reading the histories that are
/// looked at, so a rare status in a large log takes a while. A read model would answer that at once.
pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode, CliError> {
    let log: Arc<dyn EventLog> = args.log.read().await?;
    let listed = list(&args, log).await?;
    if output.is_json() {
        output.json(&listed)?;
        return Ok(Exit::Done.into());
    }
    if listed.sagas.is_empty() {
        output.say("no sagas");
    } else {
        output.line(table(&listed.sagas).trim_fmt())?;
    }
    if listed.left_out > 0 {
        let left_out = count(listed.left_out, "saga");
        output.say(format_args!(
            "{left_out} cannot be folded; `held list` says why of those under way"
        ));
    }
    if let Some(next) = listed.next {
        output.say(format_args!("there are more: --after {next}"));
    }
    Ok(Exit::Done.into())
}

async fn list(args: &Args, log: Arc<dyn EventLog>) -> Result<Listed, CliError> {
    let mut scan = Scan::of(log, args.after).await?;
    let mut sagas = Vec::new();
    while sagas.len() < args.limit {
        let Some(state) = scan.next(&args.filter).await? else {
            return Ok(Listed {
                sagas,
                next: None,
                left_out: scan.left_out(),
            });
        };
        sagas.push(Saga::of(&state));
    }
    let next = scan.has_more().await?.then(|| scan.place());
    let left_out = scan.left_out();
    Ok(Listed {
        sagas,
        next,
        left_out,
    })
}

impl Saga {
    fn of(state: &SagaState) -> Self {
        Self {
            saga: state.id().to_string(),
            definition: state.graph().saga.clone(),
            definition_version: state.graph().version.0,
            status: state.status().as_str(),
            parked: state
                .parked()
                .map(|(index, _)| state.graph().node(index).id.to_string())
                .collect(),
            events: state.version().get(),
            started_at: state.started_at().as_micros(),
            changed_at: state.changed_at().as_micros(),
        }
    }
}

fn table(sagas: &[Saga]) -> Table {
    let time = sagalog_model::log::Time::from_micros;
    let mut table = columns([
        "SAGA",
        "STATUS",
        "DEFINITION",
        "STARTED",
        "CHANGED AFTER",
        "EVENTS",
        "PARKED",
    ]);
    for saga in sagas {
        table.add_row([
            saga.saga.clone(),
            saga.status.into(),
            format!("{} {}", saga.definition, saga.definition_version),
            utc(time(saga.started_at)),
            span(time(saga.changed_at).since(time(saga.started_at))),
            saga.events.to_string(),
            saga.parked.join(", "),
        ]);
    }
    table
}
