//! Which streams are open, without reading the finished ones: a snapshot and the rows behind it.

use std::collections::HashMap;

use sagalog_model::log::{Digest, PartitionId, Position, StreamKey, Time, Version};
use sqlx::{Row as _, SqliteConnection};

use crate::{
    leaf::sha256,
    ledger::{End, Ledger},
};

/// Open streams with their last versions.
type Open = HashMap<StreamKey, Version>;

/// A log as its owner finds it.
pub(super) struct Recovered {
    pub(super) end: End,
    pub(super) open: Open,
    /// Up to where a snapshot had it.
    pub(super) snapshot: Position,
}

/// Why a log was not recovered.
pub(super) enum NotRecovered {
    /// The store failed.
    Store(sqlx::Error),
    /// The log is not the one that the snapshot was made of.
    Contradiction {
        position: Position,
        what: &'static str,
    },
}

impl From<sqlx::Error> for NotRecovered {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error)
    }
}

struct Snapshot {
    position: Position,
    chain: Digest,
    open: Open,
}

/// Finds out where the log ends and which streams are open.
pub(super) async fn recover(connection: &mut SqliteConnection) -> Result<Recovered, NotRecovered> {
    let end = end(connection, Position::new(i64::MAX as u64)).await?;
    let (open, snapshot) = match load(connection).await? {
        Some(snapshot) => {
            check(connection, &snapshot, end).await?;
            (behind(connection, &snapshot).await?, snapshot.position)
        }
        None => (all(connection).await?, Position::default()),
    };
    Ok(Recovered {
        end,
        open,
        snapshot,
    })
}

/// Writes the snapshot of what is stored. It is its own commit behind the appends that it covers,
/// so it is never ahead of them.
pub(super) async fn store(
    connection: &mut SqliteConnection,
    ledger: &Ledger,
) -> Result<(), sqlx::Error> {
    let End {
        position, chain, ..
    } = ledger.end();
    let open = to_bytes(ledger.open());
    let digest = digest(position, chain, &open);
    sqlx::query(
        "insert or replace into recovery (partition, position, chain, open, digest) values (0, ?1, ?2, ?3, ?4)",
    )
    .bind(position.get() as i64)
    .bind(chain.0.to_vec())
    .bind(open)
    .bind(digest.0.to_vec())
    .execute(connection)
    .await?;
    Ok(())
}

/// The end of the last row that begins at or before `position`.
pub(super) async fn end(
    connection: &mut SqliteConnection,
    position: Position,
) -> Result<End, sqlx::Error> {
    let row = sqlx::query(
        "select position + count - 1, at, chain from log where position <= ?1 order by position desc limit 1",
    )
    .bind(position.get() as i64)
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else {
        return Ok(End::default());
    };
    Ok(End {
        position: Position::new(row.try_get::<i64, _>(0)? as u64),
        at: Time::from_micros(row.try_get::<i64, _>(1)? as u64),
        chain: to_digest(row.try_get(2)?)?,
    })
}

/// The stored snapshot; one that is not whole counts as none, because it can be made again.
async fn load(connection: &mut SqliteConnection) -> Result<Option<Snapshot>, sqlx::Error> {
    let query =
        sqlx::query("select position, chain, open, digest from recovery where partition = 0");
    let Some(row) = query.fetch_optional(connection).await? else {
        return Ok(None);
    };
    let position = Position::new(row.try_get::<i64, _>(0)? as u64);
    let open: &[u8] = row.try_get(2)?;
    let (Ok(chain), Ok(stored)) = (to_digest(row.try_get(1)?), to_digest(row.try_get(3)?)) else {
        return Ok(None);
    };
    let whole = stored == digest(position, chain, open);
    Ok(whole.then(|| Snapshot {
        position,
        chain,
        open: from_bytes(open),
    }))
}

/// Whether the log still has what the snapshot was made of.
async fn check(
    connection: &mut SqliteConnection,
    snapshot: &Snapshot,
    last: End,
) -> Result<(), NotRecovered> {
    let position = snapshot.position;
    if last.position < position {
        let what =
            "the log ends before a position that it had when its recovery snapshot was written";
        return Err(NotRecovered::Contradiction {
            position: last.position,
            what,
        });
    }
    let then = end(connection, position).await?;
    if (then.position, then.chain) != (position, snapshot.chain) {
        let what = "the row is not the one that was there when the recovery snapshot was written";
        return Err(NotRecovered::Contradiction { position, what });
    }
    Ok(())
}

/// The snapshot brought forward. The rows behind it are few, so they are read in their own order
/// and not through the index of all streams.
async fn behind(
    connection: &mut SqliteConnection,
    snapshot: &Snapshot,
) -> Result<Open, sqlx::Error> {
    let rows = sqlx::query(
        "select stream, max(version) + count - 1, state from log not indexed where position > ?1 group by stream",
    )
    .bind(snapshot.position.get() as i64)
    .fetch_all(connection)
    .await?;
    let mut open = snapshot.open.clone();
    for row in rows {
        let (stream, version) = head(&row)?;
        match row.try_get::<i64, _>(2)? {
            0 => open.remove(&stream),
            _ => open.insert(stream, version),
        };
    }
    Ok(open)
}

/// The open streams of the whole log: what a snapshot saves.
async fn all(connection: &mut SqliteConnection) -> Result<Open, sqlx::Error> {
    let rows = sqlx::query(
        "select stream, last from (select stream, max(version) + count - 1 as last, state from log group by stream) \
         where state = 1",
    )
    .fetch_all(connection)
    .await?;
    rows.iter().map(head).collect()
}

fn head(row: &sqlx::sqlite::SqliteRow) -> Result<(StreamKey, Version), sqlx::Error> {
    Ok((
        StreamKey::new(row.try_get::<i64, _>(0)? as u64),
        Version::new(row.try_get::<i64, _>(1)? as u64),
    ))
}

fn to_digest(bytes: &[u8]) -> Result<Digest, sqlx::Error> {
    bytes
        .try_into()
        .map(Digest)
        .map_err(|_| sqlx::Error::Decode("a hash does not have 32 bytes".into()))
}

fn digest(position: Position, chain: Digest, open: &[u8]) -> Digest {
    sha256(&[&position.get().to_be_bytes(), &chain.0[..], open].concat())
}

fn to_bytes(open: &Open) -> Vec<u8> {
    let numbers = open
        .iter()
        .flat_map(|(stream, version)| [stream.get(), version.get()]);
    numbers.flat_map(u64::to_be_bytes).collect()
}

fn from_bytes(bytes: &[u8]) -> Open {
    let number = |bytes: &[u8; 8]| u64::from_be_bytes(*bytes);
    let pairs = bytes.as_chunks::<8>().0.as_chunks::<2>().0;
    pairs
        .iter()
        .map(|[stream, version]| {
            (
                StreamKey::new(number(stream)),
                Version::new(number(version)),
            )
        })
        .collect()
}

/// The only partition of a log in a file.
pub(super) const PARTITION: PartitionId = PartitionId::new(0);
