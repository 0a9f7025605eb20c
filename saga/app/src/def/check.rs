//! `sagalog def check`

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    thread::available_parallelism,
};

use sagalog_eventlog::EventLog;
use sagalog_model::{
    Graph,
    log::{Epoch, PartitionId},
    system::{SystemEvent, partition_stream},
};
use sagalog_sim::{Candidate, Checked, OtherRules};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{
    FleetReport, known,
    live::{LiveSagas, Page},
};
use crate::{
    App,
    error::{CliError, Exit},
    log::{LogArg, partitions},
    output::Output,
    saga::recorded::events,
};

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Compares with this graph, as `sagalog graph --json` prints it, instead of this program's definitions: only
    /// structure can be compared then. Give one for each version that the build has
    #[arg(long = "graph", value_name = "FILE")]
    graphs: Vec<PathBuf>,
    /// The most sagas that are shown one by one; JSON has all
    #[arg(long, value_name = "N", default_value_t = FleetReport::SHOWN)]
    limit: usize,
    #[command(flatten)]
    log: LogArg,
}

/// Checks. Nothing is asked, sent or written.
pub(crate) async fn run(args: Args, app: &App, output: Output) -> Result<ExitCode, CliError> {
    let candidate = match args.graphs.as_slice() {
        [] if app.definitions().is_empty() => {
            let message = "this program defines no sagas, so it is no candidate";
            return Err(CliError::new("no_definitions", Exit::Usage, message).fix(
                "run this in the build that is to take over, or name its graphs with --graph",
            ));
        }
        [] => Candidate::of(app.definitions().iter().cloned()),
        files => {
            let graphs = files.iter().map(|file| read(file));
            Candidate::of_graphs(graphs.collect::<Result<Vec<_>, _>>()?)
        }
    };
    let log = args.log.read().await?;
    let report = check(log, candidate, !args.graphs.is_empty()).await?;
    if output.is_json() {
        output.json(&report)?;
    } else {
        output.print(report.text(args.limit))?;
    }
    let exit = if report.breaks() {
        Exit::Failed
    } else {
        Exit::Done
    };
    Ok(exit.into())
}

fn read(file: &Path) -> Result<Arc<Graph>, CliError> {
    let name = file.display();
    let text = fs::read_to_string(file).map_err(|error| {
        let message = format!("{name} cannot be read: {error}");
        CliError::new("no_graph", Exit::Failed, message)
    })?;
    let graph = serde_json::from_str(&text).map_err(|error| {
        let message = format!("{name} is not a graph: {error}");
        CliError::new("bad_graph", Exit::Failed, message)
            .fix("write it with `graph NAME --version N --json`")
    })?;
    Ok(Arc::new(graph))
}

impl App {
    /// Checks whether the sagas under way in a log can go on with the definitions of this program: what
    /// `sagalog def check` does, for a test of your own. It only reads, so the log may be one that is driven.
    ///
    /// ```
    /// use std::{sync::Arc, time::Duration};
    /// use sagalog::{BadDefinition, Definition, MemoryLog, Runtime, Saga, Signal};
    /// use sagalog_cli::App;
    ///
    /// const INVOICE: Saga<u32, u32> = Saga::new("invoice");
    /// const PAID: Signal<u32> = Signal::new("paid");
    ///
    /// fn invoice(version: u32, days: u64) -> Result<Definition<u32, u32>, BadDefinition> {
    ///     let (mut saga, cents) = INVOICE.define(version);
    ///     saga.signal("paid", PAID).within(Duration::from_secs(days * 86_400));
    ///     saga.returns(cents)
    /// }
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // Somewhere a saga of version 1 waits for its signal.
    /// let log = Arc::new(MemoryLog::new());
    /// let runtime = Runtime::on(log.clone()).definition(invoice(1, 14)?).start().await?;
    /// runtime.client().start(INVOICE, "i-1", &4_200).await?;
    /// runtime.stop().await?;
    ///
    /// // A release that gives more days, and still has version 1, may be deployed.
    /// let release = App::new().saga(invoice(1, 14)?).saga(invoice(2, 30)?);
    /// let report = release.check_fleet(log.clone()).await?;
    /// report.check();
    /// assert_eq!(report.versions()[0].keep_old, 1);
    ///
    /// // One without version 1 may not: `i-1` runs it.
    /// let release = App::new().saga(invoice(2, 30)?);
    /// assert!(release.check_fleet(log).await?.breaks());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn check_fleet(&self, log: Arc<dyn EventLog>) -> Result<FleetReport, CliError> {
        check(
            log,
            Candidate::of(self.definitions().iter().cloned()),
            false,
        )
        .await
    }
}

async fn check(
    log: Arc<dyn EventLog>,
    candidate: Candidate,
    is_structure: bool,
) -> Result<FleetReport, CliError> {
    let candidate = candidate.on(known::recorded(&log).await?.into_values());
    let mut report = FleetReport::new(log.name(), is_structure, candidate.changed());
    let mut others = BTreeMap::new();
    for partition in partitions(&*log) {
        others.insert(partition, Arc::new(other_rules(&*log, partition).await?));
    }
    let candidate = Arc::new(candidate);
    let at_once = available_parallelism().map_or(1, usize::from) + 1;
    let mut checking: VecDeque<JoinHandle<Vec<Checked>>> = VecDeque::new();
    let mut sagas = LiveSagas::of(log);
    // The store fetches the next pages while these are looked at.
    while let Some(page) = sagas.next().await? {
        if checking.len() >= at_once
            && let Some(first) = checking.pop_front()
        {
            report.add(checked(first).await?);
        }
        let (candidate, others) = (candidate.clone(), others[&page.partition].clone());
        checking.push_back(spawn_blocking(move || look_at(&page, &candidate, &others)));
    }
    for rest in checking {
        report.add(checked(rest).await?);
    }
    Ok(report)
}

async fn checked(task: JoinHandle<Vec<Checked>>) -> Result<Vec<Checked>, CliError> {
    task.await.map_err(|error| CliError::failed(&error))
}

fn look_at(
    page: &Page,
    candidate: &Candidate,
    others: &BTreeMap<Epoch, OtherRules>,
) -> Vec<Checked> {
    let sagas = page.sagas.iter();
    let checked = sagas.map(|(saga, rows)| candidate.check(saga, rows, others));
    checked.collect()
}

/// The owners of a partition that decided by other rules than this release's.
async fn other_rules(
    log: &dyn EventLog,
    partition: PartitionId,
) -> Result<BTreeMap<Epoch, OtherRules>, CliError> {
    let stream = partition_stream(partition);
    let system = events(log, partition, &stream, SystemEvent::decode).await?;
    let others = system.into_iter().filter_map(|(_, event)| match event {
        SystemEvent::PartitionOwned(owned) => {
            OtherRules::of(owned.rules, &owned.engine).map(|other| (owned.epoch, other))
        }
        _ => None,
    });
    Ok(others.collect())
}
