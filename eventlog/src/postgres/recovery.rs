//! Which streams of a partition are open, without reading the finished ones: a snapshot and the rows
//! behind it.

use std::collections::HashMap;

use sagalog_model::log::{PartitionId, Position};
use sqlx::PgConnection;

use crate::{
    ledger::{End, Ledger},
    sql::{
        columns::{Columns, to_sql},
        snapshot::{Bytes, NotRecovered, Open, Recovered, Snapshot, forward},
    },
};

/// Finds out which streams are open in a partition whose lease says that it ends at `end`.
pub(super) async fn recover(
    connection: &mut PgConnection,
    partition: PartitionId,
    end: End,
) -> Result<Recovered, NotRecovered> {
    if self::end(connection, partition, end.position).await? != end {
        let what = "the lease says that the partition ends here, and no such row is there";
        return Err(NotRecovered::Contradiction {
            position: end.position,
            what,
        });
    }
    let (before, snapshot) = match load(connection, partition).await? {
        Some(snapshot) => {
            let then = self::end(connection, partition, snapshot.position).await?;
            snapshot.check(then, end)?;
            (snapshot.open, snapshot.position)
        }
        None => (HashMap::new(), Position::default()),
    };
    Ok(Recovered {
        end,
        open: behind(connection, partition, snapshot, before).await?,
        snapshot,
    })
}

/// Writes the snapshot of what is stored. It is its own commit behind the appends that it covers,
/// so it is never ahead of them; one of an owner that was followed does not replace a later one.
pub(super) async fn store(
    connection: &mut PgConnection,
    partition: PartitionId,
    ledger: &Ledger,
) -> Result<(), sqlx::Error> {
    let Bytes {
        position,
        chain,
        open,
        digest,
    } = Bytes::of(ledger);
    sqlx::query(
        "insert into recovery (partition, position, chain, open, digest) values ($1, $2, $3, $4, $5) \
         on conflict (partition) do update set position = excluded.position, chain = excluded.chain, \
         open = excluded.open, digest = excluded.digest where recovery.position < excluded.position",
    )
    .bind(partition.get() as i32)
    .bind(to_sql(position.get()))
    .bind(&chain.0[..])
    .bind(open)
    .bind(&digest.0[..])
    .execute(connection)
    .await?;
    Ok(())
}

/// The end of the last row that begins at or before `position`.
async fn end(
    connection: &mut PgConnection,
    partition: PartitionId,
    position: Position,
) -> Result<End, sqlx::Error> {
    let row = sqlx::query(
        "select position + count - 1, at, chain from log where partition = $1 and position <= $2 \
         order by position desc limit 1",
    )
    .bind(partition.get() as i32)
    .bind(to_sql(position.get()))
    .fetch_optional(connection)
    .await?;
    row.map_or(Ok(End::default()), |row| row.end(0))
}

/// The stored snapshot; one that is not whole counts as none, because it can be made again.
async fn load(
    connection: &mut PgConnection,
    partition: PartitionId,
) -> Result<Option<Snapshot>, sqlx::Error> {
    let row =
        sqlx::query("select position, chain, open, digest from recovery where partition = $1")
            .bind(partition.get() as i32)
            .fetch_optional(connection)
            .await?;
    row.map_or(Ok(None), |row| Snapshot::read(&row))
}

/// The open streams, brought forward from what was open at a position.
async fn behind(
    connection: &mut PgConnection,
    partition: PartitionId,
    position: Position,
    mut open: Open,
) -> Result<Open, sqlx::Error> {
    let rows = sqlx::query(
        "select distinct on (stream) stream, version + count - 1, state::bigint from log \
         where partition = $1 and position > $2 order by stream, version desc",
    )
    .bind(partition.get() as i32)
    .bind(to_sql(position.get()))
    .fetch_all(connection)
    .await?;
    forward(&mut open, &rows)?;
    Ok(open)
}
