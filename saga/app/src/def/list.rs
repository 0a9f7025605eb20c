//! `sagalog def list`

use std::process::ExitCode;

use serde::Serialize;

use super::known::{self, Known, KnownDocument};
use crate::{
    App,
    error::{CliError, Exit},
    log::LogArg,
    output::{Output, columns},
};

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    log: LogArg,
}

/// The answer, as JSON.
#[derive(Serialize)]
struct Listed<'a> {
    definitions: Vec<KnownDocument<'a>>,
}

/// Lists. Without a log it shows what this program has.
pub(crate) async fn run(args: Args, app: &App, output: Output) -> Result<ExitCode, CliError> {
    let known = known::all(&args.log, app, None, output).await?;
    print(&known, output)?;
    Ok(Exit::Done.into())
}

pub(super) fn print(known: &[Known], output: Output) -> Result<(), CliError> {
    if output.is_json() {
        let definitions = known.iter().map(Known::document).collect();
        return output.json(&Listed { definitions });
    }
    if known.is_empty() {
        output.say("no definitions");
        return Ok(());
    }
    let mut table = columns(["DEFINITION", "VERSION", "UNDER WAY", "FINGERPRINT", "IN"]);
    for known in known {
        table.add_row([
            known.graph.saga.clone(),
            known.graph.version.to_string(),
            known.live_shown(),
            known.fingerprint().to_string(),
            known.place(),
        ]);
    }
    output.line(table.trim_fmt())
}
