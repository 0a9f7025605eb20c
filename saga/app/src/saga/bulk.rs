//! An action on all sagas that fit, in place of one.
//!
//! What is sent of one operation has ids that come of the operation's, so that it may be begun again at any time:
//! each thing is done once.

use std::{
    collections::{HashMap, hash_map::Entry},
    io::{self, BufRead, IsTerminal, Write},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::value_parser;
use sagalog::{
    history::{Graphs, Reader},
    request::Request,
};
use sagalog_eventlog::EventLog;
use sagalog_model::{
    SagaEvent, SagaId,
    log::{PartitionId, Time},
};
use serde::Serialize;
use tokio::time::Instant;
use ulid::Ulid;

use super::{all, new_id, operate::Wish, place::Place, scan::Filter, subject::Subject, way::Way};
use crate::{
    App,
    error::{CliError, Exit},
    log::partition_of,
    output::Output,
    words::{count, plain},
};

/// Sagas that are looked at together.
const CHUNK: usize = 100;

/// The longest id of an operation, in bytes: with a node behind it, it is still one of a request.
const ID_MAX: usize = 100;

/// All sagas under way that fit, in place of one.
#[derive(Debug, clap::Args)]
pub(crate) struct Many {
    #[command(flatten)]
    filter: Filter,
    /// Means all sagas under way, if nothing says which
    #[arg(long)]
    all: bool,
    /// Does not ask whether all of them are meant
    #[arg(long)]
    yes: bool,
    /// Goes on with the operation of this id, or begins it under an id of your choice: each thing is done once
    #[arg(long, value_name = "ID")]
    operation: Option<String>,
    /// The most requests that are under way at a time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = value_parser!(u16).range(1..=64))]
    at_once: u16,
    /// The most sagas that are looked at in a second
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = value_parser!(u32).range(1..=10_000))]
    rate: u32,
}

/// What became of one thing, as JSON: a line for each.
#[derive(Serialize)]
struct Item {
    saga: String,
    /// The node, or the number of the held input; missing if it is about the saga.
    #[serde(skip_serializing_if = "String::is_empty")]
    of: String,
    result: Outcome,
    /// Why it was skipped or refused: a word that stays the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// The types of the events that would be recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<&'static str>>,
    /// The status that the saga would have then.
    #[serde(skip_serializing_if = "Option::is_none")]
    then: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Done,
    WouldBeDone,
    /// By this operation, when it ran before.
    DoneBefore,
    /// The same, and it did not help.
    StillFailing,
    /// There is nothing of it to do.
    Skipped,
    Refused,
}

/// What became of all, as JSON: the last line.
#[derive(Serialize)]
struct Summary<'a> {
    did: &'a str,
    /// To go on with.
    operation: &'a str,
    dry_run: bool,
    sagas: usize,
    done: usize,
    would_be_done: usize,
    done_before: usize,
    still_failing: usize,
    skipped: usize,
    refused: usize,
}

impl Many {
    /// Whether anything was said of it.
    pub(super) fn is_meant(&self) -> bool {
        self.all || self.yes || self.operation.is_some() || !self.filter.is_all()
    }

    fn operation(&self) -> Result<String, CliError> {
        let id = self.operation.clone().unwrap_or_else(new_id);
        if (1..=ID_MAX).contains(&id.len()) && !id.contains('/') {
            return Ok(id);
        }
        let message = format!("an operation's id has 1 to {ID_MAX} bytes and no `/`");
        Err(CliError::new("bad_operation", Exit::Usage, message))
    }

    fn confirmed(&self, word: &str, sagas: usize) -> Result<(), CliError> {
        if self.yes {
            return Ok(());
        }
        let sagas = count(sagas as u64, "saga");
        let not_confirmed = |message| CliError::new("not_confirmed", Exit::Usage, message);
        if !io::stdin().is_terminal() {
            let message = format!(
                "{word} would be for {sagas}, and nobody is here who could say whether that is meant"
            );
            return Err(
                not_confirmed(message).fix("look at them with --dry-run, then say so with --yes")
            );
        }
        write!(io::stderr(), "{word} {sagas}? [y/N] ")?;
        let mut said = String::new();
        io::stdin().lock().read_line(&mut said)?;
        match said.trim() {
            "y" | "Y" | "yes" => Ok(()),
            _ => Err(not_confirmed("nothing was done".to_owned())),
        }
    }
}

