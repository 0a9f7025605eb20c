//! Whether the sagas that are under way can go on with another build of their program.

mod structure;
mod verdict;

use std::{collections::BTreeMap, sync::Arc};

use sagalog_engine::Rules;
use sagalog_eventlog::{Recorded, Row};
use sagalog_model::{
    AnyDefinition, Fingerprint, Graph, SagaEvent, SagaId,
    event::{Started, UnreadableEvent},
    log::Epoch,
};

pub use structure::{Change, NodeChange};
pub use verdict::{Checked, Verdict, Why};

use crate::{Difference, OtherRules, Replay, Stored};

/// A build of a program that is to take over from the one that drives a log: the versions of the definitions
/// that it has.
///
/// Nothing is asked, sent or written: recorded inputs are decided again with the build's definitions.
#[derive(Clone, Default)]
pub struct Candidate {
    versions: BTreeMap<(String, u32), Version>,
    /// The graphs that the log holds.
    recorded: BTreeMap<(String, u32), (Fingerprint, Arc<Graph>)>,
    rules: Option<Rules>,
}

/// One version of a definition.
#[derive(Clone)]
struct Version {
    graph: Arc<Graph>,
    fingerprint: Fingerprint,
    /// What is not in a graph: its functions.
    definition: Option<AnyDefinition>,
}

/// A version that the log and the build have with different graphs: the build does not start on the log.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub struct ChangedVersion {
    /// The definition's name.
    pub definition: String,
    /// The version.
    pub version: u32,
    /// The fingerprint in the log.
    pub recorded: Fingerprint,
    /// That of the build.
    pub ours: Fingerprint,
}

/// How a saga that is under way differs from what a version of the build would have done.
enum Differs {
    Event(Box<Difference>),
    Node(NodeChange),
    Unreadable(String),
}

impl Candidate {
    /// The build that has these definitions.
    pub fn of(definitions: impl IntoIterator<Item = AnyDefinition>) -> Self {
        let versions = definitions.into_iter().map(|definition| Version {
            graph: definition.graph().clone(),
            fingerprint: definition.fingerprint(),
            definition: Some(definition),
        });
        Self::with(versions)
    }

    /// A build of which only the graphs are known. Functions are not in a graph, so nothing can be decided again:
    /// a saga is compared by the nodes that it has come to.
    pub fn of_graphs(graphs: impl IntoIterator<Item = Arc<Graph>>) -> Self {
        let versions = graphs.into_iter().map(|graph| Version {
            fingerprint: Fingerprint::of(&graph),
            graph,
            definition: None,
        });
        Self::with(versions)
    }

    fn with(versions: impl Iterator<Item = Version>) -> Self {
        let versions = versions.map(|version| (key(&version.graph), version));
        Self {
            versions: versions.collect(),
            ..Self::default()
        }
    }

    /// The rules of the runtime that drives the log, if it was started with others than usual.
    #[must_use]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = Some(rules);
        self
    }

    /// The graphs that the log holds, with their fingerprints.
    #[must_use]
    pub fn on(mut self, recorded: impl IntoIterator<Item = (Fingerprint, Arc<Graph>)>) -> Self {
        let recorded = recorded
            .into_iter()
            .map(|recorded| (key(&recorded.1), recorded));
        self.recorded.extend(recorded);
        self
    }

    /// The versions that were changed without another number.
    pub fn changed(&self) -> Vec<ChangedVersion> {
        let both = self.versions.iter().filter_map(|(key, ours)| {
            let (recorded, _) = self.recorded.get(key)?;
            (*recorded != ours.fingerprint).then(|| ChangedVersion {
                definition: key.0.clone(),
                version: key.1,
                recorded: *recorded,
                ours: ours.fingerprint,
            })
        });
        both.collect()
    }

    /// Whether a saga that is under way can go on with this build. `rows` are its batches from the first on, and
    /// `others` the owners of its partition that decided by other rules than this release's.
    pub fn check(
        &self,
        saga: &SagaId,
        rows: &[Row],
        others: &BTreeMap<Epoch, OtherRules>,
    ) -> Checked {
        let started = match started(rows) {
            Ok(started) => started,
            Err(why) => return Checked::unreadable(saga, why),
        };
        let live = Live {
            saga,
            rows,
            others,
            started: &started,
        };
        live.checked(self)
    }

    fn find(&self, started: &Started) -> Option<&Version> {
        let key = (started.definition.to_string(), started.version.0);
        self.versions.get(&key)
    }

    /// The version that new sagas of this definition start with.
    fn newest(&self, definition: &str) -> Option<&Version> {
        let (from, to) = (
            (definition.to_owned(), 0),
            (definition.to_owned(), u32::MAX),
        );
        let (_, newest) = self.versions.range(from..=to).next_back()?;
        Some(newest)
    }
}

