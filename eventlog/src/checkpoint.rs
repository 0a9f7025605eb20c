//! How far a subscriber is, kept across restarts.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use sagalog_model::log::{PartitionId, Position};
use sqlx::{
    Row as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::sync::Mutex;

use crate::sqlite::connect_patiently;

/// How long to wait for another process that writes checkpoints.
const PATIENCE: Duration = Duration::from_secs(5);

/// Checkpoints by name and partition: the last position that a subscriber has fully handled.
///
/// They are kept in a file of their own beside the log and can be made again from it: without them
/// a subscriber begins at the beginning. So a loss of power may take the last ones.
#[derive(Debug)]
pub struct CheckpointStore(Kept);

#[derive(Debug)]
enum Kept {
    Memory(Mutex<BTreeMap<(String, PartitionId), Position>>),
    Sqlite {
        file: PathBuf,
        connection: Mutex<SqliteConnection>,
    },
}

impl CheckpointStore {
    /// Checkpoints that go with the process.
    pub fn in_memory() -> Self {
        Self(Kept::Memory(Mutex::default()))
    }

    /// Checkpoints in a file.
    ///
    /// # Errors
    /// [`CheckpointError`] if it cannot be opened or made.
    pub async fn open(file: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let file = file.as_ref().to_owned();
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal);
        let opened = async {
            let mut connection = connect_patiently(options, PATIENCE).await?;
            sqlx::raw_sql(
                "create table if not exists checkpoint (name text not null, partition integer not null, \
                 position integer not null, primary key (name, partition)) strict, without rowid",
            )
            .execute(&mut connection)
            .await?;
            Ok(connection)
        };
        match opened.await {
            Ok(connection) => Ok(Self(Kept::Sqlite {
                file,
                connection: Mutex::new(connection),
            })),
            Err(source) => Err(CheckpointError { file, source }),
        }
    }

    /// How far `name` is; 0 if it never said.
    ///
    /// # Errors
    /// [`CheckpointError`]
    pub async fn load(
        &self,
        name: &str,
        partition: PartitionId,
    ) -> Result<Position, CheckpointError> {
        match &self.0 {
            Kept::Memory(kept) => Ok(kept
                .lock()
                .await
                .get(&(name.to_owned(), partition))
                .copied()
                .unwrap_or_default()),
            Kept::Sqlite { file, connection } => {
                let query = sqlx::query(
                    "select position from checkpoint where name = ?1 and partition = ?2",
                );
                let query = query.bind(name).bind(i64::from(partition.get()));
                let row = query.fetch_optional(&mut *connection.lock().await).await;
                let position =
                    row.and_then(|row| row.map(|row| row.try_get::<i64, _>(0)).transpose());
                let position = position.map_err(|source| CheckpointError {
                    file: file.clone(),
                    source,
                })?;
                Ok(Position::new(position.unwrap_or(0) as u64))
            }
        }
    }

    /// Says how far `name` is. Saying less than before begins again from there.
    ///
    /// # Errors
    /// [`CheckpointError`]
    pub async fn store(
        &self,
        name: &str,
        partition: PartitionId,
        position: Position,
    ) -> Result<(), CheckpointError> {
        match &self.0 {
            Kept::Memory(kept) => {
                kept.lock()
                    .await
                    .insert((name.to_owned(), partition), position);
                Ok(())
            }
            Kept::Sqlite { file, connection } => {
                let query = sqlx::query(
                    "insert into checkpoint (name, partition, position) values (?1, ?2, ?3) \
                     on conflict (name, partition) do update set position = excluded.position",
                );
                let query = query
                    .bind(name)
                    .bind(i64::from(partition.get()))
                    .bind(position.get() as i64);
                let stored = query.execute(&mut *connection.lock().await).await;
                stored.map(drop).map_err(|source| CheckpointError {
                    file: file.clone(),
                    source,
                })
            }
        }
    }
}

/// A checkpoint could not be read or written. The file may be removed: it is made again.
#[derive(Debug, thiserror::Error)]
#[error("the checkpoints in {file} cannot be used, the file may be removed")]
pub struct CheckpointError {
    file: PathBuf,
    #[source]
    source: sqlx::Error,
}
