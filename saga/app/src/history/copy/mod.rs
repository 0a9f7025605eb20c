//! `sagalog log copy`: a log goes on in another store, or in another number of partitions.

mod check;
mod homes;
mod merge;

use std::{num::NonZeroU32, path::PathBuf, process::ExitCode, sync::Arc};

use sagalog::{Clock, DriveError, SystemClock};
use sagalog_engine::{
    Rules,
    partition::{SystemHeads, system_batch},
};
use sagalog_eventlog::{EventLog, MAX_BATCHES, Owner, Ownership, ReadError, Verified};
use sagalog_model::{
    log::{Batch, Data, Epoch, PartitionId, Position, Time},
    system::{LogCopied, PartitionOwned, Sealed, SystemEvent},
};
use serde::Serialize;
use tokio::task::JoinSet;

use self::{
    homes::{Homes, NotPlaced},
    merge::Merge,
};
use crate::{
    at_rest::{AtRest, verified},
    error::{CliError, Exit},
    log::{self, partitions},
    new_log::NewLog,
    output::Output,
    words::count,
};

/// How many events the copy begins with in each partition: where it comes from, and who writes it.
const FIRST: u64 = 2;

/// Rows are appended when so many bytes of them wait for a partition.
const APPEND_BYTES: usize = 4 << 20;

/// Its options.
#[derive(Debug, clap::Args)]
#[command(after_help = WHAT)]
pub(crate) struct Args {
    /// The log to copy: its file, or postgres://USER:PASSWORD@HOST:PORT/DATABASE. Nobody drives it meanwhile
    // Its value may have a password in it, so the help does not show what the variable holds.
    #[arg(long, env = "SAGALOG_LOG", hide_env_values = true, value_name = "LOG")]
    from: PathBuf,
    /// Where the copy will be: a file, or a database in PostgreSQL, without a log
    #[arg(long, value_name = "LOG")]
    to: PathBuf,
    /// How many partitions a copy in PostgreSQL has; 16 unless given
    #[arg(long, value_name = "N", conflicts_with = "verify")]
    partitions: Option<u32>,
    /// Copies nothing: compares a copy that was made, and perhaps goes on already, with the log it came from
    #[arg(long)]
    verify: bool,
    /// Who copies it, for the log
    #[arg(long, env = "USER", default_value = "operator")]
    by: String,
}

/// What was copied or compared, as JSON.
#[derive(Serialize)]
struct Report {
    from: String,
    to: String,
    partitions: u32,
    /// Of the log that was copied.
    events: u64,
    inputs: u64,
    streams: u64,
    open_streams: u64,
    /// Events of the copy that came after it was made.
    since: u64,
    /// Where the copied log ended, as the copy's first event says.
    sealed: Vec<Sealed>,
}

/// Copies and then compares, or compares only.
pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode, CliError> {
    if args.verify {
        let from = log::read(&args.from).await?;
        let to = log::read(&args.to).await?;
        let was = verified(&*from).await?;
        let since = check::same(&from, &was, &to).await?;
        tell(&Report::of(&*from, &*to, &was, since), true, output)?;
        return Ok(Exit::Done.into());
    }
    // One that is not there is not made.
    drop(log::read(&args.from).await?);
    let from = AtRest::take(log::open(&args.from).await?).await?;
    let was = from.verified().await?;
    let new = NewLog::begin(&args.to, args.partitions).await?;
    let to = new.log();
    copy(from.log(), &was, &to, &args.by).await?;
    check::same(from.log(), &was, &to).await?;
    let mut report = Report::of(&**from.log(), &*to, &was, 0);
    drop(to);
    from.give_back(&was).await?;
    new.finish().await?;
    report.to = log::read(&args.to).await?.name().to_owned();
    tell(&report, false, output)?;
    Ok(Exit::Done.into())
}

/// Appends all that a log holds to another, which has nothing yet.
async fn copy(
    from: &Arc<dyn EventLog>,
    was: &[Verified],
    to: &Arc<dyn EventLog>,
    by: &str,
) -> Result<(), CliError> {
    let beginning = Beginning::of(from, was).await?;
    let now = SystemClock.now();
    let copied = LogCopied {
        from: from.name().into(),
        sealed: sealed(was),
        at: now,
        by: by.into(),
    };
    let mut writers = Vec::new();
    for partition in partitions(&**to) {
        let mut writer = Writer::take(to.clone(), partition).await?;
        for batch in beginning.batches(partition, writer.owned.epoch, &copied, now) {
            writer.add(batch);
        }
        writers.push(writer);
    }
    let mut homes = Homes::new(partition_count(&**to), FIRST);
    let mut rows = Merge::of(from, was.iter().map(|was| was.tail)).await?;
    while let Some((partition, row)) = rows.next().await? {
        for (home, batch) in homes.place(partition, row)? {
            writers[home.get() as usize].add(batch);
        }
        if writers.iter().any(Writer::is_full) {
            append(&mut writers).await?;
        }
    }
    append(&mut writers).await
}

fn sealed(was: &[Verified]) -> Vec<Sealed> {
    let sealed = was.iter().map(|was| Sealed {
        tail: was.tail,
        chain: was.chain,
    });
    sealed.collect()
}

fn partition_count(log: &dyn EventLog) -> NonZeroU32 {
    NonZeroU32::new(log.partitions()).expect("every log has a partition")
}

/// With what every partition of the copy begins.
struct Beginning {
    /// The time of the oldest row; later ones may not be before the first of the copy.
    at: Option<Time>,
    /// By whose rules the newest rows were decided.
    owned: PartitionOwned,
}

