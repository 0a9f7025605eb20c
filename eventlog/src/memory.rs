//! A log in memory: for tests, and for running without a file.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sagalog_model::log::{
    Batch, Epoch, PartitionId, Position, StreamKey, StreamName, StreamState, Version,
};
use tokio::sync::watch;

use crate::{
    contract::{Appended, EventLog, Head, Ownership, StreamHead},
    error::{AcquireError, AppendError, Conflict, NoPartition, ReadError, RenewError},
    ledger::{self, End, Ledger, Occupant},
    owner::{Holder, Owner},
    row::Row,
    sharing::Sharer,
};

const NAME: &str = "the log in memory";

/// A handle on a log in memory. It lives as long as its handles, ownership as long as its handle.
#[derive(Debug)]
pub struct MemoryLog {
    store: Arc<Store>,
    handle: u64,
}

#[derive(Debug)]
struct Store {
    partitions: Vec<Mutex<Partition>>,
    handles: AtomicU64,
}

#[derive(Debug)]
struct Partition {
    epoch: Epoch,
    owner: Option<Owned>,
    rows: Vec<Row>,
    /// Indexes into `rows`, per stream.
    streams: BTreeMap<StreamKey, Vec<usize>>,
    names: HashMap<StreamName, StreamKey>,
    tail: watch::Sender<Position>,
}

#[derive(Debug)]
struct Owned {
    handle: u64,
    owner: Owner,
    ledger: Ledger,
}

impl MemoryLog {
    /// An empty log of one partition.
    pub fn new() -> Self {
        Self::with_partitions(1)
    }

    /// An empty log.
    pub fn with_partitions(count: u32) -> Self {
        let partitions = (0..count).map(|_| Mutex::new(Partition::new())).collect();
        Self {
            store: Arc::new(Store {
                partitions,
                handles: AtomicU64::new(1),
            }),
            handle: 0,
        }
    }

    /// Another handle on the same log, as another process would have it.
    #[must_use]
    pub fn another(&self) -> Self {
        let handle = self.store.handles.fetch_add(1, Ordering::Relaxed);
        Self {
            store: self.store.clone(),
            handle,
        }
    }

    fn partition(&self, partition: PartitionId) -> Result<MutexGuard<'_, Partition>, NoPartition> {
        match self.store.partitions.get(partition.get() as usize) {
            Some(partition) => Ok(lock(partition)),
            None => Err(NoPartition {
                log: NAME.to_owned(),
                partition,
                partitions: self.partitions(),
            }),
        }
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for MemoryLog {
    fn drop(&mut self) {
        for partition in &self.store.partitions {
            lock(partition).release(self.handle);
        }
    }
}

#[async_trait]
impl EventLog for MemoryLog {
    fn name(&self) -> &str {
        NAME
    }

    fn partitions(&self) -> u32 {
        self.store.partitions.len() as u32
    }

    fn lease(&self) -> Option<Duration> {
        // A partition is owned as long as its handle is there.
        None
    }

    async fn acquire(
        &self,
        partition: PartitionId,
        owner: Owner,
    ) -> Result<Ownership, AcquireError> {
        let mut stored = self.partition(partition)?;
        if let Some(owned) = &stored.owner
            && owned.handle != self.handle
        {
            return Err(AcquireError::Held {
                log: NAME.to_owned(),
                by: Holder::Known(owned.owner.clone()),
            });
        }
        stored.epoch = stored.epoch.next();
        let ledger = Ledger::new(partition, stored.epoch, stored.end(), stored.open());
        let ownership = ledger.ownership();
        stored.owner = Some(Owned {
            handle: self.handle,
            owner,
            ledger,
        });
        Ok(ownership)
    }

    async fn renew(&self, partition: PartitionId, epoch: Epoch) -> Result<(), RenewError> {
        let Ok(stored) = self.partition(partition) else {
            return Err(RenewError::NotOwned { partition });
        };
        let owned = stored
            .owner
            .as_ref()
            .is_some_and(|owned| owned.handle == self.handle);
        ledger::renewed(partition, epoch, stored.epoch, owned)
    }

    async fn share(&self, _: &Owner, _: &[Sharer]) -> Result<Vec<Sharer>, ReadError> {
        Ok(Vec::new())
    }

    async fn leave(&self) -> Result<(), ReadError> {
        Ok(())
    }

    async fn append(
        &self,
        partition: PartitionId,
        epoch: Epoch,
        batches: Vec<Batch>,
    ) -> Result<Appended, AppendError> {
        let mut rows = ledger::rows(epoch, batches)?;
        let Ok(mut stored) = self.partition(partition) else {
            return Err(AppendError::NotOwned { partition });
        };
        stored.append(partition, self.handle, epoch, &mut rows)
    }

    async fn release(&self, partition: PartitionId) -> Result<(), ReadError> {
        self.partition(partition)?.release(self.handle);
        Ok(())
    }

    async fn tail(&self, partition: PartitionId) -> Result<Position, ReadError> {
        Ok(self.partition(partition)?.end().position)
    }

    async fn heads(
        &self,
        partition: PartitionId,
        names: &[StreamName],
    ) -> Result<Vec<Option<Head>>, ReadError> {
        let stored = self.partition(partition)?;
        let head = |name| stored.names.get(name).map(|stream| stored.head(*stream));
        Ok(names.iter().map(head).collect())
    }

    async fn read(
        &self,
        partition: PartitionId,
        from: Position,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        let stored = self.partition(partition)?;
        let first = stored
            .rows
            .partition_point(|row| row.last_position() < from);
        Ok(stored.rows[first..].iter().take(limit).cloned().collect())
    }

