//! `sagalog dlq`: the dead letters that a log holds.
//!
//! Reading needs nobody who drives the log. What is done with letters is done by whoever drives it.

mod act;
mod export;
mod filter;
mod groups;
mod inspect;
mod letter;
mod list;
mod stats;

use std::process::ExitCode;

use clap::Subcommand;

use crate::{App, error::CliError, output::Output};

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists dead letters, the one that died first being first
    List(list::Args),
    /// Counts them by cause and queue
    Groups(groups::Args),
    /// Shows one with its bytes
    Inspect(inspect::Args),
    /// Sends letters again to the queues that they died in
    Retry(act::Retry),
    /// Sends again all letters that wait, or those of them that are meant
    RetryAll(act::RetryAll),
    /// Gives letters up; their bytes stay in the log
    Purge(act::Purge),
    /// Writes letters with their bytes, one JSON object on each line
    Export(export::Args),
    /// Says how many died and what became of them
    Stats(stats::Args),
}

impl Command {
    pub(crate) async fn run(self, app: &App, output: Output) -> Result<ExitCode, CliError> {
        match self {
            Self::List(args) => list::run(args, output).await,
            Self::Groups(args) => groups::run(args, output).await,
            Self::Inspect(args) => inspect::run(args, output).await,
            Self::Retry(args) => act::retry(args, app, output).await,
            Self::RetryAll(args) => act::retry_all(args, app, output).await,
            Self::Purge(args) => act::purge(args, app, output).await,
            Self::Export(args) => export::run(args, output).await,
            Self::Stats(args) => stats::run(args, output).await,
        }
    }
}
