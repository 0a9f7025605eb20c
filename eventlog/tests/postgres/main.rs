//! The PostgreSQL backend keeps the contract, and what only a server and a network can do to it.

mod faults;
mod opening;
mod partitions;
mod plans;
mod process;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sagalog_eventlog::{
    CheckpointStore, EventLog, PostgresLog, PostgresOptions,
    conformance::{self, Subject},
    for_each_property,
    test_servers::PostgresServer,
};
use sqlx::{Connection, PgConnection};

/// A log in a schema of its own.
struct Schema {
    url: String,
    options: PostgresOptions,
    checkpoints: Arc<CheckpointStore>,
}

impl Schema {
    /// On the server that all tests share.
    fn new() -> Self {
        Self::at(PostgresServer::shared().url("postgres"))
    }

    fn at(url: String) -> Self {
        static SCHEMAS: AtomicU32 = AtomicU32::new(0);
        let number = SCHEMAS.fetch_add(1, Ordering::Relaxed);
        Self {
            url,
            options: PostgresOptions {
                schema: format!("log_{number}"),
                // Far more than a busy machine needs to renew, and little enough to wait for.
                lease: Duration::from_secs(1),
                ..PostgresOptions::default()
            },
            checkpoints: Arc::new(CheckpointStore::in_memory()),
        }
    }

    async fn log(&self) -> PostgresLog {
        let opened = PostgresLog::open_with(&self.url, self.options.clone()).await;
        opened.expect("a log")
    }

    /// A connection past everything that the log does.
    async fn raw(&self) -> PgConnection {
        let mut connection = PgConnection::connect(&self.url).await.expect("a server");
        sqlx::query("select set_config('search_path', $1, false)")
            .bind(&self.options.schema)
            .execute(&mut connection)
            .await
            .expect("a schema");
        connection
    }
}

#[async_trait]
impl Subject for Schema {
    async fn open(&self) -> Arc<dyn EventLog> {
        Arc::new(self.log().await)
    }

    async fn checkpoints(&self) -> Arc<CheckpointStore> {
        self.checkpoints.clone()
    }
}

macro_rules! run {
    ($($property:ident)*) => {$(
        #[tokio::test]
        async fn $property() {
            conformance::$property(&Schema::new()).await;
        }
    )*};
}

for_each_property!(run);
