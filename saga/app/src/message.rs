//! `sagalog message`: what sagas have sent and taken, as the views say.

use std::{process::ExitCode, str::FromStr};

use clap::Subcommand;
use comfy_table::Table;
use sagalog::views::{FoundMessage, MessageFilter, Views};
use sagalog_eventlog::EventLog;
use sagalog_model::log::{Data, PartitionId, Position, Time};
use serde::Serialize;

use crate::{
    error::{CliError, Exit},
    log::LogArg,
    output::{Output, columns},
    saga::caught_up,
    when::When,
    words::{plain, utc},
};

/// What to do with messages.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists them in the order of time: commands, answers, signals, and what operators wanted
    List(Box<List>),
}

/// Which ones.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only those between this saga and somebody
    #[arg(long, value_name = "SAGA")]
    saga: Option<String>,
    /// Only those between this participant, producer or operator and a saga; with --saga, the conversation of the two
    #[arg(long, value_name = "NAME")]
    party: Option<String>,
    /// Only those that sagas have sent
    #[arg(long, conflicts_with = "received")]
    sent: bool,
    /// Only those that were sent to sagas
    #[arg(long)]
    received: bool,
    /// Only those of this type: a step's contract, a signal, or what an operator wants, as `cancel`
    #[arg(long = "type", value_name = "NAME")]
    name: Option<String>,
    /// Only those recorded since then: so long ago as 90s, 15m, 2h, 3d, or a moment as 2026-11-20T20:07:30Z
    #[arg(long, value_name = "WHEN")]
    since: Option<When>,
    /// Only those recorded before
    #[arg(long, value_name = "WHEN")]
    before: Option<When>,
    /// Only those with this text in what they carry, exactly as it is written there; each message that is looked
    /// at is read from the log
    #[arg(long, value_name = "TEXT")]
    containing: Option<String>,
    /// The most messages to list
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Goes on behind this one: the `next` of the list before
    #[arg(long, value_name = "NEXT", default_value = "0.0.0")]
    after: Place,
    #[command(flatten)]
    log: LogArg,
}

/// Where a message is in the list of all.
#[derive(Clone, Copy, Debug)]
struct Place(Time, PartitionId, Position);

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Vec<u64> = text.split('.').flat_map(str::parse).collect();
        let place = match numbers[..] {
            [at, partition, position] => u32::try_from(partition).ok().map(|partition| {
                let (partition, position) = (PartitionId::new(partition), Position::new(position));
                Self(Time::from_micros(at), partition, position)
            }),
            _ => None,
        };
        place.ok_or_else(|| "it is not the `next` of a list, three numbers with dots".to_owned())
    }
}

impl Place {
    const fn of(message: &FoundMessage) -> Self {
        Self(message.at, message.partition, message.position)
    }

    fn next(self) -> String {
        let Self(at, partition, position) = self;
        format!("{}.{partition}.{position}", at.as_micros())
    }
}

/// A page of messages, as JSON. Times are microseconds since 1970.
#[derive(Serialize)]
struct Listed {
    messages: Vec<Message>,
    /// What to give as `--after` for the rest; missing if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct Message {
    at: u64,
    kind: &'static str,
    /// Whether the saga has sent it.
    sent: bool,
    saga: String,
    /// Who is at the other end, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    party: Option<String>,
    #[serde(rename = "type")]
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    /// Where the log has what it carries.
    partition: u32,
    position: u64,
}

/// How many are asked for at a time.
const PAGE: usize = 500;

impl Command {
    pub(crate) async fn run(self, output: Output) -> Result<ExitCode, CliError> {
        let Self::List(args) = self;
        let listed = args.list(output).await?;
        if output.is_json() {
            output.json(&listed)?;
            return Ok(Exit::Done.into());
        }
        if listed.messages.is_empty() {
            output.say("no messages");
        } else {
            output.line(table(&listed.messages).trim_fmt())?;
        }
        if let Some(next) = listed.next {
            output.say(format_args!("there are more: --after {next}"));
        }
        Ok(Exit::Done.into())
    }
}

impl List {
    fn filter(&self) -> MessageFilter {
        MessageFilter {
            saga: self.saga.clone(),
            party: self.party.clone(),
            is_sent: (self.sent || self.received).then_some(self.sent),
            name: self.name.clone(),
            from: self.since.map(|when| when.0),
            before: self.before.map(|when| when.0),
        }
    }

    async fn list(&self, output: Output) -> Result<Listed, CliError> {
        let views = self.log.views().await?;
        caught_up::or_told(&views, output).await?;
        let (filter, wanted) = (self.filter(), self.limit.saturating_add(1));
        let (mut found, mut after) = (Vec::new(), self.after);
        'pages: while found.len() < wanted {
            let limit = if self.containing.is_some() {
                PAGE
            } else {
                wanted - found.len()
            };
            let asked = (after.0, after.1, after.2);
            let page = views.messages(&filter, asked, limit).await?;
            let page = page.ok_or_else(caught_up::no_views)?;
            let is_last = page.len() < limit;
            for message in page {
                after = Place::of(&message);
                if self.fits(&message, &views).await? {
                    found.push(message);
                    if found.len() == wanted {
                        break 'pages;
                    }
                }
            }
            if is_last {
                break;
            }
        }
        let has_more = found.len() > self.limit;
        found.truncate(self.limit);
        let next = found.last().filter(|_| has_more);
        let next = next.map(|last| Place::of(last).next());
        let messages = found.into_iter().map(Message::of).collect();
        Ok(Listed { messages, next })
    }

    /// Whether it carries what is looked for.
    async fn fits(&self, message: &FoundMessage, views: &Views) -> Result<bool, CliError> {
        match &self.containing {
            None => Ok(true),
            Some(text) => carries(&**views.log(), message, text).await,
        }
    }
}

async fn carries(log: &dyn EventLog, message: &FoundMessage, text: &str) -> Result<bool, CliError> {
    let rows = log.read(message.partition, message.position, 1).await?;
    let event = rows
        .first()
        .and_then(|row| row.events_from(message.position).next());
    Ok(event.is_some_and(|event| {
        let data = match &event.recorded.data {
            Data::Inline(data) => data.contains(text),
            _ => false,
        };
        data || event.recorded.control.contains(text)
    }))
}

impl Message {
    fn of(found: FoundMessage) -> Self {
        Self {
            at: found.at.as_micros(),
            kind: found.kind.as_str(),
            sent: found.kind.is_sent(),
            saga: found.saga,
            party: found.party,
            name: found.name,
            node: found.node,
            direction: found.direction,
            attempt: found.attempt,
            partition: found.partition.get(),
            position: found.position.get(),
        }
    }
}

fn table(messages: &[Message]) -> Table {
    let mut table = columns([
        "AT", "SAGA", "", "PARTY", "KIND", "TYPE", "ABOUT", "POSITION",
    ]);
    for message in messages {
        let about = message.node.iter().chain(&message.direction).cloned();
        let attempt = message.attempt.map(|attempt| attempt.to_string());
        table.add_row([
            utc(Time::from_micros(message.at)),
            plain(&message.saga).into_owned(),
            if message.sent { "->" } else { "<-" }.into(),
            plain(message.party.as_deref().unwrap_or("-")).into_owned(),
            message.kind.into(),
            plain(&message.name).into_owned(),
            plain(&about.chain(attempt).collect::<Vec<_>>().join(" ")).into_owned(),
            format!("{}/{}", message.partition, message.position),
        ]);
    }
    table
}
