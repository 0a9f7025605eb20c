//! `sagalog saga`: what sagas do, why they wait, and mending them.

mod all;
mod bulk;
pub(crate) mod caught_up;
mod count;
mod diff;
mod dry_run;
mod export;
pub(crate) mod held;
mod legal;
pub(crate) mod list;
mod operate;
mod place;
pub(crate) mod recorded;
pub(crate) mod rows;
pub(crate) mod scan;
mod show;
mod subject;
pub(crate) mod told;
mod undriven;
mod watch;
pub(crate) mod way;
mod why;

use std::process::ExitCode;

use clap::Subcommand;

pub(crate) use operate::new_id;

use crate::{App, error::CliError, output::Output};

/// What to do with sagas.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists sagas in the order in which they began
    List(list::Args),
    /// Counts sagas
    Count(count::Args),
    /// Shows what a saga has done, is doing and has ahead
    Show(show::Args),
    /// Says what a saga waits for, since when, until when, and who can unblock it
    Why(why::Args),
    /// Shows what happens to a saga, event by event, until it has ended: exit code 7 if it went back
    Watch(watch::Args),
    /// Says where the histories of two sagas part: exit code 1 if they do
    Diff(diff::Args),
    /// Writes sagas as lanes, as JSON, or as a page to look at
    Export(export::Args),
    /// Starts a saga
    Start(operate::Start),
    /// Sends a signal
    Signal(operate::Signal),
    /// Makes a saga go back
    Cancel(operate::Cancel),
    /// Has a saga undone that is before its pivot, a paused or parked one too
    Compensate(operate::Compensate),
    /// Has a saga stand still: what comes in is recorded, and nothing more is asked
    Pause(operate::Pause),
    /// Has a paused saga go on
    Resume(operate::Resume),
    /// Sets or removes a saga's deadline
    SetDeadline(operate::SetDeadline),
    /// Tries a parked node again, with a new budget
    Retry(operate::Retry),
    /// Takes a parked node's work as done by hand
    Resolve(operate::Resolve),
    /// Gives a parked node's work up
    Skip(operate::Skip),
}

impl Command {
    pub(crate) async fn run(self, app: &App, output: Output) -> Result<ExitCode, CliError> {
        match self {
            Self::List(args) => list::run(args, output).await,
            Self::Count(args) => count::run(args, output).await,
            Self::Show(args) => show::run(args, output).await,
            Self::Why(args) => why::run(args, app, output).await,
            Self::Watch(args) => watch::run(args, output).await,
            Self::Diff(args) => diff::run(args, output).await,
            Self::Export(args) => export::run(args, output).await,
            Self::Start(wish) => operate::run(wish, app, output).await,
            Self::Signal(wish) => operate::run(wish, app, output).await,
            Self::Cancel(wish) => operate::run(wish, app, output).await,
            Self::Compensate(wish) => operate::run(wish, app, output).await,
            Self::Pause(wish) => operate::run(wish, app, output).await,
            Self::Resume(wish) => operate::run(wish, app, output).await,
            Self::SetDeadline(wish) => operate::run(wish, app, output).await,
            Self::Retry(wish) => operate::run(wish, app, output).await,
            Self::Resolve(wish) => operate::run(wish, app, output).await,
            Self::Skip(wish) => operate::run(wish, app, output).await,
        }
    }
}
