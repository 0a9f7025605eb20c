//! Deciding a whole log again, row after row.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    process::ExitCode,
    str::FromStr,
    sync::Arc,
};

use sagalog_eventlog::{EventLog, Row};
use sagalog_model::{
    AnyDefinition, SagaEvent, SagaId,
    log::{Epoch, PartitionId, Position, StreamKey, StreamState, Time},
    system::SystemEvent,
};
use sagalog_sim::{Difference, OtherRules, Replay, Stored};
use serde::Serialize;

use crate::{
    App,
    error::{CliError, Exit},
    log::{LogArg, partitions},
    output::Output,
    saga::scan::{Filter, Scan},
    words::{self, count},
};

/// Rows of one read.
const PAGE: usize = 1_000;

/// The stream that says who owns the partition begins it.
const OWNERS: StreamKey = StreamKey::new(1);

/// The most differences that are shown.
const SHOWN_MAX: usize = 10;

/// Where deciding again begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Beginning {
    Position(Position),
    Moment(Time),
}

impl FromStr for Beginning {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let position = text
            .parse()
            .ok()
            .map(|it| Self::Position(Position::new(it)));
        position
            .or_else(|| words::moment(text).map(Self::Moment))
            .ok_or_else(|| {
                "it is neither a position nor a moment in UTC, as 2026-11-20T20:07:30Z".into()
            })
    }
}

impl Beginning {
    fn is_reached_by(self, row: &Row) -> bool {
        match self {
            Self::Position(position) => row.position >= position,
            Self::Moment(moment) => row.at >= moment,
        }
    }
}

/// What came of it, as JSON.
#[derive(Default, Serialize)]
struct Report {
    same: bool,
    sagas: u64,
    inputs: u64,
    events: u64,
    /// Payloads that were not compared: they, or what they were decided from, are erased.
    unclear: u64,
    /// Sagas that come out otherwise.
    differing: u64,
    /// The first event of the first of them.
    differences: Vec<Difference>,
    /// Sagas of which something before where deciding began does not read: `log verify` says what.
    unreadable: u64,
    /// Sagas that come out otherwise where other rules decided, which is no fault.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    other_rules: BTreeMap<String, u64>,
    /// Sagas of definitions that this program does not have, by name and version.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    undefined: BTreeMap<String, u64>,
}

/// Decides all sagas that fit again.
pub(super) async fn run(
    log: &LogArg,
    filter: &Filter,
    from: Option<Beginning>,
    app: &App,
    output: Output,
) -> Result<ExitCode, CliError> {
    let log = log.read().await?;
    let wanted = wanted(&log, filter).await?;
    let mut report = Report::default();
    for partition in partitions(&*log) {
        let mut replaying = Replaying {
            definitions: app.definitions(),
            wanted: wanted.as_ref(),
            from,
            open: HashMap::new(),
            rules: None,
            report: &mut report,
        };
        replaying.all(&*log, partition).await?;
    }
    report.same = report.differing == 0 && report.unreadable == 0;
    tell(&report, log.name(), output)?;
    let exit = match () {
        () if !report.same => Exit::Failed,
        () if !report.undefined.is_empty() => Exit::NotFound,
        () if !report.other_rules.is_empty() => Exit::Conflict,
        () => Exit::Done,
    };
    Ok(exit.into())
}

/// The sagas that are looked for; none if all are.
async fn wanted(
    log: &Arc<dyn EventLog>,
    filter: &Filter,
) -> Result<Option<HashSet<SagaId>>, CliError> {
    if filter.is_all() {
        return Ok(None);
    }
    let mut scan = Scan::of(log.clone(), 0).await?;
    let mut wanted = HashSet::new();
    while let Some(state) = scan.next(filter).await? {
        wanted.insert(state.id().clone());
    }
    Ok(Some(wanted))
}

/// A partition that is decided again.
struct Replaying<'a> {
    definitions: &'a [AnyDefinition],
    wanted: Option<&'a HashSet<SagaId>>,
    from: Option<Beginning>,
    /// The sagas under way; memory is needed for those only.
    open: HashMap<StreamKey, Replay<'a>>,
    /// The rules of whoever owns the partition at this row, if they are others.
    rules: Option<(Epoch, OtherRules)>,
    report: &'a mut Report,
}

impl<'a> Replaying<'a> {
    async fn all(&mut self, log: &dyn EventLog, partition: PartitionId) -> Result<(), CliError> {
        let mut rows = log.read(partition, Position::new(1), PAGE).await?;
        while let Some(last) = rows.last() {
            // The store fetches the next page while this one is decided.
            let next = log.read(partition, last.last_position().next(), PAGE);
            let (next, ()) = tokio::join!(next, async {
                rows.iter().for_each(|row| self.row(row));
            });
            rows = next?;
        }
        Ok(())
    }