/// Does it to all that fit, or says what would become of each.
pub(super) async fn run<W: Wish>(
    wish: &W,
    many: &Many,
    app: &App,
    output: Output,
) -> Result<ExitCode, CliError> {
    if !many.all && many.filter.is_all() {
        let message = "neither a saga nor a filter says which sagas are meant";
        return Err(CliError::new("no_saga_named", Exit::Usage, message)
            .fix("name one, say which with --status, --definition, --waiting-for and the like, or say --all"));
    }
    let operation = many.operation()?;
    let begun = begun(&operation);
    let sagas = all::that_fit(&many.filter, begun, wish.reach().log(), output).await?;
    if !wish.is_dry() && !sagas.is_empty() {
        many.confirmed(W::WORD, sagas.len())?;
        let sagas = count(sagas.len() as u64, "saga");
        output.say(format_args!("operation {operation}: {} {sagas}", W::WORD));
    }
    let mut bulk = Bulk {
        wish,
        many,
        app,
        output,
        log: wish.reach().log().read().await?,
        graphs: HashMap::new(),
        operation: operation.clone(),
        way: None,
        outcomes: Vec::new(),
    };
    let done = bulk.all(&sagas).await;
    let way = bulk.way.take();
    let left = match way {
        Some(way) => way.leave().await.map(drop),
        None => Ok(()),
    };
    bulk.summary(sagas.len())?;
    let again = |error: CliError| {
        error.fix(format!(
            "run it again with --operation {operation}: what is done is not done again"
        ))
    };
    done.and(left).map_err(again)?;
    Ok(bulk.exit().into())
}

/// When an operation began: its id says so, unless somebody chose it.
fn begun(operation: &str) -> Option<Time> {
    let id = Ulid::from_string(operation).ok()?;
    Some(Time::from_micros(
        id.timestamp_ms().saturating_mul(1_000).saturating_add(999),
    ))
}

/// An operation on many sagas.
struct Bulk<'a, W> {
    wish: &'a W,
    many: &'a Many,
    app: &'a App,
    output: Output,
    log: Arc<dyn EventLog>,
    graphs: HashMap<PartitionId, Graphs>,
    operation: String,
    /// How whoever drives the sagas is reached, once something is to be asked.
    way: Option<Way>,
    outcomes: Vec<Outcome>,
}

/// Something that is asked for.
struct Asked {
    saga: String,
    of: String,
    request: Request,
}

