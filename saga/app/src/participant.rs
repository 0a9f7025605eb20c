//! `sagalog participant`: which instances of participants are there, what they can do, and how they answered.

use std::{process::ExitCode, time::Duration};

use clap::Subcommand;
use comfy_table::Table;
use sagalog::{
    request::{Answer, Request, Roll},
    views::ParticipantTally,
};
use sagalog_model::log::Time;
use sagalog_projections::participants::{Presence, Seen};
use serde::Serialize;

use crate::{
    App,
    error::{CliError, Exit},
    log::LogArg,
    output::{Output, columns},
    saga::{
        caught_up,
        way::{Reach, Way},
    },
    words::{plain, span, utc},
};

/// What to do with participants.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the instances that have announced themselves
    List(List),
    /// Says how often each was asked and how it answered, by contract
    Stats(Stats),
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

/// Of which log.
#[derive(Debug, clap::Args)]
pub(crate) struct Stats {
    /// Only those of this participant
    #[arg(long, value_name = "NAME")]
    participant: Option<String>,
    #[command(flatten)]
    log: LogArg,
}

/// The answer, as JSON. Spans are in microseconds.
#[derive(Serialize)]
struct Listed {
    participants: Vec<Seen>,
}

impl Command {
    pub(crate) async fn run(self, app: &App, output: Output) -> Result<ExitCode, CliError> {
        let List { capability, reach } = match self {
            Self::List(list) => list,
            Self::Stats(stats) => return stats.run(output).await,
        };
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

/// What participants were asked, as JSON.
#[derive(Serialize)]
struct Counted {
    contracts: Vec<Contract>,
}

/// Times are microseconds since 1970, spans microseconds.
#[derive(Serialize)]
struct Contract {
    participant: String,
    contract: String,
    asked: u64,
    succeeded: u64,
    failed: u64,
    unknown: u64,
    timed_out: u64,
    /// How long an answer took on average, if any came while it was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    average_us: Option<u64>,
    longest_us: u64,
    last_at: u64,
}

impl Stats {
    async fn run(self, output: Output) -> Result<ExitCode, CliError> {
        let views = self.log.views().await?;
        caught_up::or_told(&views, output).await?;
        let counted = views.participants().await?;
        let counted = counted.ok_or_else(caught_up::no_views)?.into_iter();
        let wanted = self.participant.as_deref();
        let contracts: Vec<_> = counted
            .filter(|tally| wanted.is_none_or(|wanted| wanted == tally.participant))
            .map(Contract::of)
            .collect();
        if output.is_json() {
            output.json(&Counted { contracts })?;
        } else if contracts.is_empty() {
            output.say("nobody was asked for anything");
        } else {
            output.line(table_of_counts(&contracts).trim_fmt())?;
        }
        Ok(Exit::Done.into())
    }
}

impl Contract {
    fn of(tally: ParticipantTally) -> Self {
        let micros = |span: Duration| span.as_micros() as u64;
        Self {
            participant: tally.participant,
            contract: tally.contract,
            asked: tally.asked,
            succeeded: tally.succeeded,
            failed: tally.failed,
            unknown: tally.unknown,
            timed_out: tally.timed_out,
            average_us: tally.average.map(micros),
            longest_us: micros(tally.longest),
            last_at: tally.last_at.as_micros(),
        }
    }
}

fn table_of_counts(contracts: &[Contract]) -> Table {
    let mut table = columns([
        "CONTRACT",
        "ASKED",
        "SUCCEEDED",
        "FAILED",
        "UNKNOWN",
        "TIMED OUT",
        "AVERAGE",
        "LONGEST",
        "LAST",
    ]);
    let took = |micros: u64| span(Duration::from_micros(micros));
    for contract in contracts {
        table.add_row([
            plain(&contract.contract).into_owned(),
            contract.asked.to_string(),
            contract.succeeded.to_string(),
            contract.failed.to_string(),
            contract.unknown.to_string(),
            contract.timed_out.to_string(),
            contract.average_us.map_or_else(|| "-".into(), took),
            took(contract.longest_us),
            utc(Time::from_micros(contract.last_at)),
        ]);
    }
    table
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