    fn row(&mut self, row: &Row) {
        if let Some(name) = &row.name {
            match SagaId::new(name.as_str()) {
                Ok(saga) => self.begins(saga, row),
                Err(_) => self.owned(row),
            }
        } else if !self.open.contains_key(&row.stream) {
            self.owned(row);
        }
        let Some(replay) = self.open.get_mut(&row.stream) else {
            return;
        };
        let stored: Vec<_> = row.events.iter().map(Stored::from).collect();
        let unclear = replay.unclear();
        if self.from.is_some_and(|from| !from.is_reached_by(row)) {
            if replay.pass(row.at, &stored).is_err() {
                self.report.unreadable += 1;
                self.open.remove(&row.stream);
            }
        } else {
            match replay.batch(row.at, row.version, &stored) {
                Ok(()) => {
                    self.report.inputs += 1;
                    self.report.events += stored.len() as u64;
                    self.report.unclear += replay.unclear() - unclear;
                }
                Err(difference) => self.differs(row, difference),
            }
        }
        if row.state == StreamState::Closed {
            self.open.remove(&row.stream);
        }
    }

    fn begins(&mut self, saga: SagaId, row: &Row) {
        if self.wanted.is_some_and(|wanted| !wanted.contains(&saga)) {
            return;
        }
        let it = &row.events[0];
        let started = SagaEvent::decode(&it.kind, it.schema, &it.control, &it.data);
        let Ok(SagaEvent::Started(started)) = started else {
            return;
        };
        let definition = self.definitions.iter().find(|definition| {
            let graph = definition.graph();
            *graph.saga == *started.definition && graph.version == started.version
        });
        match definition {
            Some(definition) => {
                self.report.sagas += 1;
                self.open.insert(row.stream, Replay::of(saga, definition));
            }
            None => {
                let name = format!("{} version {}", started.definition, started.version.0);
                *self.report.undefined.entry(name).or_default() += 1;
            }
        }
    }

    /// Takes note of who owns the partition, if the row says so.
    fn owned(&mut self, row: &Row) {
        let it = &row.events[0];
        // In a copy, another stream says who owned the log that it came from.
        if it.kind != "PartitionOwned" || row.stream != OWNERS {
            return;
        }
        if let Ok(SystemEvent::PartitionOwned(owned)) =
            SystemEvent::decode(&it.kind, it.schema, &it.control, &it.data)
        {
            let other = OtherRules::of(owned.rules, &owned.engine);
            self.rules = other.map(|other| (owned.epoch, other));
        }
    }

    fn differs(&mut self, row: &Row, difference: Box<Difference>) {
        self.open.remove(&row.stream);
        if let Some((epoch, other)) = &self.rules
            && *epoch == row.epoch
        {
            let name = format!("rules {} of release {}", other.rules, other.engine);
            *self.report.other_rules.entry(name).or_default() += 1;
            return;
        }
        self.report.differing += 1;
        if self.report.differences.len() < SHOWN_MAX {
            self.report.differences.push(*difference);
        }
    }
}

fn tell(report: &Report, log: &str, output: Output) -> Result<(), CliError> {
    if output.is_json() {
        return output.json(report);
    }
    for difference in &report.differences {
        output.line(difference)?;
    }
    output.line(format_args!(
        "{log}: {} of {} of {} decided again as they are on record{}",
        count(report.events, "event"),
        count(report.inputs, "input"),
        count(report.sagas, "saga"),
        match report.unclear {
            0 => String::new(),
            unclear => format!(
                ", {} not compared: something is erased",
                count(unclear, "payload")
            ),
        }
    ))?;
    if report.differing > 0 {
        output.line(format_args!("{} otherwise", comes_out(report.differing)))?;
    }
    if report.unreadable > 0 {
        output.line(format_args!(
            "{} not read",
            count(report.unreadable, "saga")
        ))?;
    }
    for (rules, sagas) in &report.other_rules {
        output.line(format_args!(
            "{} otherwise, decided by {rules}",
            comes_out(*sagas)
        ))?;
    }
    for (definition, sagas) in &report.undefined {
        output.line(format_args!(
            "{} of {definition}, which this program does not define, not decided again",
            count(*sagas, "saga")
        ))?;
    }
    if !report.undefined.is_empty() {
        output.say("run this command in the program that defines them");
    }
    Ok(())
}

fn comes_out(sagas: u64) -> String {
    let verb = if sagas == 1 { "comes" } else { "come" };
    format!("{} {verb} out", count(sagas, "saga"))
}
