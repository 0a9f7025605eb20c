//! A log as it grows: the pages of all of its partitions.

use std::{sync::Arc, time::Duration};

use sagalog::{
    EventLog,
    log::{PartitionId, Position},
};
use sagalog_eventlog::{ReadError, Row, Subscription, SubscriptionError};
use tokio::{sync::mpsc, task::JoinSet, time::sleep};

use crate::{CliError, log::partitions};

/// Pages that wait to be taken.
const AHEAD: usize = 16;

/// The pause before a log is read again that could not be read.
const AGAIN: Duration = Duration::from_millis(250);

/// Follows a log from its beginning.
pub(super) struct Pages {
    arriving: mpsc::Receiver<Page>,
    _readers: JoinSet<()>,
}

type Page = Result<(PartitionId, Vec<Row>), CliError>;

impl Pages {
    /// From the first event of each partition on.
    pub(super) async fn of(log: &Arc<dyn EventLog>) -> Result<Self, CliError> {
        let (found, arriving) = mpsc::channel(AHEAD);
        let mut readers = JoinSet::new();
        for partition in partitions(&**log) {
            let rows = Subscription::after(log.clone(), partition, Position::new(0)).await?;
            readers.spawn(read(partition, rows, found.clone()));
        }
        Ok(Self {
            arriving,
            _readers: readers,
        })
    }

    /// The next rows of a partition.
    pub(super) async fn next(&mut self) -> Page {
        let page = self.arriving.recv().await;
        page.expect("a reader goes on until it has told its error, which ends all of them")
    }
}

async fn read(partition: PartitionId, mut rows: Subscription, found: mpsc::Sender<Page>) {
    loop {
        let page = rows.next_page().await;
        // Whoever drives the sagas waits for the store, too, and says so.
        if let Err(SubscriptionError::Read(ReadError::Unavailable { .. })) = page {
            sleep(AGAIN).await;
            continue;
        }
        let page = page.map(|rows| (partition, rows)).map_err(CliError::from);
        let failed = page.is_err();
        if found.send(page).await.is_err() || failed {
            return;
        }
    }
}
