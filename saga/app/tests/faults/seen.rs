//! What a log in PostgreSQL says while nodes drive it: who owns what, what is under way there, and
//! when what was asked was answered.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use sagalog::{EventLog, SagaEvent};
use sagalog_eventlog::{ReadError, Row, Subscription, SubscriptionError};
use sagalog_model::{
    event::NodeId,
    log::{PartitionId, Position, StreamKey, Time},
    system::SystemEvent,
};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};

use crate::demo_support::{is_end, partitions};

/// Far beyond what anything needs on a busy machine.
const HANGS: Duration = Duration::from_secs(300);

/// A log, as far as it was read.
pub(crate) struct Seen {
    log: Arc<dyn EventLog>,
    arriving: mpsc::Receiver<(PartitionId, Vec<Row>)>,
    _readers: JoinSet<()>,
    parts: BTreeMap<PartitionId, Part>,
    /// Events of all partitions.
    pub(crate) events: u64,
}

/// A partition.
#[derive(Default)]
pub(crate) struct Part {
    tail: Position,
    names: HashMap<StreamKey, bool>,
    /// Who owned it, when that began, and when it first did something for a saga.
    pub(crate) owners: Vec<(String, Time, Option<Time>)>,
    pub(crate) open: BTreeSet<StreamKey>,
    /// From a saga's first event to its last.
    sagas: HashMap<StreamKey, Span>,
    /// From the first time that an action was asked for to its answer.
    work: BTreeMap<(StreamKey, NodeId), Span>,
}

/// When something began, and when it ended if it has.
#[derive(Clone, Copy)]
struct Span {
    began: Time,
    ended: Option<Time>,
}

/// Actions that were asked for, at least once, and not answered at a moment.
pub(crate) struct Unanswered(Vec<(PartitionId, StreamKey, NodeId)>);

impl Seen {
    pub(crate) async fn of(log: Arc<dyn EventLog>) -> Self {
        let (found, arriving) = mpsc::channel(16);
        let mut readers = JoinSet::new();
        for partition in partitions(&*log) {
            let rows = Subscription::after(log.clone(), partition, Position::new(0)).await;
            let (rows, found) = (rows.expect("it reads"), found.clone());
            readers.spawn(read(partition, rows, found));
        }
        Self {
            parts: partitions(&*log).map(|id| (id, Part::default())).collect(),
            log,
            arriving,
            _readers: readers,
            events: 0,
        }
    }

    /// Reads on until it is so.
    pub(crate) async fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        while !is_so(self) {
            self.more(what).await;
        }
    }

    /// Reads what is there now.
    pub(crate) async fn all(&mut self) {
        for partition in partitions(&*self.log) {
            let tail = self.log.tail(partition).await.expect("it reads");
            while self.parts[&partition].tail < tail {
                self.more("the end of the log").await;
            }
        }
    }

    async fn more(&mut self, what: &str) {
        let page = timeout(HANGS, self.arriving.recv()).await;
        let page = page.unwrap_or_else(|_| panic!("waiting for {what} in vain"));
        let (partition, rows) = page.expect("the log can be read");
        let part = self.parts.get_mut(&partition).expect("it is known");
        for row in &rows {
            self.events += row.events.len() as u64;
            part.see(row);
        }
    }

    /// The partitions that a node owns, as far as the log says.
    pub(crate) fn owned_by(&self, node: &str) -> BTreeSet<PartitionId> {
        let owned = self.parts.iter().filter(|(_, part)| part.owner() == node);
        owned.map(|(partition, _)| *partition).collect()
    }

    /// Sagas under way in these partitions.
    pub(crate) fn open_in(&self, partitions: &BTreeSet<PartitionId>) -> usize {
        let open = |partition: &PartitionId| self.parts[partition].open.len();
        partitions.iter().map(open).sum()
    }

    pub(crate) fn open(&self) -> usize {
        self.parts.values().map(|part| part.open.len()).sum()
    }

    /// Sagas that had begun by then and had not ended.
    pub(crate) fn open_at(&self, moment: Time) -> usize {
        let sagas = self.parts.values().flat_map(|part| part.sagas.values());
        sagas.filter(|saga| saga.covers(moment)).count()
    }

    /// Sagas that began later.
    pub(crate) fn begun_after(&self, moment: Time) -> usize {
        let sagas = self.parts.values().flat_map(|part| part.sagas.values());
        sagas.filter(|saga| saga.began > moment).count()
    }

    /// When the last saga that had begun by then ended, once all have.
    pub(crate) fn last_end_of(&self, moment: Time) -> Option<Time> {
        let sagas = self.parts.values().flat_map(|part| part.sagas.values());
        let ends = sagas.filter(|saga| saga.began <= moment);
        let ends = ends.map(|saga| saga.ended).collect::<Option<Vec<_>>>()?;
        Some(ends.into_iter().max().unwrap_or(moment))
    }

    pub(crate) fn part(&self, partition: PartitionId) -> &Part {
        &self.parts[&partition]
    }

    /// The actions at these nodes that were asked for by then and had no answer.
    pub(crate) fn unanswered(&self, moment: Time, nodes: &[&str]) -> Unanswered {
        let parts = self.parts.iter();
        let open = parts.flat_map(|(id, part)| {
            let work = part.work.iter();
            let work =
                work.filter(|((_, node), span)| nodes.contains(&&**node) && span.covers(moment));
            work.map(|((saga, node), _)| (*id, *saga, node.clone()))
        });
        Unanswered(open.collect())
    }

    /// When the last of them was answered, once all are.
    pub(crate) fn answered(&self, work: &Unanswered) -> Option<Time> {
        let ends = work.0.iter().map(|(partition, saga, node)| {
            let span = self.parts[partition].work.get(&(*saga, node.clone()));
            span.expect("it was asked for").ended
        });
        let ends = ends.collect::<Option<Vec<_>>>()?;
        Some(ends.into_iter().max().unwrap_or(Time::from_micros(0)))
    }
}

