//! Reading: a small pool of connections that cannot write.

use std::{sync::Arc, time::Duration};

use futures_util::TryStreamExt;
use sagalog_model::log::{Position, StreamKey, StreamName, Version};
use sqlx::{
    Sqlite, SqlitePool,
    query::Query,
    sqlite::{SqliteArguments, SqliteConnectOptions, SqlitePoolOptions, SqliteRow},
};

use super::failure::{self, Failure};
use crate::{
    contract::{Head, PAGE_BYTES, StreamHead},
    error::{Damage, ReadError},
    row::Row,
    sql::columns::{Columns, rows_of, stream_name, to_sql},
};

/// How many read at once; more wait.
const CONNECTIONS: u32 = 4;

/// The statement that reads whole rows, and what follows its columns.
macro_rules! rows {
    ($rest:literal) => {
        concat!("select position, stream, version, count, state, at, epoch, id, input, digest, chain, name, body from log ", $rest)
    };
}

#[derive(Clone, Debug)]
pub(super) struct Reader {
    pool: SqlitePool,
    log: Arc<str>,
}

impl Reader {
    pub(super) async fn open(
        options: SqliteConnectOptions,
        log: Arc<str>,
    ) -> Result<Self, sqlx::Error> {
        let options = options
            .read_only(true)
            .pragma("query_only", "on")
            .busy_timeout(Duration::from_secs(5));
        // Connections are kept: opening one again costs more than keeping it.
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .max_lifetime(None)
            .idle_timeout(None);
        // So many rows wait unread, however large they are.
        Ok(Self {
            pool: pool.connect_with(options.row_buffer_size(64)).await?,
            log,
        })
    }

    /// Waits for the reads under way; later ones fail.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    pub(super) async fn tail(&self) -> Result<Position, ReadError> {
        let query =
            sqlx::query("select position + count - 1 from log order by position desc limit 1");
        let row = query
            .fetch_optional(&self.pool)
            .await
            .map_err(|error| self.unreadable(error))?;
        let tail = row
            .map(|row| row.number(0))
            .transpose()
            .map_err(|error| self.unreadable(error))?;
        Ok(Position::new(tail.unwrap_or(0)))
    }

    pub(super) async fn heads(&self, names: &[StreamName]) -> Result<Vec<Option<Head>>, ReadError> {
        let mut heads = vec![None; names.len()];
        let names: Vec<_> = names.iter().map(StreamName::as_str).collect();
        let names = serde_json::to_string(&names).expect("names are text");
        let query = sqlx::query(
            "select name.key, first.stream, last.version + last.count - 1, last.state \
             from json_each(?1) name join log first on first.name = name.value join log last on last.position = \
             (select position from log where stream = first.stream order by version desc limit 1)",
        );
        let rows = query
            .bind(names)
            .fetch_all(&self.pool)
            .await
            .map_err(|error| self.unreadable(error))?;
        for row in rows {
            let head = |row: &SqliteRow| Ok((row.number(0)?, row.head(1)?));
            let (index, head) = head(&row).map_err(|error| self.unreadable(error))?;
            heads[index as usize] = Some(head);
        }
        Ok(heads)
    }

    pub(super) async fn read(&self, from: Position, limit: usize) -> Result<Vec<Row>, ReadError> {
        // The last row that begins at or before `from`, if it reaches `from`.
        let query = sqlx::query(rows!(
            "where position >= coalesce((select case when position + count > ?1 then position else ?1 end \
             from log where position <= ?1 order by position desc limit 1), ?1) order by position limit ?2"
        ));
        self.page(query.bind(to_sql(from.get())).bind(rows_of(limit)))
            .await
    }

    pub(super) async fn read_stream(
        &self,
        stream: StreamKey,
        from: Version,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        let query = sqlx::query(rows!(
            "where stream = ?3 and version >= coalesce((select case when version + count > ?1 then version else ?1 end \
             from log where stream = ?3 and version <= ?1 order by version desc limit 1), ?1) order by version limit ?2"
        ));
        self.page(
            query
                .bind(to_sql(from.get()))
                .bind(rows_of(limit))
                .bind(to_sql(stream.get())),
        )
        .await
    }

    pub(super) async fn read_streams(
        &self,
        streams: &[StreamKey],
        after: Option<(StreamKey, Version)>,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        let (stream, version) = after.unwrap_or_default();
        let streams: Vec<_> = streams
            .iter()
            .copied()
            .filter(|key| *key >= stream)
            .collect();
        let query = sqlx::query(rows!(
            "where stream in (select value from json_each(?1)) and (stream > ?2 or version > ?3) \
             order by stream, version limit ?4"
        ));
        let query = query
            .bind(super::json(&streams))
            .bind(to_sql(stream.get()))
            .bind(to_sql(version.get()));
        self.page(query.bind(rows_of(limit))).await
    }

    pub(super) async fn stream_name(
        &self,
        stream: StreamKey,
    ) -> Result<Option<StreamName>, ReadError> {
        let query =
            sqlx::query("select name from log where position = ?1").bind(to_sql(stream.get()));
        let row = query
            .fetch_optional(&self.pool)
            .await
            .map_err(|error| self.unreadable(error))?;
        let name = |row: SqliteRow| row.maybe_text(0)?.map(stream_name).transpose();
        Ok(row
            .map(name)
            .transpose()
            .map_err(|error| self.unreadable(error))?
            .flatten())
    }

    pub(super) async fn streams(
        &self,
        after: StreamKey,
        limit: usize,
    ) -> Result<Vec<StreamHead>, ReadError> {
        let query = sqlx::query(
            "select first.name, first.stream, last.version + last.count - 1, last.state, first.at, last.at \
             from log first not indexed join log last on last.position = \
             (select position from log where stream = first.stream order by version desc limit 1) \
             where first.position > ?1 and first.name is not null order by first.position limit ?2",
        );
        let query = query.bind(to_sql(after.get())).bind(rows_of(limit));
        let rows = query
            .fetch_all(&self.pool)
            .await
            .map_err(|error| self.unreadable(error))?;
        rows.iter()
            .map(Columns::listed)
            .collect::<Result<_, _>>()
            .map_err(|error| self.unreadable(error))
    }

    /// Rows until the page is full. They come one by one, so a page of large rows ends early
    /// instead of filling the memory.
    async fn page(&self, query: Query<'_, Sqlite, SqliteArguments>) -> Result<Vec<Row>, ReadError> {
        let mut found = query.fetch(&self.pool);
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while bytes < PAGE_BYTES
            && let Some(row) = found
                .try_next()
                .await
                .map_err(|error| self.unreadable(error))?
        {
            let row = self.row(&row, &mut bytes)?;
            rows.push(row);
        }
        Ok(rows)
    }

    fn row(&self, row: &SqliteRow, bytes: &mut usize) -> Result<Row, ReadError> {
        let position = row.number(0).map_err(|error| self.unreadable(error))?;
        row.stored(bytes).map_err(|what| {
            Damage {
                log: self.log.to_string(),
                position: Some(Position::new(position)),
                what: what.to_string(),
            }
            .into()
        })
    }

    fn unreadable(&self, error: sqlx::Error) -> ReadError {
        let log = self.log.to_string();
        match failure::of(&error) {
            Failure::Corrupt(what) => Damage {
                log,
                position: None,
                what,
            }
            .into(),
            Failure::NotADatabase => Damage {
                log,
                position: None,
                what: "the file is not a log".to_owned(),
            }
            .into(),
            _ => ReadError::Unavailable {
                log,
                source: error.into(),
            },
        }
    }
}
