//! What a log in PostgreSQL says while nodes drive it: who owns what, and what is under way there.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use sagalog::EventLog;
use sagalog_eventlog::{Row, Subscription};
use sagalog_model::{
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
}

impl Seen {
    pub(crate) async fn of(log: Arc<dyn EventLog>) -> Self {
        let (found, arriving) = mpsc::channel(16);
        let mut readers = JoinSet::new();
        for partition in partitions(&*log) {
            let rows = Subscription::after(log.clone(), partition, Position::new(0)).await;
            let (mut rows, found) = (rows.expect("it reads"), found.clone());
            readers.spawn(async move {
                while let Ok(page) = rows.next_page().await {
                    if found.send((partition, page)).await.is_err() {
                        return;
                    }
                }
            });
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

    pub(crate) fn part(&self, partition: PartitionId) -> &Part {
        &self.parts[&partition]
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
        if row.events.iter().any(|event| is_end(&event.kind)) {
            self.open.remove(&row.stream);
        } else {
            self.open.insert(row.stream);
        }
    }
}
