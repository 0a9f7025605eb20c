//! `sagalog log restore`

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use sagalog::{Clock, DriveError, SystemClock};
use sagalog_eventlog::{EventLog, MAX_BATCHES, Owner, Ownership, Row};
use sagalog_model::{
    log::{Batch, Data, NewEvent, PartitionId},
    system::LogRestored,
};
use serde::Serialize;

use super::{
    file::{Head, Reader},
    stand_still::{Stilled, stand_still},
};
use crate::{
    at_rest::verified,
    error::{CliError, Exit},
    log::{self, partitions},
    new_log::NewLog,
    output::Output,
    words::count,
};

/// Rows are appended when so many bytes of them wait.
const APPEND_BYTES: usize = 4 << 20;

/// Its options.
#[derive(Debug, clap::Args)]
#[command(after_help = WHAT)]
pub(crate) struct Args {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where the log will be: a file, or postgres://USER:PASSWORD@HOST:PORT/DATABASE, without a log
    #[arg(long, value_name = "LOG")]
    to: PathBuf,
    /// Who restores it, for the log
    #[arg(long, env = "USER", default_value = "operator")]
    by: String,
    /// Why, for the log
    #[arg(long, default_value = "restored from a backup")]
    reason: String,
}

/// What was restored, as JSON.
#[derive(Serialize)]
struct Report {
    file: String,
    log: String,
    partitions: usize,
    events: u64,
    #[serde(flatten)]
    stilled: Stilled,
}

/// Verifies the backup, makes a log of it, and has its sagas stand still.
pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode, CliError> {
    let head = read_through(&args.file)?;
    let count_of = head.sealed.len();
    let new = NewLog::begin(&args.to, u32::try_from(count_of).ok()).await?;
    let log = new.log();
    let events = restore(&args.file, &log).await?;
    for (was, now) in head.sealed.iter().zip(verified(&*log).await?) {
        if was.chain != now.chain {
            let message = format!("{} is not what was restored", log.name());
            return Err(CliError::new("damaged", Exit::Failed, message));
        }
    }
    let mut stilled = Stilled::default();
    let at = SystemClock.now();
    for (partition, sealed) in partitions(&*log).zip(&head.sealed) {
        let restored = LogRestored {
            from: head.log.clone(),
            sealed: *sealed,
            backed_up_at: head.at,
            at,
            by: args.by.as_str().into(),
        };
        stilled += stand_still(&log, partition, restored, &args.reason).await?;
    }
    drop(log);
    new.finish().await?;
    let report = Report {
        file: args.file.display().to_string(),
        log: log::read(&args.to).await?.name().to_owned(),
        partitions: count_of,
        events,
        stilled,
    };
    tell(&report, output)?;
    Ok(Exit::Done.into())
}

/// Nothing is made of a backup that does not read to its end.
fn read_through(file: &Path) -> Result<Head, CliError> {
    let mut reader = Reader::open(file)?;
    while reader.next()?.is_some() {}
    Ok(reader.head)
}

/// Appends every row as it was, in its own epoch, so that the hash chain is the same.
async fn restore(file: &Path, log: &Arc<dyn EventLog>) -> Result<u64, CliError> {
    let mut reader = Reader::open(file)?;
    let mut events = 0;
    let mut owned: Option<(PartitionId, Ownership)> = None;
    let (mut waiting, mut bytes) = (Vec::new(), 0);
    while let Some((partition, row)) = reader.next()? {
        let here = owned.as_ref().filter(|(of, _)| *of == partition);
        let is_same_epoch = here.is_some_and(|(_, owned)| owned.epoch == row.epoch);
        if !is_same_epoch || waiting.len() == MAX_BATCHES || bytes >= APPEND_BYTES {
            append(log, owned.as_ref(), &mut waiting).await?;
            bytes = 0;
        }
        if !is_same_epoch {
            owned = Some((partition, acquired_in(log, partition, &row).await?));
        }
        events += row.events.len() as u64;
        let sizes = row.events.iter().map(|event| match &event.data {
            Data::Inline(text) => text.len() + event.control.len(),
            Data::None | Data::Erased(_) => event.control.len(),
        });
        bytes += sizes.sum::<usize>();
        waiting.push(batch(row));
    }
    append(log, owned.as_ref(), &mut waiting).await?;
    Ok(events)
}

/// Takes the partition as often as it was taken until this row.
async fn acquired_in(
    log: &Arc<dyn EventLog>,
    partition: PartitionId,
    row: &Row,
) -> Result<Ownership, CliError> {
    loop {
        let owner = Owner::this_process("sagalog log restore", SystemClock.now());
        let owned = log.acquire(partition, owner).await;
        let owned = owned.map_err(DriveError::Acquire)?;
        if owned.epoch >= row.epoch {
            return Ok(owned);
        }
    }
}

async fn append(
    log: &Arc<dyn EventLog>,
    owned: Option<&(PartitionId, Ownership)>,
    waiting: &mut Vec<Batch>,
) -> Result<(), CliError> {
    let batches = std::mem::take(waiting);
    if let (Some((partition, owned)), false) = (owned, batches.is_empty()) {
        let appended = log.append(*partition, owned.epoch, batches).await;
        appended.map_err(DriveError::Append)?;
    }
    Ok(())
}

fn batch(row: Row) -> Batch {
    let events = row.events.into_iter().map(|stored| NewEvent {
        kind: stored.kind,
        schema: stored.schema,
        control: stored.control,
        data: stored.data,
    });
    Batch {
        stream: row.stream,
        name: row.name,
        version: row.version,
        position: row.position,
        at: row.at,
        id: row.id,
        input: row.input,
        digest: row.digest,
        state: row.state,
        events: events.collect(),
    }
}

fn tell(report: &Report, output: Output) -> Result<(), CliError> {
    if output.is_json() {
        return output.json(report);
    }
    let Stilled {
        paused,
        in_doubt,
        unreadable,
    } = &report.stilled;
    output.line(format_args!(
        "{} is {} as it was, {}; {} paused, {} in doubt",
        report.log,
        report.file,
        count(report.events, "event"),
        count(*paused, "saga"),
        count(*in_doubt, "attempt"),
    ))?;
    for saga in unreadable {
        output.say(format_args!("{saga} cannot be read, and was left as it is"));
    }
    output.say(
        "look at what happened outside since the backup, then let sagas go on: sagalog saga resume …; a step in doubt is probed before it is asked again",
    );
    Ok(())
}

const WHAT: &str = "\
The backup is verified to its end before anything is made, and the log has its name when it is complete: rows, epochs and
hash chain are those of the backup. What happened outside after it is not known. So every saga that is under way stands
still until somebody resumes it, and each attempt without an answer is in doubt: a step with a probe is probed, others
are asked again under the same key.";
