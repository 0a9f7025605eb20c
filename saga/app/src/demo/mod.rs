//! `sagalog demo`: a shop's orders, one saga each, through failures and a `kill -9`.
//!
//! ```text
//!   orders ──► shop ──► runtime ──► participants ──► world.db    what happened outside
//!    (file)      ▲         │
//!                │         ▼
//!              tally ◄── log.db                                  what the sagas know of it
//! ```
//!
//! The shop starts what the log does not know yet and otherwise only reads, so it may be killed at
//! any moment and started again. With `--log` and `--broker` the log is in PostgreSQL, two processes drive
//! it, and a participant may be a process of its own.

mod order;
mod orders;
mod participants;
mod world;

mod pages;
mod place;
mod shop;
mod tally;

mod advice;
mod child;
mod progress;
mod report;

use std::{num::NonZeroU32, path::PathBuf, process::ExitCode};

use self::{orders::Orders, place::Place, progress::Watcher, report::Report};
use crate::{App, CliError, Exit, Output, broker::PublishedArg, stop::Stop};

pub use order::*;

/// Its options.
#[derive(Debug, clap::Args)]
#[command(after_help = FIELDS)]
pub struct Args {
    /// The orders, one JSON object a line; the bundled ones unless given
    #[arg(long, value_name = "FILE")]
    orders: Option<PathBuf>,
    /// The folder of the log and of the outside world; run again, the demo goes on there. Without
    /// it: a new temporary one, and a process that is killed in the middle
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// At most so many orders are started in a second
    #[arg(long, value_name = "RATE")]
    rate: Option<NonZeroU32>,
    /// The log, if not a file in that folder: postgres://USER:PASSWORD@HOST:PORT/DATABASE, which two
    /// processes then drive over --broker
    #[arg(long, value_name = "URL")]
    log: Option<PathBuf>,
    /// The RabbitMQ over which the processes reach each other and their participants:
    /// amqp://USER:PASSWORD@HOST:PORT/VHOST, with %2f for the vhost /
    #[arg(long, value_name = "URL")]
    broker: Option<String>,
    #[command(flatten)]
    published: PublishedArg,
    /// Participants that another process stands for, such as `sagalog worker --home DIR shipping`
    #[arg(
        long,
        value_name = "NAME,NAME…",
        value_delimiter = ',',
        requires = "broker"
    )]
    without: Vec<String>,
    /// What the process is called in the log
    #[arg(long, hide = true, value_name = "NAME")]
    name: Option<String>,
    /// Says on stdout how far it is, one JSON object a line, and nothing else; stops at the end of stdin
    #[arg(long, hide = true, requires = "dir")]
    progress: bool,
}

/// Runs the orders, and tells what came of them.
///
/// # Errors
/// If the orders cannot be read, or the log or the outside world cannot be used.
pub async fn run(args: Args, app: &App, output: Output) -> Result<ExitCode, CliError> {
    let orders = Orders::load(args.orders.as_deref())?;
    if args.progress {
        let place = Place::new(args.dir.clone().expect("clap requires it"), &args)?;
        let stop = &mut Stop::by_signal_or_parent()?;
        shop::run(&place, &orders, args.rate, &Watcher::Lines, (output, stop)).await?;
        return Ok(Exit::Done.into());
    }
    let mut stop = Stop::by_signal()?;
    let watcher = Watcher::bar(orders.good.len());
    let place = match &args.dir {
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            let place = Place::new(folder.clone(), &args)?;
            shop::run(&place, &orders, args.rate, &watcher, (output, &mut stop)).await?;
            place
        }
        None => {
            let folder = tempfile::Builder::new().prefix("sagalog-demo-").tempdir()?;
            let place = Place::new(folder.path().to_owned(), &args)?;
            place.look_for_servers(output).await?;
            // From here on something is in it.
            let _ = folder.keep();
            let what = if place.is_shared() {
                "the outside world is"
            } else {
                "log and outside world are"
            };
            watcher.say(format_args!("{what} in {}", place.folder().display()));
            child::run(&place, &watcher, &mut stop).await?;
            place
        }
    };
    watcher.finish();
    let report = Report::read(&place, &orders).await?;
    report.say_bad_lines(output);
    if output.is_json() {
        output.json(&report.summary)?;
    } else {
        report.tell(app, &place, output).await?;
        output.line("")?;
        advice::tell(&args, &place, report.is_done(), output)?;
    }
    Ok(Exit::Done.into())
}

/// The app of the program itself.
pub fn app() -> App {
    let order = order().expect("a test shows that the graph is sound");
    App::new()
        .saga(order)
        .worker_in(participants::worker)
        .simulated(crate::sim::order)
}

const FIELDS: &str = "\
With -o json, one object about the sagas of the file that are in the log:
  started, completed, compensated, partly_compensated   how many, and how they ended
  parked       how many wait for a person
  bad_lines    lines that are no orders, or whose id is known with other content
  sagas_per_s  sagas that ended, for each second in which a process drove the log or a part of it
  p50_ms, p99_ms
               from a saga's first event to its last, by the times in the log: what passed
               while no process drove it counts, too";
