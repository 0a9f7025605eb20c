//! The world's tables.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use sagalog_eventlog::connect_patiently;
use sqlx::{
    Row as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::book::{Kept, News, Pages};

const TABLES: &str = "
    create table if not exists effects (
        key text primary key, saga text not null, step text not null,
        direction text not null, applied_at integer not null
    ) strict;
    create table if not exists outcomes (key text primary key, outcome text not null) strict, without rowid;
    create table if not exists tombstones (action_key text primary key, at integer not null) strict, without rowid;
    create table if not exists stumbles (key text primary key, times integer not null) strict, without rowid;
";

/// How long to wait for another process that is writing.
const BUSY: Duration = Duration::from_secs(15);

/// The database. Requests are settled in batches, so each table is read and written once a batch.
pub(super) struct Store(SqliteConnection);

impl Store {
    pub(super) async fn open(file: &Path) -> Result<Self, sqlx::Error> {
        let connect = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // It must survive the end of the process, which is all that the demo does to it.
            .synchronous(SqliteSynchronous::Normal);
        // Other processes act in it, too, and may be slow.
        let mut connection = connect_patiently(connect, BUSY).await?;
        sqlx::raw_sql(TABLES).execute(&mut connection).await?;
        Ok(Self(connection))
    }

    /// What is on record about these keys.
    pub(super) async fn pages(
        &mut self,
        keys: impl Iterator<Item = &Arc<str>>,
    ) -> Result<Pages, sqlx::Error> {
        let keys: BTreeSet<_> = keys.collect();
        let keys = json(&keys);
        let mut pages = Pages::default();
        let found = "
            select 0, key, outcome from outcomes where key in (select value from json_each(?1))
            union all
            select 1, action_key, '' from tombstones where action_key in (select value from json_each(?1))
            union all
            select 2, key, cast(times as text) from stumbles where key in (select value from json_each(?1))";
        for row in sqlx::query(found).bind(keys).fetch_all(&mut self.0).await? {
            let (table, key, value): (i64, &str, &str) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            match table {
                0 => {
                    let kept: Kept = serde_json::from_str(value)
                        .map_err(|error| sqlx::Error::Decode(error.into()))?;
                    pages.outcomes.insert(key.into(), kept);
                }
                1 => drop(pages.tombstones.insert(key.into())),
                _ => {
                    let times = value
                        .parse()
                        .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
                    pages.stumbles.insert(key.into(), times);
                }
            }
        }
        Ok(pages)
    }

    /// Begins: what is read until [`Self::end`] stays so, whatever other processes want.
    pub(super) async fn begin(&mut self) -> Result<(), sqlx::Error> {
        let begin = sqlx::raw_sql("begin immediate");
        begin.execute(&mut self.0).await.map(drop)
    }

    /// Ends it: all that was written is kept, unless something went wrong, and then nothing.
    pub(super) async fn end<T>(&mut self, done: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        let kept = match done {
            Ok(done) => {
                let commit = sqlx::raw_sql("commit").execute(&mut self.0).await;
                commit.map(|_| done)
            }
            Err(error) => Err(error),
        };
        if kept.is_err() {
            // A new `begin` would be refused before that.
            drop(sqlx::raw_sql("rollback").execute(&mut self.0).await);
        }
        kept
    }

    /// Writes it.
    pub(super) async fn write(&mut self, news: &News) -> Result<(), sqlx::Error> {
        let outcomes: Vec<_> = news
            .outcomes
            .iter()
            .map(|(key, kept)| (key, json(kept)))
            .collect();
        let statements = [
            (
                "insert into effects (key, saga, step, direction, applied_at)
                 select value ->> 'key', value ->> 'saga', value ->> 'step', value ->> 'direction',
                        cast(unixepoch('subsec') * 1000000 as integer)
                 from json_each(?1)",
                json(&news.effects),
            ),
            (
                "insert into outcomes (key, outcome) select value ->> 0, value ->> 1 from json_each(?1)",
                json(&outcomes),
            ),
            (
                "insert or ignore into tombstones (action_key, at)
                 select value, cast(unixepoch('subsec') * 1000000 as integer) from json_each(?1)",
                json(&news.tombstones),
            ),
            (
                "insert or replace into stumbles (key, times) select value ->> 0, value ->> 1 from json_each(?1)",
                json(&news.stumbles),
            ),
        ];
        for (statement, rows) in statements.into_iter().filter(|(_, rows)| rows != "[]") {
            sqlx::query(statement)
                .bind(rows)
                .execute(&mut self.0)
                .await?;
        }
        Ok(())
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("keys and outcomes are plain data")
}
