//! Which driver a call goes to.

use std::num::NonZeroU32;

use sagalog_model::log::PartitionId;
use tokio::sync::mpsc;

use crate::{client::CallError, driver::Call};

/// Brings calls to the driver of their saga's partition.
#[derive(Debug)]
pub(crate) struct Router {
    /// By number of the partition.
    drivers: Box<[mpsc::Sender<Call>]>,
    partitions: NonZeroU32,
}

impl Router {
    /// To these drivers, by number of their partition.
    ///
    /// # Panics
    /// Without any: a log has a partition.
    pub(crate) fn new(drivers: Vec<mpsc::Sender<Call>>) -> Self {
        let count = u32::try_from(drivers.len()).expect("partitions are counted in 32 bits");
        Self {
            drivers: drivers.into(),
            partitions: NonZeroU32::new(count).expect("a log has a partition"),
        }
    }

    /// Waits for room at the driver.
    ///
    /// # Errors
    /// [`CallError::Stopped`] if it takes nothing any more.
    pub(crate) async fn send(&self, call: Call) -> Result<(), CallError> {
        let partition = PartitionId::of(call.saga.as_str(), self.partitions);
        let driver = &self.drivers[partition.get() as usize];
        let sent = driver.send(call).await;
        sent.map_err(|_| CallError::Stopped { why: None })
    }
}
