//! Bits that flip, files that are cut, disks that are full.

use std::{fs::OpenOptions, sync::Arc, time::Duration};

use sagalog_eventlog::{
    AcquireError, AppendError, EventLog, Fault, ReadError, Refusal, SqliteLog, SqliteOptions,
    Subscription, SubscriptionError, VerifyError,
    conformance::{Author, PARTITION},
    verify,
};
use sagalog_model::log::{Position, StreamKey, Version};
use sqlx::{AssertSqlSafe, Connection};

use crate::File;

/// A log of 40 batches of two events, given up and folded into its file.
async fn log() -> File {
    let file = File::new();
    let mut author = Author::of(&file).await;
    for name in 0..40 {
        author.stream(&format!("stream-{name}")).await;
    }
    author
        .log
        .release(PARTITION)
        .await
        .expect("nothing is in the way");
    drop(author);
    change(&file, "pragma wal_checkpoint(truncate)").await;
    file
}

async fn change(file: &File, sql: &str) {
    let mut raw = file.raw().await;
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&mut raw)
        .await
        .expect("a statement");
    raw.close().await.expect("nothing is in the way");
}

async fn verified(file: &File) -> VerifyError {
    let log = SqliteLog::read_only(file.path()).await.expect("it opens");
    verify(&log, PARTITION).await.expect_err("it was changed")
}

