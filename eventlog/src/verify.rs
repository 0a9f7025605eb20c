//! Proving that a partition is what was appended, whole and unchanged.

use std::collections::HashMap;

use sagalog_model::log::{
    Data, Digest, PartitionId, Position, StreamKey, StreamState, Time, Version,
};

use crate::{
    chain::Chain,
    contract::EventLog,
    error::{Damage, ReadError},
    row::Row,
};

/// How many rows are read at once.
const PAGE: usize = 1_000;

/// Reads a whole partition and checks positions, versions, times and the chain.
///
/// It needs memory for the open streams, not for the finished ones. What was cut off at the end
/// cannot be seen here; compare [`Verified::chain`] with one that was kept elsewhere.
///
/// # Errors
/// [`VerifyError::Bad`] names the first position where something is wrong.
pub async fn verify(log: &dyn EventLog, partition: PartitionId) -> Result<Verified, VerifyError> {
    let mut check = Check::new(partition);
    let mut rows = log.read(partition, Position::new(1), PAGE).await?;
    while let Some(last) = rows.last() {
        // The store fetches the next page while this one is hashed.
        let next = log.read(partition, last.last_position().next(), PAGE);
        let (next, checked) = tokio::join!(next, check.page(log, &rows));
        checked?;
        rows = next?;
    }
    Ok(check.verified)
}

/// What was verified.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Verified {
    /// Rows, that is inputs.
    pub rows: u64,
    /// Events.
    pub events: u64,
    /// Events whose data was erased; their hashes fit.
    pub erased: u64,
    /// Streams.
    pub streams: u64,
    /// Streams that are open.
    pub open: u64,
    /// The last position.
    pub tail: Position,
    /// The chain value there: it stands for everything before it.
    pub chain: Digest,
}

/// Why a partition was not verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Something is wrong with what is stored.
    #[error("{log} is not what was appended, from position {position} on: {fault}")]
    Bad {
        /// The log.
        log: String,
        /// The first bad position.
        position: Position,
        /// What is wrong there.
        fault: Fault,
    },
    /// Something stored cannot be read at all.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The log could not be read now.
    #[error(transparent)]
    Read(ReadError),
}

impl From<ReadError> for VerifyError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged(damage) => Self::Damaged(damage),
            error => Self::Read(error),
        }
    }
}

/// What is wrong with a row.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Positions are missing or there twice.
    #[error("position {expected} should follow")]
    Position {
        /// The position that should be here.
        expected: Position,
    },
    /// Versions are missing or there twice.
    #[error("version {given} of stream {stream} follows version {last}")]
    Version {
        /// The stream.
        stream: StreamKey,
        /// The first version of the row.
        given: Version,
        /// The version before it; 0 if there is none.
        last: Version,
    },
    /// The first row of a stream has no name, another row has one, or the key is not its position.
    #[error("the first row of a stream, and no other, has a name and its own position as key")]
    Identity,
    /// Time runs back.
    #[error("its time is before that of the row before it")]
    Time,
    /// The chain value does not fit the content.
    #[error("its chain value is {stored}, its content gives {computed}")]
    Chain {
        /// What is stored.
        stored: Digest,
        /// What it should be.
        computed: Digest,
    },
}

struct Check {
    partition: PartitionId,
    verified: Verified,
    chain: Chain,
    at: Time,
    open: HashMap<StreamKey, Version>,
}

impl Check {
    fn new(partition: PartitionId) -> Self {
        Self {
            partition,
            verified: Verified::default(),
            chain: Chain::after(partition, Digest::default()),
            at: Time::default(),
            open: HashMap::new(),
        }
    }

    async fn page(&mut self, log: &dyn EventLog, rows: &[Row]) -> Result<(), VerifyError> {
        for row in rows {
            if let Err(fault) = self.row(log, row).await? {
                return Err(VerifyError::Bad {
                    log: log.name().to_owned(),
                    position: row.position,
                    fault,
                });
            }
        }
        Ok(())
    }

    async fn row(
        &mut self,
        log: &dyn EventLog,
        row: &Row,
    ) -> Result<Result<(), Fault>, VerifyError> {
        let last = match self.open.get(&row.stream) {
            Some(last) => *last,
            None => self.last_of_closed(log, row).await?,
        };
        Ok(self.check(row, last).map(|()| self.count(row)))
    }

    /// The version before `row` of a stream that is not open: it is new, or it was closed and its
    /// last row has been verified already.
    async fn last_of_closed(&self, log: &dyn EventLog, row: &Row) -> Result<Version, VerifyError> {
        if row.version <= Version::new(1) {
            return Ok(Version::default());
        }
        let before = Version::new(row.version.get() - 1);
        let rows = log
            .read_stream(self.partition, row.stream, before, 1)
            .await?;
        let earlier = rows
            .first()
            .filter(|earlier| earlier.position < row.position);
        Ok(earlier.map_or_else(Version::default, Row::last_version))
    }

    fn check(&mut self, row: &Row, last: Version) -> Result<(), Fault> {
        let expected = self.verified.tail.next();
        if row.position != expected {
            return Err(Fault::Position { expected });
        }
        if row.version != last.next() {
            return Err(Fault::Version {
                stream: row.stream,
                given: row.version,
                last,
            });
        }
        let first = row.version == Version::new(1);
        if first != row.name.is_some() || first != (row.stream.get() == row.position.get()) {
            return Err(Fault::Identity);
        }
        if row.at < self.at {
            return Err(Fault::Time);
        }
        let computed = self.chain.next(row);
        if row.chain != computed {
            return Err(Fault::Chain {
                stored: row.chain,
                computed,
            });
        }
        Ok(())
    }

    fn count(&mut self, row: &Row) {
        match row.state {
            StreamState::Open => self.open.insert(row.stream, row.last_version()),
            StreamState::Closed => self.open.remove(&row.stream),
        };
        self.at = row.at;
        let verified = &mut self.verified;
        verified.rows += 1;
        verified.events += row.events.len() as u64;
        verified.erased += row
            .events
            .iter()
            .filter(|event| matches!(event.data, Data::Erased(_)))
            .count() as u64;
        verified.streams += u64::from(row.name.is_some());
        verified.open = self.open.len() as u64;
        verified.tail = row.last_position();
        verified.chain = row.chain;
    }
}
