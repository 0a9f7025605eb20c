//! `sagalog log`: what the log holds, event by event, and whether it is whole.

mod read;
mod verify;

use std::process::ExitCode;

use clap::Subcommand;

use crate::{error::CliError, output::Output};

/// What to do with the log.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows events, one on each line
    Read(read::Args),
    /// Checks that the log is whole and unchanged
    Verify(verify::Args),
}

impl Command {
    pub(crate) async fn run(self, output: Output) -> Result<ExitCode, CliError> {
        match self {
            Self::Read(args) => read::run(args, output).await,
            Self::Verify(args) => verify::run(args, output).await,
        }
    }
}
