//! Making views, and making them anew.

use std::{convert::Infallible, fmt, sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use sagalog_eventlog::EventLog;
use sagalog_model::log::{PartitionId, Position, Time};

use super::{
    error::ViewError,
    partition::{Partition, Step},
    store::{Checkpoint, FORMAT, Generation, ViewStore},
};

/// New tables take the place of the live ones when they are at most so many events behind.
const NEAR: u64 = 10_000;

/// How often a rebuild looks again where a log ends that grows as fast as it is read.
const PASSES: usize = 20;

/// The views of a log.
pub struct Views {
    log: Arc<dyn EventLog>,
    store: ViewStore,
}

/// How far the views of a partition are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ViewStatus {
    /// The partition.
    pub partition: PartitionId,
    /// The last position that is in the views.
    pub position: Position,
    /// The last position of the log.
    pub tail: Position,
    /// When what is last in the views was recorded; the beginning of 1970 if nothing is.
    pub at: Time,
}

/// How far views are behind.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Lag {
    /// By how many events.
    pub events: u64,
    /// For how long at most: since what is last in them was recorded.
    pub span: Duration,
}

impl ViewStatus {
    /// How far it is behind.
    pub fn lag(&self, now: Time) -> Lag {
        let events = self.tail.get().saturating_sub(self.position.get());
        let is_behind = events > 0;
        let since = if is_behind && self.position.get() > 0 {
            now.since(self.at)
        } else {
            Duration::ZERO
        };
        Lag {
            events,
            span: since,
        }
    }
}

/// How far to go.
#[derive(Clone, Copy, Debug)]
enum Goal {
    /// To where the log ends now, and no more than so many events in a partition.
    Tail { at_most: u64 },
    /// With the log, for ever.
    Ever,
}

/// Why a partition is not followed any more.
enum Stop {
    /// These are the views of another log, or of another past of this one.
    Foreign,
    /// The tables are gone.
    Gone,
    Failed(ViewError),
}

impl fmt::Debug for Views {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Views");
        shown.field("log", &self.log.name());
        shown.field("store", &self.store).finish()
    }
}

impl<E: Into<ViewError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Views {
    /// The views of a log, in a place of their own. Nothing is made or read yet.
    pub const fn new(log: Arc<dyn EventLog>, store: ViewStore) -> Self {
        Self { log, store }
    }

    pub(super) const fn store(&self) -> &ViewStore {
        &self.store
    }

    /// The log.
    pub const fn log(&self) -> &Arc<dyn EventLog> {
        &self.log
    }

    /// Whether there are any that can be read.
    ///
    /// # Errors
    /// [`ViewError`]
    pub async fn are_there(&self) -> Result<bool, ViewError> {
        Ok(self.live().await?.is_some())
    }

    /// How far they are, by partition; nothing if there are none.
    ///
    /// # Errors
    /// [`ViewError`]
    pub async fn status(&self) -> Result<Vec<ViewStatus>, ViewError> {
        match self.live().await? {
            Some(live) => self.status_of(live.number).await,
            None => Ok(Vec::new()),
        }
    }

    /// How far those are that are being made beside the live ones; nothing if none are.
    ///
    /// # Errors
    /// [`ViewError`]
    pub async fn status_of_rebuild(&self) -> Result<Vec<ViewStatus>, ViewError> {
        let generations = self.store.generations().await?;
        let begun = generations.iter().find(|it| !it.is_live);
        match begun {
            Some(begun) => self.status_of(begun.number).await,
            None => Ok(Vec::new()),
        }
    }

    /// Makes them if there are none, and then keeps them up with the log for ever.
    ///
    /// Given up at any moment, or ended with its process, it leaves nothing half-done. Several may do
    /// this for the same views: they are in each other's way and nothing worse.
    ///
    /// # Errors
    /// [`ViewError`]; doing it again goes on where it was.
    pub async fn follow(&self) -> Result<Infallible, ViewError> {
        loop {
            match self.live().await? {
                Some(live) => match self.make(live.number, Goal::Ever).await {
                    Ok(()) | Err(Stop::Gone) => {}
                    Err(Stop::Foreign) => self.store.remove(live.number).await?,
                    Err(Stop::Failed(error)) => return Err(error),
                },
                None => self.rebuild().await?,
            }
        }
    }

