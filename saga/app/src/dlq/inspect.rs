//! `sagalog dlq inspect`

use std::process::ExitCode;

use sagalog_model::dead_letter::{Body, LetterId};
use sagalog_projections::dead_letters::Letter;

use super::{filter::Filter, letter::Shown};
use crate::{
    error::{CliError, Exit},
    log::LogArg,
    output::Output,
    words::{plain, utc},
};

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The letter's id
    letter: LetterId,
    #[command(flatten)]
    log: LogArg,
}

pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode, CliError> {
    let log = args.log.read().await?;
    let found = Filter::of(&[args.letter]).find(&log).await?;
    let Some((partition, letter)) = found.first() else {
        return Err(no_such_letter(args.letter));
    };
    if output.is_json() {
        output.json(&Shown::with_body(*partition, letter))?;
    } else {
        output.print(text(letter))?;
    }
    Ok(Exit::Done.into())
}

/// Nothing of this id is kept.
pub(super) fn no_such_letter(letter: LetterId) -> CliError {
    let message = format!("the log keeps no dead letter {letter}");
    CliError::new("no_such_letter", Exit::NotFound, message)
        .fix("`sagalog dlq list` shows those it keeps; what was given up is in `sagalog log read`")
}

fn text(letter: &Letter) -> String {
    let died = &letter.died;
    let mut text = String::new();
    let mut say = |name: &str, value: String| {
        text.push_str(&format!("{name:<12} {}\n", plain(&value)));
    };
    say("letter", died.id.to_string());
    say("cause", died.cause.to_string());
    say("reason", died.reason.clone());
    say("queue", died.queue.to_string());
    say("from", died.from.to_string());
    say("message", format!("{} ({})", died.message, died.kind));
    if let Some(saga) = &died.saga {
        say("saga", saga.to_string());
    }
    if let Some(deadline) = died.deadline {
        say("deadline", utc(deadline));
    }
    say("died", utc(letter.at));
    if letter.deaths > 1 {
        say("first died", utc(letter.first_at));
    }
    say("deaths", letter.deaths.to_string());
    say("retries", letter.retries.to_string());
    say("phase", letter.phase.as_str().to_owned());
    say("size", format!("{} bytes", died.size));
    say("sha-256", died.sha_256.to_string());
    if let Some(envelope) = &died.envelope {
        if let Some(traceparent) = &envelope.traceparent {
            say("trace", traceparent.to_string());
        }
        for (name, value) in &envelope.metadata {
            say("metadata", format!("{name}: {value}"));
        }
    }
    let bytes = letter.body.bytes();
    let body = String::from_utf8_lossy(&bytes);
    let heading = match letter.body {
        Body::Text(_) if letter.is_edited => "body, as given for the retry",
        Body::Text(_) => "body",
        Body::Base64(_) => "body, which is no text (all of it: -o json)",
        Body::Head(_) => "the beginning of the body",
    };
    format!("{text}\n{heading}:\n{}\n", plain(&body))
}