#[tokio::test]
async fn a_changed_event_is_named_by_its_position() {
    for change_one in [
        "update log set body = replace(body, '1.50', '1.51') where position = 41",
        "update log set at = at + 1 where position = 41",
        "update log set state = 0 where position = 41",
        "update log set name = 'other' where position = 41",
        "update log set digest = zeroblob(32) where position = 41",
        "update log set chain = zeroblob(32) where position = 41",
    ] {
        let file = log().await;
        change(&file, change_one).await;
        let error = verified(&file).await;
        let found = matches!(&error, VerifyError::Bad { position, fault: Fault::Chain { .. }, .. } if *position == Position::new(41));
        assert!(found, "{change_one}: {error:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_row_is_said() {
    let (stream, given, last) = (StreamKey::new(41), Version::new(7), Version::new(0));
    for (change_one, expected) in [
        (
            "version = 7",
            Fault::Version {
                stream,
                given,
                last,
            },
        ),
        ("at = 0", Fault::Time),
        ("name = null", Fault::Identity),
    ] {
        let file = log().await;
        change(
            &file,
            &format!("update log set {change_one} where position = 41"),
        )
        .await;
        match verified(&file).await {
            VerifyError::Bad {
                position, fault, ..
            } => {
                assert_eq!(
                    (position, fault),
                    (Position::new(41), expected),
                    "{change_one}"
                );
            }
            other => panic!("{change_one}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_missing_row_is_named_by_what_follows_it() {
    let file = log().await;
    change(&file, "delete from log where position = 41").await;
    match verified(&file).await {
        VerifyError::Bad {
            position,
            fault: Fault::Position { expected },
            ..
        } => {
            assert_eq!((position, expected), (Position::new(43), Position::new(41)));
        }
        other => panic!("a gap expected, got {other:?}"),
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_names_file_and_position() {
    let file = log().await;
    change(
        &file,
        "update log set body = substr(body, 2) where position = 41",
    )
    .await;
    let log = SqliteLog::read_only(file.path()).await.expect("it opens");
    match log.read(PARTITION, Position::new(1), 100).await {
        Err(ReadError::Damaged(damage)) => {
            assert_eq!(damage.position, Some(Position::new(41)));
            assert_eq!(damage.log, file.path().display().to_string());
        }
        other => panic!("damage expected, got {other:?}"),
    }
}

#[tokio::test]
async fn a_bit_flipped_in_the_file_is_found() {
    let file = log().await;
    let mut bytes = std::fs::read(file.path()).expect("it is there");
    let name = b"12345678901234567890123";
    let places: Vec<_> = (0..bytes.len() - name.len())
        .filter(|start| bytes[*start..].starts_with(name))
        .collect();
    bytes[places[places.len() / 2] + 3] ^= 1;
    std::fs::write(file.path(), bytes).expect("room");
    assert!(matches!(
        verified(&file).await,
        VerifyError::Bad {
            fault: Fault::Chain { .. },
            ..
        }
    ));
}

#[tokio::test]
async fn a_file_cut_short_is_refused_and_left_alone() {
    let file = log().await;
    let length = std::fs::metadata(file.path()).expect("it is there").len();
    for cut in [length - 4_096, length / 2, 4_096 + 100] {
        let whole = std::fs::read(file.path()).expect("it is there");
        OpenOptions::new()
            .write(true)
            .open(file.path())
            .expect("it is there")
            .set_len(cut)
            .expect("it can be cut");
        let before = std::fs::read(file.path()).expect("it is there");
        let error = match SqliteLog::open(file.path()).await {
            Err(error) => error.to_string(),
            Ok(log) => match log.acquire(PARTITION, Author::owner()).await {
                Err(error @ AcquireError::Damaged(_)) => error.to_string(),
                acquired => panic!("cut at {cut} of {length}: {acquired:?}"),
            },
        };
        assert!(
            error.contains(&file.path().display().to_string()),
            "{error}"
        );
        assert!(error.contains("damaged"), "{error}");
        assert_eq!(std::fs::read(file.path()).expect("it is there"), before);
        std::fs::write(file.path(), whole).expect("room");
    }
}

#[tokio::test]
async fn a_log_that_lost_its_end_is_not_acquired() {
    let file = log().await;
    change(&file, "delete from log where position > 60").await;
    let log = SqliteLog::open(file.path()).await.expect("it opens");
    match log.acquire(PARTITION, Author::owner()).await {
        Err(AcquireError::Damaged(damage)) => assert_eq!(damage.position, Some(Position::new(60))),
        other => panic!("damage expected, got {other:?}"),
    }
}

#[tokio::test]
async fn on_a_full_disk_nothing_is_acknowledged_and_nothing_is_lost() {
    let file = File::new();
    let options = SqliteOptions {
        max_bytes: Some(200_000),
        ..SqliteOptions::default()
    };
    let log = SqliteLog::open_with(file.path(), options)
        .await
        .expect("a log");
    let mut author = Author::on(Arc::new(log)).await;
    let mut stored = Position::new(0);
    let error = loop {
        let batches: Vec<_> = (0..50)
            .map(|n| author.begin(&format!("{stored}-{n}")))
            .collect();
        match author.append(batches).await {
            Ok(appended) => stored = appended.last,
            Err(error) => break error,
        }
    };
    assert!(
        matches!(&error, AppendError::Refused(Refusal::Full { .. })),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .contains(&file.path().display().to_string()),
        "{error}"
    );
    assert_eq!(author.log.tail(PARTITION).await.expect("readable"), stored);
    assert_eq!(
        verify(&*author.log, PARTITION)
            .await
            .expect("it is whole")
            .tail,
        stored
    );
    author.log.release(PARTITION).await.ok();
    drop(author);

    // With room again it goes on behind what was acknowledged.
    let mut author = Author::of(&file).await;
    assert_eq!(author.ownership.tail, stored);
    author.stream("after").await;
    verify(&*author.log, PARTITION).await.expect("it is whole");
}

#[tokio::test]
async fn a_locked_file_refuses_and_then_goes_on() {
    let file = File::new();
    let options = SqliteOptions {
        patience: Duration::ZERO,
        ..SqliteOptions::default()
    };
    let log = SqliteLog::open_with(file.path(), options)
        .await
        .expect("a log");
    let mut author = Author::on(Arc::new(log)).await;
    let mut raw = file.raw().await;
    sqlx::raw_sql("begin immediate")
        .execute(&mut raw)
        .await
        .expect("a lock");
    let batch = author.begin("a");
    let refused = author.append(vec![batch.clone()]).await;
    assert!(
        matches!(&refused, Err(AppendError::Refused(Refusal::Busy { .. }))),
        "{refused:?}"
    );
    sqlx::raw_sql("rollback")
        .execute(&mut raw)
        .await
        .expect("it was begun");
    author.store(vec![batch]).await;
}

#[tokio::test]
async fn a_subscription_ends_at_a_hole() {
    let file = log().await;
    change(&file, "delete from log where position = 41").await;
    let log = Arc::new(SqliteLog::read_only(file.path()).await.expect("it opens"));
    let mut subscription = Subscription::after(log, PARTITION, Position::new(38))
        .await
        .expect("it reaches that far");
    assert_eq!(
        subscription.next().await.expect("it is there").position,
        Position::new(39)
    );
    match subscription.next().await {
        Err(SubscriptionError::Read(ReadError::Damaged(damage))) => {
            assert_eq!(damage.position, Some(Position::new(43)))
        }
        other => panic!("damage expected, got {other:?}"),
    }
}
