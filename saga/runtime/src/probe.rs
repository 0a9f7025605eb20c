//! Whether what a runtime stands on answers now.

use std::sync::Arc;

use sagalog_eventlog::{EventLog, ReadError};
use sagalog_model::log::PartitionId;
use sagalog_transport::{DeclareError, Queue, Transport};

use crate::keeper::INBOX;

/// Asks the log and the broker of a runtime for a sign of life; see [`Runtime::probe`](crate::Runtime::probe).
#[derive(Clone)]
pub struct Probe {
    pub(crate) log: Arc<dyn EventLog>,
    /// None if everything is in one process.
    pub(crate) broker: Option<Arc<dyn Transport>>,
}

impl Probe {
    /// Whether the log can be read.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn log(&self) -> Result<(), ReadError> {
        self.log.tail(PartitionId::default()).await.map(drop)
    }

    /// Whether the broker answers; none if there is no broker.
    ///
    /// # Errors
    /// [`DeclareError`]
    pub async fn broker(&self) -> Option<Result<(), DeclareError>> {
        let broker = self.broker.as_ref()?;
        // Every node declares it like this at its start, so it changes nothing.
        Some(broker.declare(&Queue::inbox(0), INBOX).await)
    }

    /// Whether there is a broker.
    pub fn has_broker(&self) -> bool {
        self.broker.is_some()
    }

    /// How many partitions the log has.
    pub fn partitions(&self) -> u32 {
        self.log.partitions()
    }

    /// Whether other processes may own some of them.
    pub fn is_shared(&self) -> bool {
        self.log.lease().is_some()
    }
}
