//! What a new owner finds, with a recovery snapshot, without one, and with a bad one.

use sagalog_eventlog::{
    EventLog, SqliteLog, SqliteOptions,
    conformance::{Author, PARTITION},
};
use sagalog_model::log::{Position, StreamKey};
use sqlx::{AssertSqlSafe, Connection, Row};

use crate::File;

async fn change(file: &File, sql: &str) {
    let mut raw = file.raw().await;
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&mut raw)
        .await
        .expect("a statement");
    raw.close().await.expect("nothing is in the way");
}

/// Up to where the stored snapshot goes.
async fn snapshot(file: &File) -> Option<i64> {
    let row = sqlx::query("select position from recovery")
        .fetch_optional(&mut file.raw().await)
        .await;
    row.expect("a table").map(|row| row.get(0))
}

/// Appends 30 streams, of which every third stays open, with a snapshot every 50 positions, and
/// leaves as a killed process would: without one for the end.
async fn left(file: &File) -> Vec<StreamKey> {
    let options = SqliteOptions {
        snapshot_every: 50,
        ..SqliteOptions::default()
    };
    let log = SqliteLog::open_with(file.path(), options)
        .await
        .expect("a log");
    let mut author = Author::on(std::sync::Arc::new(log)).await;
    let mut open = Vec::new();
    for index in 0..30 {
        let stream = author.stream(&format!("stream-{index}")).await;
        if index % 3 == 0 {
            open.push(stream);
        } else {
            let closing = author.close(stream);
            author.store(vec![closing]).await;
        }
    }
    // The snapshot is written behind the answer; one more question waits for it.
    author
        .log
        .acquire(PARTITION, Author::owner())
        .await
        .expect("it is the owner");
    open
}

async fn found(file: &File) -> Vec<StreamKey> {
    loop {
        let log = SqliteLog::open(file.path()).await.expect("a log");
        match log.acquire(PARTITION, Author::owner()).await {
            // The owner before is still closing.
            Err(sagalog_eventlog::AcquireError::Held { .. }) => tokio::task::yield_now().await,
            acquired => {
                log.release(PARTITION).await.expect("nothing is in the way");
                return acquired.expect("it is whole").open;
            }
        }
    }
}

#[tokio::test]
async fn a_snapshot_and_the_rows_behind_it_give_the_open_streams() {
    let file = File::new();
    let open = left(&file).await;
    let at = snapshot(&file).await.expect("one was due");
    assert!(
        at > 0 && at < 80,
        "the snapshot at {at} leaves something to be read behind it"
    );
    assert_eq!(found(&file).await, open);
}

#[tokio::test]
async fn without_a_snapshot_the_rows_give_the_open_streams() {
    let file = File::new();
    let open = left(&file).await;
    change(&file, "delete from recovery").await;
    assert_eq!(found(&file).await, open);
}

#[tokio::test]
async fn a_snapshot_that_is_not_whole_is_not_believed() {
    for damage in [
        "open = substr(open, 17)",
        "open = zeroblob(16)",
        "digest = zeroblob(32)",
        "position = position + 1",
    ] {
        let file = File::new();
        let open = left(&file).await;
        change(&file, &format!("update recovery set {damage}")).await;
        assert_eq!(found(&file).await, open, "{damage}");
    }
}

#[tokio::test]
async fn giving_up_leaves_a_snapshot_of_the_end() {
    let file = File::new();
    let mut author = Author::of(&file).await;
    author.stream("a").await;
    author
        .log
        .release(PARTITION)
        .await
        .expect("nothing is in the way");
    assert_eq!(snapshot(&file).await, Some(2));
    assert_eq!(
        author.log.tail(PARTITION).await.expect("readable"),
        Position::new(2)
    );
}
