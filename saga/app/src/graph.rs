//! `sagalog graph`: a definition for people.

use std::{collections::BTreeMap, process::ExitCode, sync::Arc};

use sagalog::history::Reader;
use sagalog_model::Graph;

use crate::{
    App,
    error::{CliError, Exit},
    log::{LogArg, partitions},
    output::Output,
};

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The saga's name
    name: String,
    /// The definition's version; the newest unless given
    #[arg(long, value_name = "N")]
    version: Option<u32>,
    /// As a Mermaid flowchart
    #[arg(long)]
    mermaid: bool,
    #[command(flatten)]
    log: LogArg,
}

/// Draws a definition: the one recorded in the log, or without a log the one in this program.
pub(crate) async fn run(args: Args, app: &App, output: Output) -> Result<ExitCode, CliError> {
    let graphs = known(&args, app).await?;
    let graph = pick(&args, graphs)?;
    match (output.is_json(), args.mermaid) {
        (true, _) => output.json(&*graph)?,
        (false, true) => output.print(graph.mermaid())?,
        (false, false) => output.print(graph.outline())?,
    }
    Ok(Exit::Done.into())
}

async fn known(args: &Args, app: &App) -> Result<Vec<Arc<Graph>>, CliError> {
    if !args.log.is_given() && !app.definitions().is_empty() {
        return Ok(app
            .definitions()
            .iter()
            .map(|definition| definition.graph().clone())
            .collect());
    }
    let log = args.log.read().await?;
    let mut recorded = BTreeMap::new();
    for partition in partitions(&*log) {
        recorded.extend(Reader::new(log.clone(), partition).graphs().await?);
    }
    Ok(recorded.into_values().map(|(_, graph)| graph).collect())
}

fn pick(args: &Args, graphs: Vec<Arc<Graph>>) -> Result<Arc<Graph>, CliError> {
    let mut said: Vec<_> = graphs
        .iter()
        .map(|graph| format!("{} version {}", graph.saga, graph.version))
        .collect();
    let fits = |graph: &Arc<Graph>| {
        graph.saga == args.name
            && args
                .version
                .is_none_or(|version| graph.version.0 == version)
    };
    let newest = graphs
        .into_iter()
        .filter(fits)
        .max_by_key(|graph| graph.version);
    newest.ok_or_else(|| {
        said.sort_unstable();
        let version = args
            .version
            .map_or_else(String::new, |version| format!(" version {version}"));
        let place = args
            .log
            .shown()
            .unwrap_or_else(|| "this program".to_owned());
        let message = format!("{place} has no definition {}{version}", args.name);
        let fix = if said.is_empty() {
            "it has none at all".into()
        } else {
            format!("it has: {}", said.join(", "))
        };
        CliError::new("no_such_definition", Exit::NotFound, message).fix(fix)
    })
}
