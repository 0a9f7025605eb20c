//! Reading a partition from a position on, for ever.

use std::{collections::VecDeque, sync::Arc};

use sagalog_model::log::{PartitionId, Position};
use tokio::sync::watch;

use crate::{
    contract::EventLog,
    error::{Damage, ReadError},
    row::Row,
};

/// How many rows are read at once.
const PAGE: usize = 500;

/// A reader of a partition: first what is there, then what comes.
///
/// Both are the same loop, reading behind the last position seen, so there is no moment of handing
/// over at which something could be missed. Every row must begin right behind the one before; a
/// hole is damage and ends the subscription.
pub struct Subscription {
    log: Arc<dyn EventLog>,
    partition: PartitionId,
    /// The last position handed out, or where it was told to begin.
    last: Position,
    /// Whether nothing was handed out yet: a start inside a batch gets the whole batch.
    fresh: bool,
    page: VecDeque<Row>,
    tail: watch::Receiver<Position>,
}

impl Subscription {
    /// Subscribes to what comes after `position`, 0 for everything.
    ///
    /// # Errors
    /// [`SubscriptionError::Ahead`] if the log does not reach that far.
    pub async fn after(
        log: Arc<dyn EventLog>,
        partition: PartitionId,
        position: Position,
    ) -> Result<Self, SubscriptionError> {
        let tail = log.watch(partition).await?;
        let reached = *tail.borrow();
        if reached < position {
            return Err(SubscriptionError::Ahead {
                log: log.name().to_owned(),
                position,
                tail: reached,
            });
        }
        Ok(Self {
            log,
            partition,
            last: position,
            fresh: true,
            page: VecDeque::new(),
            tail,
        })
    }

    /// The next row, as soon as it is durable. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`SubscriptionError`]; after an error of reading, asking again goes on at the same place.
    pub async fn next(&mut self) -> Result<Row, SubscriptionError> {
        loop {
            if let Some(row) = self.page.pop_front() {
                self.follows(&row)?;
                (self.last, self.fresh) = (row.last_position(), false);
                return Ok(row);
            }
            self.fill().await?;
        }
    }

    /// All rows that can be had at once, at least one, in order: for readers that store what they
    /// make of them in one commit.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn next_page(&mut self) -> Result<Vec<Row>, SubscriptionError> {
        let mut rows = vec![self.next().await?];
        while let Some(row) = self.page.pop_front() {
            self.follows(&row)?;
            self.last = row.last_position();
            rows.push(row);
        }
        Ok(rows)
    }

    /// The last position handed out: what a checkpoint should say once it is handled.
    pub fn position(&self) -> Position {
        self.last
    }

    /// Waits until something is behind the last position, and reads it.
    async fn fill(&mut self) -> Result<(), SubscriptionError> {
        let last = self.last;
        if self.tail.wait_for(|tail| *tail > last).await.is_err() {
            return Err(SubscriptionError::Ended {
                log: self.log.name().to_owned(),
            });
        }
        self.page = self
            .log
            .read(self.partition, last.next(), PAGE)
            .await?
            .into();
        if self.page.is_empty() {
            return Err(self.hole(
                last.next(),
                "the log says that there is a row here, and there is none".to_owned(),
            ));
        }
        Ok(())
    }

    fn follows(&self, row: &Row) -> Result<(), SubscriptionError> {
        let expected = self.last.next();
        let covers = self.fresh && row.position < expected && expected <= row.last_position();
        if row.position == expected || covers {
            return Ok(());
        }
        Err(self.hole(
            row.position,
            format!("a row for position {expected} should be here"),
        ))
    }

    fn hole(&self, position: Position, what: String) -> SubscriptionError {
        ReadError::from(Damage {
            log: self.log.name().to_owned(),
            position: Some(position),
            what,
        })
        .into()
    }
}

/// Why a subscription has no next row.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubscriptionError {
    /// The log ends before the position after which to begin: it was restored from an older copy,
    /// or the checkpoint belongs to another log.
    #[error(
        "{log} ends at position {tail}, it cannot be read after {position}: was it restored from an older copy?"
    )]
    Ahead {
        /// The log.
        log: String,
        /// Where to begin.
        position: Position,
        /// Where it ends.
        tail: Position,
    },
    /// The log was closed.
    #[error("{log} was closed")]
    Ended {
        /// The log.
        log: String,
    },
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}