    /// Brings those that are there up with the log, as it is now, but for no more than so many events in
    /// a partition; says how far they are behind then. Nothing if there are none.
    ///
    /// # Errors
    /// [`ViewError`]
    pub async fn catch_up(&self, at_most: u64) -> Result<Option<u64>, ViewError> {
        let Some(live) = self.live().await? else {
            return Ok(None);
        };
        match self.make(live.number, Goal::Tail { at_most }).await {
            Ok(()) => {}
            Err(Stop::Gone | Stop::Foreign) => return Ok(None),
            Err(Stop::Failed(error)) => return Err(error),
        }
        let status = self.status_of(live.number).await?;
        let behind = status.iter().map(|it| it.lag(it.at).events).sum();
        Ok(Some(behind))
    }

    /// Makes them anew beside those that are there, from the whole log, and then takes the new ones.
    /// What an earlier call has begun is gone on with.
    ///
    /// # Errors
    /// [`ViewError`]; those that are there stay.
    pub async fn rebuild(&self) -> Result<(), ViewError> {
        self.live().await?;
        'begin: loop {
            let number = self.store.begin(self.log.partitions()).await?;
            for _ in 0..PASSES {
                match self.make(number, Goal::Tail { at_most: u64::MAX }).await {
                    Ok(()) => {}
                    // Somebody else has made them the live ones.
                    Err(Stop::Gone) => return Ok(()),
                    Err(Stop::Foreign) => {
                        self.store.remove(number).await?;
                        continue 'begin;
                    }
                    Err(Stop::Failed(error)) => return Err(error),
                }
                let status = self.status_of(number).await?;
                let behind: u64 = status.iter().map(|it| it.lag(it.at).events).sum();
                if behind <= NEAR {
                    break;
                }
            }
            return self.store.swap(number).await;
        }
    }

    /// The tables to read from, if this release can read them.
    async fn live(&self) -> Result<Option<Generation>, ViewError> {
        let generations = self.store.generations().await?;
        let newest = generations.iter().map(|it| it.format).max();
        if let Some(found) = newest.filter(|format| *format > FORMAT) {
            let (place, known) = (self.store.to_string(), FORMAT);
            return Err(ViewError::Newer {
                place,
                found,
                known,
            });
        }
        let mut generations = generations.into_iter();
        Ok(generations.find(|it| it.is_live && it.format == FORMAT))
    }

    async fn status_of(&self, generation: i64) -> Result<Vec<ViewStatus>, ViewError> {
        let mut status = Vec::new();
        for (partition, checkpoint) in self.store.checkpoints(generation).await? {
            status.push(ViewStatus {
                partition,
                position: checkpoint.position,
                tail: self.log.tail(partition).await?,
                at: checkpoint.at,
            });
        }
        Ok(status)
    }

    async fn make(&self, generation: i64, goal: Goal) -> Result<(), Stop> {
        let checkpoints = self.store.checkpoints(generation).await?;
        if checkpoints.is_empty() {
            return Err(Stop::Gone);
        }
        let partitions = checkpoints.into_iter().map(|(partition, checkpoint)| {
            self.follow_one(generation, partition, checkpoint, goal)
        });
        try_join_all(partitions).await.map(drop)
    }

    async fn follow_one(
        &self,
        generation: i64,
        partition: PartitionId,
        mut checkpoint: Checkpoint,
        goal: Goal,
    ) -> Result<(), Stop> {
        let end = match goal {
            Goal::Tail { at_most } => {
                let bound = checkpoint.position.get().saturating_add(at_most);
                self.log.tail(partition).await?.get().min(bound)
            }
            Goal::Ever => u64::MAX,
        };
        while checkpoint.position.get() < end {
            let log = self.log.clone();
            let after = Partition::after(log, &self.store, generation, partition, checkpoint);
            let Some(mut following) = after.await? else {
                return Err(Stop::Foreign);
            };
            while following.position().get() < end {
                if following.step().await? == Step::Overtaken {
                    break;
                }
            }
            if following.position().get() >= end {
                return Ok(());
            }
            let checkpoints = self.store.checkpoints(generation).await?;
            let found = checkpoints.into_iter().find(|(it, _)| *it == partition);
            checkpoint = found.ok_or(Stop::Gone)?.1;
        }
        Ok(())
    }
}
