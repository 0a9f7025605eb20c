//! Reading: a small pool of connections that cannot write.

use std::{future::Future, sync::Arc};

use sagalog_model::log::{PartitionId, Position, StreamKey, StreamName, Version};
use sqlx::{PgPool, postgres::PgRow};
use tokio::time::Instant;

use super::{
    failure::{self, Failure},
    look_ups::LookUps,
    place::Place,
};
use crate::{
    contract::{Head, PAGE_BYTES, StreamHead},
    error::{Damage, ReadError},
    row::Row,
    sql::columns::{Columns, rows_of, stream_name, to_sql},
};

/// A statement that reads whole rows. It ends itself when the rows have enough bytes, so that no more
/// are sent than a page has; the size of a body is known without reading it.
macro_rules! page {
    ($which:literal, $order:literal, $bytes:literal) => {
        concat!(
            "select position, stream, version, count::bigint, state::bigint, at, epoch, id, input, digest, chain, name, body \
             from (select page.*, sum(octet_length(body)) over (order by ", $order, ") - octet_length(body) as before \
             from (select * from log where ", $which, ") page) bounded where before < ", $bytes, " order by ", $order
        )
    };
}

#[derive(Clone, Debug)]
pub(super) struct Reader {
    pool: PgPool,
    place: Place,
    look_ups: LookUps,
}

impl Reader {
    pub(super) fn new(place: Place) -> Self {
        Self {
            pool: place.readers(),
            look_ups: LookUps::start(place.clone()),
            place,
        }
    }

    pub(super) async fn tail(&self, partition: PartitionId) -> Result<Position, ReadError> {
        let tail = self.reading(|pool| async move {
            let query = sqlx::query("select tail from lease where partition = $1");
            query
                .bind(partition.get() as i32)
                .fetch_one(&pool)
                .await?
                .number(0)
        });
        Ok(Position::new(tail.await?))
    }

    pub(super) async fn heads(
        &self,
        partition: PartitionId,
        names: &[StreamName],
    ) -> Result<Vec<Option<Head>>, ReadError> {
        let found = self.look_ups.heads(partition, names).await;
        found.map_err(|error| self.unreadable(error))
    }

    pub(super) async fn read(
        &self,
        partition: PartitionId,
        from: Position,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        // The last row that begins at or before `from`, if it reaches `from`.
        let rows = self.reading(|pool| async move {
            sqlx::query(page!(
                "partition = $1 and position >= coalesce((select case when position + count > $2 then position else $2 end \
                 from log where partition = $1 and position <= $2 order by position desc limit 1), $2) order by position limit $3",
                "position",
                "$4"
            ))
            .bind(partition.get() as i32)
            .bind(to_sql(from.get()))
            .bind(rows_of(limit))
            .bind(PAGE_BYTES as i64)
            .fetch_all(&pool)
            .await
        });
        self.rows(&rows.await?)
    }

    pub(super) async fn read_stream(
        &self,
        partition: PartitionId,
        stream: StreamKey,
        from: Version,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        let rows = self.reading(|pool| async move {
            sqlx::query(page!(
                "partition = $1 and stream = $5 and version >= coalesce((select case when version + count > $2 then version else $2 end \
                 from log where partition = $1 and stream = $5 and version <= $2 order by version desc limit 1), $2) order by version limit $3",
                "version",
                "$4"
            ))
            .bind(partition.get() as i32)
            .bind(to_sql(from.get()))
            .bind(rows_of(limit))
            .bind(PAGE_BYTES as i64)
            .bind(to_sql(stream.get()))
            .fetch_all(&pool)
            .await
        });
        self.rows(&rows.await?)
    }

