//! What a database is, what it lets its user do, and what a person sees in it.

use sagalog_eventlog::{
    AcquireError, EventLog, OpenError, PostgresLog, PostgresOptions,
    conformance::{Author, PARTITION},
    test_servers::PostgresServer,
};
use sagalog_model::log::Position;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use crate::Schema;

/// Says something to the shared server, as its superuser.
async fn say(sql: &str) {
    let url = PostgresServer::shared().url("postgres");
    let mut connection = PgConnection::connect(&url).await.expect("a server");
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&mut connection)
        .await
        .expect("a statement");
}

/// The error of opening a log.
async fn refused(url: &str) -> OpenError {
    let opened = PostgresLog::open(url).await;
    opened.expect_err("it cannot be opened")
}

/// What it says, without what differs from run to run.
fn text(error: &OpenError) -> String {
    let port = PostgresServer::shared().port().to_string();
    error.to_string().replace(&port, "5432")
}

#[tokio::test]
async fn a_newer_format_is_refused_with_both_versions() {
    let schema = Schema::new();
    drop(schema.log().await);
    sqlx::raw_sql("insert into migration (version, checksum) values (7, '')")
        .execute(&mut schema.raw().await)
        .await
        .expect("a log");
    for opened in [
        PostgresLog::open_with(&schema.url, schema.options.clone()).await,
        PostgresLog::read_only(&schema.url, schema.options.clone()).await,
    ] {
        let error = opened.expect_err("it is newer");
        assert!(
            matches!(
                error,
                OpenError::Newer {
                    found: 7,
                    known: 1,
                    ..
                }
            ),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_format_that_was_made_otherwise_is_refused() {
    let schema = Schema::new();
    drop(schema.log().await);
    sqlx::raw_sql("update migration set checksum = ''")
        .execute(&mut schema.raw().await)
        .await
        .expect("a log");
    let opened = PostgresLog::open_with(&schema.url, schema.options.clone()).await;
    assert!(matches!(opened, Err(OpenError::Damaged(_))), "{opened:?}");
}

#[tokio::test]
async fn a_schema_of_something_else_is_refused_and_left_alone() {
    let schema = Schema::new();
    let name = &schema.options.schema;
    say(&format!(
        "create schema {name}; create table {name}.letter (text text)"
    ))
    .await;
    for opened in [
        PostgresLog::open_with(&schema.url, schema.options.clone()).await,
        PostgresLog::read_only(&schema.url, schema.options.clone()).await,
    ] {
        assert!(
            matches!(opened, Err(OpenError::NotALog { .. })),
            "{opened:?}"
        );
    }
    let tables = sqlx::query("select count(*) from pg_class where relnamespace = $1::regnamespace")
        .bind(name)
        .fetch_one(&mut schema.raw().await)
        .await
        .expect("a catalogue");
    assert_eq!(tables.get::<i64, _>(0), 1);
}

#[tokio::test]
async fn reading_makes_nothing() {
    let schema = Schema::new();
    let opened = PostgresLog::read_only(&schema.url, schema.options.clone()).await;
    assert!(
        matches!(opened, Err(OpenError::Missing { .. })),
        "{opened:?}"
    );
    let made = sqlx::query("select 1 from pg_namespace where nspname = $1")
        .bind(&schema.options.schema)
        .fetch_optional(&mut schema.raw().await)
        .await
        .expect("a catalogue");
    assert!(made.is_none());
}

#[tokio::test]
async fn a_log_that_somebody_owns_can_be_read_and_not_acquired() {
    let schema = Schema::new();
    let mut author = Author::of(&schema).await;
    author.stream("a").await;
    let log = PostgresLog::read_only(&schema.url, schema.options.clone()).await;
    let log = log.expect("a log");
    assert_eq!(
        log.tail(PARTITION).await.expect("readable"),
        Position::new(2)
    );
    let acquired = log.acquire(PARTITION, Author::owner()).await;
    assert!(
        matches!(acquired, Err(AcquireError::ReadOnly { .. })),
        "{acquired:?}"
    );
}

#[tokio::test]
async fn a_database_of_another_encoding_is_refused() {
    say("create database latin encoding 'LATIN1' template template0").await;
    let error = refused(&PostgresServer::shared().url("latin")).await;
    insta::assert_snapshot!(text(&error), @"postgres://127.0.0.1:5432/latin cannot be kept there: the database has encoding LATIN1, a log needs UTF8: create database … encoding 'UTF8' template template0");
}

#[tokio::test]
async fn a_database_that_may_only_be_read_is_refused() {
    say("create database frozen").await;
    say("alter database frozen set default_transaction_read_only = on").await;
    let error = refused(&PostgresServer::shared().url("frozen")).await;
    insta::assert_snapshot!(text(&error), @"postgres://127.0.0.1:5432/frozen cannot be kept there: the database may only be read: connect to the primary, or open the log to read it");
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_repeated() {
    say("create role locked login password 'right'").await;
    let port = PostgresServer::shared().port();
    let url = format!("postgres://locked:wrong@127.0.0.1:{port}/postgres");
    let error = refused(&url).await;
    insta::assert_snapshot!(text(&error), @r#"postgres://127.0.0.1:5432/postgres refuses this user: password authentication failed for user "locked""#);
}

#[tokio::test]
async fn a_user_without_rights_is_told_which_are_missing() {
    say("create role guest login").await;
    let port = PostgresServer::shared().port();
    let url = format!("postgres://guest@127.0.0.1:{port}/postgres");
    let error = refused(&url).await;
    insta::assert_snapshot!(text(&error), @"postgres://127.0.0.1:5432/postgres refuses this user: permission denied for database postgres");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_said_to_be() {
    let error = refused(&PostgresServer::shared().url("nowhere")).await;
    insta::assert_snapshot!(text(&error), @"there is no database for postgres://127.0.0.1:5432/nowhere: make it with `create database nowhere encoding 'UTF8' template template0`");
}

#[tokio::test]
async fn words_that_name_no_log_are_refused_without_repeating_them() {
    let error = refused("postgres://user:secret@host:port/").await;
    insta::assert_snapshot!(text(&error), @"the log cannot be opened like this: a PostgreSQL log is named like postgres://user:password@host:5432/database");
    let error = refused("postgres://user:secret@host/log?sslmode=require").await;
    insta::assert_snapshot!(text(&error), @"the log cannot be opened like this: connections to PostgreSQL have no TLS yet, and sslmode demands it: leave it away in a network that is trusted, or connect to a TLS proxy on this machine");
    let schema = PostgresOptions {
        schema: "Two Words".to_owned(),
        ..PostgresOptions::default()
    };
    let opened = PostgresLog::open_with("postgres://host/log", schema).await;
    insta::assert_snapshot!(opened.expect_err("no schema"), @r#"the log cannot be opened like this: a schema is named by 1 to 63 small letters, digits and underscores, not "Two Words""#);
}

#[tokio::test]
async fn the_view_shows_an_event_per_row() {
    let schema = Schema::new();
    let mut author = Author::of(&schema).await;
    let stream = author.stream("order-1").await;
    let batch = author.more(stream, 2);
    author.store(vec![batch]).await;
    let lines: Vec<String> = sqlx::query_scalar(
        "select concat_ws(' ', partition, position, stream, version, at, type, control, epoch) from event order by position",
    )
    .fetch_all(&mut schema.raw().await)
    .await
    .expect("a view");
    insta::assert_snapshot!(lines.join("\n"), @r#"
    0 1 order-1 1 1970-01-01 00:00:01.00001 AttemptAsked {"node": 0,"attempt":1} 1
    0 2 order-1 2 1970-01-01 00:00:01.00001 AttemptAsked {"node": 0,"attempt":1} 1
    0 3 order-1 3 1970-01-01 00:00:01.00002 AttemptAsked {"node": 0,"attempt":1} 1
    0 4 order-1 4 1970-01-01 00:00:01.00002 AttemptAsked {"node": 0,"attempt":1} 1
    "#);
}
