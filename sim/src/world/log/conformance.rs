//! The simulated log keeps the contract of every event log: its kit is run on the rules that the
//! worlds run on. What is here only gives them the shape of the contract, and the hashes.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sagalog_eventlog::{
    AcquireError, AppendError, Appended, CheckpointStore, EventLog, Head, Holder, NoPartition,
    Owner, Ownership, ReadError, RenewError, Row as StoredRow, Sharer, StreamHead,
    conformance::{self, Subject},
    for_each_property, seal,
};
use sagalog_model::log::{
    Batch, Digest, Epoch, PartitionId, Position, StreamKey, StreamName, Version,
};
use tokio::sync::watch;

use super::{LogPartition, Row, SimLog, Stored};

const NAME: &str = "the simulated log";

/// A handle on a simulated log: a node of its own.
pub(super) struct SimHandle {
    shared: Arc<Shared>,
    node: u32,
}

struct Shared {
    log: Mutex<SimLog>,
    partitions: Vec<Beside>,
    nodes: AtomicU32,
}

/// What a partition of the simulated log does without.
struct Beside {
    owner: Mutex<Option<Owner>>,
    chain: Mutex<Vec<Digest>>,
    tail: watch::Sender<Position>,
}

impl SimHandle {
    pub(super) fn with_partitions(count: u32) -> Self {
        let beside = |_| Beside {
            owner: Mutex::default(),
            chain: Mutex::default(),
            tail: watch::Sender::default(),
        };
        Self {
            shared: Arc::new(Shared {
                log: Mutex::new(SimLog::with_partitions(count)),
                partitions: (0..count).map(beside).collect(),
                nodes: AtomicU32::new(1),
            }),
            node: 0,
        }
    }

    pub(super) fn another(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            node: self.shared.nodes.fetch_add(1, Ordering::Relaxed),
        }
    }

    fn log(&self) -> MutexGuard<'_, SimLog> {
        lock(&self.shared.log)
    }

    fn beside(&self, partition: PartitionId) -> Result<&Beside, NoPartition> {
        let beside = self.shared.partitions.get(partition.get() as usize);
        beside.ok_or_else(|| NoPartition {
            log: NAME.into(),
            partition,
            partitions: self.partitions(),
        })
    }

    fn ask<T>(
        &self,
        partition: PartitionId,
        what: impl FnOnce(&LogPartition) -> T,
    ) -> Result<T, ReadError> {
        self.beside(partition)?;
        Ok(what(self.log().partition(partition)))
    }

    fn page<'a>(
        &self,
        id: PartitionId,
        partition: &'a LogPartition,
        rows: impl Iterator<Item = &'a Stored>,
    ) -> Vec<StoredRow> {
        let chain = self.chain(id, partition);
        let row = |stored: &Stored| StoredRow {
            chain: chain[index_of(partition, stored)],
            ..unsealed(stored)
        };
        rows.map(row).collect()
    }

    /// The chain values of all rows of a partition.
    fn chain(&self, id: PartitionId, partition: &LogPartition) -> Vec<Digest> {
        let beside = self.beside(id).expect("the caller has looked");
        let mut chain = lock(&beside.chain);
        let new = partition.read(Position::default()).iter().skip(chain.len());
        let mut new: Vec<_> = new.map(unsealed).collect();
        seal(id, chain.last().copied().unwrap_or_default(), &mut new);
        chain.extend(new.iter().map(|row| row.chain));
        chain.clone()
    }
}

fn index_of(partition: &LogPartition, stored: &Stored) -> usize {
    let rows = partition.read(Position::default());
    let position = stored.row.batch().position;
    rows.partition_point(|row| row.row.batch().position < position)
}

fn unsealed(stored: &Stored) -> StoredRow {
    StoredRow::new(stored.row.batch().clone(), stored.epoch)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics with it in hand")
}

impl Drop for SimHandle {
    fn drop(&mut self) {
        for id in 0..self.partitions() {
            let mut log = self.log();
            log.partition_mut(PartitionId::new(id)).release(self.node);
        }
    }
}

#[async_trait]
impl EventLog for SimHandle {
    fn name(&self) -> &str {
        NAME
    }

    fn partitions(&self) -> u32 {
        self.shared.partitions.len() as u32
    }

    fn lease(&self) -> Option<Duration> {
        // A node of the simulated world loses a partition when the plan says so.
        None
    }

