//! `sagalog saga list`

use std::{process::ExitCode, sync::Arc};

use comfy_table::Table;
use sagalog::views::{FoundNode, FoundSaga, SagaFilter, Views};
use sagalog_eventlog::EventLog;
use sagalog_model::log::Time;
use sagalog_projections::views::{Standing, WaitKind};
use serde::Serialize;

use super::{
    caught_up,
    scan::{Filter, Scan, behind, place},
};
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

impl Args {
    /// Lists the sagas under way of this version of a definition.
    pub(crate) fn under_way(
        definition: String,
        version: u32,
        limit: usize,
        after: u64,
        log: LogArg,
    ) -> Self {
        Self {
            filter: Filter::under_way(definition, version),
            limit,
            after,
            log,
        }
    }
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
    /// When it turns back by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<u64>,
    /// When something happens to it by itself next.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_timer: Option<u64>,
    /// How many of its inputs wait for a person; missing if none do.
    #[serde(skip_serializing_if = "is_none")]
    held: u64,
    /// Since when it is paused; missing if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused_since: Option<u64>,
    /// The nodes that wait.
    waiting: Vec<Wait>,
}

/// A node that waits.
#[derive(Serialize)]
struct Wait {
    node: String,
    #[serde(rename = "for")]
    kind: &'static str,
    /// The contract or the signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<String>,
    since: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
}

/// Lists sagas: from the views if there are any, otherwise by folding each one's events; then the cost is that
/// of reading the histories that are looked at.
pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode, CliError> {
    print(&args, table, output).await
}

/// Lists them with what they wait for; the JSON is the same.
pub(crate) async fn run_with_waits(args: Args, output: Output) -> Result<ExitCode, CliError> {
    print(&args, waits, output).await
}

async fn print(
    args: &Args,
    table: impl Fn(&[Saga]) -> Table,
    output: Output,
) -> Result<ExitCode, CliError> {
    let listed = list(args, output).await?;
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

async fn list(args: &Args, output: Output) -> Result<Listed, CliError> {
    let views = args.log.views().await?;
    if let Some(filter) = args.filter.of_views()
        && caught_up::by_now(&views, output).await
        && let Some(listed) = in_views(args, &filter, &views).await?
    {
        return Ok(listed);
    }
    in_log(args, views.log().clone()).await
}

/// None if the views are gone meanwhile.
async fn in_views(
    args: &Args,
    filter: &SagaFilter,
    views: &Views,
) -> Result<Option<Listed>, CliError> {
    let log = &**views.log();
    let after = behind(log, args.after);
    let found = views.sagas(filter, after, args.limit.saturating_add(1));
    let Some(mut found) = found.await? else {
        return Ok(None);
    };
    let has_more = found.len() > args.limit;
    found.truncate(args.limit);
    let last = found.last().filter(|_| has_more);
    let next = last.map(|last| place(log, last.partition, last.stream));
    let unreadable = SagaFilter {
        standings: vec![Standing::Unreadable],
        ..SagaFilter::default()
    };
    let left_out = views.count_sagas(&unreadable).await?.unwrap_or(0);
    Ok(Some(Listed {
        sagas: found.into_iter().map(Saga::of).collect(),
        next,
        left_out,
    }))
}

async fn in_log(args: &Args, log: Arc<dyn EventLog>) -> Result<Listed, CliError> {
    let mut scan = Scan::of(log, args.after).await?.only(&args.filter);
    let mut sagas = Vec::new();
    while sagas.len() < args.limit {
        let Some(state) = scan.next(&args.filter).await? else {
            return Ok(Listed {
                sagas,
                next: None,
                left_out: scan.left_out(),
            });
        };
        sagas.push(Saga::of(scan.found(&state)));
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
    fn of(found: FoundSaga) -> Self {
        let parked = found
            .waiting
            .iter()
            .filter(|it| it.kind == WaitKind::Person);
        Self {
            saga: found.saga,
            definition: found.definition,
            definition_version: found.version,
            status: found.standing.as_str(),
            parked: parked.map(|it| it.node.clone()).collect(),
            events: found.events,
            started_at: found.started_at.as_micros(),
            changed_at: found.changed_at.as_micros(),
            deadline: found.deadline.map(Time::as_micros),
            next_timer: found.next_timer.map(Time::as_micros),
            held: found.held,
            paused_since: found.paused_since.map(Time::as_micros),
            waiting: found.waiting.into_iter().map(Wait::of).collect(),
        }
    }
}

impl Wait {
    fn of(found: FoundNode) -> Self {
        Self {
            node: found.node,
            kind: found.kind.as_str(),
            of: found.of,
            since: found.since.as_micros(),
            until: found.until.map(Time::as_micros),
        }
    }

    /// As `--waiting-for` takes it.
    fn what(&self) -> String {
        match &self.of {
            Some(of) => format!("{}:{of}", self.kind),
            None => self.kind.to_owned(),
        }
    }
}

fn table(sagas: &[Saga]) -> Table {
    let time = Time::from_micros;
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
            match saga.paused_since {
                Some(_) => format!("{}, paused", saga.status),
                None => saga.status.into(),
            },
            format!("{} {}", saga.definition, saga.definition_version),
            utc(time(saga.started_at)),
            span(time(saga.changed_at).since(time(saga.started_at))),
            saga.events.to_string(),
            saga.parked.join(", "),
        ]);
    }
    table
}

/// A line for each thing that a saga waits for.
fn waits(sagas: &[Saga]) -> Table {
    let mut table = columns(["SAGA", "STATUS", "NODE", "WAITS FOR", "SINCE", "UNTIL"]);
    let time = |micros| utc(Time::from_micros(micros));
    for saga in sagas {
        let (id, status) = (saga.saga.clone(), saga.status.to_owned());
        if saga.waiting.is_empty() {
            let since = time(saga.changed_at);
            table.add_row([
                id,
                status,
                String::new(),
                "nothing".into(),
                since,
                String::new(),
            ]);
            continue;
        }
        for wait in &saga.waiting {
            table.add_row([
                id.clone(),
                status.clone(),
                wait.node.clone(),
                wait.what(),
                time(wait.since),
                wait.until.map_or_else(String::new, time),
            ]);
        }
    }
    table
}
