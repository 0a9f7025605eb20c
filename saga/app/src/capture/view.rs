//! `sagalog history view`

use std::process::ExitCode;

use super::source::SourceArg;
use crate::{
    error::{CliError, Exit},
    output::Output,
    saga::rows,
};

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    source: SourceArg,
    /// As it was at this version of its stream
    #[arg(long, value_name = "VERSION")]
    at: Option<usize>,
}

/// Shows.
pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode, CliError> {
    let (capture, _) = args.source.capture().await?;
    show(&capture, args.at, output)?;
    Ok(Exit::Done.into())
}

/// What a captured saga has done, up to this version.
pub(super) fn show(
    capture: &sagalog_sim::Capture,
    at: Option<usize>,
    output: Output,
) -> Result<(), CliError> {
    let last = capture.events().len();
    let at = at.unwrap_or(last);
    if !(1..=last).contains(&at) {
        let saga = capture.saga();
        let message = format!("saga `{saga}` has versions 1 to {last}, there is no version {at}");
        return Err(CliError::new("no_such_version", Exit::NotFound, message));
    }
    let timeline = capture.timeline(at);
    if output.is_json() {
        return output.json(&timeline);
    }
    if !capture.redaction().is_empty() {
        output.say(format_args!("redacted: {}", capture.redaction()));
    }
    for line in rows::of(&timeline, output) {
        output.line(line)?;
    }
    Ok(())
}
