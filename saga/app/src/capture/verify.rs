//! `sagalog history verify`

use std::process::ExitCode;

use sagalog_model::Fingerprint;
use serde::Serialize;

use super::source::{SourceArg, other_definition};
use crate::{
    App,
    error::{CliError, Exit},
    output::Output,
    words::count,
};

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    source: SourceArg,
}

/// What a whole capture is, as JSON.
#[derive(Serialize)]
struct Report {
    whole: bool,
    saga: String,
    status: &'static str,
    definition: String,
    version: u32,
    fingerprint: Fingerprint,
    /// Whether this program has the definition.
    defined_here: bool,
    inputs: usize,
    events: usize,
    /// Payloads in which something is hidden: their hashes fit, what is shown of them is not vouched for.
    redacted: usize,
    /// What is hidden.
    pointers: Vec<String>,
    by: String,
    /// The position of its last batch, and the chain value there: the log has the same, or is another.
    position: u64,
    chain: String,
}

/// Verifies.
pub(crate) async fn run(args: Args, app: &App, output: Output) -> Result<ExitCode, CliError> {
    let (capture, source) = args.source.capture().await?;
    let definition = app.definition_of(&capture);
    if let Some(definition) = definition {
        capture
            .runs(definition)
            .map_err(|error| other_definition(&source, &error))?;
    }
    let last = &capture.rows()[capture.rows().len() - 1].row;
    let events = capture.events().len();
    let report = Report {
        whole: true,
        saga: capture.saga().to_string(),
        status: capture.timeline(events).status,
        definition: capture.graph().saga.clone(),
        version: capture.graph().version.0,
        fingerprint: capture.fingerprint(),
        defined_here: definition.is_some(),
        inputs: capture.rows().len(),
        events,
        redacted: capture.redacted(),
        pointers: capture.redaction().iter().map(str::to_owned).collect(),
        by: capture.by().to_owned(),
        position: last.position.get(),
        chain: last.chain.to_string(),
    };
    if output.is_json() {
        output.json(&report)?;
        return Ok(Exit::Done.into());
    }
    output.line(format_args!(
        "{source} is whole: {} of {} of `{}`, {}",
        count(events as u64, "event"),
        count(report.inputs as u64, "input"),
        report.saga,
        report.status
    ))?;
    let here = match definition {
        Some(_) => "as this program defines it",
        None => "which this program does not define",
    };
    output.line(format_args!(
        "it runs {} version {} ({}), {here}",
        report.definition, report.version, report.fingerprint
    ))?;
    if report.redacted > 0 {
        output.line(format_args!(
            "{} redacted ({}): the hashes fit, what is shown of them is not vouched for",
            count(report.redacted as u64, "payload"),
            capture.redaction()
        ))?;
    }
    output.line(format_args!(
        "chain {} at position {} of partition {}",
        report.chain,
        report.position,
        capture.partition()
    ))?;
    Ok(Exit::Done.into())
}
