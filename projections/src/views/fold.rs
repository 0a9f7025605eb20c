//! The fold of a partition into its views.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};

use sagalog_model::{
    Graph, NodeIndex, SagaEvent, SagaId,
    event::{NodeId, Started},
    graph::DefinitionVersion,
    log::{StreamKey, Version},
    system::SystemEvent,
};

use super::{
    Changes, Entry, LetterChange, MessageRow, NodeRow, SagaRow, Standing, WaitRow, tally::Told,
};
use crate::saga::SagaState;

/// Folds the batches of one partition, in order.
///
/// What it keeps is a cache of the sagas under way. Of one that is not there, its earlier batches are
/// [needed](Self::needs) first.
#[derive(Debug, Default)]
pub struct Fold {
    graphs: BTreeMap<(Arc<str>, DefinitionVersion), Arc<Graph>>,
    live: BTreeMap<StreamKey, Live>,
}

/// What is known of a saga under way.
#[derive(Debug)]
enum Live {
    /// Everything.
    Folded(Folded),
    /// It cannot be folded: nothing that comes for it is.
    Unreadable,
}

/// A saga under way.
#[derive(Debug)]
struct Folded {
    state: Box<SagaState>,
    /// The nodes whose rows say that they wait.
    waiting: Vec<NodeIndex>,
}

/// A saga that cannot be folded: how far it came, and why not further.
struct Fault {
    state: Option<Box<SagaState>>,
    why: String,
}

impl Fold {
    /// The most sagas under way that are kept.
    pub const MAX_LIVE: usize = 50_000;

    /// Begins, or goes on, with the graphs that the log holds so far.
    pub fn new(graphs: impl IntoIterator<Item = Arc<Graph>>) -> Self {
        let mut fold = Self::default();
        for graph in graphs {
            fold.learn(graph);
        }
        fold
    }

    /// Whether the batches of this one's stream before it must be applied first: the saga is not known
    /// here. What they change was stored before.
    pub fn needs(&self, entry: &Entry<'_>) -> bool {
        let is_first = entry.version == Version::new(1);
        entry.is_of_a_saga() && !is_first && !self.live.contains_key(&entry.stream)
    }

    /// Takes the next batch of a stream.
    pub fn apply(&mut self, entry: &Entry<'_>, changes: &mut Changes) {
        if entry.is_of_a_saga() {
            self.apply_to_saga(entry, changes);
        } else {
            self.apply_of_system(entry, changes);
        }
    }

    /// Forgets all sagas if there are more than [`Fold::MAX_LIVE`]; each is folded again when something
    /// happens to it.
    pub fn trim(&mut self) {
        if self.live.len() > Self::MAX_LIVE {
            self.live.clear();
        }
    }

    fn learn(&mut self, graph: Arc<Graph>) {
        self.graphs
            .insert((graph.saga.as_str().into(), graph.version), graph);
    }

    /// What does not read here concerns the system alone: the owner of the log tells of it.
    fn apply_of_system(&mut self, entry: &Entry<'_>, changes: &mut Changes) {
        for stored in &entry.events {
            match stored.of_the_system() {
                Ok(SystemEvent::DefinitionRecorded(_, graph)) => self.learn(graph),
                Ok(SystemEvent::Letter(event)) => {
                    changes.letters.push(LetterChange::of(event, entry.at));
                }
                _ => {}
            }
        }
    }

    fn apply_to_saga(&mut self, entry: &Entry<'_>, changes: &mut Changes) {
        let before = match self.live.remove(&entry.stream) {
            Some(Live::Folded(folded)) => Some(folded),
            Some(Live::Unreadable) => {
                self.live.insert(entry.stream, Live::Unreadable);
                return;
            }
            None => None,
        };
        match self.fold(before, entry, changes) {
            Ok(folded) if folded.state.status().is_terminal() => {}
            Ok(folded) => {
                self.live.insert(entry.stream, Live::Folded(folded));
            }
            Err(fault) => {
                let row = unreadable(entry, fault);
                changes.sagas.extend(row.map(|row| (entry.stream, row)));
                self.live.insert(entry.stream, Live::Unreadable);
            }
        }
    }

