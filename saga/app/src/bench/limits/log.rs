//! The rows of sagas that are on record, appended again by nobody but the log's writer.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use sagalog::EventLog;
use sagalog_eventlog::{Owner, Row};
use sagalog_model::log::{
    Batch, BatchId, Epoch, NewEvent, PartitionId, Position, StreamKey, StreamName, StreamState,
    Time, Version,
};
use tokio::task::JoinSet;

use crate::{CliError, Exit, error::chain, log::partitions};

/// The streams that are looked through for a saga that has ended.
const LOOKED_AT: usize = 100;
/// The most rows that such a saga has.
const ROWS_MAX: usize = 64;

/// How many sagas a second the log alone takes: rows as those of a finished saga that it holds, of so many sagas
/// at a time, spread over all partitions. Nothing if it holds none.
///
/// # Errors
/// If the log cannot be used.
pub(in crate::bench) async fn sagas_per_s(
    log: Arc<dyn EventLog>,
    sagas: usize,
    span: Duration,
) -> Result<Option<f64>, CliError> {
    let mut sample = None;
    for partition in partitions(&*log) {
        sample = finished(&*log, partition).await?;
        if sample.is_some() {
            break;
        }
    }
    let Some(sample) = sample.map(Arc::new) else {
        return Ok(None);
    };
    let used = sagas.min(log.partitions() as usize).max(1);
    let (began, mut writing) = (Instant::now(), JoinSet::new());
    for (index, partition) in partitions(&*log).take(used).enumerate() {
        let of_its_own = sagas / used + usize::from(index < sagas % used);
        let rounds = Rounds::begin(log.clone(), partition, sample.clone()).await?;
        writing.spawn(rounds.run(of_its_own, began + span));
    }
    let mut stored = 0;
    while let Some(ended) = writing.join_next().await {
        stored += ended.expect("it is not aborted and does not panic")?;
    }
    Ok(Some(stored as f64 / began.elapsed().as_secs_f64()))
}

/// The rows of a saga that has ended.
async fn finished(
    log: &dyn EventLog,
    partition: PartitionId,
) -> Result<Option<Vec<Row>>, CliError> {
    let heads = log.streams(partition, StreamKey::new(0), LOOKED_AT).await?;
    let ended = heads
        .iter()
        .find(|head| head.state == StreamState::Closed && !head.name.as_str().starts_with('$'));
    let Some(head) = ended else { return Ok(None) };
    let read = log.read_stream(partition, head.key, Version::new(1), ROWS_MAX);
    Ok(Some(read.await?))
}

/// Appends of one partition, one after another: the first rows of some sagas, their second ones, and so on.
struct Rounds {
    log: Arc<dyn EventLog>,
    partition: PartitionId,
    epoch: Epoch,
    next: Position,
    sample: Arc<Vec<Row>>,
}

impl Rounds {
    async fn begin(
        log: Arc<dyn EventLog>,
        partition: PartitionId,
        sample: Arc<Vec<Row>>,
    ) -> Result<Self, CliError> {
        let owner = Owner::this_process("bench", now());
        let owned = log.acquire(partition, owner).await;
        let owned = owned.map_err(|error| not_measured(&error))?;
        Ok(Self {
            log,
            partition,
            epoch: owned.epoch,
            next: owned.tail.next(),
            sample,
        })
    }

    /// Until then; how many sagas it stored.
    async fn run(mut self, sagas: usize, until: Instant) -> Result<u64, CliError> {
        let mut stored = 0;
        while Instant::now() < until {
            let mut streams = vec![None; sagas];
            for row in self.sample.clone().iter() {
                let batches = streams.iter_mut().map(|stream| self.again(row, stream));
                let batches = batches.collect();
                let appending = self.log.append(self.partition, self.epoch, batches);
                appending.await.map_err(|error| not_measured(&error))?;
            }
            stored += sagas as u64;
        }
        self.log.release(self.partition).await?;
        Ok(stored)
    }

    /// This row as one of another stream, a new one if there is none yet.
    fn again(&mut self, row: &Row, stream: &mut Option<StreamKey>) -> Batch {
        let position = self.next;
        self.next = position.plus(row.events.len() as u64);
        let is_first = stream.is_none();
        let stream = *stream.get_or_insert(StreamKey::new(position.get()));
        let name = is_first
            .then(|| StreamName::new(format!("limit-{position}")).expect("it is short and plain"));
        let events = row.events.iter().cloned().map(|event| NewEvent {
            kind: event.kind,
            schema: event.schema,
            control: event.control,
            data: event.data,
        });
        Batch {
            stream,
            name,
            version: row.version,
            position,
            at: now(),
            id: BatchId(position.get().into()),
            input: row.input,
            digest: row.digest,
            state: row.state,
            events: events.collect(),
        }
    }
}

fn not_measured(error: &dyn Error) -> CliError {
    let message = format!("the log alone could not be measured: {}", chain(error));
    CliError::new("no_limit", Exit::Failed, message)
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Time::from_micros(since.map_or(0, |since| since.as_micros() as u64))
}
