//! `sagalog log tail`

use std::{process::ExitCode, sync::Arc};

use sagalog_eventlog::{EventLog, Row, Subscription};
use sagalog_model::log::{PartitionId, Position};
use tokio::sync::mpsc;

use super::read::Shown;
use crate::{
    error::{CliError, Exit},
    log::{LogArg, partitions},
    output::Output,
};

/// Rows that wait to be shown.
const AHEAD: usize = 64;

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many of the newest events of each partition are shown first
    #[arg(short = 'n', long = "last", value_name = "N", default_value_t = 10)]
    last: u64,
    /// Ends when so many events were shown
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    log: LogArg,
}

/// A row of a partition, or why there are no more.
type Came = (PartitionId, Result<Row, CliError>);

/// Shows the newest events of all partitions, and then those that come, as they come: in the order of the log
/// within a partition.
pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode, CliError> {
    let log = args.log.read().await?;
    let (sender, mut rows) = mpsc::channel(AHEAD);
    let mut shown = Vec::new();
    for partition in partitions(&*log) {
        let tail = log.tail(partition).await?;
        let before = Position::new(tail.get().saturating_sub(args.last));
        tokio::spawn(follow(log.clone(), partition, before, sender.clone()));
        let mut shown_there = Shown::of(log.clone(), partition, output);
        shown_there.with_partition = log.partitions() > 1;
        shown.push((shown_there, before.next()));
    }
    drop(sender);
    let mut left = args.limit.unwrap_or(u64::MAX);
    while left > 0 {
        tokio::select! {
            came = rows.recv() => {
                let Some((partition, row)) = came else { break };
                let (shown, from) = &mut shown[partition.get() as usize];
                shown.left = left;
                shown.row(&row?, *from).await?;
                left = shown.left;
            }
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    Ok(Exit::Done.into())
}

/// Sends what comes in a partition, until nobody takes it.
async fn follow(
    log: Arc<dyn EventLog>,
    partition: PartitionId,
    before: Position,
    to: mpsc::Sender<Came>,
) {
    let mut rows = match Subscription::after(log, partition, before).await {
        Ok(rows) => rows,
        Err(error) => return drop(to.send((partition, Err(error.into()))).await),
    };
    loop {
        let row = rows.next().await.map_err(CliError::from);
        let is_over = row.is_err();
        if to.send((partition, row)).await.is_err() || is_over {
            return;
        }
    }
}
