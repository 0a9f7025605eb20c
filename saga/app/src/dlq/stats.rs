//! `sagalog dlq stats`

use std::process::ExitCode;

use sagalog::history::Reader;
use sagalog_projections::dead_letters::Phase;
use serde::Serialize;

use crate::{
    error::{CliError, Exit},
    log::{LogArg, partitions},
    output::Output,
    words::utc,
};

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    log: LogArg,
}

/// What there is and what there was, as JSON. Times are microseconds since 1970.
#[derive(Default, Serialize)]
struct Stats {
    /// Those that wait for a person.
    waiting: u64,
    /// Those that are to be sent again.
    sending: u64,
    /// Those that were sent again and have not died since.
    sent: u64,
    /// The bytes of those that are kept.
    bytes: u64,
    /// When the one died that has waited longest.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_waiting_died_at: Option<u64>,
    total: Totals,
}

/// Since the log began.
#[derive(Default, Serialize)]
struct Totals {
    died: u64,
    retried: u64,
    sent: u64,
    purged: u64,
    expired: u64,
    /// Gave way to newer ones.
    dropped: u64,
}

/// Reads all that was ever recorded of dead letters.
pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode, CliError> {
    let log = args.log.read().await?;
    let mut stats = Stats::default();
    for partition in partitions(&*log) {
        let reader = Reader::new(log.clone(), partition);
        let letters = reader.dead_letters().await?;
        stats.waiting += letters.count(Phase::Waiting) as u64;
        stats.sending += letters.count(Phase::Sending) as u64;
        stats.sent += letters.count(Phase::Sent) as u64;
        stats.bytes += letters.bytes() as u64;
        let oldest = letters.in_phase(Phase::Waiting).next();
        let oldest = oldest.map(|letter| letter.at.as_micros());
        stats.oldest_waiting_died_at = [stats.oldest_waiting_died_at, oldest]
            .into_iter()
            .flatten()
            .min();
        let totals = reader.dead_letter_totals().await?;
        stats.total.died += totals.died;
        stats.total.retried += totals.retried;
        stats.total.sent += totals.sent;
        stats.total.purged += totals.purged;
        stats.total.expired += totals.expired;
        stats.total.dropped += totals.dropped;
    }
    if output.is_json() {
        output.json(&stats)?;
    } else {
        output.print(text(&stats))?;
    }
    Ok(Exit::Done.into())
}

fn text(stats: &Stats) -> String {
    let Stats { total, .. } = stats;
    let since = stats.oldest_waiting_died_at.map_or_else(String::new, |at| {
        format!(
            ", the oldest since {}",
            utc(sagalog_model::log::Time::from_micros(at))
        )
    });
    format!(
        "now          {} waiting{since}; {} to be sent; {} sent again; {} bytes\n\
         ever         {} died, {} retried, {} sent again, {} purged, {} expired, {} dropped for newer ones\n",
        stats.waiting,
        stats.sending,
        stats.sent,
        stats.bytes,
        total.died,
        total.retried,
        total.sent,
        total.purged,
        total.expired,
        total.dropped,
    )
}
