//! `sagalog history export`

use std::{path::PathBuf, process::ExitCode};

use sagalog_sim::{CannotRedact, Capture, Redaction};
use serde::Serialize;

use super::source;
use crate::{
    error::{CliError, Exit},
    log::LogArg,
    output::Output,
    saga::recorded::saga_id,
    words::count,
};

/// Its options.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The saga's id
    #[arg(value_name = "SAGA")]
    id: String,
    /// Hides what is at this JSON pointer of any payload, as /card/number or /items/*/name; "" hides payloads whole.
    /// May be given more than once
    #[arg(long, value_name = "POINTER")]
    redact: Vec<String>,
    /// Where to write it, instead of to stdout
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    log: LogArg,
}

/// What was written, as JSON.
#[derive(Serialize)]
struct Written<'a> {
    file: String,
    saga: &'a str,
    inputs: usize,
    events: usize,
    redacted: usize,
    /// Versions of events in which a text stands that was hidden elsewhere.
    leaks: Vec<u64>,
}

/// Exports.
pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode, CliError> {
    let redaction = Redaction::of(&args.redact)
        .map_err(|error| CliError::new("bad_pointer", Exit::Usage, error.to_string()))?;
    let log = args.log.read().await?;
    let capture = source::of_saga(&log, &saga_id(&args.id)?).await?;
    let (capture, leaks) = if redaction.is_empty() {
        (capture, Vec::new())
    } else {
        capture.redact(&redaction).map_err(not_redacted)?
    };
    let text = capture.to_string();
    within_bounds(&capture, text.len() as u64)?;
    for leak in &leaks {
        output.say(format_args!(
            "a text that is hidden elsewhere stands in version {} ({}); add a --redact for it",
            leak.version, leak.kind
        ));
    }
    let Some(file) = &args.file else {
        output.print(text)?;
        return Ok(Exit::Done.into());
    };
    output.write(file, text)?;
    let written = Written {
        file: file.display().to_string(),
        saga: capture.saga().as_str(),
        inputs: capture.rows().len(),
        events: capture.events().len(),
        redacted: capture.redacted(),
        leaks: leaks.iter().map(|leak| leak.version.get()).collect(),
    };
    if output.is_json() {
        output.json(&written)?;
    } else {
        let redacted = match written.redacted {
            0 => String::new(),
            redacted => format!(", {} redacted", count(redacted as u64, "payload")),
        };
        output.line(format_args!(
            "{}: {} of {}{redacted}",
            written.file,
            count(written.events as u64, "event"),
            count(written.inputs as u64, "input"),
        ))?;
    }
    Ok(Exit::Done.into())
}

fn not_redacted(error: CannotRedact) -> CliError {
    match error {
        CannotRedact::NothingThere(_) => {
            CliError::new("nothing_to_redact", Exit::NotFound, error.to_string())
                .fix("`saga show` shows the payloads; nothing was written")
        }
        error => CliError::failed(&error),
    }
}

fn within_bounds(capture: &Capture, bytes: u64) -> Result<(), CliError> {
    if bytes <= Capture::BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "the history of `{}` takes {bytes} bytes, a capture has at most {}",
        capture.saga(),
        Capture::BYTES_MAX
    );
    Err(CliError::new("too_much", Exit::Failed, message)
        .fix("look at it in its log: `saga show`, `history replay`"))
}

const HELP: &str = "\
Hidden texts become as many *, each digit of a number 1, true becomes false. Of a payload in which
something is hidden the hash and the length stay, so the capture can still be verified.
docs/replay.md says what can be said of a redacted capture.";