    /// All of a batch, or nothing of it: it is one input.
    fn fold(
        &self,
        before: Option<Folded>,
        entry: &Entry<'_>,
        changes: &mut Changes,
    ) -> Result<Folded, Fault> {
        let (mut state, waiting) = match before {
            Some(folded) => (Some(folded.state), folded.waiting),
            None => (None, Vec::new()),
        };
        let mut touched: BTreeSet<_> = waiting.into_iter().collect();
        let (mut told, mut messages) = (Vec::new(), Vec::new());
        let positions = (0..).map(|count| entry.position.plus(count));
        for (position, stored) in positions.zip(&entry.events) {
            let event = match stored.of_a_saga() {
                Ok(event) => event,
                Err(why) => return Err(Fault::of(state, &why)),
            };
            if let Some(state) = &state {
                told.extend(Told::of(&event, state, entry.at));
            }
            let next = self.next(state, entry, &event)?;
            touched.extend(node_of(&event).and_then(|node| next.graph().find(node)));
            messages.extend(MessageRow::of(
                &event,
                &next,
                entry.stream,
                position,
                entry.at,
            ));
            state = Some(next);
        }
        let Some(state) = state else {
            return Err(Fault::of(None, &"it has no events"));
        };
        told.into_iter().for_each(|told| told.count(changes));
        changes.messages.extend(messages);
        let waits = |index: &NodeIndex| WaitRow::of(&state, *index).is_some();
        let waiting = touched.iter().copied().filter(waits).collect();
        for index in touched {
            let row = NodeRow::of(entry.stream, &state, index);
            changes.nodes.insert((entry.stream, index), row);
        }
        let row = SagaRow::of(entry.stream, &state);
        changes.sagas.insert(entry.stream, row);
        Ok(Folded { state, waiting })
    }

    fn next(
        &self,
        state: Option<Box<SagaState>>,
        entry: &Entry<'_>,
        event: &SagaEvent,
    ) -> Result<Box<SagaState>, Fault> {
        match (state, event) {
            (Some(mut state), event) => match state.apply(event, entry.at) {
                Ok(()) => Ok(state),
                Err(why) => Err(Fault::of(Some(state), &why)),
            },
            (None, SagaEvent::Started(started)) => self.begin(entry, started),
            (None, _) => Err(Fault::of(None, &"its beginning is not there")),
        }
    }

    fn begin(&self, entry: &Entry<'_>, started: &Started) -> Result<Box<SagaState>, Fault> {
        let id = SagaId::new(entry.name.as_str()).map_err(|why| Fault::of(None, &why))?;
        let key = (started.definition.clone(), started.version);
        let Some(graph) = self.graphs.get(&key) else {
            let why = "the log does not hold the graph of its definition";
            return Err(Fault::of(None, &why));
        };
        let state = SagaState::start(id, graph.clone(), started, entry.at);
        Ok(Box::new(state))
    }
}

impl Fault {
    fn of(state: Option<Box<SagaState>>, why: &dyn ToString) -> Self {
        let why = why.to_string();
        Self { state, why }
    }
}

/// The row of a saga that cannot be folded: as far as it came. None if its stream has no saga's name.
fn unreadable(entry: &Entry<'_>, fault: Fault) -> Option<SagaRow> {
    let row = match fault.state {
        Some(state) => SagaRow::of(entry.stream, &state),
        None => SagaRow {
            stream: entry.stream,
            saga: SagaId::new(entry.name.as_str()).ok()?,
            definition: "".into(),
            version: DefinitionVersion(0),
            standing: Standing::Unreadable,
            events: entry.version,
            started_at: entry.at,
            changed_at: entry.at,
            deadline: None,
            next_timer: None,
            held: 0,
            paused_since: None,
            fault: None,
        },
    };
    Some(SagaRow {
        standing: Standing::Unreadable,
        next_timer: None,
        fault: Some(fault.why),
        ..row
    })
}

/// The node that an event is about.
const fn node_of(event: &SagaEvent) -> Option<&NodeId> {
    use SagaEvent as E;
    Some(match event {
        E::AttemptAsked(e) => &e.node,
        E::AttemptSucceeded(e) => &e.node,
        E::AttemptFailed(e) => &e.node,
        E::AttemptUnknown(e) => &e.node,
        E::AttemptTimedOut(e) => &e.node,
        E::AttemptRenewed(e) => &e.node,
        E::AttemptDelayed(e) => &e.node,
        E::AttemptAdmitted(e) => &e.node,
        E::AttemptExtended(e) => &e.node,
        E::ActionNotFound(e) => &e.node,
        E::RetryScheduled(e) => &e.node,
        E::RetryDue(e) => &e.node,
        E::SleepStarted(e) => &e.node,
        E::SleepEnded(e) => &e.node,
        E::WaitStarted(e) => &e.node,
        E::WaitTimedOut(e) => &e.node,
        E::SignalConsumed(e) => &e.node,
        E::CompensationSkipped(e) => &e.node,
        E::Parked(e) => &e.node,
        E::RetryRequested(e) => &e.node,
        E::ResolvedByHand(e) => &e.node,
        E::SkippedByHand(e) => &e.node,
        _ => return None,
    })
}