    async fn renew(&self, id: PartitionId, epoch: Epoch) -> Result<(), RenewError> {
        if self.beside(id).is_err() {
            return Err(RenewError::NotOwned { partition: id });
        }
        match self.log().partition(id).fence(self.node, epoch) {
            Ok(()) => Ok(()),
            Err(AppendError::Fenced {
                partition,
                epoch,
                current,
            }) => Err(RenewError::Fenced {
                partition,
                epoch,
                current,
            }),
            Err(_) => Err(RenewError::NotOwned { partition: id }),
        }
    }

    async fn acquire(&self, id: PartitionId, owner: Owner) -> Result<Ownership, AcquireError> {
        let beside = self.beside(id)?;
        let mut known = lock(&beside.owner);
        match self.log().partition_mut(id).acquire(self.node) {
            Ok(ownership) => {
                *known = Some(owner);
                Ok(ownership)
            }
            Err(_) => Err(AcquireError::Held {
                log: NAME.into(),
                by: known.clone().map_or(Holder::Unknown, Holder::Known),
            }),
        }
    }

    async fn share(&self, _: &Owner, _: &[Sharer]) -> Result<Vec<Sharer>, ReadError> {
        Ok(Vec::new())
    }

    async fn leave(&self) -> Result<(), ReadError> {
        Ok(())
    }

    async fn append(
        &self,
        id: PartitionId,
        epoch: Epoch,
        batches: Vec<Batch>,
    ) -> Result<Appended, AppendError> {
        let Ok(beside) = self.beside(id) else {
            return Err(AppendError::NotOwned { partition: id });
        };
        let rows: Vec<_> = batches.into_iter().map(Row::new).map(Arc::new).collect();
        let mut log = self.log();
        let partition = log.partition_mut(id);
        let appended = partition.append(self.node, epoch, &rows)?;
        beside.tail.send_replace(partition.tail());
        Ok(appended)
    }

    async fn release(&self, id: PartitionId) -> Result<(), ReadError> {
        self.beside(id)?;
        self.log().partition_mut(id).release(self.node);
        Ok(())
    }

    async fn tail(&self, id: PartitionId) -> Result<Position, ReadError> {
        self.ask(id, LogPartition::tail)
    }

    async fn heads(
        &self,
        id: PartitionId,
        names: &[StreamName],
    ) -> Result<Vec<Option<Head>>, ReadError> {
        self.ask(id, |partition| {
            names.iter().map(|name| partition.head(name)).collect()
        })
    }

    async fn read(
        &self,
        id: PartitionId,
        from: Position,
        limit: usize,
    ) -> Result<Vec<StoredRow>, ReadError> {
        self.ask(id, |partition| {
            let rows = partition.read(from).iter();
            self.page(id, partition, rows.take(limit))
        })
    }

    async fn read_stream(
        &self,
        id: PartitionId,
        stream: StreamKey,
        from: Version,
        limit: usize,
    ) -> Result<Vec<StoredRow>, ReadError> {
        self.ask(id, |partition| {
            let rows = partition.read_stream(stream, from);
            self.page(id, partition, rows.take(limit))
        })
    }

    async fn read_streams(
        &self,
        id: PartitionId,
        streams: &[StreamKey],
        after: Option<(StreamKey, Version)>,
        limit: usize,
    ) -> Result<Vec<StoredRow>, ReadError> {
        self.ask(id, |partition| {
            let rows = partition.read_streams(streams, after);
            self.page(id, partition, rows.take(limit))
        })
    }

    async fn stream_name(
        &self,
        id: PartitionId,
        stream: StreamKey,
    ) -> Result<Option<StreamName>, ReadError> {
        self.ask(id, |partition| partition.name(stream).cloned())
    }

    async fn streams(
        &self,
        id: PartitionId,
        after: StreamKey,
        limit: usize,
    ) -> Result<Vec<StreamHead>, ReadError> {
        self.ask(id, |partition| {
            partition.streams(after).take(limit).collect()
        })
    }

    async fn watch(&self, id: PartitionId) -> Result<watch::Receiver<Position>, ReadError> {
        Ok(self.beside(id)?.tail.subscribe())
    }
}

struct Simulated {
    log: SimHandle,
    checkpoints: Arc<CheckpointStore>,
}

#[async_trait]
impl Subject for Simulated {
    async fn open(&self) -> Arc<dyn EventLog> {
        Arc::new(self.log.another())
    }

    async fn checkpoints(&self) -> Arc<CheckpointStore> {
        self.checkpoints.clone()
    }
}

macro_rules! run {
    ($($property:ident)*) => {$(
        #[tokio::test]
        async fn $property() {
            let log = SimHandle::with_partitions(1);
            let checkpoints = Arc::new(CheckpointStore::in_memory());
            conformance::$property(&Simulated { log, checkpoints }).await;
        }
    )*};
}

for_each_property!(run);
