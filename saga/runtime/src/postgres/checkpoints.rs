//! The checkpoints of followers, in the same transaction as what they make of the log.

use sagalog_model::log::{Digest, PartitionId, Position};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row as _};

use super::place::{self, Place, PlaceError};
use crate::follow::{Checkpoint, Page};

/// The schema that checkpoints are in if nobody says otherwise.
const SCHEMA: &str = "sagalog_followers";
const CONNECTIONS: u32 = 1;

/// How far [followers](crate::follow) are: a row for each name and partition, which is written in the
/// transaction of what a follower makes of a [page](Page).
///
/// One follower at a time has a name. A second one, such as a process that was taken for dead, gets
/// [`Moved`](CheckpointError::Moved) when it wants to store what the other has stored, and its transaction has no
/// effect if it is not committed.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    place: Place,
}

/// Why a checkpoint was not stored. Roll the transaction back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The stored one is not where this follower was before. Stop it, or start it from what is stored.
    #[error(
        "the checkpoint of {name} in partition {partition} is not at position {before} any more: another follower has \
         this name; stop one of them, or give it a name of its own"
    )]
    Moved {
        /// The name.
        name: String,
        /// The partition.
        partition: PartitionId,
        /// Where it should be.
        before: Position,
    },
    /// The database did not take it.
    #[error("the checkpoint cannot be written")]
    Database(#[from] sqlx::Error),
}

impl Checkpoints {
    /// The checkpoints in the database that `url` names, in the schema `sagalog_followers`, which is made if it
    /// is not there.
    ///
    /// # Errors
    /// [`PlaceError`]
    pub async fn open(url: &str) -> Result<Self, PlaceError> {
        Self::on(place::connect(url, CONNECTIONS)?, SCHEMA).await
    }

    /// The checkpoints in a schema of the database that these connections lead to.
    ///
    /// # Errors
    /// [`PlaceError`]
    pub async fn on(pool: PgPool, schema: &str) -> Result<Self, PlaceError> {
        let tables = include_str!("checkpoints.sql");
        let place = Place::prepare(pool, schema, "checkpoint.at", tables).await?;
        Ok(Self { place })
    }

    /// How far the follower of this name is, in the partitions in which it has begun.
    ///
    /// # Errors
    /// [`sqlx::Error`] if they cannot be read.
    pub async fn load(&self, name: &str) -> Result<Vec<(PartitionId, Checkpoint)>, sqlx::Error> {
        let sql = self.place.sql(
            "select partition, position, chain, stream_offset from $schema.checkpoint where name = $1 order by 1",
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(name);
        let rows = rows.fetch_all(&self.place.pool).await?;
        rows.iter()
            .map(|row| {
                let chain: Option<Vec<u8>> = row.try_get(2)?;
                let checkpoint = Checkpoint {
                    position: Position::new(row.try_get::<i64, _>(1)?.cast_unsigned()),
                    chain: chain.and_then(|chain| chain.try_into().ok()).map(Digest),
                    offset: row.try_get::<Option<i64>, _>(3)?.map(i64::cast_unsigned),
                };
                let partition = row.try_get::<i32, _>(0)?.cast_unsigned();
                Ok((PartitionId::new(partition), checkpoint))
            })
            .collect()
    }

    /// Says that the follower of this name has handled a page, once the transaction is committed.
    ///
    /// # Errors
    /// [`CheckpointError`]; then the transaction must not be committed.
    pub async fn store(
        &self,
        transaction: &mut PgConnection,
        name: &str,
        page: &Page,
    ) -> Result<(), CheckpointError> {
        let sql = self.place.sql(
            "insert into $schema.checkpoint as c (name, partition, position, chain, stream_offset) \
             values ($1, $2, $3, $4, $5) on conflict (name, partition) do update set position = excluded.position, \
             chain = excluded.chain, stream_offset = excluded.stream_offset, at = excluded.at where c.position = $6",
        );
        let Page {
            partition,
            before,
            checkpoint,
            ..
        } = page;
        let stored = sqlx::query(AssertSqlSafe(sql))
            .bind(name)
            .bind(partition.get().cast_signed())
            .bind(checkpoint.position.get().cast_signed())
            .bind(checkpoint.chain.map(|chain| chain.0.to_vec()))
            .bind(checkpoint.offset.map(u64::cast_signed))
            .bind(before.position.get().cast_signed())
            .execute(transaction)
            .await?;
        if stored.rows_affected() == 1 {
            return Ok(());
        }
        Err(CheckpointError::Moved {
            name: name.to_owned(),
            partition: *partition,
            before: before.position,
        })
    }

    /// Forgets how far the follower of this name is, once the transaction is committed: it begins anew. To build what
    /// it makes of the log again, empty that in the same transaction.
    ///
    /// # Errors
    /// [`sqlx::Error`]
    pub async fn forget(
        &self,
        transaction: &mut PgConnection,
        name: &str,
    ) -> Result<(), sqlx::Error> {
        let sql = self
            .place
            .sql("delete from $schema.checkpoint where name = $1");
        let forgotten = sqlx::query(AssertSqlSafe(sql)).bind(name);
        forgotten.execute(transaction).await.map(drop)
    }
}
