//! The definitions that a log and a program have.

use std::{collections::BTreeMap, sync::Arc};

use sagalog::{
    history::{Graphs, Reader},
    views::SagaFilter,
};
use sagalog_eventlog::EventLog;
use sagalog_model::{Fingerprint, Graph, SagaEvent};
use sagalog_projections::views::Standing;
use serde::Serialize;

use super::live::LiveSagas;
use crate::{
    App,
    error::{CliError, Exit},
    log::{LogArg, partitions},
    output::Output,
    saga::caught_up,
};

/// One version of a definition.
pub(super) struct Known {
    pub(super) graph: Arc<Graph>,
    /// Its fingerprint in the log, if the log has it.
    pub(super) in_log: Option<Fingerprint>,
    /// Its fingerprint in this program, if it is one of its definitions.
    pub(super) in_program: Option<Fingerprint>,
    /// How many sagas that are under way run it; not known without a log.
    pub(super) live: Option<u64>,
}

/// The same as JSON.
#[derive(Serialize)]
pub(super) struct KnownDocument<'a> {
    definition: &'a str,
    version: u32,
    fingerprint: Fingerprint,
    in_log: bool,
    in_program: bool,
    /// That of this program, if it was changed without a new version.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed_to: Option<Fingerprint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<u64>,
}

impl Known {
    /// The one of the log, if it has it: sagas run that.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let known = self.in_log.or(self.in_program);
        known.expect("what is known is in the log or in the program")
    }

    /// That of this program, if it was changed without a new version.
    fn changed_to(&self) -> Option<Fingerprint> {
        let is_changed = |ours: &Fingerprint| self.in_log.is_some_and(|log| log != *ours);
        self.in_program.filter(is_changed)
    }

    pub(super) fn document(&self) -> KnownDocument<'_> {
        KnownDocument {
            definition: &self.graph.saga,
            version: self.graph.version.0,
            fingerprint: self.fingerprint(),
            in_log: self.in_log.is_some(),
            in_program: self.in_program.is_some(),
            changed_to: self.changed_to(),
            live: self.live,
        }
    }

    /// Who has it, in words.
    pub(super) fn place(&self) -> String {
        match (self.in_log, self.in_program, self.changed_to()) {
            (.., Some(ours)) => format!("log, changed to {ours} in program"),
            (Some(_), Some(_), _) => "log, program".into(),
            (Some(_), None, _) => "log".into(),
            (None, ..) => "program".into(),
        }
    }

    pub(super) fn live_shown(&self) -> String {
        self.live
            .map_or_else(|| "?".into(), |live| live.to_string())
    }
}

/// All versions that the log and the program have, by name and number; those of this name, if one is given.
pub(super) async fn all(
    log: &LogArg,
    app: &App,
    name: Option<&str>,
    output: Output,
) -> Result<Vec<Known>, CliError> {
    let mut known = BTreeMap::new();
    let is_given = log.is_given();
    if is_given {
        for (key, (fingerprint, graph)) in recorded(&log.read().await?).await? {
            let recorded = Known {
                graph,
                in_log: Some(fingerprint),
                in_program: None,
                live: Some(0),
            };
            known.insert(key, recorded);
        }
    } else if app.definitions().is_empty() {
        // It says which log to name.
        log.read().await?;
    }
    for definition in app.definitions() {
        let graph = definition.graph();
        let key = (graph.saga.clone(), graph.version.0);
        let ours = known.entry(key).or_insert_with(|| Known {
            graph: graph.clone(),
            in_log: None,
            in_program: None,
            live: is_given.then_some(0),
        });
        ours.in_program = Some(definition.fingerprint());
    }
    known.retain(|(saga, _), _| name.is_none_or(|name| saga == name));
    if is_given && known.values().any(|known| known.in_log.is_some()) {
        count(&mut known, log, output).await?;
    }
    Ok(known.into_values().collect())
}

/// The graphs of all partitions.
pub(super) async fn recorded(log: &Arc<dyn EventLog>) -> Result<Graphs, CliError> {
    let mut graphs = Graphs::new();
    for partition in partitions(&**log) {
        graphs.extend(Reader::new(log.clone(), partition).graphs().await?);
    }
    Ok(graphs)
}

/// The one of this name and version, the newest unless a version is given.
pub(super) fn pick(known: Vec<Known>, name: &str, version: Option<u32>) -> Result<Known, CliError> {
    let has: Vec<_> = known
        .iter()
        .map(|known| known.graph.version.to_string())
        .collect();
    let mut fitting = known
        .into_iter()
        .filter(|known| version.is_none_or(|version| known.graph.version.0 == version));
    let newest = fitting.next_back();
    newest.ok_or_else(|| none_such(name, version, &has))
}

/// Nobody has it; these versions there are.
pub(super) fn none_such(name: &str, version: Option<u32>, has: &[String]) -> CliError {
    let version = version.map_or_else(String::new, |version| format!(" version {version}"));
    let message = format!("neither the log nor this program has a definition {name}{version}");
    let fix = if has.is_empty() {
        "`def list` shows those there are".into()
    } else {
        format!("there are: {}", has.join(", "))
    };
    CliError::new("no_such_definition", Exit::NotFound, message).fix(fix)
}

/// Counts the sagas under way: in the views if there are any, otherwise by reading how each began.
async fn count(
    known: &mut BTreeMap<(String, u32), Known>,
    log: &LogArg,
    output: Output,
) -> Result<(), CliError> {
    let views = log.views().await?;
    if caught_up::by_now(&views, output).await {
        for ((definition, version), known) in known.iter_mut() {
            let filter = SagaFilter {
                standings: vec![Standing::Running, Standing::Compensating],
                definition: Some(definition.clone()),
                version: Some(*version),
                ..SagaFilter::default()
            };
            known.live = views.count_sagas(&filter).await?;
        }
        if known.values().all(|known| known.live.is_some()) {
            return Ok(());
        }
        known.values_mut().for_each(|known| known.live = Some(0));
    }
    let mut sagas = LiveSagas::of(views.log().clone());
    while let Some(page) = sagas.next().await? {
        for (_, rows) in page.sagas {
            let first = rows.first().and_then(|row| row.events.first());
            let started =
                first.map(|it| SagaEvent::decode(&it.kind, it.schema, &it.control, &it.data));
            let Some(Ok(SagaEvent::Started(started))) = started else {
                continue;
            };
            let key = (started.definition.to_string(), started.version.0);
            if let Some(known) = known.get_mut(&key) {
                *known.live.get_or_insert(0) += 1;
            }
        }
    }
    Ok(())
}