impl Unanswered {
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

/// Reads on, however long the server is away.
async fn read(
    partition: PartitionId,
    mut rows: Subscription,
    found: mpsc::Sender<(PartitionId, Vec<Row>)>,
) {
    loop {
        match rows.next_page().await {
            Ok(page) => {
                if found.send((partition, page)).await.is_err() {
                    return;
                }
            }
            Err(SubscriptionError::Read(ReadError::Unavailable { .. })) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

impl Span {
    fn covers(&self, moment: Time) -> bool {
        self.began <= moment && self.ended.is_none_or(|ended| ended > moment)
    }
}

impl Part {
    pub(crate) fn owner(&self) -> &str {
        self.owners.last().map_or("", |(owner, ..)| owner)
    }

    fn see(&mut self, row: &Row) {
        self.tail = row.last_position();
        if let Some(name) = &row.name {
            self.names
                .insert(row.stream, !name.as_str().starts_with('$'));
        }
        if !self.names[&row.stream] {
            for it in &row.events {
                let event = SystemEvent::decode(&it.kind, it.schema, &it.control, &it.data);
                if let SystemEvent::PartitionOwned(owned) = event.expect("this program wrote it") {
                    self.owners.push((owned.node.to_string(), row.at, None));
                }
            }
            return;
        }
        if let Some((_, _, first)) = self.owners.last_mut() {
            first.get_or_insert(row.at);
        }
        let began = |at| Span {
            began: at,
            ended: None,
        };
        let saga = self.sagas.entry(row.stream);
        let saga = saga.or_insert_with(|| began(row.at));
        if row.events.iter().any(|event| is_end(&event.kind)) {
            self.open.remove(&row.stream);
            saga.ended = Some(row.at);
        } else {
            self.open.insert(row.stream);
        }
        for it in &row.events {
            let event = SagaEvent::decode(&it.kind, it.schema, &it.control, &it.data);
            match event.expect("this program wrote it") {
                SagaEvent::AttemptAsked(asked) if asked.direction.is_forward() => {
                    let work = self.work.entry((row.stream, asked.node));
                    work.or_insert_with(|| began(row.at));
                }
                SagaEvent::AttemptSucceeded(succeeded) if succeeded.direction.is_forward() => {
                    self.answer(row, succeeded.node);
                }
                SagaEvent::AttemptFailed(failed) if failed.direction.is_forward() => {
                    self.answer(row, failed.node);
                }
                _ => {}
            }
        }
    }

    fn answer(&mut self, row: &Row, node: NodeId) {
        if let Some(work) = self.work.get_mut(&(row.stream, node)) {
            work.ended.get_or_insert(row.at);
        }
    }
}
