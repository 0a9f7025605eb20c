//! The drivers of a process, one for each partition of its log. They start together, and when one
//! cannot go on all of them stop.

use std::sync::Arc;

use sagalog_engine::{Rules, partition::Registry};
use sagalog_eventlog::EventLog;
use sagalog_model::log::PartitionId;
use sagalog_transport::{Queue, Transport};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    driver::{Driver, PREFETCH, Parts},
    router::Router,
    runtime::{DriveError, StartError},
};

/// Calls that wait to be taken by one driver; further callers wait.
const CALLS: usize = 1_024;

/// Replies that wait in one inbox.
const INBOX: usize = 65_536;

/// What all drivers of a process share.
pub(crate) struct Shared {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) registry: Registry,
    pub(crate) rules: Rules,
    pub(crate) node: String,
    /// Stops all of them.
    pub(crate) stop: CancellationToken,
}

/// Drivers that own their partitions, and wait to be run.
pub(crate) struct Drivers {
    drivers: Vec<Driver>,
    stop: CancellationToken,
}

impl Drivers {
    /// Takes every partition of the log over.
    ///
    /// # Errors
    /// [`StartError`] of the first that cannot be taken; the others are given back.
    pub(crate) async fn take_over(shared: Shared) -> Result<(Self, Router), StartError> {
        let mut taken = Self {
            drivers: Vec::new(),
            stop: shared.stop.clone(),
        };
        let (mut callers, mut parts) = (Vec::new(), Vec::new());
        for partition in (0..shared.log.partitions()).map(PartitionId::new) {
            let (calls, waiting) = mpsc::channel(CALLS);
            callers.push(calls);
            parts.push(shared.parts(partition, waiting).await?);
        }
        // At once: an owner that fell silent is watched once, not once for each of its partitions.
        let mut taking: JoinSet<_> = parts.into_iter().map(Driver::take_over).collect();
        let mut first = None;
        while let Some(driver) = taking.join_next().await {
            match driver {
                Ok(Ok(driver)) => taken.drivers.push(driver),
                Ok(Err(error)) => first = first.or(Some(error)),
                Err(bug) => std::panic::resume_unwind(bug.into_panic()),
            }
        }
        if let Some(error) = first {
            taken.give_back().await?;
            return Err(error.into());
        }
        Ok((taken, Router::new(callers)))
    }

    /// Drives until told to stop, or until one of them cannot go on.
    ///
    /// # Errors
    /// [`DriveError`] of the first that could not go on; the others stopped in peace.
    pub(crate) async fn run(self) -> Result<(), DriveError> {
        let mut running: JoinSet<_> = self.drivers.into_iter().map(Driver::run).collect();
        let mut first = Ok(());
        while let Some(ended) = running.join_next().await {
            let ended = match ended {
                Ok(ended) => ended,
                Err(bug) => std::panic::resume_unwind(bug.into_panic()),
            };
            self.stop.cancel();
            first = first.and(ended);
        }
        first
    }

    /// Drivers that are told to stop before they begin do nothing but give their partition back.
    ///
    /// # Errors
    /// [`DriveError`] if one cannot.
    pub(crate) async fn give_back(self) -> Result<(), DriveError> {
        self.stop.cancel();
        self.run().await
    }
}

impl Shared {
    async fn parts(
        &self,
        partition: PartitionId,
        calls: mpsc::Receiver<crate::driver::Call>,
    ) -> Result<Parts, StartError> {
        let inbox = Queue::inbox(partition.get());
        self.transport.declare(&inbox, INBOX).await?;
        Ok(Parts {
            log: self.log.clone(),
            inbox: self.transport.consume(&inbox, PREFETCH).await?,
            transport: self.transport.clone(),
            clock: self.clock.clone(),
            partition,
            registry: self.registry.clone(),
            rules: self.rules,
            node: self.node.clone(),
            calls,
            stop: self.stop.clone(),
        })
    }
}
