//! Saying that the owner is alive.

use std::{future::Future, pin::pin, sync::Arc};

use sagalog_eventlog::{EventLog, RenewError};
use sagalog_model::log::{Epoch, PartitionId};
use tracing::warn;

use super::{DriveError, Driver};

impl Driver {
    /// Begins to wait until the lease should be renewed.
    ///
    /// This loop does it, and not the log for itself: an owner that hangs should lose its partition.
    pub(super) fn renew(&mut self) {
        let (log, partition, epoch) = (self.log.clone(), self.partition, self.epoch);
        self.renewing = Some(Box::pin(renew(log, partition, epoch)));
    }
}

/// Renews until `work` is done: reading a long history must not cost the partition.
pub(super) async fn alive_during<T>(
    log: &Arc<dyn EventLog>,
    partition: PartitionId,
    epoch: Epoch,
    work: impl Future<Output = Result<T, DriveError>>,
) -> Result<T, DriveError> {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            result = renew(log.clone(), partition, epoch) => renewed(result)?,
        }
    }
}

/// Waits until the lease should be renewed, for ever if there is none, and does it. Whoever wants the partition judges by a clock
/// that nobody sets, so this one waits by such a clock too.
async fn renew(
    log: Arc<dyn EventLog>,
    partition: PartitionId,
    epoch: Epoch,
) -> Result<(), RenewError> {
    match log.lease() {
        Some(lease) => tokio::time::sleep(lease / 4).await,
        None => std::future::pending().await,
    }
    log.renew(partition, epoch).await
}

/// # Errors
/// [`DriveError::Lost`] if another owns the partition: nothing more is asked or answered here.
pub(super) fn renewed(result: Result<(), RenewError>) -> Result<(), DriveError> {
    match result {
        Ok(()) => Ok(()),
        Err(RenewError::Unavailable { log, source }) => {
            warn!(log, error = %source, "the lease could not be renewed; trying again");
            Ok(())
        }
        Err(lost) => Err(DriveError::Lost(lost)),
    }
}
