//! What came of the orders, read from the log.

use std::ffi::OsString;

use clap::Parser as _;
use serde::Serialize;

use super::{
    orders::{BadLine, Orders},
    place::Place,
    tally::{Count, State, Tally},
};
use crate::{App, CliError, Output, args::Cli, log::partitions, output::Style};

/// Bad lines that are told one by one.
const BAD_LINES_SAID: usize = 20;

/// Rows of one read.
const PAGE: usize = 2_000;

/// What came of a file's orders. `-o json` prints it as one object.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Summary {
    /// Sagas of the file that are in the log, and where they stand.
    #[serde(flatten)]
    count: Count,
    /// Lines of the file that are no orders, or orders whose id is known with other content.
    bad_lines: usize,
    /// Sagas that ended, for each second in which a process owned a partition: from an owner's first
    /// event to its last.
    sagas_per_s: f64,
    /// How long it took from a saga's first event to its last, by the times of the events, for half
    /// of those that ended. A saga that was under way when its process was killed counts with the
    /// time until another went on.
    p50_ms: f64,
    /// The same for 99 of 100.
    p99_ms: f64,
}

/// The log, read and added up.
pub(super) struct Report {
    pub(super) summary: Summary,
    bad: Vec<BadLine>,
    /// Orders that the log does not know: the demo was stopped before.
    missing: usize,
    example: Option<String>,
}

impl Report {
    /// Reads the demo's log.
    pub(super) async fn read(place: &Place<'_>, orders: &Orders) -> Result<Self, CliError> {
        let log = place.read().await?;
        let mut tally = Tally::of(orders);
        for partition in partitions(&*log) {
            loop {
                let next = tally.position(partition).next();
                let page = log.read(partition, next, PAGE).await?;
                if page.is_empty() {
                    break;
                }
                page.iter().for_each(|row| tally.apply(partition, row));
            }
        }
        let foreign = orders
            .good
            .iter()
            .enumerate()
            .filter(|(index, _)| tally.state(*index) == State::Foreign);
        let foreign = foreign.map(|(_, order)| BadLine::other_content(order.line, &order.id));
        let mut bad: Vec<_> = orders.bad.iter().cloned().chain(foreign).collect();
        bad.sort_by_key(|bad| bad.line);
        let summary = Summary {
            count: tally.count(),
            bad_lines: bad.len(),
            sagas_per_s: rounded(tally.per_second()),
            p50_ms: rounded(tally.latency_ms(0.50)),
            p99_ms: rounded(tally.latency_ms(0.99)),
        };
        let missing = (0..tally.orders()).filter(|index| tally.state(*index) == State::Missing);
        let (missing, example) = (missing.count(), tally.example().map(ToString::to_string));
        Ok(Self {
            summary,
            bad,
            missing,
            example,
        })
    }

    /// Whether nothing is left to do, but perhaps for a person.
    pub(super) fn is_done(&self) -> bool {
        let count = self.summary.count;
        self.missing == 0 && count.started == count.ended() + count.parked
    }

    /// Says which lines are no orders.
    pub(super) fn say_bad_lines(&self, output: Output) {
        for bad in self.bad.iter().take(BAD_LINES_SAID) {
            output.say(format_args!("line {}: {}", bad.line, bad.reason));
        }
        if let more @ 1.. = self.bad.len().saturating_sub(BAD_LINES_SAID) {
            output.say(format_args!("and {more} more bad lines"));
        }
    }

    /// Tells a person, beginning with the story of one that went back.
    pub(super) async fn tell(
        &self,
        app: &App,
        place: &Place<'_>,
        output: Output,
    ) -> Result<(), CliError> {
        if let Some(example) = &self.example {
            output.line(output.styled(Style::Bold, format_args!("order {example} went back")))?;
            let log = place.log();
            let show = ["sagalog", "saga", "show", example, "--log"].map(OsString::from);
            let show = Cli::try_parse_from(show.into_iter().chain([log.into()]));
            // Boxed, as the commands contain the demo.
            Box::pin(show.expect("this is how it is typed, too").run(app, output)).await?;
            output.line("")?;
        }
        self.tell_sums(output)
    }

    fn tell_sums(&self, output: Output) -> Result<(), CliError> {
        let Summary {
            count,
            sagas_per_s,
            p50_ms,
            p99_ms,
            ..
        } = &self.summary;
        let mut parts =
            vec![output.styled(Style::Good, format_args!("{} completed", count.completed))];
        let others = [
            (count.compensated, "compensated", Style::Warn),
            (count.partly_compensated, "partly compensated", Style::Bad),
            (count.parked, "waiting for a person", Style::Bad),
            (
                count.started - count.ended() - count.parked,
                "still under way",
                Style::Dim,
            ),
            (self.missing, "not started yet", Style::Dim),
        ];
        let others = others.into_iter().filter(|(count, ..)| *count > 0);
        parts.extend(
            others.map(|(count, word, style)| output.styled(style, format_args!("{count} {word}"))),
        );
        output.line(format_args!(
            "{} orders: {}",
            output.styled(Style::Bold, count.started + self.missing),
            parts.join(", ")
        ))?;
        output.line(format_args!(
            "{sagas_per_s:.0} sagas/s while a process drove them; from first to last event {p50_ms:.0} ms for half of them, {p99_ms:.0} ms for 99 %"
        ))
    }
}

fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
