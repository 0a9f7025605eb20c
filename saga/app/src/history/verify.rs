//! `sagalog log verify`

use std::process::ExitCode;

use sagalog_eventlog::{Verified, VerifyError, verify};
use serde::Serialize;

use crate::{
    error::{CliError, Exit},
    log::{LogArg, partitions},
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
    /// Where it is not, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<usize>,
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
    #[serde(flatten)]
    ends: Ends,
}

/// Where its partitions end.
#[derive(Serialize)]
#[serde(untagged)]
enum Ends {
    One(End),
    Many { partitions: Vec<End> },
}

#[derive(Serialize)]
struct End {
    tail: u64,
    chain: String,
}

/// Verifies; a log that is not whole is data with exit code 1, not an error of the command.
pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode, CliError> {
    let log = args.log.read().await?;
    let mut verified = Vec::new();
    let (position, fault) = loop {
        let Some(partition) = partitions(&*log).nth(verified.len()) else {
            return whole(log.name(), &verified, output);
        };
        match verify(&*log, partition).await {
            Ok(whole) => verified.push(whole),
            Err(VerifyError::Bad {
                position, fault, ..
            }) => break (Some(position), fault.to_string()),
            Err(VerifyError::Damaged(damage)) => break (damage.position, damage.what),
            Err(error) => return Err(error.into()),
        }
    };
    let partition = (log.partitions() > 1).then_some(verified.len());
    let position = position.map(sagalog_model::log::Position::get);
    let report = Report {
        whole: false,
        partition,
        first_bad_position: position,
        fault: Some(fault.clone()),
        counted: None,
    };
    if output.is_json() {
        output.json(&report)?;
    } else {
        let partition =
            partition.map_or_else(String::new, |number| format!(" in partition {number}"));
        let from = position.map_or_else(String::new, |position| {
            format!(" from position {position} on")
        });
        output.line(format_args!(
            "{} is not what was appended{partition}{from}: {fault}",
            log.name()
        ))?;
    }
    output.say("restore a copy that verifies; what is before that position is as it was appended");
    Ok(Exit::Failed.into())
}

fn whole(log: &str, verified: &[Verified], output: Output) -> Result<ExitCode, CliError> {
    let sum = |count: fn(&Verified) -> u64| verified.iter().map(count).sum();
    let mut ends: Vec<_> = verified.iter().map(End::of).collect();
    let counted = Counted {
        events: sum(|verified| verified.events),
        inputs: sum(|verified| verified.rows),
        streams: sum(|verified| verified.streams),
        open_streams: sum(|verified| verified.open),
        erased: sum(|verified| verified.erased),
        ends: match ends.pop() {
            Some(only) if ends.is_empty() => Ends::One(only),
            last => {
                ends.extend(last);
                Ends::Many { partitions: ends }
            }
        },
    };
    if output.is_json() {
        let report = Report {
            whole: true,
            partition: None,
            first_bad_position: None,
            fault: None,
            counted: Some(counted),
        };
        output.json(&report)?;
        return Ok(Exit::Done.into());
    }
    output.line(format_args!(
        "{} is whole: {} of {} in {}, {} open",
        log,
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
    match &counted.ends {
        Ends::One(End { tail, chain }) => {
            output.line(format_args!("chain {chain} at position {tail}"))?;
        }
        Ends::Many { partitions } => {
            for (number, End { tail, chain }) in partitions.iter().enumerate() {
                output.line(format_args!(
                    "partition {number}: chain {chain} at position {tail}"
                ))?;
            }
        }
    }
    Ok(Exit::Done.into())
}

impl End {
    fn of(verified: &Verified) -> Self {
        Self {
            tail: verified.tail.get(),
            chain: verified.chain.to_string(),
        }
    }
}
