//! Keeping a log at rest: whoever would drive it cannot meanwhile.

use std::{sync::Arc, time::Duration};

use sagalog::{Clock, DriveError, SystemClock};
use sagalog_eventlog::{EventLog, Owner, Verified, verify};
use sagalog_model::log::{Epoch, PartitionId};
use tokio::task::JoinSet;

use crate::{
    error::{CliError, Exit},
    log::partitions,
};

/// A log whose partitions this process has, and appends nothing to.
pub(crate) struct AtRest {
    log: Arc<dyn EventLog>,
    /// Says that the owner is alive, where a lease asks for that.
    _renewing: JoinSet<()>,
}

impl AtRest {
    /// Takes all partitions.
    ///
    /// # Errors
    /// If somebody drives one.
    pub(crate) async fn take(log: Arc<dyn EventLog>) -> Result<Self, CliError> {
        let mut renewing = JoinSet::new();
        for partition in partitions(&*log) {
            let owner = Owner::this_process("sagalog log", SystemClock.now());
            let taken = log.acquire(partition, owner).await;
            let taken = taken.map_err(DriveError::Acquire)?;
            if let Some(lease) = log.lease() {
                renewing.spawn(renew(log.clone(), partition, taken.epoch, lease / 4));
            }
        }
        Ok(Self {
            log,
            _renewing: renewing,
        })
    }

    /// The log.
    pub(crate) fn log(&self) -> &Arc<dyn EventLog> {
        &self.log
    }

    /// Proves that all partitions are whole.
    pub(crate) async fn verified(&self) -> Result<Vec<Verified>, CliError> {
        verified(&*self.log).await
    }

    /// Gives the log back.
    ///
    /// # Errors
    /// If somebody has driven it meanwhile, as this process was held up for longer than its lease.
    pub(crate) async fn give_back(self, was: &[Verified]) -> Result<(), CliError> {
        for (partition, was) in partitions(&*self.log).zip(was) {
            if self.log.tail(partition).await? != was.tail {
                let message = format!("somebody has driven {} meanwhile", self.log.name());
                return Err(CliError::new("log_in_use", Exit::Conflict, message)
                    .fix("stop whoever drives it, and begin anew"));
            }
        }
        for partition in partitions(&*self.log) {
            self.log.release(partition).await?;
        }
        Ok(())
    }
}

/// Proves that all partitions of a log are whole.
pub(crate) async fn verified(log: &dyn EventLog) -> Result<Vec<Verified>, CliError> {
    let mut all = Vec::new();
    for partition in partitions(log) {
        all.push(verify(log, partition).await?);
    }
    Ok(all)
}

/// If it cannot be said for a whole lease, the partition may be lost, which is found out at the end.
async fn renew(log: Arc<dyn EventLog>, partition: PartitionId, epoch: Epoch, pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        let _ = log.renew(partition, epoch).await;
    }
}
