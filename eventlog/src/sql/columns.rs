//! Reading what is stored, column by column.

use std::error::Error;

use sagalog_model::log::{
    BatchId, Digest, Epoch, InputId, Position, StreamKey, StreamName, StreamState, Time, Version,
};
use sqlx::{ColumnIndex, Decode, Row as SqlRow, Type};

use crate::{
    body,
    contract::{Head, StreamHead},
    ledger::{End, Occupant},
    row::Row,
};

/// The longest page in rows.
const MAX_ROWS: usize = 10_000;

/// A row of a statement, in the three kinds of values that a log is stored in.
pub(crate) trait Columns {
    /// A number that is not negative.
    fn number(&self, column: usize) -> Result<u64, sqlx::Error>;
    /// A text.
    fn text(&self, column: usize) -> Result<&str, sqlx::Error>;
    /// A text that may be absent.
    fn maybe_text(&self, column: usize) -> Result<Option<&str>, sqlx::Error>;
    /// Bytes of any length.
    fn blob(&self, column: usize) -> Result<&[u8], sqlx::Error>;

    /// So many bytes.
    fn bytes<const LENGTH: usize>(&self, column: usize) -> Result<[u8; LENGTH], sqlx::Error> {
        let bytes = self.blob(column)?;
        bytes.try_into().map_err(|_| {
            sqlx::Error::Decode(
                format!(
                    "column {column} should have {LENGTH} bytes and has {}",
                    bytes.len()
                )
                .into(),
            )
        })
    }

    /// The key of a stream.
    fn key(&self, column: usize) -> Result<StreamKey, sqlx::Error> {
        self.number(column).map(StreamKey::new)
    }

    /// Whether a stream goes on.
    fn state(&self, column: usize) -> Result<StreamState, sqlx::Error> {
        match self.number(column)? {
            0 => Ok(StreamState::Closed),
            1 => Ok(StreamState::Open),
            other => Err(sqlx::Error::Decode(
                format!("there is no stream state {other}").into(),
            )),
        }
    }

    /// Where a partition ends: position, time, chain.
    fn end(&self, first: usize) -> Result<End, sqlx::Error> {
        Ok(End {
            position: Position::new(self.number(first)?),
            at: Time::from_micros(self.number(first + 1)?),
            chain: Digest(self.bytes(first + 2)?),
        })
    }

    /// Where a stream stands: key, version, state.
    fn head(&self, first: usize) -> Result<Head, sqlx::Error> {
        Ok(Head {
            stream: self.key(first)?,
            version: Version::new(self.number(first + 1)?),
            state: self.state(first + 2)?,
        })
    }

    /// A stream in a listing: name, head, first and last time.
    fn listed(&self) -> Result<StreamHead, sqlx::Error> {
        let Head {
            stream,
            version,
            state,
        } = self.head(1)?;
        Ok(StreamHead {
            name: stream_name(self.text(0)?)?,
            key: stream,
            version,
            state,
            first_at: Time::from_micros(self.number(4)?),
            last_at: Time::from_micros(self.number(5)?),
        })
    }

    /// What is stored in a place that is wanted: id, digest, last position.
    fn occupant(&self) -> Result<Occupant, sqlx::Error> {
        Ok(Occupant {
            id: BatchId(u128::from_be_bytes(self.bytes(0)?)),
            digest: Digest(self.bytes(1)?),
            last: Position::new(self.number(2)?),
        })
    }

    /// A row of the log, its columns in the order of the document; counts the bytes of its body.
    fn stored(&self, bytes_read: &mut usize) -> Result<Row, Box<dyn Error + Send + Sync>> {
        let body = self.text(12)?;
        *bytes_read += body.len();
        let events = body::decode(body)?;
        let count = self.number(3)?;
        if events.is_empty() || events.len() as u64 != count {
            return Err(format!(
                "the row should have {count} events and has {}",
                events.len()
            )
            .into());
        }
        Ok(Row {
            position: Position::new(self.number(0)?),
            stream: self.key(1)?,
            version: Version::new(self.number(2)?),
            state: self.state(4)?,
            at: Time::from_micros(self.number(5)?),
            epoch: Epoch::new(self.number(6)?),
            id: BatchId(u128::from_be_bytes(self.bytes(7)?)),
            input: InputId(u128::from_be_bytes(self.bytes(8)?)),
            digest: Digest(self.bytes(9)?),
            chain: Digest(self.bytes(10)?),
            name: self.maybe_text(11)?.map(stream_name).transpose()?,
            events,
        })
    }
}

impl<R> Columns for R
where
    R: SqlRow,
    usize: ColumnIndex<R>,
    for<'r> i64: Decode<'r, R::Database> + Type<R::Database>,
    for<'r> &'r str: Decode<'r, R::Database> + Type<R::Database>,
    for<'r> Option<&'r str>: Decode<'r, R::Database> + Type<R::Database>,
    for<'r> &'r [u8]: Decode<'r, R::Database> + Type<R::Database>,
{
    fn number(&self, column: usize) -> Result<u64, sqlx::Error> {
        let number: i64 = self.try_get(column)?;
        u64::try_from(number).map_err(|_| {
            sqlx::Error::Decode(format!("column {column} is negative: {number}").into())
        })
    }

    fn text(&self, column: usize) -> Result<&str, sqlx::Error> {
        self.try_get(column)
    }

    fn maybe_text(&self, column: usize) -> Result<Option<&str>, sqlx::Error> {
        self.try_get(column)
    }

    fn blob(&self, column: usize) -> Result<&[u8], sqlx::Error> {
        self.try_get(column)
    }
}

pub(crate) fn stream_name(name: &str) -> Result<StreamName, sqlx::Error> {
    StreamName::new(name).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// A number for a statement; beyond what a database counts there is nothing stored.
pub(crate) fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How many rows a page may have.
pub(crate) fn rows_of(limit: usize) -> i64 {
    limit.min(MAX_ROWS) as i64
}