fn key(graph: &Graph) -> (String, u32) {
    (graph.saga.clone(), graph.version.0)
}

fn started(rows: &[Row]) -> Result<Started, String> {
    let first = rows.first().and_then(|row| row.events.first());
    let first = first.ok_or("it has no events")?;
    match decode(first) {
        Ok(SagaEvent::Started(started)) => Ok(started),
        Ok(other) => Err(format!("it begins with {}", other.kind())),
        Err(why) => Err(why.to_string()),
    }
}

fn decode(event: &Recorded) -> Result<SagaEvent, UnreadableEvent> {
    SagaEvent::decode(&event.kind, event.schema, &event.control, &event.data)
}

/// A saga under way.
struct Live<'a> {
    saga: &'a SagaId,
    rows: &'a [Row],
    others: &'a BTreeMap<Epoch, OtherRules>,
    started: &'a Started,
}

impl Live<'_> {
    fn checked(&self, candidate: &Candidate) -> Checked {
        let checked = |why| Checked::new(self.saga, self.started, why);
        let Some(newest) = candidate.newest(&self.started.definition) else {
            return checked(Why::Undefined);
        };
        let by = newest.graph.version.0;
        let Some(own) = candidate.find(self.started) else {
            return match self.compared(newest, candidate) {
                Ok(unclear) => checked(Why::Gone { by, same: true }).with_unclear(unclear),
                Err(differs) => checked(Why::Gone { by, same: false }).differing(differs),
            };
        };
        if own.fingerprint != self.started.fingerprint {
            return checked(Why::Changed {
                recorded: self.started.fingerprint,
                ours: own.fingerprint,
            });
        }
        if let Err(differs) = self.compared(own, candidate) {
            return checked(self.diverging(&differs)).differing(differs);
        }
        match self.compared(newest, candidate) {
            Ok(unclear) if newest.definition.is_some() => {
                checked(Why::Same { by }).with_unclear(unclear)
            }
            Ok(_) => checked(Why::SameNodes { by }),
            Err(differs) => checked(Why::Differs { by }).differing(differs),
        }
    }

    /// Why its own version does something else than is on record.
    fn diverging(&self, differs: &Differs) -> Why {
        let Differs::Event(difference) = differs else {
            return Why::Diverges;
        };
        let is_before = |row: &&Row| row.version.get() <= difference.version;
        let row = self.rows.iter().rev().find(is_before);
        let other = row.and_then(|row| self.others.get(&row.epoch));
        other.map_or(Why::Diverges, |other| Why::OtherRules(other.clone()))
    }

    /// Whether a version would have done all that is on record of the saga: then how many payloads could not be
    /// compared, otherwise the first difference.
    fn compared(&self, version: &Version, candidate: &Candidate) -> Result<u64, Differs> {
        match &version.definition {
            Some(definition) => self.decided(definition, candidate.rules),
            None => self.built(version, candidate).map(|()| 0),
        }
    }

    fn decided(&self, definition: &AnyDefinition, rules: Option<Rules>) -> Result<u64, Differs> {
        let mut replay = Replay::of(self.saga.clone(), definition);
        if definition.fingerprint() != self.started.fingerprint {
            replay = replay.as_other_version();
        }
        if let Some(rules) = rules {
            replay = replay.rules(rules);
        }
        for row in self.rows {
            let stored: Vec<_> = row.events.iter().map(Stored::from).collect();
            let decided = replay.batch(row.at, row.version, &stored);
            decided.map_err(Differs::Event)?;
        }
        Ok(replay.unclear())
    }

    fn built(&self, version: &Version, candidate: &Candidate) -> Result<(), Differs> {
        if version.fingerprint == self.started.fingerprint {
            return Ok(());
        }
        let key = (self.started.definition.to_string(), self.started.version.0);
        let Some((_, recorded)) = candidate.recorded.get(&key) else {
            let why = "the graph that it runs is not on record";
            return Err(Differs::Unreadable(why.to_owned()));
        };
        let state = structure::fold(self.saga, recorded, self.started, self.rows);
        let state = state.map_err(Differs::Unreadable)?;
        match structure::first_change(&state, &version.graph) {
            Some(change) => Err(Differs::Node(change)),
            None => Ok(()),
        }
    }
}
