//! A demo that was killed goes on in a copy of its log, and in what was restored from a backup.

mod demo_support;

use std::{path::Path, sync::Arc};

use demo_support::{BUNDLED, Place, assert_exactly_right, is_end};
use sagalog::{EventLog, PostgresLog, SqliteLog};
use sagalog_eventlog::test_servers::PostgresServer;

/// Drives the sagas of a log to their ends, with the demo's participants and their world.
async fn drive_to_the_end(place: &Place, log: Arc<dyn EventLog>) {
    let runtime = sagalog_cli::demo::app().runtime(log, &place.demo());
    let runtime = runtime.expect("it has its world").start().await;
    let runtime = runtime.expect("it takes the log over");
    for saga in place.recorded().await.last.keys() {
        let end = runtime.client().end(saga).await;
        end.expect("it ends");
    }
    runtime.stop().await.expect("it stops in peace");
}

/// A demo that was killed with sagas under way, and whose orders are those that had begun.
async fn killed() -> (Place, String) {
    let orders: Vec<_> = BUNDLED.lines().take(200).collect();
    let place = Place::with(&orders.join("\n"));
    let mut demo = place.start(400);
    assert!(demo.reaches(400).await, "it ended before position 400");
    demo.kill().await;
    let recorded = place.recorded().await;
    assert!(recorded.unfinished() > 0, "nothing is under way");
    let begun = |order: &&str| {
        let order: serde_json::Value = serde_json::from_str(order).expect("JSON");
        recorded
            .last
            .contains_key(order["id"].as_str().expect("a text"))
    };
    let begun: Vec<_> = orders.into_iter().filter(begun).collect();
    let begun = begun.join("\n");
    place.give(&begun);
    (place, begun)
}

#[tokio::test]
async fn a_log_that_was_stopped_in_the_middle_goes_on_in_sixteen_partitions() {
    let (place, orders) = killed().await;
    let (before, file) = (place.recorded().await, place.log());
    let url = PostgresServer::shared().new_database("copied");
    let from = file.to_str().expect("a text");
    let copy = ["log", "copy", "--from", from, "--to", &url];
    let said = place.ran(&copy);
    assert!(said.contains("every one was compared"), "{said}");
    let place = place.moved_to(&url);
    let after = place.recorded().await;
    assert_eq!((after.last, after.events), (before.last, before.events));
    let log = PostgresLog::open(&url).await.expect("it is there");
    assert_eq!(log.partitions(), 16);
    drive_to_the_end(&place, Arc::new(log)).await;
    assert_exactly_right(&place, &orders).await;
    place.verify().await;
    let said = place.ran(&[&copy[..], &["--verify"]].concat());
    assert!(said.contains("since"), "{said}");
    // And back into one partition.
    let back = place.demo().join("back.db");
    let back_text = back.to_str().expect("a text");
    place.ran(&["log", "copy", "--from", &url, "--to", back_text]);
    assert!(is_a_log(&back).await);
    let place = place.moved_to_file("back.db");
    assert_exactly_right(&place, &orders).await;
    place.verify().await;
}

/// What happened outside after the backup was made is not known to what was restored: nothing is asked before
/// somebody says so, and then nothing happens twice.
#[tokio::test]
async fn what_was_restored_stands_still_and_goes_on_without_doing_anything_twice() {
    let (place, orders) = killed().await;
    let file = place.demo().join("shop.backup");
    let (file, log) = (file.to_str().expect("a text"), place.log());
    let from = log.to_str().expect("a text");
    let said = place.ran(&["log", "backup", "--log", from, "--to", file]);
    assert!(said.contains("its hash chain fits"), "{said}");
    // The shop goes on after the backup, and its log is lost.
    let source = SqliteLog::open(&log).await.expect("it is there");
    drive_to_the_end(&place, Arc::new(source)).await;
    let effects = place.effects().await;
    let to = place.demo().join("restored.db");
    let to_text = to.to_str().expect("a text");
    let said = place.ran(&["log", "restore", file, "--to", to_text]);
    assert!(said.contains(" paused, "), "{said}");
    let place = place.moved_to_file("restored.db");
    place.verify().await;
    let paused = place.recorded().await;
    assert!(paused.unfinished() > 0, "nothing is under way");
    let restored = SqliteLog::open(&to).await.expect("it is there");
    let runtime = sagalog_cli::demo::app().runtime(Arc::new(restored), &place.demo());
    let runtime = runtime.expect("it has its world").start().await;
    let runtime = runtime.expect("it takes the log over");
    let client = runtime.client();
    for (saga, last) in &paused.last {
        if !is_end(last) {
            client.resume(saga, "r-1").await.expect("it was paused");
        }
    }
    for saga in paused.last.keys() {
        client.end(saga).await.expect("it ends");
    }
    runtime.stop().await.expect("it stops in peace");
    assert_eq!(place.effects().await, effects);
    assert_exactly_right(&place, &orders).await;
    place.verify().await;
}

#[tokio::test]
async fn a_backup_that_was_changed_or_cut_off_is_not_restored() {
    let (place, _) = killed().await;
    let file = place.demo().join("shop.backup");
    let (text, log) = (file.to_str().expect("a text"), place.log());
    let from = log.to_str().expect("a text");
    place.ran(&["log", "backup", "--log", from, "--to", text]);
    let good = std::fs::read_to_string(&file).expect("it is text");
    let to = place.demo().join("restored.db");
    let restore = ["log", "restore", text, "--to", to.to_str().expect("a text")];
    let (cut, _) = good.trim_end().rsplit_once('\n').expect("it has lines");
    let changed = good.replacen("tok_ok", "tok_no", 1);
    for (bad, why) in [
        (cut, "it ends too early"),
        (&changed, "its hash chain does not fit"),
        ("{}", "is no backup of a log"),
    ] {
        std::fs::write(&file, bad).expect("room");
        let said = place.failed(&restore);
        assert!(said.contains(why), "{said}");
        assert!(!to.exists());
    }
}

async fn is_a_log(file: &Path) -> bool {
    SqliteLog::read_only(file).await.is_ok()
}
