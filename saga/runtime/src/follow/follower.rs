//! Following several partitions.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use sagalog_eventlog::{EventLog, NamedRow, ReadError};
use sagalog_model::log::{PartitionId, Position};
use sagalog_transport::{Closed, LogStreams};
use tokio::{sync::mpsc, task::JoinSet};

use super::{checkpoint::Checkpoint, partition::Following};

/// Pages that wait to be taken.
const PAGES: usize = 2;

/// Consecutive rows of a partition that a follower has not handed out before.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page {
    /// Where they are.
    pub partition: PartitionId,
    /// Where the follower was before: the position right before the first row.
    pub before: Checkpoint,
    /// The rows, at least one, in order, each with the name of its stream.
    pub rows: Vec<NamedRow>,
    /// Where the follower is once it has handled them.
    pub checkpoint: Checkpoint,
}

/// Follows a published log. Dropped, it stops.
pub struct Follower {
    pages: mpsc::Receiver<Result<Page, FollowError>>,
    _running: JoinSet<()>,
}

/// Puts a follower together.
#[must_use = "a follower does nothing until it is started"]
pub struct FollowerBuilder {
    streams: Arc<dyn LogStreams>,
    store: Option<Arc<dyn EventLog>>,
    partitions: Vec<PartitionId>,
    from: BTreeMap<PartitionId, Checkpoint>,
}

/// Why a follower does not go on in a partition. It goes on in the others.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// Positions are missing in the stream, and there is no store to read them from.
    #[error(
        "positions {} to {} of partition {partition} are not in the published log any more; give the follower the \
         log itself to read them from (`store`), or begin behind them", .missing.start, .missing.end.get() - 1
    )]
    Gap {
        /// The partition.
        partition: PartitionId,
        /// What is missing, without the last.
        missing: Range<Position>,
    },
    /// A row is not what was appended, and there is no store to read it from.
    #[error(
        "the row at position {position} of partition {partition} in the published log is not what was appended, as \
         its chain value tells; give the follower the log itself to read it from (`store`)"
    )]
    Broken {
        /// The partition.
        partition: PartitionId,
        /// The first position of the row.
        position: Position,
    },
    /// The store is not the log that was followed: it has other rows before its next position. Follow the right one, or
    /// begin anew.
    #[error(
        "{log} does not go on from position {position} of partition {partition} with what was followed up to there: \
         it is another log, or a copy that was changed"
    )]
    OtherLog {
        /// The store.
        log: String,
        /// The partition.
        partition: PartitionId,
        /// The last position that was followed.
        position: Position,
    },
    /// The store is damaged.
    #[error("the log that the follower was given cannot be read")]
    Store(#[source] ReadError),
    /// The streams were closed.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl Follower {
    /// Follows a log that is published to these streams.
    pub fn of(streams: Arc<dyn LogStreams>) -> FollowerBuilder {
        FollowerBuilder {
            streams,
            store: None,
            partitions: Vec::new(),
            from: BTreeMap::new(),
        }
    }

    /// Waits for the next rows of any partition. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`FollowError`], once for each partition in which it cannot go on; [`FollowError::Closed`] when there is
    /// none left.
    pub async fn next(&mut self) -> Result<Page, FollowError> {
        let next = self.pages.recv().await;
        next.unwrap_or(Err(FollowError::Closed(Closed)))
    }
}

impl FollowerBuilder {
    /// Reads from this log what the streams do not have. A handle that only reads is enough, and a copy that is
    /// a little behind, such as a standby.
    pub fn store(mut self, log: Arc<dyn EventLog>) -> Self {
        self.store = Some(log);
        self
    }

    /// Follows these partitions. Unless said, it follows all that the store has, or partition 0 if there is no
    /// store.
    pub fn partitions(mut self, partitions: impl IntoIterator<Item = PartitionId>) -> Self {
        self.partitions.extend(partitions);
        self
    }

    /// Begins behind these checkpoints; before everything in partitions that have none.
    pub fn from(
        mut self,
        checkpoints: impl IntoIterator<Item = (PartitionId, Checkpoint)>,
    ) -> Self {
        self.from.extend(checkpoints);
        self
    }

    /// Starts. Must be called inside tokio.
    pub fn start(mut self) -> Follower {
        if self.partitions.is_empty() {
            let all = self.store.as_ref().map_or(1, |log| log.partitions());
            self.partitions.extend((0..all).map(PartitionId::new));
        }
        let (sender, pages) = mpsc::channel(PAGES);
        let mut running = JoinSet::new();
        for partition in self.partitions {
            let from = self.from.get(&partition).copied();
            let from = from.unwrap_or_else(|| Checkpoint::at(Position::default()));
            let (streams, store) = (self.streams.clone(), self.store.clone());
            let following = Following::new(partition, from, &*streams, store, sender.clone());
            running.spawn(following.run());
        }
        Follower {
            pages,
            _running: running,
        }
    }
}
