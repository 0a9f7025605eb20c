//! Programs that write past the lock, as over a network file system that does not lock.

use sagalog_eventlog::{
    AcquireError, AppendError, Conflict, EventLog, SqliteLog,
    conformance::{Author, PARTITION},
    verify,
};
use sagalog_model::log::{Epoch, Position};

use crate::File;

async fn intrude(file: &File, sql: &'static str) {
    sqlx::raw_sql(sql)
        .execute(&mut file.raw().await)
        .await
        .expect("a statement");
}

#[tokio::test]
async fn another_path_to_the_file_is_the_same_lock() {
    let file = File::new();
    let author = Author::of(&file).await;
    let link = file.path().with_file_name("link.db");
    std::os::unix::fs::symlink(file.path(), &link).expect("room");
    let other = SqliteLog::open(link).await.expect("a log");
    assert!(matches!(
        other.acquire(PARTITION, Author::owner()).await,
        Err(AcquireError::Held { .. })
    ));
    assert_eq!(author.ownership.tail, Position::new(0));
}

#[tokio::test]
async fn an_epoch_raised_past_the_lock_fences_the_next_append() {
    let file = File::new();
    let mut author = Author::of(&file).await;
    author.stream("a").await;
    intrude(&file, "update ownership set epoch = 9").await;
    let batch = author.begin("b");
    match author.append(vec![batch]).await {
        Err(AppendError::Fenced { current, .. }) => assert_eq!(current, Epoch::new(9)),
        other => panic!("fenced expected, got {other:?}"),
    }
    assert_eq!(
        author.log.tail(PARTITION).await.expect("readable"),
        Position::new(2)
    );
}

#[tokio::test]
async fn rows_appended_past_the_lock_are_a_conflict() {
    const INSERT: &str = "insert into log select 5, 5, 1, 3, state, at, epoch, id, input, digest, chain, 'c', body from log";
    let file = File::new();
    let mut author = Author::of(&file).await;
    author.stream("a").await;
    // Far enough behind the tail that no unique key is in the way.
    intrude(&file, INSERT).await;
    let batch = author.begin("b");
    match author.append(vec![batch]).await {
        Err(AppendError::Conflict(conflict)) => {
            assert_eq!(
                conflict,
                Conflict::Position {
                    given: Position::new(3),
                    tail: Position::new(7)
                }
            );
        }
        other => panic!("a conflict expected, got {other:?}"),
    }
}

#[tokio::test]
async fn rows_cut_off_past_the_lock_are_a_conflict() {
    let file = File::new();
    let mut author = Author::of(&file).await;
    author.stream("a").await;
    author.stream("b").await;
    intrude(&file, "delete from log where position = 3").await;
    let batch = author.begin("c");
    assert!(matches!(
        author.append(vec![batch]).await,
        Err(AppendError::Conflict(Conflict::Position { .. }))
    ));
    let mut author = Author::on(author.log.clone()).await;
    author.stream("c").await;
    verify(&*author.log, PARTITION)
        .await
        .expect("it goes on behind what is there");
}
