//! Following one partition.

use std::{convert::Infallible, sync::Arc, time::Duration};

use sagalog_eventlog::{self as eventlog, Chain, EventLog, NamedRow, ReadError, StreamNames};
use sagalog_model::log::{PartitionId, Position};
use sagalog_transport::{LogStreams, StreamMessage, StreamReader, StreamStart};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use super::{
    checkpoint::Checkpoint,
    follower::{FollowError, Page},
};
use crate::driver::chain;

/// Messages that are looked at at a time.
const MESSAGES: usize = 16;

/// After how long a stream that gives nothing is checked against the store.
const QUIET: Duration = Duration::from_secs(5);

/// Rows of one read from the store.
const ROWS: usize = 500;

/// How long to wait before reading a store again that cannot be read or does not go far enough.
const STORE_AGAIN: Duration = Duration::from_millis(500);

/// Follows one partition.
pub(super) struct Following {
    partition: PartitionId,
    at: Checkpoint,
    reader: Box<dyn StreamReader>,
    store: Option<Store>,
    pages: mpsc::Sender<Result<Page, FollowError>>,
    /// The rows of the page under way, and where it began.
    rows: Vec<NamedRow>,
    before: Checkpoint,
}

struct Store {
    log: Arc<dyn EventLog>,
    names: StreamNames,
}

/// Why it stops: something is wrong, or nobody takes its pages any more.
enum Stop {
    Error(FollowError),
    Gone,
}

impl From<FollowError> for Stop {
    fn from(error: FollowError) -> Self {
        Self::Error(error)
    }
}

impl Following {
    pub(super) fn new(
        partition: PartitionId,
        at: Checkpoint,
        streams: &dyn LogStreams,
        store: Option<Arc<dyn EventLog>>,
        pages: mpsc::Sender<Result<Page, FollowError>>,
    ) -> Self {
        let start = at.offset.map_or(StreamStart::First, StreamStart::At);
        Self {
            partition,
            at,
            reader: streams.read(partition, start),
            store: store.map(|log| Store {
                names: StreamNames::of(log.clone(), partition),
                log,
            }),
            pages,
            rows: Vec::new(),
            before: at,
        }
    }

    pub(super) async fn run(mut self) {
        let Err(stop) = self.follow().await;
        if let Stop::Error(error) = stop {
            // Whoever would want to know may have gone.
            _ = self.pages.send(Err(error)).await;
        }
    }

    async fn follow(&mut self) -> Result<Infallible, Stop> {
        let mut messages = Vec::with_capacity(MESSAGES);
        loop {
            match timeout(QUIET, self.reader.next(&mut messages, MESSAGES)).await {
                Ok(read) => read.map_err(FollowError::from)?,
                Err(_) => self.look_at_the_store().await?,
            }
            for message in messages.drain(..) {
                self.take(message).await?;
            }
        }
    }

