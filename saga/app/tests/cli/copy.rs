//! `log copy`

use std::path::Path;

use sagalog_eventlog::SqliteLog;

use crate::{
    agency::{Agency, signal},
    program::{Ran, sagalog},
};

async fn copy(from: &Path, to: &Path) -> Ran {
    sagalog(from, &format!("log copy --to {}", to.display())).await
}

#[tokio::test]
async fn a_copy_shows_what_its_log_shows() {
    let mut agency = Agency::open().await;
    agency.ended("t-1", "flight is full").await;
    agency.waiting("t-2", "approval", signal).await;
    agency.stop().await;
    let to = agency.folder().join("copy.db");
    let copied = copy(&agency.log, &to).await;
    assert_eq!(copied.exit, 0, "{}", copied.err);
    for question in ["saga list --json", "saga show t-1", "saga why t-2"] {
        let (before, after) = (sagalog(&agency.log, question), sagalog(&to, question));
        assert_eq!(after.await.printed(), before.await.printed(), "{question}");
    }
    let first = sagalog(&to, "log read --limit 1 --json").await.printed();
    assert!(first.contains(r#""type":"LogCopied""#), "{first}");
    let verified = sagalog(&to, "history verify t-1").await.printed();
    assert!(verified.contains("is whole"), "{verified}");
}

#[tokio::test]
async fn a_log_that_is_driven_is_not_copied() {
    let agency = Agency::open().await;
    let to = agency.folder().join("copy.db");
    let refused = copy(&agency.log, &to).await.failed(5);
    assert!(refused.contains("is in use by agency"), "{refused}");
    assert!(!to.exists());
}

#[tokio::test]
async fn a_log_that_is_there_is_never_overwritten() {
    let mut agency = Agency::open().await;
    agency.stop().await;
    let to = agency.folder().join("copy.db");
    assert_eq!(copy(&agency.log, &to).await.exit, 0);
    for there in [&agency.log, &to] {
        let refused = copy(&agency.log, there).await.failed(5);
        assert!(refused.contains("there is a log already"), "{refused}");
    }
}

#[tokio::test]
async fn what_an_interrupted_copy_left_is_no_log_and_is_made_anew() {
    let mut agency = Agency::open().await;
    agency.ended("t-1", "nothing").await;
    agency.stop().await;
    let folder = agency.folder();
    let (to, part) = (folder.join("copy.db"), folder.join("copy.db.part"));
    drop(SqliteLog::open(&part).await.expect("it is made"));
    sagalog(&to, "log verify").await.failed(3);
    assert_eq!(copy(&agency.log, &to).await.exit, 0);
    assert!(!part.exists());
    sagalog(&to, "log verify").await.printed();
}

#[tokio::test]
async fn a_log_that_was_driven_since_is_not_what_the_copy_came_from() {
    let mut agency = Agency::open().await;
    agency.stop().await;
    let to = agency.folder().join("copy.db");
    assert_eq!(copy(&agency.log, &to).await.exit, 0);
    agency.start(false).await;
    agency.ended("t-1", "nothing").await;
    let line = format!("log copy --verify --to {}", to.display());
    let refused = sagalog(&agency.log, &line).await.failed(5);
    assert!(refused.contains("was driven since"), "{refused}");
    let line = format!("log copy --verify --from {} --to", to.display());
    let line = format!("{line} {}", agency.log.display());
    let refused = sagalog(&agency.log, &line).await.failed(5);
    assert!(refused.contains("is no copy of a log"), "{refused}");
}
