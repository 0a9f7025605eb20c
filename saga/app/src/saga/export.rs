//! `sagalog saga export`

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode, sync::Arc};

use sagalog::history::{Graphs, HistoryError};
use sagalog_eventlog::EventLog;
use sagalog_model::{
    log::{PartitionId, Position, Time},
    system::{SystemEvent, late_stream, partition_stream},
};
use sagalog_sim::{HistoryDocument, SagaHistory};

use super::{
    recorded::{Recorded, events, saga_id},
    scan::{Filter, Scan},
};
use crate::{
    error::{CliError, Exit},
    log::{LogArg, partition_of, partitions},
    output::Output,
    words::count,
};

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The sagas' ids; without any, all that fit, in the order in which they began
    #[arg(value_name = "ID", conflicts_with_all = ["status", "definition", "after"])]
    ids: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// Goes on behind this one: the `next` of the document before
    #[arg(long, value_name = "NEXT", default_value_t = 0)]
    after: u64,
    /// The most events of sagas in all: 100,000 are what a page can show
    #[arg(
        long,
        value_name = "EVENTS",
        default_value_t = 20_000,
        value_parser = clap::value_parser!(u64).range(1..=100_000)
    )]
    at_most: u64,
    /// Writes a page to look at, instead of text
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    log: LogArg,
}

/// Exports whole sagas: as text, as a document, as a page.
pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode, CliError> {
    let log: Arc<dyn EventLog> = args.log.read().await?;
    let mut scan = Scan::of(log.clone(), args.after).await?;
    let mut chosen = Chosen {
        log: &*log,
        sagas: Vec::new(),
        room: args.at_most,
        at_most: args.at_most,
    };
    let next = if args.ids.is_empty() {
        chosen.all_that_fit(&mut scan, &args.filter).await?
    } else {
        chosen.named(&args.ids, scan.graphs()).await?;
        None
    };
    let sagas = chosen.sagas;
    // A document is passed on: where the log lies on this machine is nobody's business.
    let name = log.name().rsplit('/').next().unwrap_or_default();
    let document =
        HistoryDocument::of(name, &sagas, &system(&*log).await?).map_err(HistoryError::from)?;
    let document = HistoryDocument { next, ..document };
    if let Some(file) = &args.html {
        output.write(file, document.html())?;
    }
    match &args.html {
        _ if output.is_json() => output.json(&document)?,
        Some(file) => output.line(format_args!("{}: {}", file.display(), document.size()))?,
        None if document.lines.is_empty() => output.say("no sagas"),
        None => output.print(&document)?,
    }
    if let Some(next) = next {
        output.say(format_args!(
            "these are {}, the next does not fit into {}: --after {next}",
            count(document.sagas.len() as u64, "saga"),
            count(args.at_most, "event")
        ));
    }
    Ok(Exit::Done.into())
}

/// The sagas that are exported, each of them whole.
struct Chosen<'a> {
    log: &'a dyn EventLog,
    sagas: Vec<SagaHistory>,
    /// How many more events there may be.
    room: u64,
    at_most: u64,
}

impl Chosen<'_> {
    /// As many sagas as there is room for, and where to go on if those are not all.
    async fn all_that_fit(
        &mut self,
        scan: &mut Scan,
        filter: &Filter,
    ) -> Result<Option<u64>, CliError> {
        loop {
            let before = scan.place();
            let Some(state) = scan.next(filter).await? else {
                return Ok(None);
            };
            let saga = Recorded::of(self.log, state.id(), scan.graphs()).await?;
            if saga.events.len() as u64 > self.room && !self.sagas.is_empty() {
                return Ok(Some(before));
            }
            self.take(saga)?;
        }
    }

    async fn named(&mut self, ids: &[String], graphs: &Graphs) -> Result<(), CliError> {
        let ids = ids.iter().map(|id| saga_id(id));
        let ids = ids.collect::<Result<BTreeSet<_>, _>>()?;
        for id in ids {
            self.take(Recorded::of(self.log, &id, graphs).await?)?;
        }
        Ok(())
    }

    fn take(&mut self, saga: Recorded) -> Result<(), CliError> {
        let Recorded { id, graph, events } = saga;
        let length = events.len() as u64;
        let Some(room) = self.room.checked_sub(length) else {
            let message = format!(
                "with saga `{id}`, which has {}, it is more than {} in all",
                count(length, "event"),
                count(self.at_most, "event")
            );
            return Err(CliError::new("too_much", Exit::Failed, message).fix(
                "export fewer sagas or raise --at-most; `saga show` shows a saga of any length",
            ));
        };
        self.room = room;
        let events = events.into_iter();
        self.sagas.push(SagaHistory {
            partition: partition_of(self.log, &id),
            id,
            graph,
            events: events
                .map(|(place, event)| (place.position, place.at, event))
                .collect(),
        });
        Ok(())
    }
}

/// Who owned the partitions, and which answers contradict how their saga ended.
async fn system(
    log: &dyn EventLog,
) -> Result<Vec<(PartitionId, Position, Time, SystemEvent)>, CliError> {
    let mut all = Vec::new();
    for partition in partitions(log) {
        for stream in [partition_stream(partition), late_stream()] {
            let found = events(log, partition, &stream, SystemEvent::decode).await?;
            let found = found.into_iter();
            all.extend(found.map(|(place, event)| (partition, place.position, place.at, event)));
        }
    }
    Ok(all)
}
