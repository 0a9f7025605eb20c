//! `sagalog log verify`

use std::process::ExitCode;

use sagalog_eventlog::{Verified, VerifyError, verify};
use serde::Serialize;

use crate::{
    error::{CliError, Exit},
    log::{LogArg, PARTITION},
    output::Output,
    words::count,
};

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    log: LogArg,
}

/// What was found, as JSON.
#[derive(Serialize)]
struct Report {
    whole: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_bad_position: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    #[serde(flatten)]
    counted: Option<Counted>,
}

/// What a whole log has.
#[derive(Serialize)]
struct Counted {
    events: u64,
    inputs: u64,
    streams: u64,
    open_streams: u64,
    erased: u64,
    tail: u64,
    chain: String,
}

/// Verifies; a log that is not whole is data with exit code 1, not an error of the command.
pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode, CliError> {
    let log = args.log.read().await?;
    let (position, fault) = match verify(&*log, PARTITION).await {
        Ok(verified) => return whole(&args, &verified, output),
        Err(VerifyError::Bad {
            position, fault, ..
        }) => (Some(position), fault.to_string()),
        Err(VerifyError::Damaged(damage)) => (damage.position, damage.what),
        Err(error) => return Err(error.into()),
    };
    let position = position.map(sagalog_model::log::Position::get);
    let report = Report {
        whole: false,
        first_bad_position: position,
        fault: Some(fault.clone()),
        counted: None,
    };
    if output.is_json() {
        output.json(&report)?;
    } else {
        let place = position.map_or_else(String::new, |position| {
            format!(" from position {position} on")
        });
        output.line(format_args!(
            "{} is not what was appended{place}: {fault}",
            args.log.file()?.display()
        ))?;
    }
    output.say("restore a copy that verifies; what is before that position is as it was appended");
    Ok(Exit::Failed.into())
}

fn whole(args: &Args, verified: &Verified, output: Output) -> Result<ExitCode, CliError> {
    let counted = Counted {
        events: verified.events,
        inputs: verified.rows,
        streams: verified.streams,
        open_streams: verified.open,
        erased: verified.erased,
        tail: verified.tail.get(),
        chain: verified.chain.to_string(),
    };
    if output.is_json() {
        let report = Report {
            whole: true,
            first_bad_position: None,
            fault: None,
            counted: Some(counted),
        };
        output.json(&report)?;
        return Ok(Exit::Done.into());
    }
    output.line(format_args!(
        "{} is whole: {} of {} in {}, {} open",
        args.log.file()?.display(),
        count(counted.events, "event"),
        count(counted.inputs, "input"),
        count(counted.streams, "stream"),
        counted.open_streams,
    ))?;
    if counted.erased > 0 {
        output.line(format_args!(
            "the data of {} was erased; the hashes fit",
            count(counted.erased, "event")
        ))?;
    }
    output.line(format_args!(
        "chain {} at position {}",
        counted.chain, counted.tail
    ))?;
    Ok(Exit::Done.into())
}