    async fn read_stream(
        &self,
        partition: PartitionId,
        stream: StreamKey,
        from: Version,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        let stored = self.partition(partition)?;
        Ok(stored
            .stream(stream)
            .filter(|row| row.last_version() >= from)
            .take(limit)
            .cloned()
            .collect())
    }

    async fn read_streams(
        &self,
        partition: PartitionId,
        streams: &[StreamKey],
        after: Option<(StreamKey, Version)>,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        let stored = self.partition(partition)?;
        let mut streams = streams.to_vec();
        streams.sort_unstable();
        streams.dedup();
        let rows = streams.into_iter().flat_map(|stream| stored.stream(stream));
        Ok(rows
            .filter(|row| Some((row.stream, row.version)) > after)
            .take(limit)
            .cloned()
            .collect())
    }

    async fn stream_name(
        &self,
        partition: PartitionId,
        stream: StreamKey,
    ) -> Result<Option<StreamName>, ReadError> {
        let stored = self.partition(partition)?;
        Ok(stored
            .stream(stream)
            .next()
            .and_then(|row| row.name.clone()))
    }

    async fn streams(
        &self,
        partition: PartitionId,
        after: StreamKey,
        limit: usize,
    ) -> Result<Vec<StreamHead>, ReadError> {
        let stored = self.partition(partition)?;
        Ok(stored
            .streams
            .range(after.next()..)
            .take(limit)
            .map(|(key, rows)| stored.listed(*key, rows))
            .collect())
    }

    async fn watch(&self, partition: PartitionId) -> Result<watch::Receiver<Position>, ReadError> {
        Ok(self.partition(partition)?.tail.subscribe())
    }
}

impl Partition {
    fn new() -> Self {
        Self {
            epoch: Epoch::default(),
            owner: None,
            rows: Vec::new(),
            streams: BTreeMap::new(),
            names: HashMap::new(),
            tail: watch::Sender::new(Position::default()),
        }
    }

    fn append(
        &mut self,
        partition: PartitionId,
        handle: u64,
        epoch: Epoch,
        rows: &mut [Row],
    ) -> Result<Appended, AppendError> {
        let Some(owned) = self.owner.as_ref().filter(|owned| owned.handle == handle) else {
            if self.epoch > epoch {
                return Err(AppendError::Fenced {
                    partition,
                    epoch,
                    current: self.epoch,
                });
            }
            return Err(AppendError::NotOwned { partition });
        };
        owned.ledger.fence(epoch)?;
        let unknown = owned.ledger.unknown(rows).into_iter();
        let looked_up = unknown
            .filter_map(|stream| Some((stream, self.stream(stream).last()?.last_version())))
            .collect();
        let taken = rows
            .iter()
            .filter_map(|row| row.name.as_ref())
            .find(|name| self.names.contains_key(*name));
        let taken = taken.map_or(Ok(()), |name| Err(Conflict::Name { name: name.clone() }));
        if let Err(conflict) = owned.ledger.admit(rows, &looked_up).and(taken) {
            let occupants: Vec<_> = rows
                .iter()
                .map(|row| self.occupant(row.stream, row.version))
                .collect();
            return ledger::settle(conflict, rows, &occupants);
        }
        owned.ledger.on_time(rows)?;
        owned.ledger.seal(rows);
        for row in rows.iter() {
            self.streams
                .entry(row.stream)
                .or_default()
                .push(self.rows.len());
            self.names
                .extend(row.name.clone().map(|name| (name, row.stream)));
            self.rows.push(row.clone());
        }
        let owned = self
            .owner
            .as_mut()
            .expect("it was owned above, and nothing between gave it up");
        let appended = owned.ledger.stored(rows);
        self.tail.send_replace(appended.last);
        Ok(appended)
    }

    fn release(&mut self, handle: u64) {
        self.owner.take_if(|owned| owned.handle == handle);
    }

    fn end(&self) -> End {
        self.rows.last().map_or_else(End::default, |row| End {
            position: row.last_position(),
            at: row.at,
            chain: row.chain,
        })
    }

    fn open(&self) -> HashMap<StreamKey, Version> {
        let heads = self.streams.keys().map(|stream| self.head(*stream));
        heads
            .filter(|head| head.state == StreamState::Open)
            .map(|head| (head.stream, head.version))
            .collect()
    }

    fn stream(&self, stream: StreamKey) -> impl DoubleEndedIterator<Item = &Row> {
        self.streams
            .get(&stream)
            .into_iter()
            .flatten()
            .map(|index| &self.rows[*index])
    }

    fn head(&self, stream: StreamKey) -> Head {
        let last = self
            .stream(stream)
            .next_back()
            .expect("a stream exists by its rows");
        Head {
            stream,
            version: last.last_version(),
            state: last.state,
        }
    }

    fn listed(&self, key: StreamKey, rows: &[usize]) -> StreamHead {
        let (first, last) = (&self.rows[rows[0]], &self.rows[rows[rows.len() - 1]]);
        StreamHead {
            name: first
                .name
                .clone()
                .expect("the first row of a stream has its name, checked when it was appended"),
            key,
            version: last.last_version(),
            state: last.state,
            first_at: first.at,
            last_at: last.at,
        }
    }

    fn occupant(&self, stream: StreamKey, version: Version) -> Option<Occupant> {
        let row = self.stream(stream).find(|row| row.version == version)?;
        Some(Occupant {
            id: row.id,
            digest: row.digest,
            last: row.last_position(),
        })
    }
}

fn lock(partition: &Mutex<Partition>) -> MutexGuard<'_, Partition> {
    partition
        .lock()
        .expect("no append panics half way: everything is checked before the first change")
}
