//! Going through the sagas under way of a log, many at a time.

use std::{collections::HashMap, sync::Arc};

use sagalog_eventlog::{EventLog, Row};
use sagalog_model::{
    SagaId,
    log::{PartitionId, StreamKey, StreamState},
};

use crate::error::CliError;

/// Streams that are looked at for one page.
const STREAMS: usize = 1_000;

/// Rows of one read.
const ROWS: usize = 5_000;

/// A way through the sagas under way. Only their histories are read: what has ended costs a look at its end.
pub(super) struct LiveSagas {
    log: Arc<dyn EventLog>,
    partition: PartitionId,
    after: StreamKey,
}

/// Some sagas of a partition.
pub(super) struct Page {
    pub(super) partition: PartitionId,
    /// Each with all its batches, in the order in which they began.
    pub(super) sagas: Vec<(SagaId, Vec<Row>)>,
}

impl LiveSagas {
    pub(super) fn of(log: Arc<dyn EventLog>) -> Self {
        Self {
            log,
            partition: PartitionId::new(0),
            after: StreamKey::default(),
        }
    }

    /// The next page, which may be empty; none at the end of the log.
    pub(super) async fn next(&mut self) -> Result<Option<Page>, CliError> {
        loop {
            let heads = self
                .log
                .streams(self.partition, self.after, STREAMS)
                .await?;
            if let Some(last) = heads.last() {
                self.after = last.key;
                let live = heads.iter().filter(|head| head.state == StreamState::Open);
                let live = live.filter_map(|head| {
                    let id = SagaId::new(head.name.as_str()).ok()?;
                    Some((id, head.key))
                });
                return self.read(live.collect()).await.map(Some);
            }
            if self.partition.next().get() >= self.log.partitions() {
                return Ok(None);
            }
            (self.partition, self.after) = (self.partition.next(), StreamKey::default());
        }
    }

    async fn read(&self, live: Vec<(SagaId, StreamKey)>) -> Result<Page, CliError> {
        let partition = self.partition;
        let keys: Vec<_> = live.iter().map(|(_, key)| *key).collect();
        let mut histories: HashMap<StreamKey, Vec<Row>> = HashMap::with_capacity(keys.len());
        let mut after = None;
        while !keys.is_empty() {
            let rows = self.log.read_streams(partition, &keys, after, ROWS).await?;
            let Some(last) = rows.last() else { break };
            after = Some((last.stream, last.last_version()));
            for row in rows {
                histories.entry(row.stream).or_default().push(row);
            }
        }
        let sagas = live.into_iter();
        let sagas = sagas.map(|(id, key)| (id, histories.remove(&key).unwrap_or_default()));
        Ok(Page {
            partition,
            sagas: sagas.collect(),
        })
    }
}
