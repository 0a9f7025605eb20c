//! `sagalog dlq`: the dead letters that a log holds.
//!
//! Reading needs nobody who drives the log.

mod filter;
mod groups;
mod inspect;
mod letter;
mod list;
mod stats;

use std::process::ExitCode;

use clap::Subcommand;

use crate::{error::CliError, output::Output};

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists dead letters, the one that died first being first
    List(list::Args),
    /// Counts them by cause and queue
    Groups(groups::Args),
    /// Shows one with its bytes
    Inspect(inspect::Args),
    /// Says how many died and what became of them
    Stats(stats::Args),
}

impl Command {
    pub(crate) async fn run(self, output: Output) -> Result<ExitCode, CliError> {
        match self {
            Self::List(args) => list::run(args, output).await,
            Self::Groups(args) => groups::run(args, output).await,
            Self::Inspect(args) => inspect::run(args, output).await,
            Self::Stats(args) => stats::run(args, output).await,
        }
    }
}
