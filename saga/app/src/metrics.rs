//! `sagalog metrics`: what a node shows at `/metrics`, and what is made from the same list.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;
use serde::Serialize;

use crate::{
    error::{CliError, Exit},
    output::{Output, columns},
    telemetry::{alerts, catalogue, dashboard, reference},
};

/// What to do with metrics.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// All metrics, with their labels and what they say
    List,
    /// Writes the reference, the dashboard of Grafana and the alert rules of Prometheus
    Export(Export),
}

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// The folder to write them to: `metrics.md`, `deploy/grafana/`, `deploy/prometheus/`
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

/// A metric, as JSON.
#[derive(Serialize)]
struct Shown {
    name: String,
    kind: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
}

impl Command {
    pub(crate) fn run(self, output: Output) -> Result<ExitCode, CliError> {
        match self {
            Self::List => list(output)?,
            Self::Export(export) => write(&export.to, output)?,
        }
        Ok(Exit::Done.into())
    }
}

fn list(output: Output) -> Result<(), CliError> {
    if output.is_json() {
        let shown = catalogue::ALL.iter().map(|metric| Shown {
            name: metric.queried(),
            kind: metric.kind.as_str(),
            labels: metric.labels,
            help: metric.help,
        });
        return output.json(&shown.collect::<Vec<_>>());
    }
    let mut table = columns(["METRIC", "KIND", "LABELS", "WHAT IT SAYS"]);
    for metric in catalogue::ALL {
        let labels = metric.labels.join(", ");
        table.add_row([
            &metric.queried(),
            metric.kind.as_str(),
            &labels,
            metric.help,
        ]);
    }
    output.line(table)
}

/// The files that are made from the list, by their places in the documents' folder.
fn files() -> [(&'static str, String); 3] {
    [
        ("metrics.md", reference::page()),
        ("deploy/grafana/sagalog.json", dashboard::file()),
        ("deploy/prometheus/alerts.yaml", alerts::rules()),
    ]
}

fn write(folder: &Path, output: Output) -> Result<(), CliError> {
    for (place, text) in files() {
        let file = folder.join(place);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        output.write(&file, text)?;
        output.say(format_args!("written: {}", file.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_say_what_the_program_has() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        for (place, text) in files() {
            let there = fs::read_to_string(docs.join(place)).unwrap_or_default();
            assert!(
                there == text,
                "docs/{place} is not what the program has: run `sagalog metrics export --to docs`"
            );
        }
    }
}
