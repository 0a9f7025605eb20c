//! A log that counts its commits, and how long answers take to become durable.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use hdrhistogram::Histogram;
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
    answers: Option<Mutex<Answers>>,
}

/// How long the answers to commands took: from the moment in which it was durable that one is asked
/// to that in which its answer was.
struct Answers {
    /// Since when a saga's command is asked; one at a time, as its steps are in sequence.
    asked: HashMap<(PartitionId, StreamKey), Instant>,
    took: Histogram<u64>,
}

/// What a batch says of the command that its saga has under way.
struct Said {
    stream: StreamKey,
    answers: bool,
    asks: bool,
}

impl Said {
    fn by(batch: &Batch) -> Self {
        let has = |kind: &str| batch.events.iter().any(|event| event.kind == kind);
        Self {
            stream: batch.stream,
            answers: has("AttemptSucceeded"),
            asks: has("AttemptAsked"),
        }
    }
}

impl Counted {
    /// The log, and the count that goes with it.
    pub(super) fn over(log: Arc<dyn EventLog>) -> (Arc<dyn EventLog>, Arc<Appends>) {
        Self::with(log, Appends::default())
    }

    /// The same for sagas whose steps are in sequence: how long their answers took is measured too.
    pub(super) fn timed(log: Arc<dyn EventLog>) -> (Arc<dyn EventLog>, Arc<Appends>) {
        let answers = Answers {
            asked: HashMap::new(),
            took: latencies(),
        };
        let answers = Some(Mutex::new(answers));
        Self::with(
            log,
            Appends {
                answers,
                ..Appends::default()
            },
        )
    }

    fn with(log: Arc<dyn EventLog>, appends: Appends) -> (Arc<dyn EventLog>, Arc<Appends>) {
        let appends = Arc::new(appends);
        let counted = Self {
            log,
            appends: appends.clone(),
        };
        (Arc::new(counted), appends)
    }
}

/// Latencies are kept in µs with three digits, up to a minute.
const LATENCY_MAX: u64 = 60_000_000;

/// An empty table of latencies.
pub(super) fn latencies() -> Histogram<u64> {
    Histogram::new_with_max(LATENCY_MAX, 3).expect("the bounds are constants and sound")
}

impl Appends {
    /// Commits, and rows in them.
    pub(super) fn so_far(&self) -> [u64; 2] {
        [self.commits.load(Relaxed), self.rows.load(Relaxed)]
    }

    /// How long answers took since this was asked for last.
    pub(super) fn take_answers(&self) -> Histogram<u64> {
        let answers = self.answers.as_ref();
        let take = |answers: &Mutex<Answers>| {
            let mut answers = answers.lock().expect("nothing panics under this lock");
            std::mem::replace(&mut answers.took, latencies())
        };
        answers.map_or_else(latencies, take)
    }

    fn note(&self, partition: PartitionId, said: &[Said]) {
        let Some(answers) = &self.answers else {
            return;
        };
        let now = Instant::now();
        let mut answers = answers.lock().expect("nothing panics under this lock");
        for Said {
            stream,
            answers: has_come,
            asks,
        } in said
        {
            let command = (partition, *stream);
            if *has_come && let Some(since) = answers.asked.remove(&command) {
                let took = now.duration_since(since).as_micros() as u64;
                answers.took.saturating_record(took);
            }
            if *asks {
                answers.asked.insert(command, now);
            }
        }
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
        let answers = self.appends.answers.as_ref();
        let said = answers.map(|_| batches.iter().map(Said::by).collect::<Vec<_>>());
        let appended = self.log.append(partition, epoch, batches).await?;
        if let Some(said) = said {
            self.appends.note(partition, &said);
        }
        Ok(appended)
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