impl<W: Wish> Bulk<'_, W> {
    async fn all(&mut self, sagas: &[SagaId]) -> Result<(), CliError> {
        let rate = self.many.rate;
        let together = CHUNK.min(rate as usize);
        let mut looked_at = 0;
        for chunk in sagas.chunks(together) {
            let began = Instant::now();
            self.chunk(chunk).await?;
            looked_at += chunk.len();
            if looked_at < sagas.len() {
                let all = sagas.len();
                self.output.say(format_args!("{looked_at} of {all} sagas"));
                let share = Duration::from_secs(1) * chunk.len() as u32 / rate;
                tokio::time::sleep_until(began + share).await;
            }
        }
        Ok(())
    }

    async fn chunk(&mut self, sagas: &[SagaId]) -> Result<(), CliError> {
        let mut asked = Vec::new();
        for saga in sagas {
            match self.subject(saga).await {
                Ok(subject) => self.look_at(&subject, &mut asked)?,
                Err(error) => self.item(Item::new(saga, "", Outcome::Skipped).because(&error))?,
            }
        }
        let Some(first) = asked.first() else {
            return Ok(());
        };
        let reach = self.wish.reach();
        let way = match self.way.take() {
            Some(way) => way,
            None => reach.way(&first.request, self.app, self.output).await?,
        };
        let requests = asked.iter().map(|asked| asked.request.clone()).collect();
        let answers = reach
            .within(way.ask_all(requests, self.many.at_once.into()))
            .await;
        self.way = Some(way);
        let mut broke = None;
        for (Asked { saga, of, .. }, answer) in asked.into_iter().zip(answers??) {
            let item = Item::new(saga, of, Outcome::Done);
            match answer {
                Some(Ok(_)) => self.item(item)?,
                Some(Err(error)) if error.is_refusal() => {
                    let refused = Item {
                        result: Outcome::Refused,
                        ..item
                    };
                    self.item(refused.because(&error))?;
                }
                Some(Err(error)) => drop(broke.get_or_insert(error)),
                None => {}
            }
        }
        broke.map_or(Ok(()), Err)
    }

    /// What there is to ask of a saga; what there is not to is said at once.
    fn look_at(&mut self, subject: &Subject, asked: &mut Vec<Asked>) -> Result<(), CliError> {
        let saga = &subject.recorded.id;
        let places = self.wish.places(&subject.state);
        if places.is_empty() {
            let nothing = Item::new(saga, "", Outcome::Skipped);
            return self.item(Item {
                message: Some(format!("there is no {} of it", W::Place::WHAT)),
                code: Some("nothing_to_do".to_owned()),
                ..nothing
            });
        }
        for place in places {
            let of = place.to_string();
            let id = match of.as_str() {
                "" => self.operation.clone(),
                of => format!("{}/{of}", self.operation),
            };
            if self.wish.is_known(&subject.state, &id) {
                let again = if W::Place::IS_TROUBLE {
                    Outcome::StillFailing
                } else {
                    Outcome::DoneBefore
                };
                self.item(Item::new(saga, of, again))?;
                continue;
            }
            let saga = saga.to_string();
            let request = self.wish.request(saga.clone(), place, id);
            if self.wish.is_dry() {
                self.item(Item::preview(subject, of, &request))?;
            } else {
                asked.push(Asked { saga, of, request });
            }
        }
        Ok(())
    }

    async fn subject(&mut self, saga: &SagaId) -> Result<Subject, CliError> {
        let partition = partition_of(&*self.log, saga);
        let graphs = match self.graphs.entry(partition) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                unknown.insert(Reader::new(self.log.clone(), partition).graphs().await?)
            }
        };
        Subject::of(&self.log, saga, graphs, self.app).await
    }

    fn item(&mut self, item: Item) -> Result<(), CliError> {
        self.outcomes.push(item.result);
        if self.output.is_json() {
            return self.output.json(&item);
        }
        self.output.line(plain(item.text().trim_end()))
    }

    fn summary(&self, sagas: usize) -> Result<(), CliError> {
        let of = |outcome| self.outcomes.iter().filter(|it| **it == outcome).count();
        let summary = Summary {
            did: W::WORD,
            operation: &self.operation,
            dry_run: self.wish.is_dry(),
            sagas,
            done: of(Outcome::Done),
            would_be_done: of(Outcome::WouldBeDone),
            done_before: of(Outcome::DoneBefore),
            still_failing: of(Outcome::StillFailing),
            skipped: of(Outcome::Skipped),
            refused: of(Outcome::Refused),
        };
        if self.output.is_json() {
            return self.output.json(&summary);
        }
        let counts = [
            (summary.done, "done"),
            (summary.would_be_done, "would be done"),
            (summary.done_before, "done before"),
            (summary.still_failing, "still failing"),
            (summary.skipped, "skipped"),
            (summary.refused, "refused"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<_> = counts
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        self.output.say(match counts.as_slice() {
            [] => "no sagas under way fit".to_owned(),
            counts => format!("{}: {}", W::WORD, counts.join(", ")),
        });
        Ok(())
    }

    fn exit(&self) -> Exit {
        let any = |outcome| self.outcomes.contains(&outcome);
        match () {
            () if any(Outcome::Refused) => Exit::Conflict,
            () if any(Outcome::StillFailing) => Exit::Failed,
            () => Exit::Done,
        }
    }
}

impl Item {
    fn new(saga: impl ToString, of: impl Into<String>, result: Outcome) -> Self {
        Self {
            saga: saga.to_string(),
            of: of.into(),
            result,
            code: None,
            message: None,
            events: None,
            then: None,
        }
    }

    fn because(self, error: &CliError) -> Self {
        Self {
            code: Some(error.code().to_owned()),
            message: Some(error.message().to_owned()),
            ..self
        }
    }

    fn preview(subject: &Subject, of: String, request: &Request) -> Self {
        let saga = &subject.recorded.id;
        match subject.preview(request) {
            Ok(preview) => Self {
                events: Some(preview.events.iter().map(SagaEvent::kind).collect()),
                then: Some(preview.state.status().as_str()),
                ..Self::new(saga, of, Outcome::WouldBeDone)
            },
            Err(error) => Self::new(saga, of, Outcome::Refused).because(&error),
        }
    }

    fn text(&self) -> String {
        let result = match self.result {
            Outcome::Done => "done",
            Outcome::WouldBeDone => "would be done",
            Outcome::DoneBefore => "done before",
            Outcome::StillFailing => "still failing",
            Outcome::Skipped => "skipped",
            Outcome::Refused => "refused",
        };
        let about = [self.saga.as_str(), self.of.as_str()].join(" ");
        let why = match (&self.message, &self.events, self.then) {
            (Some(message), ..) => format!(": {message}"),
            (None, Some(events), Some(then)) => format!(": {}; then {then}", events.join(", ")),
            _ => String::new(),
        };
        format!("{} {result}{why}", about.trim_end())
    }
}
