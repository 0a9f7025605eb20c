//! `sagalog dlq export`

use std::{fs::File, io::Write, path::PathBuf, process::ExitCode};

use super::{filter::Filter, letter::Shown};
use crate::{
    error::{CliError, Exit},
    log::LogArg,
    output::Output,
    words::count,
};

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: Filter,
    /// The file to write; stdout unless given
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    log: LogArg,
}

/// Writes the letters with their bytes: one JSON object on each line.
pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode, CliError> {
    let log = args.log.read().await?;
    let found = args.filter.find(&log).await?;
    let mut lines: Box<dyn Write> = match &args.to {
        Some(file) => Box::new(File::create(file)?),
        None => Box::new(std::io::stdout().lock()),
    };
    for (partition, letter) in &found {
        let letter = Shown::with_body(*partition, letter);
        let line = serde_json::to_string(&letter).map_err(std::io::Error::from)?;
        writeln!(lines, "{line}")?;
    }
    lines.flush()?;
    if let Some(file) = &args.to {
        let letters = count(found.len() as u64, "letter");
        output.say(format_args!("{letters} written to {}", file.display()));
    }
    Ok(Exit::Done.into())
}
