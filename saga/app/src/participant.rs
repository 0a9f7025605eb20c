//! `sagalog participant`: which instances of participants are there, and what they can do.

use std::{process::ExitCode, time::Duration};

use clap::Subcommand;
use comfy_table::Table;
use sagalog::request::{Answer, Request, Roll};
use sagalog_projections::participants::{Presence, Seen};
use serde::Serialize;

use crate::{
    App,
    error::{CliError, Exit},
    output::{Output, columns},
    saga::way::{Reach, Way},
    words::{plain, span},
};

/// What to do with participants.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the instances that have announced themselves
    List(List),
}

/// Which ones.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only those that can do this: perform the step of this name, or what a worker says else
    #[arg(long, value_name = "NAME")]
    capability: Option<String>,
    #[command(flatten)]
    reach: Reach,
}

/// The answer, as JSON. Spans are in microseconds.
#[derive(Serialize)]
struct Listed {
    participants: Vec<Seen>,
}

impl Command {
    pub(crate) async fn run(self, app: &App, output: Output) -> Result<ExitCode, CliError> {
        let Self::List(List { capability, reach }) = self;
        let participants = ask(&reach, capability, app, output).await?;
        if output.is_json() {
            output.json(&Listed { participants })?;
        } else if participants.is_empty() {
            output.say("no participants");
        } else {
            output.line(table(&participants).trim_fmt())?;
        }
        Ok(Exit::Done.into())
    }
}

/// Asks whoever keeps the roll.
pub(crate) async fn ask(
    reach: &Reach,
    capability: Option<String>,
    app: &App,
    output: Output,
) -> Result<Vec<Seen>, CliError> {
    let first = page(&capability, None);
    let all = reach.use_way(&first, app, output, async |way: &mut Way| {
        let mut all: Vec<Seen> = Vec::new();
        loop {
            let after = all.last().map(|seen| {
                let said = &seen.announced;
                (said.participant.to_string(), said.instance.to_string())
            });
            let Answer::Participants(page) = way.ask(&page(&capability, after)).await? else {
                let message = "the owner of the log does not say which participants are there";
                return Err(CliError::new("unknown_answer", Exit::Failed, message));
            };
            let is_empty = page.participants.is_empty();
            all.extend(page.participants);
            if is_empty || !page.more {
                return Ok(all);
            }
        }
    });
    Ok(all.await?.0)
}

fn page(capability: &Option<String>, after: Option<(String, String)>) -> Request {
    let capability = capability.clone();
    Request::Participants(Roll::List { capability, after })
}

fn table(participants: &[Seen]) -> Table {
    let mut table = columns([
        "PARTICIPANT",
        "INSTANCE",
        "PRESENCE",
        "HEARD",
        "AT A TIME",
        "CAPABILITIES",
    ]);
    for seen in participants {
        let said = &seen.announced;
        let able = said.capabilities.iter().map(|(name, version)| {
            if version.is_empty() {
                name.to_string()
            } else {
                format!("{name} {version}")
            }
        });
        let presence = match seen.presence {
            Presence::Alive => "alive",
            Presence::Suspect => "suspect",
            Presence::Gone => "gone",
        };
        table.add_row([
            plain(&said.participant).into_owned(),
            plain(&said.instance).into_owned(),
            presence.into(),
            format!("{} ago", span(Duration::from_micros(seen.silent))),
            said.concurrency.to_string(),
            plain(&able.collect::<Vec<_>>().join(", ")).into_owned(),
        ]);
    }
    table
}
