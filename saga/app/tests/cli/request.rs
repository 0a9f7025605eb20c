//! Refused requests of callers' own transactions, as their operators see them.

use std::path::PathBuf;

use sagalog::postgres::{
    Requests,
    sqlx::{self, PgPool},
};
use sagalog_eventlog::test_servers::PostgresServer;

use crate::program::sagalog;

/// Four requests, of which three were refused.
const REQUESTS: &str = "\
    insert into sagalog_requests.request (kind, saga, name, payload, refused, at) values \
        ('start', 'order-1', 'offer', '1', 'no definition of saga `offer` is registered', '2026-11-20T20:00:00Z'); \
    insert into sagalog_requests.request (kind, saga, name, id, payload, refused, at) values \
        ('signal', 'order-2', 'approval', 'mail-1', 'true', 'there is no saga `order-2`', '2026-11-20T20:00:01Z'), \
        ('signal', 'order-3', 'approval', 'mail-2', 'true', null, '2026-11-20T20:00:02Z'); \
    insert into sagalog_requests.request (kind, saga, name, producer, producer_number, payload, refused, at) values \
        ('signal', 'order-4', 'price', 'pricing', 7, '4100', 'number 7 of `pricing` comes too late', '2026-11-20T20:00:03Z');";

async fn shop(name: &str) -> (PathBuf, PgPool) {
    let url = PostgresServer::shared().new_database(name);
    Requests::open(&url).await.expect("a database");
    let pool = PgPool::connect_lazy(&url).expect("a fine address");
    let written = sqlx::raw_sql(REQUESTS).execute(&pool).await;
    written.expect("a fine statement");
    (url.into(), pool)
}

#[tokio::test]
async fn what_was_refused_is_listed_with_the_reason() {
    let (database, _) = shop("listed").await;
    let listed = sagalog(&database, "request list").await.printed();
    insta::assert_snapshot!(listed, @r"
    NUMBER  WRITTEN                      KIND    SAGA     NAME      ID         WHY
    1       2026-11-20T20:00:00.000000Z  start   order-1  offer     -          no definition of saga `offer` is registered
    2       2026-11-20T20:00:01.000000Z  signal  order-2  approval  mail-1     there is no saga `order-2`
    4       2026-11-20T20:00:03.000000Z  signal  order-4  price     pricing#7  number 7 of `pricing` comes too late
    ");
    let first = sagalog(&database, "request list --limit 1 --json").await;
    insta::assert_snapshot!(first.printed(), @r#"{"requests":[{"number":1,"kind":"start","saga":"order-1","name":"offer","at":1795204800000000,"why":"no definition of saga `offer` is registered"}]}"#);
}

#[tokio::test]
async fn what_was_refused_is_tried_again_or_dropped_and_nothing_else_is() {
    let (database, pool) = shop("settled").await;
    let again = sagalog(&database, "request retry 2").await.printed();
    assert_eq!(again, "retry recorded for request 2\n");
    let dropped = sagalog(&database, "request drop 1 4 --json").await;
    assert_eq!(dropped.printed(), "{\"did\":\"drop\",\"numbers\":[1,4]}\n");
    let waits = sagalog(&database, "request drop 3").await.failed(3);
    insta::assert_snapshot!(waits, @r"
    error: no request is refused under 3
      `request list` shows those that are
    ");
    let left = sqlx::query_scalar(
        "select array_agg(number order by number) from sagalog_requests.request where refused is null",
    );
    let left: Vec<i64> = left.fetch_one(&pool).await.expect("numbers");
    assert_eq!(left, [2, 3]);
    let none = sagalog(&database, "request list").await;
    assert_eq!((none.exit, none.out.as_str()), (0, ""));
    assert_eq!(none.err, "no refused requests\n");
}

#[tokio::test]
async fn where_no_table_is_that_is_said_and_none_is_made() {
    let url: PathBuf = PostgresServer::shared().new_database("no_table").into();
    let none = sagalog(&url, "request list").await.failed(3);
    insta::assert_snapshot!(none, @r"
    error: the schema `sagalog_requests` is not there, or has no `request.until` yet: a runtime of this release makes it
      start a node of this release on it, or name the schema with --schema
    ");
    let still = sagalog(&url, "request list").await.failed(3);
    assert_eq!(still, none);
    let file = sagalog(&PathBuf::from("log.db"), "request list").await;
    insta::assert_snapshot!(file.failed(2), @"error: a database is named like postgres://user:password@host:5432/database");
}