impl Beginning {
    async fn of(from: &Arc<dyn EventLog>, was: &[Verified]) -> Result<Self, ReadError> {
        let mut beginning = Self {
            at: None,
            owned: PartitionOwned {
                epoch: Epoch::new(0),
                node: "sagalog log copy".into(),
                engine: env!("CARGO_PKG_VERSION").into(),
                rules: Rules::VERSION,
            },
        };
        let mut rows = Merge::of(from, was.iter().map(|was| was.tail)).await?;
        while let Some((_, row)) = rows.next().await? {
            beginning.at.get_or_insert(row.at);
            let it = &row.events[0];
            if it.kind == "PartitionOwned"
                && let Ok(SystemEvent::PartitionOwned(owned)) =
                    SystemEvent::decode(&it.kind, it.schema, &it.control, &it.data)
            {
                beginning.owned.engine = owned.engine;
                beginning.owned.rules = owned.rules;
            }
        }
        Ok(beginning)
    }

    fn batches(
        &self,
        partition: PartitionId,
        epoch: Epoch,
        copied: &LogCopied,
        now: Time,
    ) -> [Batch; FIRST as usize] {
        let at = self.at.unwrap_or(now);
        let owned = PartitionOwned {
            epoch,
            ..self.owned.clone()
        };
        let mut head = SystemHeads::none(partition).partition;
        let mut batch = |position, event: SystemEvent| {
            system_batch(&mut head, Position::new(position), vec![event.encode()], at)
        };
        [
            batch(1, SystemEvent::LogCopied(copied.clone())),
            batch(2, SystemEvent::PartitionOwned(owned)),
        ]
    }
}

/// Writes one partition of the copy.
struct Writer {
    log: Arc<dyn EventLog>,
    partition: PartitionId,
    owned: Ownership,
    waiting: Vec<Batch>,
    bytes: usize,
}

impl Writer {
    async fn take(log: Arc<dyn EventLog>, partition: PartitionId) -> Result<Self, CliError> {
        let owner = Owner::this_process("sagalog log copy", SystemClock.now());
        let owned = log.acquire(partition, owner).await;
        Ok(Self {
            owned: owned.map_err(DriveError::Acquire)?,
            log,
            partition,
            waiting: Vec::new(),
            bytes: 0,
        })
    }

    fn add(&mut self, batch: Batch) {
        let events = batch.events.iter();
        let bytes = events.map(|event| match &event.data {
            Data::Inline(text) => text.len() + event.control.len(),
            Data::None | Data::Erased(_) => event.control.len(),
        });
        self.bytes += bytes.sum::<usize>();
        self.waiting.push(batch);
    }

    fn is_full(&self) -> bool {
        self.waiting.len() == MAX_BATCHES || self.bytes >= APPEND_BYTES
    }
}

/// Appends what waits, to all partitions at once.
async fn append(writers: &mut [Writer]) -> Result<(), CliError> {
    let mut appending = JoinSet::new();
    for writer in writers {
        writer.bytes = 0;
        let batches = std::mem::take(&mut writer.waiting);
        if batches.is_empty() {
            continue;
        }
        let (log, partition, epoch) = (writer.log.clone(), writer.partition, writer.owned.epoch);
        appending.spawn(async move { log.append(partition, epoch, batches).await });
    }
    while let Some(appended) = appending.join_next().await {
        let appended = appended.expect("it is not aborted and does not panic");
        appended.map_err(DriveError::Append)?;
    }
    Ok(())
}

impl Report {
    fn of(from: &dyn EventLog, to: &dyn EventLog, was: &[Verified], since: u64) -> Self {
        let sum = |count: fn(&Verified) -> u64| was.iter().map(count).sum();
        Self {
            from: from.name().to_owned(),
            to: to.name().to_owned(),
            partitions: to.partitions(),
            events: sum(|was| was.events),
            inputs: sum(|was| was.rows),
            streams: sum(|was| was.streams),
            open_streams: sum(|was| was.open),
            since,
            sealed: sealed(was),
        }
    }
}

fn tell(report: &Report, compared: bool, output: Output) -> Result<(), CliError> {
    if output.is_json() {
        return output.json(report);
    }
    let (did, since) = match compared {
        false => ("was copied to", String::new()),
        true => (
            "is in",
            format!(", which has {} since", count(report.since, "event")),
        ),
    };
    output.line(format_args!(
        "{} {did} {}{since}: {} of {} in {}, {} open; every one was compared",
        report.from,
        report.to,
        count(report.events, "event"),
        count(report.inputs, "input"),
        count(report.streams, "stream"),
        report.open_streams,
    ))?;
    if !compared {
        output.say(
            "drive the copy from now on, and the old log never again: both would ask for the same steps",
        );
    }
    Ok(())
}

impl From<NotPlaced> for CliError {
    fn from(error: NotPlaced) -> Self {
        let said = Self::failed(&error);
        match error {
            NotPlaced::NoStream { .. } => said,
            _ => said.fix("copy it with the release that drives it, or a newer one"),
        }
    }
}

const WHAT: &str = "\
Every event keeps its stream, version, id, time and bytes; positions and the hash chain are new, and the first
event of each partition says where the old chain ended. Definitions are in every partition; dead letters and what
waits for sagas that cannot be driven go on where those are. The copy has its name only when it is complete and
was compared, so an interrupted one is made anew. Views are made anew too: sagalog view make";
