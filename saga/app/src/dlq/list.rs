//! `sagalog dlq list`

use std::process::ExitCode;

use comfy_table::Table;
use sagalog_model::log::PartitionId;
use sagalog_projections::dead_letters::Letter;
use serde::Serialize;

use super::{filter::Filter, letter::Shown};
use crate::{
    error::{CliError, Exit},
    log::LogArg,
    output::{Output, columns},
    words::{plain, utc},
};

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: Filter,
    /// The most letters to list
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    log: LogArg,
}

#[derive(Serialize)]
struct Listed<'a> {
    letters: Vec<Shown<'a>>,
    /// How many there are, listed or not.
    found: usize,
}

pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode, CliError> {
    let log = args.log.read().await?;
    let found = args.filter.find(&log).await?;
    let shown = &found[..found.len().min(args.limit)];
    if output.is_json() {
        let letters = shown
            .iter()
            .map(|(partition, letter)| Shown::of(*partition, letter));
        output.json(&Listed {
            letters: letters.collect(),
            found: found.len(),
        })?;
    } else if found.is_empty() {
        output.say("no dead letters");
    } else {
        output.line(table(shown, output).trim_fmt())?;
        if shown.len() < found.len() {
            output.say(format_args!("{} of {} are shown", shown.len(), found.len()));
        }
    }
    Ok(Exit::Done.into())
}

fn table(letters: &[(PartitionId, Letter)], output: Output) -> Table {
    let mut table = columns([
        "LETTER", "DIED", "TIMES", "PHASE", "CAUSE", "QUEUE", "SAGA", "REASON",
    ]);
    for (partition, letter) in letters {
        let shown = Shown::of(*partition, letter);
        table.add_row([
            shown.id.clone(),
            utc(letter.at),
            shown.deaths.to_string(),
            shown.phase.into(),
            shown.cause.into(),
            shown.queue.into(),
            shown.saga.unwrap_or("-").into(),
            output.cut(&plain(shown.reason), 120),
        ]);
    }
    table
}
