//! `sagalog log`: what the log holds, event by event, whether it is whole, and where else it is.

mod backup;
mod copy;
mod read;
mod stat;
mod tail;
mod verify;

use std::process::ExitCode;

use clap::Subcommand;

use crate::{error::CliError, output::Output};

/// What to do with the log.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows events, one on each line
    Read(read::Args),
    /// Shows the newest events of all partitions, and then those that come
    Tail(tail::Args),
    /// Says how much there is of what: events, bytes, sagas by status, and who took each partition last
    Stat(stat::Args),
    /// Checks that the log is whole and unchanged
    Verify(verify::Args),
    /// Copies a log that nobody drives to another store, whose sagas go on there
    Copy(copy::Args),
    /// Writes all of a log to a file, whoever drives it meanwhile
    Backup(backup::Backup),
    /// Makes a log of a backup, whose sagas stand still until they are resumed
    Restore(backup::Restore),
}

impl Command {
    pub(crate) async fn run(self, output: Output) -> Result<ExitCode, CliError> {
        match self {
            Self::Read(args) => read::run(args, output).await,
            Self::Tail(args) => tail::run(args, output).await,
            Self::Stat(args) => stat::run(args, output).await,
            Self::Verify(args) => verify::run(args, output).await,
            Self::Copy(args) => copy::run(args, output).await,
            Self::Backup(args) => backup::backup(args, output).await,
            Self::Restore(args) => backup::restore(args, output).await,
        }
    }
}
