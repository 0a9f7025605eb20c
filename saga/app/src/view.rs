//! `sagalog view`: tables beside the log that answer questions about many sagas at once.

use std::process::ExitCode;

use clap::Subcommand;
use sagalog::views::{ViewStatus, Views};
use sagalog_model::log::Time;
use serde::Serialize;

use crate::{
    error::{CliError, Exit},
    log::LogArg,
    output::{Output, columns},
    stop::Stop,
    when::now,
    words::{span, utc},
};

/// What to do with views.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Says how far they are behind the log
    Status(Args),
    /// Makes them anew from the whole log, beside those that are there, and takes the new ones
    Rebuild(Args),
    /// Makes them if there are none, and keeps them up with the log until told to stop
    Follow(Args),
}

/// Their options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    log: LogArg,
}

/// How far views are, as JSON. Times are microseconds since 1970, spans microseconds.
#[derive(Serialize)]
struct Shown {
    /// Nothing if there are none.
    live: Vec<Partition>,
    /// Those that are being made beside them.
    rebuild: Vec<Partition>,
}

#[derive(Serialize)]
struct Partition {
    partition: u32,
    position: u64,
    tail: u64,
    behind: u64,
    behind_us: u64,
    at: u64,
}

impl Command {
    pub(crate) async fn run(self, output: Output) -> Result<ExitCode, CliError> {
        match self {
            Self::Status(args) => status(&args.log.views().await?, output).await,
            Self::Rebuild(args) => rebuild(&args.log.views().await?, output).await,
            Self::Follow(args) => follow(&args.log.views().await?, output).await,
        }
    }
}

async fn status(views: &Views, output: Output) -> Result<ExitCode, CliError> {
    let (live, rebuild) = (views.status().await?, views.status_of_rebuild().await?);
    if output.is_json() {
        let now = now();
        let shown =
            |status: Vec<ViewStatus>| status.iter().map(|it| Partition::of(it, now)).collect();
        output.json(&Shown {
            live: shown(live),
            rebuild: shown(rebuild),
        })?;
        return Ok(Exit::Done.into());
    }
    if live.is_empty() {
        output.say("there are no views; `sagalog view rebuild` makes them");
    } else {
        print(&live, output)?;
    }
    if !rebuild.is_empty() {
        output.say("new ones are being made beside them:");
        print(&rebuild, output)?;
    }
    Ok(Exit::Done.into())
}

async fn rebuild(views: &Views, output: Output) -> Result<ExitCode, CliError> {
    let mut stop = Stop::by_signal()?;
    tokio::select! {
        rebuilt = views.rebuild() => rebuilt?,
        () = stop.asked() => {
            output.say("stopped; the next rebuild goes on from here");
            return Ok(Exit::Failed.into());
        }
    }
    status(views, output).await
}

async fn follow(views: &Views, output: Output) -> Result<ExitCode, CliError> {
    let mut stop = Stop::by_signal()?;
    output.say(format_args!(
        "following as process {}; ctrl-c stops",
        std::process::id()
    ));
    tokio::select! {
        followed = views.follow() => match followed? {},
        () = stop.asked() => {}
    }
    output.say("stopped; the next one goes on from here");
    Ok(Exit::Done.into())
}

impl Partition {
    fn of(status: &ViewStatus, now: Time) -> Self {
        let lag = status.lag(now);
        Self {
            partition: status.partition.get(),
            position: status.position.get(),
            tail: status.tail.get(),
            behind: lag.events,
            behind_us: u64::try_from(lag.span.as_micros()).unwrap_or(u64::MAX),
            at: status.at.as_micros(),
        }
    }
}

fn print(status: &[ViewStatus], output: Output) -> Result<(), CliError> {
    let now = now();
    let mut table = columns([
        "PARTITION",
        "POSITION",
        "LOG ENDS AT",
        "BEHIND",
        "LAST EVENT",
    ]);
    for status in status {
        let lag = status.lag(now);
        let behind = match lag.events {
            0 => "0".to_owned(),
            events => format!("{events}, {}", span(lag.span)),
        };
        table.add_row([
            status.partition.to_string(),
            status.position.to_string(),
            status.tail.to_string(),
            behind,
            utc(status.at),
        ]);
    }
    output.line(table.trim_fmt())
}
