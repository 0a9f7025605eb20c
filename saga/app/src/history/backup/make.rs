//! `sagalog log backup`

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use sagalog::{Clock, SystemClock};
use sagalog_eventlog::{EventLog, NamedRow, StreamNames};
use sagalog_model::{
    log::{Digest, PartitionId, Position},
    system::Sealed,
};
use serde::Serialize;

use super::file::{Head, Reader, Writer};
use crate::{
    error::{CliError, Exit},
    log::{LogArg, partitions},
    output::Output,
    words::count,
};

/// Rows of one read.
const PAGE: usize = 1_000;

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file that becomes the backup. Only its owner may read it: it has all that sagas know
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    log: LogArg,
}

/// What was backed up, as JSON.
#[derive(Serialize)]
struct Report {
    log: String,
    file: String,
    events: u64,
    inputs: u64,
    sealed: Vec<Sealed>,
}

/// Backs a log up, whoever drives it meanwhile, and reads the file again to prove it.
pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode, CliError> {
    let log = args.log.read().await?;
    let mut sealed = Vec::new();
    for partition in partitions(&*log) {
        sealed.push(end_of(&*log, partition).await?);
    }
    let head = Head::of(log.name(), SystemClock.now(), sealed);
    let mut writer = Writer::begin(&args.to, &head)?;
    for (partition, end) in partitions(&*log).zip(&head.sealed) {
        write(&log, partition, end.tail, &mut writer).await?;
    }
    writer.finish()?;
    let mut reader = Reader::open(&args.to)?;
    let (mut inputs, mut events) = (0, 0);
    while let Some((_, row)) = reader.next()? {
        inputs += 1;
        events += row.events.len() as u64;
    }
    let report = Report {
        log: log.name().to_owned(),
        file: args.to.display().to_string(),
        events,
        inputs,
        sealed: head.sealed,
    };
    if output.is_json() {
        output.json(&report)?;
    } else {
        output.line(format_args!(
            "{} is in {}: {} of {}, and its hash chain fits",
            report.log,
            report.file,
            count(events, "event"),
            count(inputs, "input"),
        ))?;
    }
    Ok(Exit::Done.into())
}

/// Where a partition ends now.
async fn end_of(log: &dyn EventLog, partition: PartitionId) -> Result<Sealed, CliError> {
    let tail = log.tail(partition).await?;
    let last = match tail.get() {
        0 => None,
        _ => log.read(partition, tail, 1).await?.pop(),
    };
    let chain = last.map_or_else(Digest::default, |row| row.chain);
    Ok(Sealed { tail, chain })
}

async fn write(
    log: &Arc<dyn EventLog>,
    partition: PartitionId,
    through: Position,
    writer: &mut Writer,
) -> Result<(), CliError> {
    let mut names = StreamNames::of(log.clone(), partition);
    let mut from = Position::new(1);
    while from <= through {
        let rows = log.read(partition, from, PAGE).await?;
        let Some(last) = rows.last() else { break };
        from = last.last_position().next();
        for row in rows {
            if row.position > through {
                break;
            }
            let name = names.of_row(&row).await?;
            writer.row(&NamedRow { name, row })?;
        }
    }
    Ok(())
}