    pub(super) async fn read_streams(
        &self,
        partition: PartitionId,
        streams: &[StreamKey],
        after: Option<(StreamKey, Version)>,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        let (stream, version) = after.unwrap_or_default();
        let mut streams: Vec<_> = streams
            .iter()
            .filter(|key| **key >= stream)
            .map(|key| to_sql(key.get()))
            .collect();
        streams.sort_unstable();
        streams.dedup();
        // Each stream has a row, so a page has no more streams than rows; only those that do not exist, or
        // of which all was read, give none.
        for streams in streams.chunks(limit.max(1)) {
            let rows = self.reading(|pool| async move {
                sqlx::query(page!(
                    "partition = $1 and stream = any($2) and (stream, version) > ($3, $4) order by stream, version limit $5",
                    "stream, version",
                    "$6"
                ))
                .bind(partition.get() as i32)
                .bind(streams)
                .bind(to_sql(stream.get()))
                .bind(to_sql(version.get()))
                .bind(rows_of(limit))
                .bind(PAGE_BYTES as i64)
                .fetch_all(&pool)
                .await
            });
            let rows = rows.await?;
            if !rows.is_empty() {
                return self.rows(&rows);
            }
        }
        Ok(Vec::new())
    }

    pub(super) async fn stream_name(
        &self,
        partition: PartitionId,
        stream: StreamKey,
    ) -> Result<Option<StreamName>, ReadError> {
        let name = self.reading(|pool| async move {
            let query = sqlx::query("select name from log where partition = $1 and position = $2");
            let query = query
                .bind(partition.get() as i32)
                .bind(to_sql(stream.get()));
            let Some(row) = query.fetch_optional(&pool).await? else {
                return Ok(None);
            };
            row.maybe_text(0)?.map(stream_name).transpose()
        });
        name.await
    }

    pub(super) async fn streams(
        &self,
        partition: PartitionId,
        after: StreamKey,
        limit: usize,
    ) -> Result<Vec<StreamHead>, ReadError> {
        let listed = self.reading(|pool| async move {
            let rows = sqlx::query(
                "select first.name, first.stream, last.version + last.count - 1, last.state::bigint, first.at, last.at \
                 from (select name, position, stream, at from log where partition = $1 and position > $2 \
                 and name is not null order by position limit $3) first \
                 cross join lateral (select version, count, state, at from log \
                 where partition = $1 and stream = first.stream order by version desc limit 1) last \
                 order by first.position",
            )
            .bind(partition.get() as i32)
            .bind(to_sql(after.get()))
            .bind(rows_of(limit))
            .fetch_all(&pool)
            .await?;
            rows.iter().map(Columns::listed).collect()
        });
        listed.await
    }

    /// Reads, and again if the connection was lost meanwhile: reading changes nothing.
    async fn reading<T, F>(&self, read: impl Fn(PgPool) -> F) -> Result<T, ReadError>
    where
        F: Future<Output = Result<T, sqlx::Error>> + Send,
    {
        let began = Instant::now();
        loop {
            match self.place.within(read(self.pool.clone())).await {
                Ok(read) => return Ok(read),
                Err(error) => {
                    let again = self.place.before_again(began, error).await;
                    again.map_err(|error| self.unreadable(error))?;
                }
            }
        }
    }

    fn rows(&self, rows: &[PgRow]) -> Result<Vec<Row>, ReadError> {
        rows.iter().map(|row| self.row(row)).collect()
    }

    fn row(&self, row: &PgRow) -> Result<Row, ReadError> {
        let position = row.number(0).map_err(|error| self.unreadable(error))?;
        row.stored(&mut 0).map_err(|what| {
            Damage {
                log: self.place.name.to_string(),
                position: Some(Position::new(position)),
                what: what.to_string(),
            }
            .into()
        })
    }

    fn unreadable(&self, error: impl Into<Arc<sqlx::Error>>) -> ReadError {
        let (log, error) = (self.place.name.to_string(), error.into());
        match failure::of(&error) {
            Failure::Corrupt(what) => Damage {
                log,
                position: None,
                what,
            }
            .into(),
            _ => ReadError::Unavailable {
                log,
                source: error.into(),
            },
        }
    }
}
