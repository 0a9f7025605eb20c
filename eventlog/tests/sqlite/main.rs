//! The SQLite backend keeps the contract, and what only a file can suffer.

mod damage;
mod format;
mod intruder;
mod opening;
mod pages;
mod process;
mod recovery;

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use sagalog_eventlog::{
    CheckpointStore, EventLog, SqliteLog,
    conformance::{self, Subject},
    for_each_property,
};
use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

/// A log in a directory of its own, which goes with it.
struct File {
    directory: TempDir,
}

impl File {
    fn new() -> Self {
        Self {
            directory: TempDir::new().expect("a place for temporary files"),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("log.db")
    }

    /// A connection past everything that the log does.
    async fn raw(&self) -> SqliteConnection {
        SqliteConnectOptions::new()
            .filename(self.path())
            .connect()
            .await
            .expect("a database")
    }
}

#[async_trait]
impl Subject for File {
    async fn open(&self) -> Arc<dyn EventLog> {
        Arc::new(SqliteLog::open(self.path()).await.expect("a log"))
    }

    async fn checkpoints(&self) -> Arc<CheckpointStore> {
        let path = self.directory.path().join("views.db");
        Arc::new(CheckpointStore::open(path).await.expect("a file"))
    }
}

macro_rules! run {
    ($($property:ident)*) => {$(
        #[tokio::test]
        async fn $property() {
            conformance::$property(&File::new()).await;
        }
    )*};
}

for_each_property!(run);
