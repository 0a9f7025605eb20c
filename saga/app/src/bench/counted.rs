//! A log that counts its commits.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use sagalog::EventLog;
use sagalog_eventlog::{
    AcquireError, AppendError, Appended, Head, Owner, Ownership, ReadError, RenewError, Row,
    Sharer, StreamHead,
};
use sagalog_model::log::{Batch, Epoch, PartitionId, Position, StreamKey, StreamName, Version};
use tokio::sync::watch;

/// The log, with a count of what is appended to it.
pub(super) struct Counted {
    log: Arc<dyn EventLog>,
    appends: Arc<Appends>,
}

/// What was appended.
#[derive(Default)]
pub(super) struct Appends {
    commits: AtomicU64,
    rows: AtomicU64,
}

impl Counted {
    /// The log, and the count that goes with it.
    pub(super) fn over(log: Arc<dyn EventLog>) -> (Arc<dyn EventLog>, Arc<Appends>) {
        let appends = Arc::<Appends>::default();
        (
            Arc::new(Self {
                log,
                appends: appends.clone(),
            }),
            appends,
        )
    }
}

impl Appends {
    /// Commits, and rows in them.
    pub(super) fn so_far(&self) -> [u64; 2] {
        [self.commits.load(Relaxed), self.rows.load(Relaxed)]
    }
}

#[async_trait]
impl EventLog for Counted {
    fn name(&self) -> &str {
        self.log.name()
    }

    fn partitions(&self) -> u32 {
        self.log.partitions()
    }

    fn lease(&self) -> Option<Duration> {
        self.log.lease()
    }

    async fn renew(&self, partition: PartitionId, epoch: Epoch) -> Result<(), RenewError> {
        self.log.renew(partition, epoch).await
    }

    async fn acquire(
        &self,
        partition: PartitionId,
        owner: Owner,
    ) -> Result<Ownership, AcquireError> {
        self.log.acquire(partition, owner).await
    }

    async fn share(&self, owner: &Owner, gone: &[Sharer]) -> Result<Vec<Sharer>, ReadError> {
        self.log.share(owner, gone).await
    }

    async fn leave(&self) -> Result<(), ReadError> {
        self.log.leave().await
    }

    async fn append(
        &self,
        partition: PartitionId,
        epoch: Epoch,
        batches: Vec<Batch>,
    ) -> Result<Appended, AppendError> {
        self.appends.commits.fetch_add(1, Relaxed);
        self.appends.rows.fetch_add(batches.len() as u64, Relaxed);
        self.log.append(partition, epoch, batches).await
    }

    async fn release(&self, partition: PartitionId) -> Result<(), ReadError> {
        self.log.release(partition).await
    }

    async fn tail(&self, partition: PartitionId) -> Result<Position, ReadError> {
        self.log.tail(partition).await
    }

    async fn heads(
        &self,
        partition: PartitionId,
        names: &[StreamName],
    ) -> Result<Vec<Option<Head>>, ReadError> {
        self.log.heads(partition, names).await
    }

    async fn read(
        &self,
        partition: PartitionId,
        from: Position,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        self.log.read(partition, from, limit).await
    }

    async fn read_stream(
        &self,
        partition: PartitionId,
        stream: StreamKey,
        from: Version,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        self.log.read_stream(partition, stream, from, limit).await
    }

    async fn read_streams(
        &self,
        partition: PartitionId,
        streams: &[StreamKey],
        after: Option<(StreamKey, Version)>,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        self.log
            .read_streams(partition, streams, after, limit)
            .await
    }

    async fn stream_name(
        &self,
        partition: PartitionId,
        stream: StreamKey,
    ) -> Result<Option<StreamName>, ReadError> {
        self.log.stream_name(partition, stream).await
    }

    async fn streams(
        &self,
        partition: PartitionId,
        after: StreamKey,
        limit: usize,
    ) -> Result<Vec<StreamHead>, ReadError> {
        self.log.streams(partition, after, limit).await
    }

    async fn watch(&self, partition: PartitionId) -> Result<watch::Receiver<Position>, ReadError> {
        self.log.watch(partition).await
    }
}
