//! `sagalog saga count`

use std::process::ExitCode;

use serde::Serialize;

use super::{
    caught_up,
    scan::{Filter, Scan},
};
use crate::{
    error::{CliError, Exit},
    log::LogArg,
    output::Output,
};

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    log: LogArg,
}

/// The answer, as JSON.
#[derive(Serialize)]
struct Counted {
    sagas: u64,
}

/// Counts: in the views if there are any, otherwise by folding each saga's events.
pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode, CliError> {
    let sagas = count(&args, output).await?;
    if output.is_json() {
        output.json(&Counted { sagas })?;
    } else {
        output.line(sagas)?;
    }
    Ok(Exit::Done.into())
}

async fn count(args: &Args, output: Output) -> Result<u64, CliError> {
    let views = args.log.views().await?;
    if let Some(filter) = args.filter.of_views()
        && caught_up::by_now(&views, output).await
        && let Some(count) = views.count_sagas(&filter).await?
    {
        return Ok(count);
    }
    let mut scan = Scan::of(views.log().clone(), 0).await?.only(&args.filter);
    let mut count = 0;
    while scan.next(&args.filter).await?.is_some() {
        count += 1;
    }
    Ok(count)
}
