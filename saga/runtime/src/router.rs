//! Which driver a call goes to.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use sagalog_eventlog::Holder;
use sagalog_model::{SagaId, log::PartitionId};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    client::CallError,
    driver::Call,
    request::{OwnerName, RollCall},
};

/// Brings calls to the driver of their saga's partition, if this process has it.
pub(crate) struct Router {
    owner: OwnerName,
    roll: Arc<RollCall>,
    /// By number of the partition.
    routes: Box<[watch::Sender<Route>]>,
    partitions: NonZeroU32,
    /// How long a call waits for a driver.
    patience: Duration,
    /// The process stops.
    stop: CancellationToken,
}

/// Where the calls of a partition go.
#[derive(Clone, Debug, Default)]
pub(crate) enum Route {
    /// Nobody is known to drive it: it may be taken any moment, and calls wait.
    #[default]
    Nowhere,
    /// To a driver of this process.
    Here(mpsc::Sender<Call>),
    /// Another process drives it.
    Elsewhere(Arc<str>),
}

impl Router {
    /// To nobody yet.
    pub(crate) fn new(
        owner: OwnerName,
        roll: Arc<RollCall>,
        patience: Duration,
        stop: CancellationToken,
    ) -> Self {
        let partitions = owner.partitions;
        Self {
            owner,
            roll,
            routes: (0..partitions)
                .map(|_| watch::Sender::new(Route::Nowhere))
                .collect(),
            partitions: NonZeroU32::new(partitions).expect("a log has a partition"),
            patience,
            stop,
        }
    }

    /// From now on a partition's calls go there.
    pub(crate) fn set(&self, partition: PartitionId, route: Route) {
        self.routes[partition.get() as usize].send_replace(route);
    }

    /// Another process that lives drives a partition, or none does. What this one drives stays, until
    /// its own driver ends.
    pub(crate) fn see(&self, partition: PartitionId, holder: Option<&Holder>) {
        self.routes[partition.get() as usize].send_if_modified(|route| {
            let seen = match (&*route, holder) {
                (Route::Nowhere, Some(holder)) => Route::Elsewhere(holder.to_string().into()),
                (Route::Elsewhere(_), None) => Route::Nowhere,
                _ => return false,
            };
            *route = seen;
            true
        });
    }

    /// Where a saga is.
    pub(crate) fn partition_of(&self, saga: &SagaId) -> PartitionId {
        PartitionId::of(saga.as_str(), self.partitions)
    }

    /// Who this process is.
    pub(crate) fn owner(&self) -> &OwnerName {
        &self.owner
    }

    /// Whether the log has this partition.
    pub(crate) fn has(&self, partition: PartitionId) -> bool {
        partition.get() < self.partitions.get()
    }

    /// The roll of participants, if this process keeps it now.
    pub(crate) fn roll(&self) -> Option<&RollCall> {
        let first = &*self.routes[0].borrow();
        matches!(first, Route::Here(_)).then_some(&*self.roll)
    }

    /// Waits for a driver, and for room there.
    ///
    /// # Errors
    /// [`CallError::Elsewhere`] if another process has the partition, or for too long none;
    /// [`CallError::Stopped`] if this one stops.
    pub(crate) async fn send(&self, mut call: Call) -> Result<(), CallError> {
        let partition = call.partition;
        let place = &self.routes[partition.get() as usize];
        let route = place.borrow().clone();
        if let Route::Here(driver) = route {
            match driver.send(call).await {
                Ok(()) => return Ok(()),
                Err(back) => call = back.0,
            }
        }
        let sent = tokio::time::timeout(self.patience, self.send_later(place, call));
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(CallError::Stopped { why: None }),
            sent = sent => match sent {
                Ok(Ok(())) => Ok(()),
                Ok(Err(by)) => Err(CallError::Elsewhere { partition, by: Some(by) }),
                Err(_) => Err(CallError::Elsewhere { partition, by: None }),
            },
        }
    }

    /// # Errors
    /// Who drives it instead.
    async fn send_later(
        &self,
        place: &watch::Sender<Route>,
        mut call: Call,
    ) -> Result<(), Arc<str>> {
        let mut routes = place.subscribe();
        loop {
            let route = routes.borrow_and_update().clone();
            match route {
                Route::Here(driver) => match driver.send(call).await {
                    Ok(()) => return Ok(()),
                    Err(back) => call = back.0,
                },
                Route::Elsewhere(by) => return Err(by),
                Route::Nowhere => {}
            }
            routes.changed().await.expect("the router has the sender");
        }
    }
}
