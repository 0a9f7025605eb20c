//! `log read` and `log verify`

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    str::FromStr,
};

use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};

use crate::{
    agency::{Agency, signal},
    program::sagalog,
};

#[tokio::test]
async fn events_are_read_one_on_a_line_while_their_owner_runs() {
    let agency = Agency::open().await;
    agency.ended("t-1", "flight is full").await;
    let read = sagalog(&agency.log, "log read --from 3").await.printed();
    insta::assert_snapshot!(read, @r#"
     3  2026-11-20T20:00:00.000000Z  t-1 1  Started {"definition":"trip","version":1,"fingerprint":"1ac2bfb848152212","deadline":1795377600000000}  "flight is full"
     4  2026-11-20T20:00:00.000000Z  t-1 2  AttemptAsked {"node":"room","attempt":1,"deadline":1795204830000000}  "flight is full"
     5  2026-11-20T20:00:00.120000Z  t-1 3  AttemptSucceeded {"node":"room","attempt":1}  "room 12"
     6  2026-11-20T20:00:00.120000Z  t-1 4  ArmChosen {"node":"tired","arm":1}  null
     7  2026-11-20T20:00:00.120000Z  t-1 5  AttemptAsked {"node":"flight","attempt":1,"deadline":1795204830120000}  "flight is full"
     8  2026-11-20T20:00:00.420000Z  t-1 6  AttemptFailed {"node":"flight","attempt":1,"class":"permanent"}  "no seat is left"
     9  2026-11-20T20:00:00.420000Z  t-1 7  Turned {"cause":"step_failed","node":"flight"}  "no seat is left"
    10  2026-11-20T20:00:00.420000Z  t-1 8  AttemptAsked {"node":"room","direction":"compensation","attempt":1,"deadline":1795204830420000}
    11  2026-11-20T20:00:00.460000Z  t-1 9  AttemptSucceeded {"node":"room","direction":"compensation","attempt":1}
    12  2026-11-20T20:00:00.460000Z  t-1 10  Compensated {}
    "#);
}

#[tokio::test]
async fn reading_begins_and_ends_where_it_is_told() {
    let agency = Agency::open().await;
    agency.ended("t-1", "nothing").await;
    let read = sagalog(&agency.log, "log read --from 5 --limit 2")
        .await
        .printed();
    let positions: Vec<_> = read
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(positions, ["5", "6"]);
    assert_eq!(
        sagalog(&agency.log, "log read --from 1000").await.printed(),
        ""
    );
}

#[tokio::test]
async fn as_json_an_event_has_all_that_is_stored_of_it() {
    let agency = Agency::open().await;
    agency.ended("t-1", "nothing").await;
    let read = sagalog(&agency.log, "log read --from 3 --limit 1 --json")
        .await
        .printed();
    let mut event: serde_json::Value = serde_json::from_str(&read).expect("JSON");
    // The chain and the ids cover the release's number, which the first event states.
    for hash in ["chain", "input_digest", "id", "batch", "input"] {
        event[hash] = serde_json::Value::from(event[hash].as_str().expect("text").len());
    }
    event["control"]["fingerprint"] = "…".into();
    insta::assert_snapshot!(event, @r#"{"batch":26,"chain":64,"control":{"deadline":1795377600000000,"definition":"trip","fingerprint":"…","version":1},"data":"nothing","epoch":1,"id":26,"input":26,"input_digest":64,"partition":0,"position":3,"schema":1,"stream":"t-1","time":"2026-11-20T20:00:00.000000Z","time_us":1795204800000000,"type":"Started","version":1}"#);
}

#[tokio::test]
async fn following_shows_what_comes() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "approval", signal).await;
    let mut following = Command::new(env!("CARGO_BIN_EXE_sagalog"))
        .args(["log", "read", "--follow", "--json", "--log"])
        .arg(&agency.log)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program is built");
    let lines = BufReader::new(following.stdout.take().expect("it is piped")).lines();
    let seen = tokio::task::spawn_blocking(move || {
        let mut lines = lines.map(|line| line.expect("text"));
        lines.any(|line| line.contains(r#""type":"Completed""#))
    });
    sagalog(&agency.log, "saga signal t-1 approval --payload true")
        .await
        .printed();
    assert!(seen.await.expect("it does not panic"), "the end is seen");
    following.kill().expect("it runs");
    following.wait().expect("it ends");
}

#[tokio::test]
async fn a_whole_log_is_verified() {
    let mut agency = Agency::open().await;
    agency.ended("t-1", "nothing").await;
    agency.stop().await;
    let verified = sagalog(&agency.log, "log verify").await.printed();
    let chain = verified.lines().last().expect("a line");
    insta::assert_snapshot!(verified.replace(&chain[6..70], "…"), @r#"
    log.db is whole: 13 events of 6 inputs in 3 streams, 0 open
    chain … at position 13
    "#);
}

#[tokio::test]
async fn a_flipped_bit_is_named_by_its_position() {
    let mut agency = Agency::open().await;
    agency.ended("t-1", "seat number 4711").await;
    agency.stop().await;
    fold_in(&agency.log).await;
    let mut bytes = std::fs::read(&agency.log).expect("it is there");
    let place = bytes
        .windows(4)
        .position(|window| window == b"4711")
        .expect("it is stored");
    bytes[place] ^= 1;
    std::fs::write(&agency.log, bytes).expect("room");
    let ran = sagalog(&agency.log, "log verify").await;
    assert_eq!(ran.exit, 1);
    assert!(
        ran.out
            .starts_with("log.db is not what was appended from position "),
        "{}",
        ran.out
    );
    let json = sagalog(&agency.log, "log verify --json").await;
    assert_eq!(json.exit, 1);
    assert!(
        json.out
            .starts_with(r#"{"whole":false,"first_bad_position":"#),
        "{}",
        json.out
    );
}

#[tokio::test]
async fn a_log_of_a_newer_format_is_refused_by_every_command() {
    let mut agency = Agency::open().await;
    agency.stop().await;
    change(&agency.log, "pragma user_version = 99").await;
    for line in [
        "log read",
        "log verify",
        "saga list",
        "saga show t-1",
        "saga cancel t-1 --reason no",
        "serve",
    ] {
        let error = sagalog(&agency.log, line).await.failed(1);
        assert_eq!(
            error,
            "error: log.db has log format 99, this program knows formats up to 1: use a newer program\n",
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_file_that_is_no_log_is_left_alone() {
    let mut agency = Agency::open().await;
    agency.stop().await;
    let other = agency.folder().join("notes.txt");
    std::fs::write(&other, "buy milk").expect("room");
    let error = sagalog(&other, "log read").await.failed(1);
    assert_eq!(error, "error: log.db is not a Sagalog log\n");
    assert_eq!(std::fs::read(&other).expect("it is there"), b"buy milk");
}

/// Folds the write-ahead log into the file.
async fn fold_in(log: &Path) {
    change(log, "pragma wal_checkpoint(truncate)").await;
}

async fn change(log: &Path, sql: &'static str) {
    let options = SqliteConnectOptions::from_str(&log.display().to_string()).expect("a path");
    let mut raw = options.connect().await.expect("it opens");
    sqlx::raw_sql(sql)
        .execute(&mut raw)
        .await
        .expect("a statement");
    raw.close().await.expect("nothing is in the way");
}
