//! `sagalog def versions`

use std::process::ExitCode;

use super::{known, list::print};
use crate::{
    App,
    error::{CliError, Exit},
    log::LogArg,
    output::Output,
    saga::list,
};

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The definition's name
    name: String,
    /// Lists the sagas under way of this version, with what they wait for
    #[arg(id = "definition_version", long = "version", value_name = "N")]
    version: Option<u32>,
    /// The most sagas to list
    #[arg(
        long,
        value_name = "N",
        default_value_t = 50,
        requires = "definition_version"
    )]
    limit: usize,
    /// Goes on behind this one: the `next` of the list before
    #[arg(
        long,
        value_name = "NEXT",
        default_value_t = 0,
        requires = "definition_version"
    )]
    after: u64,
    #[command(flatten)]
    log: LogArg,
}

/// Lists versions, or who runs one of them.
pub(crate) async fn run(args: Args, app: &App, output: Output) -> Result<ExitCode, CliError> {
    let Args {
        name,
        version,
        limit,
        after,
        log,
    } = args;
    let Some(version) = version else {
        let known = known::all(&log, app, Some(&name), output).await?;
        if known.is_empty() {
            return Err(known::none_such(&name, None, &[]));
        }
        print(&known, output)?;
        return Ok(Exit::Done.into());
    };
    let graphs = known::recorded(&log.read().await?).await?;
    if !graphs.contains_key(&(name.clone(), version)) {
        let same = graphs.keys().filter(|(saga, _)| *saga == name);
        let has: Vec<_> = same.map(|(_, version)| version.to_string()).collect();
        return Err(known::none_such(&name, Some(version), &has));
    }
    let holders = list::Args::under_way(name, version, limit, after, log);
    list::run_with_waits(holders, output).await
}
