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
//! any moment and started again.

mod order;
mod orders;
mod participants;
mod world;

mod shop;
mod tally;

mod advice;
mod child;
mod progress;
mod report;

use std::{num::NonZeroU32, path::PathBuf, process::ExitCode};

use self::{orders::Orders, progress::Watcher, report::Report};
use crate::{App, CliError, Exit, Output, stop::Stop};

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
        let folder = args.dir.as_deref().expect("clap requires it");
        shop::run(
            folder,
            &orders,
            args.rate,
            &Watcher::Lines,
            &mut Stop::by_signal_or_parent()?,
        )
        .await?;
        return Ok(Exit::Done.into());
    }
    let mut stop = Stop::by_signal()?;
    let watcher = Watcher::bar(orders.good.len());
    let folder = match &args.dir {
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            shop::run(folder, &orders, args.rate, &watcher, &mut stop).await?;
            folder.clone()
        }
        None => {
            let folder = tempfile::Builder::new()
                .prefix("sagalog-demo-")
                .tempdir()?
                .keep();
            watcher.say(format_args!(
                "log and outside world are in {}",
                folder.display()
            ));
            child::run(&folder, &args, &watcher, &mut stop).await?;
            folder
        }
    };
    watcher.finish();
    let report = Report::read(&folder, &orders).await?;
    report.say_bad_lines(output);
    if output.is_json() {
        output.json(&report.summary)?;
    } else {
        report.tell(app, &folder, output).await?;
        output.line("")?;
        advice::tell(&args, &folder, report.is_done(), output)?;
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
  sagas_per_s  sagas that ended, for each second in which a process drove the log
  p50_ms, p99_ms
               from a saga's first event to its last, by the times in the log: what passed
               while no process drove it counts, too";
