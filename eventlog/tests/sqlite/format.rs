//! What a file is, and what a person sees in it.

use sagalog_eventlog::{
    EventLog, OpenError, SqliteLog,
    conformance::{Author, PARTITION},
};
use sagalog_model::log::Position;
use sqlx::{Connection, Row};

use crate::File;

#[tokio::test]
async fn a_newer_format_is_refused_with_both_versions() {
    let file = File::new();
    Author::of(&file)
        .await
        .log
        .release(PARTITION)
        .await
        .expect("nothing is in the way");
    sqlx::raw_sql("pragma user_version = 7")
        .execute(&mut file.raw().await)
        .await
        .expect("a database");
    for opened in [
        SqliteLog::open(file.path()).await,
        SqliteLog::read_only(file.path()).await,
    ] {
        let error = opened.expect_err("it is newer").to_string();
        let error = error.replace(&file.path().display().to_string(), "log.db");
        insta::allow_duplicates! {
            insta::assert_snapshot!(error, @"log.db has log format 7, this program knows formats up to 1: use a newer program");
        }
    }
}

#[tokio::test]
async fn a_file_of_something_else_is_refused_and_left_alone() {
    let file = File::new();
    std::fs::write(
        file.path(),
        "this is not a database, it is a letter to my grandmother\n".repeat(90),
    )
    .expect("room");
    let before = std::fs::read(file.path()).expect("it is there");
    assert!(matches!(
        SqliteLog::open(file.path()).await,
        Err(OpenError::NotALog { .. })
    ));
    assert_eq!(std::fs::read(file.path()).expect("it is there"), before);
}

#[tokio::test]
async fn a_database_of_something_else_is_refused_and_left_alone() {
    let file = File::new();
    drop(std::fs::File::create(file.path()).expect("room"));
    let mut raw = file.raw().await;
    sqlx::raw_sql("create table letter (text text)")
        .execute(&mut raw)
        .await
        .expect("a database");
    raw.close().await.expect("nothing is in the way");
    let before = std::fs::read(file.path()).expect("it is there");
    assert!(matches!(
        SqliteLog::open(file.path()).await,
        Err(OpenError::NotALog { .. })
    ));
    assert_eq!(std::fs::read(file.path()).expect("it is there"), before);
}

#[tokio::test]
async fn reading_makes_no_file() {
    let file = File::new();
    assert!(matches!(
        SqliteLog::read_only(file.path()).await,
        Err(OpenError::Missing { .. })
    ));
    assert!(!file.path().exists());
}

#[tokio::test]
async fn a_log_that_nobody_owns_can_be_read() {
    let file = File::new();
    let mut author = Author::of(&file).await;
    author.stream("a").await;
    author
        .log
        .release(PARTITION)
        .await
        .expect("nothing is in the way");
    drop(author);
    let log = SqliteLog::read_only(file.path()).await.expect("a log");
    assert_eq!(
        log.tail(PARTITION).await.expect("readable"),
        Position::new(2)
    );
}

#[tokio::test]
async fn the_view_shows_an_event_per_row() {
    let file = File::new();
    let mut author = Author::of(&file).await;
    let stream = author.stream("order-1").await;
    let batch = author.more(stream, 2);
    author.store(vec![batch]).await;
    let rows = sqlx::query(
        "select position, stream, version, at, type, control, epoch from event order by position",
    )
    .fetch_all(&mut file.raw().await)
    .await
    .expect("a view");
    let line = |row: &sqlx::sqlite::SqliteRow| {
        let [position, version, epoch] = [0, 2, 6].map(|column| row.get::<i64, _>(column));
        let [stream, at, kind, control] = [1, 3, 4, 5].map(|column| row.get::<String, _>(column));
        format!("{position} {stream} {version} {at} {kind} {control} {epoch}")
    };
    let lines: Vec<_> = rows.iter().map(line).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    1 order-1 1 1970-01-01T00:00:01.000Z AttemptAsked {"node":0,"attempt":1} 1
    2 order-1 2 1970-01-01T00:00:01.000Z AttemptAsked {"node":0,"attempt":1} 1
    3 order-1 3 1970-01-01T00:00:01.000Z AttemptAsked {"node":0,"attempt":1} 1
    4 order-1 4 1970-01-01T00:00:01.000Z AttemptAsked {"node":0,"attempt":1} 1
    "#);
}
