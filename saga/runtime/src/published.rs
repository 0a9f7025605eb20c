//! Publishes the log of each partition that this process drives, for others to [follow](crate::follow).
//!
//! A publisher reads the log as any reader does, beside the driver and never through it: a broker that is slow
//! or gone holds up nobody, and nothing is published before it is durable (I5), because a reader gets nothing
//! else. It goes on behind what its stream says, so there is no checkpoint.
//!
//! Two may publish one partition for a while, when the owner changes. Both read the same durable rows in the same
//! order, so all that follows are rows that are there twice, which followers pass over.
//!
//! Bound: a publisher holds one page of the log, [`PAGE_BYTES`](sagalog_eventlog::PAGE_BYTES) at most and usually
//! much less, and its text.

use std::{sync::Arc, time::Duration};

use sagalog_eventlog::{
    EventLog, Page, PageWriter, ReadError, StreamNames, Subscription, SubscriptionError,
};
use sagalog_model::log::{PartitionId, Position};
use sagalog_transport::{DeclareError, LogStreams, Queue, StreamError};
use tokio::{
    select,
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{driver::chain, observe::Watch};

/// How long what is durable may still be published when the process stops in peace: longer than it takes to find
/// out that a stream is empty.
const GRACE: Duration = Duration::from_secs(10);

/// How long to wait before publishing again after it failed: at first, and at most.
const AGAIN_FIRST: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_secs(10);

/// The publishers of a process.
pub(crate) struct Publishers {
    log: Arc<dyn EventLog>,
    streams: Arc<dyn LogStreams>,
    watch: Watch,
    running: TaskTracker,
}

/// Publishes a partition. Dropped, it stops at once.
pub(crate) struct Publishing {
    /// Stops it when all that is durable by then was published.
    finish: CancellationToken,
    stop: CancellationToken,
}

impl Publishers {
    pub(crate) fn new(log: Arc<dyn EventLog>, streams: Arc<dyn LogStreams>, watch: Watch) -> Self {
        let running = TaskTracker::new();
        Self {
            log,
            streams,
            watch,
            running,
        }
    }

    /// Makes sure that the streams are there as they are wanted, if the broker can be reached now: the publishers
    /// do so again.
    ///
    /// # Errors
    /// [`DeclareError`] if a person must do something about it.
    pub(crate) async fn declare(&self) -> Result<(), DeclareError> {
        for partition in (0..self.log.partitions()).map(PartitionId::new) {
            match self.streams.declare(partition).await {
                Err(error @ DeclareError::Unavailable(_)) => {
                    warn!(
                        why = chain(&error),
                        "the log cannot be published yet; sagas run on"
                    );
                    break;
                }
                declared => declared?,
            }
        }
        Ok(())
    }

    /// Publishes a partition that this process has begun to drive.
    pub(crate) fn begin(&self, partition: PartitionId) -> Publishing {
        let publisher = Publisher {
            log: self.log.clone(),
            streams: self.streams.clone(),
            watch: self.watch.clone(),
            partition,
            confirmed: watch::Sender::default(),
        };
        let (finish, stop) = (CancellationToken::new(), CancellationToken::new());
        let publishing = Publishing {
            finish: finish.clone(),
            stop: stop.clone(),
        };
        self.running
            .spawn(stop.run_until_cancelled_owned(publisher.run(finish)));
        publishing
    }

    /// Waits until all have stopped.
    pub(crate) async fn ended(&self) {
        self.running.close();
        self.running.wait().await;
    }
}

impl Publishing {
    /// Lets it publish what is durable now, within the grace, and stop.
    pub(crate) fn finish(mut self) {
        self.finish.cancel();
        self.stop = CancellationToken::new();
    }
}

impl Drop for Publishing {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Why a partition cannot be published now.
#[derive(Debug, thiserror::Error)]
enum CannotPublish {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Log(#[from] SubscriptionError),
    #[error(
        "the stream {stream} has something at position {position} that this log has not: each log needs a vhost of \
         its own; if this is the right one, delete the stream, and it is published anew"
    )]
    OtherLog { stream: Queue, position: Position },
}

impl From<ReadError> for CannotPublish {
    fn from(error: ReadError) -> Self {
        Self::Log(error.into())
    }
}

impl From<DeclareError> for CannotPublish {
    fn from(error: DeclareError) -> Self {
        Self::Stream(error.into())
    }
}

struct Publisher {
    log: Arc<dyn EventLog>,
    streams: Arc<dyn LogStreams>,
    watch: Watch,
    partition: PartitionId,
    /// The last position that the stream has.
    confirmed: watch::Sender<Position>,
}

impl Publisher {
    async fn run(self, finish: CancellationToken) {
        select! {
            () = self.publish_for_ever() => {}
            () = self.finished(finish) => {}
        }
    }

    async fn finished(&self, finish: CancellationToken) {
        finish.cancelled().await;
        let published = timeout(GRACE, async {
            if let Ok(tail) = self.log.tail(self.partition).await {
                let mut confirmed = self.confirmed.subscribe();
                // Its sender is ours.
                _ = confirmed.wait_for(|confirmed| *confirmed >= tail).await;
            }
        });
        if published.await.is_err() {
            info!(
                partition = self.partition.get(),
                "the end of the log is not published yet; the next owner does it"
            );
        }
    }

    async fn publish_for_ever(&self) {
        let (mut pause, mut told) = (AGAIN_FIRST, None);
        loop {
            let before = *self.confirmed.borrow();
            let Err(error) = self.publish().await;
            if matches!(error, CannotPublish::Stream(StreamError::Closed(_))) {
                return std::future::pending().await;
            }
            if *self.confirmed.borrow() > before {
                pause = AGAIN_FIRST;
            }
            let why = chain(&error);
            if told.as_ref() != Some(&why) {
                warn!(
                    partition = self.partition.get(),
                    why, "the log is not published now; sagas run on"
                );
                told = Some(why);
            }
            sleep(pause).await;
            pause = (pause * 2).min(AGAIN_MAX);
        }
    }

    /// Publishes until something fails. Beginning anew is how it comes back from every failure.
    async fn publish(&self) -> Result<std::convert::Infallible, CannotPublish> {
        self.streams.declare(self.partition).await?;
        let published = self.published().await?;
        let (log, partition) = (self.log.clone(), self.partition);
        let mut rows = Subscription::after(log.clone(), partition, published).await?;
        let mut names = StreamNames::of(log, partition);
        self.watch.published(partition, published);
        self.confirmed.send_replace(published);
        loop {
            let mut pages = PageWriter::of(partition);
            for row in rows.next_page().await? {
                pages.add(&names.of_row(&row).await?, &row);
            }
            self.streams.publish(partition, pages.pages()).await?;
            self.watch.published(partition, rows.position());
            self.confirmed.send_replace(rows.position());
        }
    }

    /// Up to where the stream has the log: it says so itself.
    async fn published(&self) -> Result<Position, CannotPublish> {
        let Some(last) = self.streams.last(self.partition).await? else {
            return Ok(Position::default());
        };
        let other_log = |position| CannotPublish::OtherLog {
            stream: Queue::log(self.partition.get()),
            position,
        };
        let page = Page::read(&last.content).map_err(|_| other_log(Position::default()))?;
        let end = page.positions.end;
        if page.partition != self.partition || self.log.tail(self.partition).await?.next() < end {
            return Err(other_log(page.positions.start));
        }
        if let Some(published) = page.rows.last() {
            let position = published.row.position;
            let stored = self.log.read(self.partition, position, 1).await?;
            // The chain value stands for the row, also if its data was erased since.
            if stored.first().map(|row| row.chain) != Some(published.row.chain) {
                return Err(other_log(position));
            }
        }
        Ok(Position::new(end.get() - 1))
    }
}
