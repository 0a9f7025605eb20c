//! `sagalog dlq groups`

use std::{collections::BTreeMap, process::ExitCode};

use comfy_table::Table;
use sagalog_projections::dead_letters::Letter;
use serde::Serialize;

use super::filter::Filter;
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
    #[command(flatten)]
    log: LogArg,
}

#[derive(Serialize)]
struct Groups<'a> {
    groups: Vec<Group<'a>>,
}

/// Letters of one cause and queue, as JSON. Times are microseconds since 1970.
#[derive(Serialize)]
struct Group<'a> {
    cause: &'static str,
    queue: &'a str,
    letters: u64,
    deaths: u64,
    first_died_at: u64,
    last_died_at: u64,
    /// Why the newest of them died.
    last_reason: &'a str,
}

pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode, CliError> {
    let log = args.log.read().await?;
    let found = args.filter.find(&log).await?;
    let groups = group(found.iter().map(|(_, letter)| letter));
    if output.is_json() {
        output.json(&Groups { groups })?;
    } else if groups.is_empty() {
        output.say("no dead letters");
    } else {
        output.line(table(&groups, output).trim_fmt())?;
    }
    Ok(Exit::Done.into())
}

/// The largest group first.
fn group<'a>(letters: impl Iterator<Item = &'a Letter>) -> Vec<Group<'a>> {
    let mut groups: BTreeMap<_, Group<'a>> = BTreeMap::new();
    for letter in letters {
        let (died, at) = (&letter.died, letter.at.as_micros());
        let group = groups
            .entry((died.cause, &*died.queue))
            .or_insert_with(|| Group {
                cause: died.cause.as_str(),
                queue: &died.queue,
                letters: 0,
                deaths: 0,
                first_died_at: u64::MAX,
                last_died_at: at,
                last_reason: &died.reason,
            });
        group.letters += 1;
        group.deaths += u64::from(letter.deaths);
        group.first_died_at = group.first_died_at.min(letter.first_at.as_micros());
        if at >= group.last_died_at {
            (group.last_died_at, group.last_reason) = (at, &died.reason);
        }
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.letters));
    groups
}

fn table(groups: &[Group<'_>], output: Output) -> Table {
    let time = |micros| utc(sagalog_model::log::Time::from_micros(micros));
    let mut table = columns(["LETTERS", "CAUSE", "QUEUE", "LAST DIED", "LAST REASON"]);
    for group in groups {
        table.add_row([
            group.letters.to_string(),
            group.cause.into(),
            group.queue.into(),
            time(group.last_died_at),
            output.cut(&plain(group.last_reason), 80),
        ]);
    }
    table
}