    /// What the store has and the stream has not given: the log is not published, or its stream is another.
    async fn look_at_the_store(&mut self) -> Result<(), Stop> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        match store.log.tail(self.partition).await {
            Ok(tail) if tail > self.at.position => self.fill(tail.next()).await,
            Ok(_) => Ok(()),
            // It is looked at again.
            Err(error) if is_passing(&error) => Ok(()),
            Err(error) => Err(FollowError::Store(error).into()),
        }
    }

    async fn take(&mut self, message: StreamMessage) -> Result<(), Stop> {
        let page = match eventlog::Page::read(&message.content) {
            Ok(page) if page.partition == self.partition => page,
            Ok(_) => return Ok(()),
            Err(error) => {
                warn!(%error, offset = message.offset, "a message of the published log is passed over");
                return Ok(());
            }
        };
        let (start, end) = (page.positions.start, page.positions.end);
        if start > self.at.position.next() {
            self.fill(start).await?;
        }
        // What a page before the next position leads to is all there.
        self.at.offset = Some(message.offset);
        for named in page.rows {
            self.take_row(named).await?;
        }
        if end > self.at.position.next() {
            self.fill(end).await?;
        }
        self.hand_out().await
    }

    async fn take_row(&mut self, named: NamedRow) -> Result<(), Stop> {
        let row = &named.row;
        if row.last_position() <= self.at.position {
            return Ok(());
        }
        if row.position > self.at.position.next() {
            self.fill(row.position).await?;
        }
        if self.is_next(row) {
            self.add(named);
            return Ok(());
        }
        if self.store.is_none() {
            return Err(Stop::Error(FollowError::Broken {
                partition: self.partition,
                position: row.position,
            }));
        }
        warn!(
            partition = self.partition.get(),
            position = row.position.get(),
            "a row of the published log is not what was appended, and is read from the log"
        );
        self.fill(row.last_position().next()).await
    }

    /// Whether it fits behind what was followed. A row in whose middle the checkpoint is cannot be told.
    fn is_next(&self, row: &eventlog::Row) -> bool {
        let Some(chain) = self.at.chain else {
            return true;
        };
        row.position != self.at.position.next()
            || Chain::after(self.partition, chain).next(row) == row.chain
    }

    fn add(&mut self, named: NamedRow) {
        if self.rows.is_empty() {
            self.before = self.at;
        }
        self.at.position = named.row.last_position();
        self.at.chain = Some(named.row.chain);
        self.rows.push(named);
    }

    async fn hand_out(&mut self) -> Result<(), Stop> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let page = Page {
            partition: self.partition,
            before: self.before,
            rows: std::mem::take(&mut self.rows),
            checkpoint: self.at,
        };
        self.pages.send(Ok(page)).await.map_err(|_| Stop::Gone)
    }

    /// Reads from the store what the stream does not have, up to this position without it.
    async fn fill(&mut self, end: Position) -> Result<(), Stop> {
        self.hand_out().await?;
        let missing = self.at.position.next()..end;
        if self.store.is_none() {
            let partition = self.partition;
            return Err(Stop::Error(FollowError::Gap { partition, missing }));
        }
        info!(
            partition = self.partition.get(),
            from = missing.start.get(),
            to = missing.end.get() - 1,
            "positions that the published log does not have are read from the log"
        );
        while self.at.position.next() < end {
            for named in self.read_store().await? {
                if named.row.position >= end {
                    break;
                }
                if !self.is_next(&named.row) {
                    return Err(Stop::Error(self.other_log()));
                }
                self.add(named);
            }
            self.hand_out().await?;
        }
        Ok(())
    }

    fn other_log(&self) -> FollowError {
        let store = self.store.as_ref();
        FollowError::OtherLog {
            log: store.map_or_else(String::new, |store| store.log.name().to_owned()),
            partition: self.partition,
            position: self.at.position,
        }
    }

    /// The next rows of the store, which is waited for if it does not have or give them now.
    async fn read_store(&mut self) -> Result<Vec<NamedRow>, Stop> {
        let mut is_told = false;
        loop {
            let Some(store) = &mut self.store else {
                return Ok(Vec::new());
            };
            let why = match store.read(self.partition, self.at.position.next()).await {
                Ok(rows) if rows.is_empty() => "it does not go that far yet".to_owned(),
                Ok(rows) => return Ok(rows),
                Err(error) if is_passing(&error) => chain(&error),
                Err(error) => return Err(Stop::Error(FollowError::Store(error))),
            };
            if !std::mem::replace(&mut is_told, true) {
                warn!(
                    partition = self.partition.get(),
                    why, "the log is waited for, to read what the published log does not have"
                );
            }
            sleep(STORE_AGAIN).await;
        }
    }
}

impl Store {
    async fn read(
        &mut self,
        partition: PartitionId,
        from: Position,
    ) -> Result<Vec<NamedRow>, ReadError> {
        let mut named = Vec::new();
        for row in self.log.read(partition, from, ROWS).await? {
            let name = self.names.of_row(&row).await?;
            named.push(NamedRow { name, row });
        }
        Ok(named)
    }
}

fn is_passing(error: &ReadError) -> bool {
    matches!(error, ReadError::Unavailable { .. })
}
