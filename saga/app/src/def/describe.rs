//! `sagalog def describe`

use std::process::ExitCode;

use sagalog_model::Graph;
use serde::Serialize;

use super::known::{self, Known, KnownDocument};
use crate::{
    App,
    error::{CliError, Exit},
    log::LogArg,
    output::Output,
    words::count,
};

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The definition's name
    name: String,
    /// The definition's version; the newest unless given
    #[arg(id = "definition_version", long = "version", value_name = "N")]
    version: Option<u32>,
    #[command(flatten)]
    log: LogArg,
}

/// The answer, as JSON.
#[derive(Serialize)]
struct Described<'a> {
    #[serde(flatten)]
    known: KnownDocument<'a>,
    /// The nodes with their contracts, policies and edges, as `sagalog graph --json` has them.
    graph: &'a Graph,
}

/// Shows.
pub(crate) async fn run(args: Args, app: &App, output: Output) -> Result<ExitCode, CliError> {
    let known = known::all(&args.log, app, Some(&args.name), output).await?;
    let known = known::pick(known, &args.name, args.version)?;
    if output.is_json() {
        output.json(&Described {
            known: known.document(),
            graph: &known.graph,
        })?;
    } else {
        output.print(text(&known))?;
    }
    Ok(Exit::Done.into())
}

fn text(known: &Known) -> String {
    let live = known.live.map_or_else(String::new, |live| {
        format!("\nunder way    {}", count(live, "saga"))
    });
    let (graph, fingerprint, place) = (&known.graph, known.fingerprint(), known.place());
    let (outline, contracts) = (graph.outline(), graph.contracts());
    format!("{outline}\n{contracts}\nfingerprint  {fingerprint}\nin           {place}{live}\n")
}
