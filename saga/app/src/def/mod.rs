//! `sagalog def`: definitions, who runs which version, and whether another build may take over.

mod check;
mod describe;
mod known;
mod list;
mod live;
mod report;
mod versions;

use std::process::ExitCode;

use clap::Subcommand;

pub use report::{FleetReport, VersionReport};

use crate::{App, error::CliError, output::Output};

/// What to do with definitions.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the definitions that the log and this program have, with the sagas under way of each
    List(list::Args),
    /// Shows a definition: its nodes in order, what they read, their contracts with all policies
    Describe(describe::Args),
    /// Lists the versions of a definition, or who still runs one of them and what they wait for
    Versions(versions::Args),
    /// Checks whether the sagas under way can go on with this build of the program
    Check(check::Args),
}

impl Command {
    pub(crate) async fn run(self, app: &App, output: Output) -> Result<ExitCode, CliError> {
        match self {
            Self::List(args) => list::run(args, app, output).await,
            Self::Describe(args) => describe::run(args, app, output).await,
            Self::Versions(args) => versions::run(args, app, output).await,
            Self::Check(args) => check::run(args, app, output).await,
        }
    }
}
