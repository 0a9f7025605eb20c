//! `sagalog history replay`

use std::process::ExitCode;

use sagalog_sim::Replayed;

use super::{
    log,
    source::{SourceArg, no_definition, other_definition},
    view,
};
use crate::{
    App,
    error::{CliError, Exit},
    log::LogArg,
    output::Output,
    saga::scan::Filter,
};

/// Its options.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// A capture's file; if there is none of this name, the id of a saga in the log. Without it, all sagas of
    /// the log
    #[arg(value_name = "FILE|SAGA", conflicts_with_all = ["status", "definition", "from"])]
    what: Option<String>,
    /// Also shows the saga as it was at this version of its stream
    #[arg(long, value_name = "VERSION", requires = "what")]
    at: Option<usize>,
    #[command(flatten)]
    filter: Filter,
    /// Decides again what is on record from this position on, or from this moment on, as 2026-11-20T20:07:30Z; what
    /// is before it is taken as it is
    #[arg(long, value_name = "POSITION|MOMENT")]
    from: Option<log::Beginning>,
    #[command(flatten)]
    log: LogArg,
}

/// Decides again; what comes out otherwise is data with exit code 1, not an error of the command.
pub(crate) async fn run(args: Args, app: &App, output: Output) -> Result<ExitCode, CliError> {
    let Some(what) = args.what else {
        return log::run(&args.log, &args.filter, args.from, app, output).await;
    };
    let (capture, source) = SourceArg::new(what, args.log).capture().await?;
    let definition = app.definition_of(&capture);
    let definition = definition.ok_or_else(|| no_definition(&capture))?;
    let replayed = capture
        .replay(definition)
        .map_err(|error| other_definition(&source, &error))?;
    if output.is_json() {
        output.json(&replayed)?;
    } else {
        output.line(&replayed)?;
        if args.at.is_some() {
            output.line("")?;
            view::show(&capture, args.at, output)?;
        }
    }
    Ok(exit(&replayed).into())
}

fn exit(replayed: &Replayed) -> Exit {
    match (replayed.is_same(), &replayed.other_rules) {
        (true, _) => Exit::Done,
        (false, None) => Exit::Failed,
        (false, Some(_)) => Exit::Conflict,
    }
}

const HELP: &str = "\
Nothing is asked, sent or written: only the definition's own functions run.

Exit codes: 0 all is decided as it is on record, 1 something is decided otherwise, 3 no such file, saga or
definition, 5 the definition was changed without a new version, or other rules decided";
