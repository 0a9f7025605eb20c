//! Which streams are open, without reading the finished ones: a snapshot and the rows behind it.

use sagalog_model::log::{PartitionId, Position, Version};
use sqlx::SqliteConnection;

use crate::{
    ledger::{End, Ledger},
    sql::{
        columns::Columns,
        snapshot::{Bytes, NotRecovered, Open, Recovered, Snapshot, forward},
    },
};

/// Finds out where the log ends and which streams are open.
pub(super) async fn recover(connection: &mut SqliteConnection) -> Result<Recovered, NotRecovered> {
    let end = end(connection, Position::new(i64::MAX as u64)).await?;
    let (open, snapshot) = match load(connection).await? {
        Some(snapshot) => {
            snapshot.check(self::end(connection, snapshot.position).await?, end)?;
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
    let Bytes {
        position,
        chain,
        open,
        digest,
    } = Bytes::of(ledger);
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
    row.map_or(Ok(End::default()), |row| row.end(0))
}

/// The stored snapshot; one that is not whole counts as none, because it can be made again.
async fn load(connection: &mut SqliteConnection) -> Result<Option<Snapshot>, sqlx::Error> {
    let query =
        sqlx::query("select position, chain, open, digest from recovery where partition = 0");
    let row = query.fetch_optional(connection).await?;
    row.map_or(Ok(None), |row| Snapshot::read(&row))
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
    forward(&mut open, &rows)?;
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
    rows.iter()
        .map(|row| Ok((row.key(0)?, Version::new(row.number(1)?))))
        .collect()
}

/// The only partition of a log in a file.
pub(super) const PARTITION: PartitionId = PartitionId::new(0);
