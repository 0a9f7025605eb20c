//! `sagalog saga show`

use std::process::ExitCode;

use super::{recorded::Recorded, rows};
use crate::{
    error::{CliError, Exit},
    log::LogArg,
    output::Output,
};

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The saga's id
    id: String,
    /// As it was at this version of its stream
    #[arg(long, value_name = "VERSION")]
    at: Option<u64>,
    #[command(flatten)]
    log: LogArg,
}

/// Shows.
pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode, CliError> {
    let timeline = Recorded::read(&args.log, &args.id)
        .await?
        .timeline(args.at)?;
    if output.is_json() {
        output.json(&timeline)?;
    } else {
        for line in rows::of(&timeline, output) {
            output.line(line)?;
        }
    }
    Ok(Exit::Done.into())
}
