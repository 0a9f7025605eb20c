//! `sagalog saga list`

use std::{process::ExitCode, sync::Arc};

use clap::ValueEnum;
use comfy_table::{Table, presets::NOTHING};
use sagalog::{SagaState, Status, history::Reader};
use sagalog_eventlog::EventLog;
use sagalog_model::log::StreamKey;
use serde::Serialize;

use crate::{
    error::{CliError, Exit},
    log::{LogArg, PARTITION},
    output::Output,
    words::{span, utc},
};

/// Streams whose histories are in memory at once.
const PAGE: usize = 100;

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only those of this status; may be given more than once
    #[arg(long, value_enum, ignore_case = true)]
    status: Vec<Wanted>,
    /// Only those of this definition
    #[arg(long, value_name = "NAME")]
    definition: Option<String>,
    /// The most sagas to list
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Goes on behind this one: the `next` of the list before
    #[arg(long, value_name = "NEXT", default_value_t = 0)]
    after: u64,
    #[command(flatten)]
    log: LogArg,
}

/// A status to look for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Wanted {
    /// It goes forward
    Running,
    /// It goes back
    Compensating,
    /// Everything on its path was done
    Completed,
    /// Everything that took effect was undone
    Compensated,
    /// Some effects are left
    PartlyCompensated,
    /// A node waits for a person
    Parked,
}

/// A page of sagas, as JSON. Times are microseconds since 1970.
#[derive(Serialize)]
struct Listed {
    sagas: Vec<Saga>,
    /// What to give as `--after` for the rest; missing if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
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
    if let Some(next) = listed.next {
        output.say(format_args!("there are more: --after {next}"));
    }
    Ok(Exit::Done.into())
}

async fn list(args: &Args, log: Arc<dyn EventLog>) -> Result<Listed, CliError> {
    let reader = Reader::new(log.clone(), PARTITION);
    let graphs = reader.graphs().await?;
    let mut sagas = Vec::new();
    let mut after = StreamKey::new(args.after);
    loop {
        let heads = log.streams(PARTITION, after, PAGE).await?;
        if heads.is_empty() {
            return Ok(Listed { sagas, next: None });
        }
        let keys: Vec<_> = heads
            .iter()
            .filter(|head| !head.name.as_str().starts_with('$'))
            .map(|head| head.key)
            .collect();
        let mut histories = reader.histories(keys.clone()).await?;
        for head in heads {
            if sagas.len() == args.limit {
                return Ok(Listed {
                    sagas,
                    next: Some(after.get()),
                });
            }
            after = head.key;
            let (Some((_, history)), Ok(id)) = (
                histories.remove(&head.key),
                sagalog_model::SagaId::new(head.name.as_str()),
            ) else {
                continue;
            };
            let state = reader.fold(&id, &history, &graphs, None)?;
            if wanted(args, &state) {
                sagas.push(Saga::of(&state));
            }
        }
    }
}

fn wanted(args: &Args, state: &SagaState) -> bool {
    let status = |wanted: &Wanted| match wanted {
        Wanted::Running => state.status() == Status::Running,
        Wanted::Compensating => state.status() == Status::Compensating,
        Wanted::Completed => state.status() == Status::Completed,
        Wanted::Compensated => state.status() == Status::Compensated,
        Wanted::PartlyCompensated => state.status() == Status::PartlyCompensated,
        Wanted::Parked => state.parked().next().is_some(),
    };
    (args.status.is_empty() || args.status.iter().any(status))
        && args
            .definition
            .as_ref()
            .is_none_or(|name| *name == state.graph().saga)
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
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header([
        "SAGA",
        "STATUS",
        "DEFINITION",
        "STARTED",
        "CHANGED AFTER",
        "EVENTS",
        "PARKED",
    ]);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
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
