//! Measurements as text.

use super::{closed_loop::Measured, open_loop, startup::Started};
use crate::{CliError, Output, output::Style};

/// A line of the table, below its head if it is the first.
pub(super) fn line(measured: &Measured, first: bool, output: Output) -> Result<(), CliError> {
    if first {
        let head = format!(
            "{:<11} {:>10} {:>8} {:>8} {:>8} {:>13} {:>12} {:>12} {:>8} {:>10}",
            "variant",
            "concurrent",
            "sagas/s",
            "p50 ms",
            "p99 ms",
            "commits/saga",
            "rows/commit",
            "cpu s/1000",
            "MiB",
            "bytes/saga"
        );
        output.line(output.styled(Style::Bold, head))?;
    }
    let known = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "-".into(), |value| format!("{value:.digits$}"))
    };
    output.line(format_args!(
        "{:<11} {:>10} {:>8.0} {:>8.2} {:>8.2} {:>13.3} {:>12.1} {:>12} {:>8} {:>10.0}",
        measured.variant,
        measured.concurrency,
        measured.sagas_per_s,
        measured.p50_ms,
        measured.p99_ms,
        measured.commits_per_saga,
        measured.rows_per_commit,
        known(measured.cpu_s_per_1000, 3),
        known(measured.resident_mib, 0),
        measured.disk_bytes_per_saga,
    ))?;
    match measured.log_alone_sagas_per_s {
        Some(alone) => output.line(format_args!(
            "{:<11} {alone:>19.0} sagas/s by the log alone; {:.2} of that",
            "",
            measured.sagas_per_s / alone
        )),
        None => Ok(()),
    }
}

/// What was measured at a fixed rate, in words.
pub(super) fn rate(measured: &open_loop::Measured, output: Output) -> Result<(), CliError> {
    let open_loop::Measured {
        rate,
        messages_per_s,
        sagas,
        latencies,
        rows_per_commit,
        cpu,
        resident_mib,
        broker_alone,
    } = measured;
    output.line(format_args!(
        "{messages_per_s:.0} messages/s of {rate:.0} asked for, {sagas} sagas, none lost"
    ))?;
    output.line(format_args!(
        "from a durable ask to its durable answer: {}",
        output.styled(Style::Bold, took(latencies))
    ))?;
    let mut beside = format!("{rows_per_commit:.1} rows a commit");
    if let Some(cpu) = cpu {
        beside += &format!(", {cpu:.2} CPU seconds a second");
    }
    if let Some(mib) = resident_mib {
        beside += &format!(", {mib:.0} MiB resident");
    }
    output.line(beside)?;
    match broker_alone {
        Some(alone) => output.line(format_args!(
            "the broker alone, from a command to its reply: {}; p50 is {:.1} of that",
            took(alone),
            latencies.p50_ms / alone.p50_ms
        )),
        None => Ok(()),
    }
}

fn took(latencies: &open_loop::Latencies) -> String {
    let open_loop::Latencies {
        p50_ms,
        p95_ms,
        p99_ms,
        max_ms,
    } = latencies;
    format!("p50 {p50_ms:.2} ms, p95 {p95_ms:.2} ms, p99 {p99_ms:.2} ms, max {max_ms:.0} ms")
}

/// A start in words.
pub(super) fn startup(started: &Started, output: Output) -> Result<(), CliError> {
    let Started {
        finished,
        live,
        file_mib,
        open_ms,
        start_ms,
        live_ended_ms,
        resident_mib,
    } = started;
    output.line(format_args!(
        "{finished} finished and {live} live sagas, {file_mib:.0} MiB"
    ))?;
    let total = output.styled(Style::Bold, format_args!("{:.0} ms", open_ms + start_ms));
    output.line(format_args!(
        "started after {total}: {open_ms:.0} ms to open the log, {start_ms:.0} ms to take it over"
    ))?;
    output.line(format_args!(
        "all live sagas had ended {live_ended_ms:.0} ms later"
    ))?;
    if let Some(mib) = resident_mib {
        output.line(format_args!(
            "{mib:.0} MiB more resident after the start than before"
        ))?;
    }
    Ok(())
}
