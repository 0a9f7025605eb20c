//! `sagalog saga`: what sagas do, why they wait, and mending them.

use std::process::ExitCode;

use clap::Subcommand;

use crate::{App, error::CliError, output::Output};

/// What to do with sagas.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
}

impl Command {
    pub(crate) async fn run(self, _app: &App, _output: Output) -> Result<ExitCode, CliError> {
        match self { }
    }
}
