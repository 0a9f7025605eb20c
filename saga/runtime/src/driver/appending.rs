//! Appending what was decided, also when the store has no room for a while.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sagalog_eventlog::{AppendError, Appended, EventLog, Refusal};
use sagalog_model::log::{Batch, Epoch, PartitionId};
use tokio::{select, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Driver;

/// How long to wait before looking whether a store has room again.
const LOOK_FOR_ROOM: Duration = Duration::from_secs(1);

impl Driver {
    /// Begins to append what was decided, if anything was.
    pub(super) fn append(&mut self) {
        let batches: Vec<_> = self.machine.poll_append().collect();
        if batches.is_empty() {
            return;
        }
        let events = batches.iter().map(|batch| batch.events.len() as u64);
        self.commit = (Instant::now(), batches.len(), events.sum());
        let log = self.log.clone();
        if log.lease().is_none() {
            let (partition, epoch) = (self.partition, self.epoch);
            self.appending = Some(Box::pin(async move {
                log.append(partition, epoch, batches).await
            }));
            return;
        }
        let append = Append {
            log,
            partition: self.partition,
            epoch: self.epoch,
            batches,
            seat: self.seat.clone(),
        };
        self.appending = Some(Box::pin(append.until_there_is_room()));
    }
}

/// An append to a log that others share: no room there is no reason to stop.
struct Append {
    log: Arc<dyn EventLog>,
    partition: PartitionId,
    epoch: Epoch,
    batches: Vec<Batch>,
    seat: CancellationToken,
}

impl Append {
    /// Appends, again and again while the store has no room: then everything of the partition waits, and
    /// nothing is lost. If the partition is given up meanwhile, it is not appended.
    async fn until_there_is_room(self) -> Result<Appended, AppendError> {
        let mut is_told = false;
        loop {
            let appended = self.try_once().await;
            if !matches!(appended, Err(AppendError::Refused(Refusal::Full { .. }))) {
                if is_told && appended.is_ok() {
                    self.say("there is room again to write the log");
                }
                return appended;
            }
            if !is_told {
                self.say(
                    "there is no room left to write the log; everything waits until there is some",
                );
                is_told = true;
            }
            select! {
                biased;
                () = self.seat.cancelled() => return appended,
                () = sleep(LOOK_FOR_ROOM) => {}
            }
        }
    }

    async fn try_once(&self) -> Result<Appended, AppendError> {
        let batches = self.batches.clone();
        self.log.append(self.partition, self.epoch, batches).await
    }

    fn say(&self, what: &str) {
        warn!(
            partition = self.partition.get(),
            log = self.log.name(),
            "{what}"
        );
    }
}
