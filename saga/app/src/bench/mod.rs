//! To come.

use std::process::ExitCode;

use crate::{App, CliError, Exit, Output};

/// Its options.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs it.
///
/// # Errors
/// Never, so far.
pub async fn run(_args: Args, _app: &App, output: Output) -> Result<ExitCode, CliError> {
    output.say("to come");
    Ok(Exit::Failed.into())
}
