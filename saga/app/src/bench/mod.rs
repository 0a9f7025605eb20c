//! `sagalog bench`: how many sagas a second this machine runs, and how long a start takes.

mod closed_loop;
mod counted;
mod limits;
mod open_loop;
mod startup;
mod table;
mod usage;
mod workload;

use std::{
    num::{NonZeroU16, NonZeroU32},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use sagalog_transport::rabbitmq::StreamBounds;

use self::{closed_loop::rounded, open_loop::Latencies, workload::Variant};
use crate::{App, CliError, Exit, Output, broker, log};

/// Its options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many sagas are under way at a time; several numbers are measured one after the other
    #[arg(
        long,
        value_name = "N,N…",
        value_delimiter = ',',
        default_value = "1,16,128"
    )]
    concurrency: Vec<NonZeroU16>,
    /// How the sagas end; both, unless one is named
    #[arg(long, value_enum)]
    variant: Option<Variant>,
    /// How long each measurement takes
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    seconds: f64,
    /// The log's file, or postgres://USER:PASSWORD@HOST:PORT/DATABASE; a new file in a temporary folder for
    /// each measurement unless given
    #[arg(long, value_name = "PATH")]
    log: Option<PathBuf>,
    /// The RabbitMQ over which the runtime and its workers reach each other, if they should:
    /// amqp://USER:PASSWORD@HOST:PORT/VHOST, with %2f for the vhost /
    #[arg(long, value_name = "URL", conflicts_with = "startup")]
    broker: Option<String>,
    /// Measures instead how long answers take at a fixed rate of commands and replies a second, from the
    /// moment in which it is durable that a step is asked; a saga has three of each
    #[arg(long, value_name = "MESSAGES", conflicts_with_all = ["concurrency", "variant", "startup"])]
    rate: Option<NonZeroU32>,
    /// Publishes the log to streams of the broker as well, as nodes do
    #[arg(long, requires = "rate", requires = "broker")]
    published_log: bool,
    /// Measures beside it what there is to reach: the log alone with the same rows, or, at a fixed rate, the broker
    /// alone with as many messages
    #[arg(long, conflicts_with = "startup")]
    limits: bool,
    /// Measures instead how long a start takes on a log of so many finished and live sagas
    #[arg(long, value_name = "FINISHED,LIVE", value_delimiter = ',', num_args = 1, conflicts_with_all = ["concurrency", "variant", "seconds"])]
    startup: Option<Vec<u64>>,
}

/// Measures. Commits are durable: the disk has them before anybody is told.
///
/// # Errors
/// If the log cannot be used, or a saga does not end as it should.
pub async fn run(args: Args, _app: &App, output: Output) -> Result<ExitCode, CliError> {
    let folder = tempfile::Builder::new()
        .prefix("sagalog-bench-")
        .tempdir()?;
    if let Some(numbers) = &args.startup {
        let [finished, live] = numbers[..] else {
            return Err(CliError::new(
                "bad_numbers",
                Exit::Usage,
                "--startup takes two numbers, as in 100000,1000",
            ));
        };
        let file = args.log.unwrap_or_else(|| folder.path().join("startup.db"));
        if log::url(&file).is_some() {
            let message = "a start is measured on a log in a file";
            return Err(CliError::new("not_a_file", Exit::Usage, message));
        }
        let measured = startup::run(&file, finished, live, output).await?;
        if output.is_json() {
            output.json(&measured)?;
        } else {
            table::startup(&measured, output)?;
        }
        return Ok(Exit::Done.into());
    }
    let span = Duration::try_from_secs_f64(args.seconds).map_err(|why| {
        CliError::new(
            "bad_numbers",
            Exit::Usage,
            format!("--seconds {}: {why}", args.seconds),
        )
    })?;
    if let Some(rate) = args.rate {
        let place = args.log.unwrap_or_else(|| folder.path().join("rate.db"));
        let (mut transport, mut streams) = (None, None);
        if let Some(url) = &args.broker {
            transport = Some(broker::connect(url, output).await?);
            if args.published_log {
                streams =
                    Some(broker::connect_streams(url, StreamBounds::default(), output).await?);
            }
        }
        let rate = f64::from(rate.get());
        let mut measured = open_loop::run(&place, transport, streams, rate, span).await?;
        if let (true, Some(url)) = (args.limits, &args.broker) {
            let transport = broker::connect(url, output).await?;
            let partitions = log::open(&place).await?.partitions();
            let alone = limits::round_trips(transport, partitions, rate, span).await?;
            measured.broker_alone = Some(Latencies::of(&alone));
        }
        if output.is_json() {
            output.json(&measured)?;
        } else {
            table::rate(&measured, output)?;
        }
        return Ok(Exit::Done.into());
    }
    let variants = args.variant.map_or_else(
        || vec![Variant::Happy, Variant::Compensate],
        |variant| vec![variant],
    );
    let mut all = Vec::new();
    for variant in variants {
        for concurrency in &args.concurrency {
            let own = || {
                folder
                    .path()
                    .join(format!("{}-{concurrency}.db", variant.name()))
            };
            let place = args.log.clone().unwrap_or_else(own);
            let transport = match &args.broker {
                Some(url) => Some(broker::connect(url, output).await?),
                None => None,
            };
            let concurrency = usize::from(concurrency.get());
            let mut measured =
                closed_loop::run(&place, transport, concurrency, variant, span).await?;
            if args.limits {
                let log = log::open(&place).await?;
                let alone = limits::sagas_per_s(log, concurrency, span).await?;
                measured.log_alone_sagas_per_s = alone.map(|alone| rounded(alone, 0));
            }
            if !output.is_json() {
                table::line(&measured, all.is_empty(), output)?;
            }
            all.push(measured);
        }
    }
    if output.is_json() {
        output.json(&all)?;
    }
    Ok(Exit::Done.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Format;

    #[tokio::test]
    async fn sagas_end_as_they_should_and_commits_are_shared() {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let file = folder.path().join("log.db");
        for variant in [Variant::Happy, Variant::Compensate] {
            let measured = closed_loop::run(&file, None, 32, variant, Duration::from_millis(100))
                .await
                .expect("it runs");
            let log = log::open(&file).await.expect("it is there");
            let alone = limits::sagas_per_s(log, 32, Duration::from_millis(100)).await;
            let alone = alone.expect("nobody else has it");
            assert!(alone.is_some_and(|alone| alone > 0.0), "{alone:?}");
            assert!(
                measured.sagas >= 32 && measured.rows_per_commit > 1.0,
                "{measured:?}"
            );
        }
    }

    #[tokio::test]
    async fn at_a_fixed_rate_every_saga_that_is_due_is_run() {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let file = folder.path().join("log.db");
        let measured = open_loop::run(&file, None, None, 600.0, Duration::from_millis(200)).await;
        let measured = measured.expect("it keeps up");
        assert!(
            measured.sagas > 0 && measured.latencies.p50_ms > 0.0,
            "{measured:?}"
        );
    }

    #[tokio::test]
    async fn a_start_goes_on_with_what_is_live() {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let output = Output::to_stdout(Format::Json);
        for (number, (finished, live)) in [(20, 3), (3, 7), (0, 2), (5, 0)].into_iter().enumerate()
        {
            let file = folder.path().join(format!("{number}.db"));
            startup::run(&file, finished, live, output)
                .await
                .expect("every live saga ends");
        }
    }
}
