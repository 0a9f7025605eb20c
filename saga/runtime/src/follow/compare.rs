//! Whether the published log is the stored one.

use std::{ops::Range, time::Duration};

use sagalog_eventlog::{Chain, EventLog, Page, ReadError, Row};
use sagalog_model::log::{Digest, PartitionId, Position};
use sagalog_transport::{LogStreams, StreamError, StreamStart};
use tokio::time::timeout;

/// The most gaps that are listed.
const GAPS_MAX: usize = 100;

/// Messages looked at at a time.
const MESSAGES: usize = 16;

/// After how long a stream that gives nothing more is taken to have ended.
const SILENT: Duration = Duration::from_secs(15);

/// What a published partition has of the stored one, up to where that ended when the comparison began.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Compared {
    /// The last position of the stored log when the comparison began.
    pub tail: Position,
    /// Rows that are in both and the same; each counted once.
    pub rows: u64,
    /// Their events.
    pub events: u64,
    /// Rows that are in the stream again.
    pub again: u64,
    /// Positions that are not in the stream, up to the tail; the first 100 pieces. One at the beginning may have
    /// been cut off by the bounds of the stream.
    pub missing: Vec<Range<Position>>,
    /// Positions of rows that are other than stored; the first 100.
    pub different: Vec<Position>,
    /// Messages that are no pages of this partition.
    pub unreadable: u64,
}

impl Compared {
    /// Whether the stream has the whole log, and nothing else.
    pub fn is_equal(&self) -> bool {
        self.missing.is_empty() && self.has_nothing_else()
    }

    /// The first position that the stream has, or the one behind the tail: what is before it was cut off, or never
    /// published.
    pub fn begins_at(&self) -> Position {
        let head = self.missing.first();
        let head = head.filter(|missing| missing.start == Position::new(1));
        head.map_or(Position::new(1), |missing| missing.end)
    }

    /// What is missing behind the first position that the stream has.
    pub fn gaps(&self) -> &[Range<Position>] {
        let has_head = self.begins_at() > Position::new(1);
        &self.missing[usize::from(has_head)..]
    }

    /// Whether what the stream has is what is stored.
    pub fn has_nothing_else(&self) -> bool {
        self.different.is_empty() && self.unreadable == 0
    }
}

/// Why a published log could not be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// The stored log could not be read.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// The stream could not be read, or there is none.
    #[error("the stream of partition {partition} cannot be read")]
    Stream {
        /// The partition.
        partition: PartitionId,
        /// Why.
        #[source]
        source: StreamError,
    },
}

/// Reads the whole stream of a partition and compares it with the stored log: each row, its hashes, and what is
/// missing. It ends where the stored log ends when it begins, or when the stream has given nothing for 15 seconds.
///
/// # Errors
/// [`CompareError`]. What differs is no error, but in what is returned.
pub async fn compare(
    streams: &dyn LogStreams,
    log: &dyn EventLog,
    partition: PartitionId,
) -> Result<Compared, CompareError> {
    let mut comparing = Comparing {
        log,
        partition,
        next: Position::new(1),
        found: Compared {
            tail: log.tail(partition).await?,
            ..Compared::default()
        },
    };
    let unreadable = |source| CompareError::Stream { partition, source };
    if streams.last(partition).await.map_err(unreadable)?.is_none() {
        comparing.pass(comparing.found.tail.next());
    }
    let mut reader = streams.read(partition, StreamStart::First);
    let mut messages = Vec::new();
    while comparing.next <= comparing.found.tail {
        let read = timeout(SILENT, reader.next(&mut messages, MESSAGES));
        let Ok(read) = read.await else {
            break;
        };
        read.map_err(|closed| unreadable(closed.into()))?;
        for message in messages.drain(..) {
            match Page::read(&message.content) {
                Ok(page) if page.partition == partition => comparing.page(page).await?,
                _ => comparing.found.unreadable += 1,
            }
        }
    }
    let end = comparing.found.tail.next();
    comparing.pass(end);
    Ok(comparing.found)
}

struct Comparing<'a> {
    log: &'a dyn EventLog,
    partition: PartitionId,
    /// Everything before it was seen or is missing.
    next: Position,
    found: Compared,
}

impl Comparing<'_> {
    async fn page(&mut self, page: Page) -> Result<(), ReadError> {
        let mut published: Vec<Row> = page.rows.into_iter().map(|named| named.row).collect();
        let before = published.len();
        published.retain(|row| row.position >= self.next);
        self.found.again += (before - published.len()) as u64;
        let tail = self.found.tail;
        published.retain(|row| row.last_position() <= tail);
        let Some(first) = published.first() else {
            return Ok(());
        };
        let mut last = self.chain_before(first.position).await?;
        let mut stored = Vec::new().into_iter();
        for row in published {
            self.pass(row.position);
            let is_stored = loop {
                match stored.next() {
                    None => {
                        let some = self.log.read(self.partition, row.position, 500).await?;
                        if some.is_empty() {
                            break false;
                        }
                        stored = some.into_iter();
                    }
                    Some(there) if there.position < row.position => last = there.chain,
                    Some(there) => {
                        break there.position == row.position && there.chain == row.chain;
                    }
                }
            };
            // Its own content, not only what it says of itself.
            let is_whole = Chain::after(self.partition, last).next(&row) == row.chain;
            if is_stored && is_whole {
                self.found.rows += 1;
                self.found.events += row.events.len() as u64;
            } else if self.found.different.len() < GAPS_MAX {
                self.found.different.push(row.position);
            }
            last = row.chain;
            self.next = row.last_position().next();
        }
        Ok(())
    }

    /// The chain value of the row before this position.
    async fn chain_before(&self, position: Position) -> Result<Digest, ReadError> {
        if position <= Position::new(1) {
            return Ok(Digest::default());
        }
        let before = Position::new(position.get() - 1);
        let rows = self.log.read(self.partition, before, 1).await?;
        Ok(rows.first().map_or_else(Digest::default, |row| row.chain))
    }

    /// Everything up to this position is missing that was not seen.
    fn pass(&mut self, position: Position) {
        if position > self.next {
            if self.found.missing.len() < GAPS_MAX {
                self.found.missing.push(self.next..position);
            }
            self.next = position;
        }
    }
}
