//! `sagalog history`: what a saga has done, as a file that others can check, and decided again.

mod export;
mod fork;
mod log;
mod replay;
mod source;
mod verify;
mod view;

use std::process::ExitCode;

use clap::Subcommand;

pub(crate) use source::{no_definition, other_definition, read};

use crate::{App, error::CliError, output::Output};

/// What to do with histories.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Writes a capture: a saga's history in one file, with all that it takes to check it and decide it again
    Export(export::Args),
    /// Shows what a captured saga has done, as `saga show` does
    View(view::Args),
    /// Checks that a capture is whole and unchanged
    Verify(verify::Args),
    /// Decides recorded inputs again, and compares what comes of them with what is on record
    Replay(replay::Args),
    /// Runs a history up to a version and from there on with something otherwise, and shows both ends
    Fork(fork::Args),
}

impl Command {
    pub(crate) async fn run(self, app: &App, output: Output) -> Result<ExitCode, CliError> {
        match self {
            Self::Export(args) => export::run(args, output).await,
            Self::View(args) => view::run(args, output).await,
            Self::Verify(args) => verify::run(args, app, output).await,
            Self::Replay(args) => replay::run(args, app, output).await,
            Self::Fork(args) => fork::run(args, app, output).await,
        }
    }
}
