//! Views of a log, in both places where they can be.

mod jobs;
mod kit;

use std::sync::Arc;

use sagalog::{MemoryLog, PostgresLog, PostgresOptions, views::ViewStore};
use sagalog_eventlog::test_servers::PostgresServer;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};
use tempfile::TempDir;

use kit::Place;

fn in_a_file(folder: &TempDir, name: &str) -> Place {
    let log = folder.path().join(name);
    Place {
        log: Arc::new(MemoryLog::new()),
        store: Box::new(move || ViewStore::beside(&log)),
    }
}

async fn in_postgres(name: &str) -> Place {
    let url = PostgresServer::shared().new_database(name);
    let options = PostgresOptions {
        partitions: Some(3),
        ..PostgresOptions::default()
    };
    let log = PostgresLog::open_with(&url, options)
        .await
        .expect("a new log");
    Place {
        log: Arc::new(log),
        store: Box::new(move || ViewStore::in_postgres(&url, "sagalog_views")),
    }
}

#[tokio::test]
async fn views_in_a_file_keep_the_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    kit::all(async |name: &str| in_a_file(&folder, name)).await;
}

#[tokio::test]
async fn views_in_postgresql_keep_the_contract() {
    kit::all(async |name: &str| in_postgres(&format!("views_{name}")).await).await;
}

#[tokio::test]
async fn a_file_of_another_format_is_made_anew_unless_it_is_newer() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("log.views.db");
    kit::formats(in_a_file(&folder, "log"), async |format: i64| {
        let url = format!("sqlite://{}", file.display());
        let mut connection = SqliteConnection::connect(&url).await.expect("it is there");
        let sql = AssertSqlSafe(format!("update generation set format = {format}"));
        sqlx::raw_sql(sql)
            .execute(&mut connection)
            .await
            .expect("it is changed");
    })
    .await;
}

#[tokio::test]
async fn a_schema_of_another_format_is_made_anew_unless_it_is_newer() {
    let place = in_postgres("views_formats").await;
    let url = PostgresServer::shared().url("views_formats");
    kit::formats(place, async |format: i64| {
        let mut connection = PgConnection::connect(&url).await.expect("it is there");
        let sql = AssertSqlSafe(format!(
            "update sagalog_views.generation set format = {format}"
        ));
        sqlx::raw_sql(sql)
            .execute(&mut connection)
            .await
            .expect("it is changed");
    })
    .await;
}
