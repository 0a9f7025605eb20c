//! `saga watch`, `saga diff`, `log tail` and `log stat`: what happens, and how much of it.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::{
    agency::{APPROVAL, Agency, person, signal},
    program::sagalog,
};

/// A program that shows lines as something happens.
struct Showing {
    program: Child,
    lines: Option<BufReader<std::process::ChildStdout>>,
}

impl Showing {
    fn begin(log: &Path, line: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sagalog"));
        command.args(line.split(' ')).arg("--log").arg(log);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut program = command.spawn().expect("the program is built");
        let lines = BufReader::new(program.stdout.take().expect("it is a pipe"));
        Self {
            program,
            lines: Some(lines),
        }
    }

    /// Its next lines, as soon as it has shown them.
    async fn lines(&mut self, count: usize) -> Vec<String> {
        let mut reader = self.lines.take().expect("nobody else reads");
        let read = tokio::task::spawn_blocking(move || {
            let lines = (0..count).map(|_| {
                let mut line = String::new();
                reader.read_line(&mut line).expect("it is text");
                line
            });
            (lines.collect(), reader)
        });
        let (lines, reader) = read.await.expect("it does not panic");
        self.lines = Some(reader);
        lines
    }

    /// What it shows until it ends by itself, and how.
    async fn end(mut self) -> (Vec<String>, Option<i32>) {
        let mut reader = self.lines.take().expect("nobody else reads");
        let rest = tokio::task::spawn_blocking(move || {
            let lines = reader
                .by_ref()
                .lines()
                .map(|line| line.expect("it is text"));
            let lines = lines.collect();
            (lines, self.program.wait().expect("it has ended").code())
        });
        rest.await.expect("it does not panic")
    }
}

async fn approve(agency: &Agency, saga: &str, yes: bool) {
    let client = agency.runtime().client();
    let sent = client.signal(APPROVAL, saga, "boss-1", &yes).await;
    sent.expect("it is recorded");
}

#[tokio::test]
async fn a_saga_is_watched_until_its_end() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "approval", signal).await;
    let mut watching = Showing::begin(&agency.log, "saga watch t-1");
    // It has shown what was there, so it sees what comes.
    let before = watching.lines(8).await.concat();
    approve(&agency, "t-1", true).await;
    let (after, exit) = watching.end().await;
    insta::assert_snapshot!(format!("{before}---\n{}", after.join("\n")), @r#"
           +0 ms  Started  Started "approval"
           +0 ms  AttemptAsked  ask room#1
         +120 ms  AttemptSucceeded  room#1 succeeded: "room 12"
         +120 ms  ArmChosen  tired goes into arm 1
         +120 ms  AttemptAsked  ask flight#1
         +420 ms  AttemptSucceeded  flight#1 succeeded: "seat 4A"
         +420 ms  ArmChosen  ask goes into arm 0
         +420 ms  WaitStarted  approved waits
    ---
         +420 ms  SignalReceived  signal approval (boss-1)
         +420 ms  SignalConsumed  approved takes signal boss-1
         +420 ms  NodeCompleted  yes gives true
         +420 ms  NodeCompleted  ask is done
         +420 ms  PivotPassed  pivot
         +420 ms  AttemptAsked  ask ticket#1
         +420 ms  AttemptSucceeded  ticket#1 succeeded: "ticket 7"
         +420 ms  Completed  COMPLETED "ticket 7"
    "#);
    assert_eq!(exit, Some(0));
}

#[tokio::test]
async fn one_that_goes_back_says_so_by_its_exit_code_in_postgres_too() {
    let agency = Agency::in_postgres("watching").await;
    agency.waiting("t-1", "approval", signal).await;
    let mut watching = Showing::begin(&agency.log, "saga watch t-1 --json");
    watching.lines(8).await;
    approve(&agency, "t-1", false).await;
    let (after, exit) = watching.end().await;
    let kinds = after.iter().map(|line| {
        let event: Value = serde_json::from_str(line).expect("JSON");
        event["type"].as_str().expect("a text").to_owned()
    });
    insta::assert_snapshot!(kinds.collect::<Vec<_>>().join(" "), @"SignalReceived SignalConsumed Turned AttemptAsked AttemptSucceeded AttemptAsked AttemptSucceeded Compensated");
    assert_eq!(exit, Some(7));
    let nothing = sagalog(&agency.log, "saga watch t-9").await.failed(3);
    assert!(nothing.contains("has no saga `t-9`"), "{nothing}");
}

#[tokio::test]
async fn histories_part_where_something_else_happened() {
    let agency = Agency::open().await;
    agency.ended("t-1", "nothing").await;
    agency.ended("t-2", "flight is full").await;
    agency.ended("t-3", "nothing").await;
    let parted = sagalog(&agency.log, "saga diff t-1 t-2").await;
    assert_eq!(parted.exit, 1, "{}", parted.err);
    insta::assert_snapshot!(parted.out, @r#"
    t-1 (trip version 1) and t-2 (version 1): the same up to version 5
    with other payloads at 1, 2, 5
    t-1 then has 6 events, and is Completed
         +420 ms     6  AttemptSucceeded  flight#1 succeeded: "seat 4A"
         +420 ms     7  ArmChosen  ask goes into arm 1
         +420 ms     8  PivotPassed  pivot
         +420 ms     9  AttemptAsked  ask ticket#1
         +420 ms    10  AttemptSucceeded  ticket#1 succeeded: "ticket 7"
         +420 ms    11  Completed  COMPLETED "ticket 7"
    t-2 then has 5 events, and is Compensated
         +420 ms     6  AttemptFailed  flight#1 failed: no seat is left
         +420 ms     7  Turned  TURN at flight: no seat is left
         +420 ms     8  AttemptAsked  ask room compensation#1
         +460 ms     9  AttemptSucceeded  room compensation#1 succeeded
         +460 ms    10  Compensated  COMPENSATED
    "#);
    let same = sagalog(&agency.log, "saga diff t-1 t-3").await.printed();
    insta::assert_snapshot!(same, @r#"
    t-1 (trip version 1) and t-3 (version 1): the same up to version 11
    t-1 ends there, Completed
    t-3 ends there, Completed
    "#);
    agency.waiting("t-4", "approval", signal).await;
    let parted = sagalog(&agency.log, "saga diff t-1 t-4 --json").await;
    let parted: Value = serde_json::from_str(&parted.out).expect("JSON");
    assert_eq!(parted["other_payloads_at"][0], 1);
    assert_eq!(
        parted["one"]["then"][0]["version"].as_u64(),
        parted["same_up_to"].as_u64().map(|it| it + 1)
    );
}

#[tokio::test]
async fn the_tail_of_a_log_is_followed_in_all_partitions() {
    let agency = Agency::in_postgres("tailing").await;
    agency.ended("t-1", "nothing").await;
    let mut tailing = Showing::begin(&agency.log, "log tail --last 1 --json");
    // The last event of each of the sixteen partitions; then what comes.
    tailing.lines(16).await;
    agency.ended("t-2", "nothing").await;
    let came = tailing.lines(11).await;
    let came: Vec<Value> = came
        .iter()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert!(
        came.iter().all(|event| event["stream"] == "t-2"),
        "{came:?}"
    );
    assert_eq!(came[10]["type"], "Completed");
    tailing.program.kill().expect("it runs");
    tailing.program.wait().expect("it has ended");
}

#[tokio::test]
async fn a_tail_ends_after_so_many_events_if_told_so() {
    let agency = Agency::open().await;
    agency.ended("t-1", "nothing").await;
    let shown = sagalog(&agency.log, "log tail -n 3 --limit 2")
        .await
        .printed();
    assert_eq!(shown.lines().count(), 2, "{shown}");
    assert!(shown.contains("AttemptSucceeded"), "{shown}");
}

#[tokio::test]
async fn the_statistics_of_a_log_are_the_same_with_views() {
    let agency = Agency::open().await;
    agency.ended("t-1", "nothing").await;
    agency.ended("t-2", "flight is full").await;
    agency.waiting("t-3", "no ink", person).await;
    let stat = async |line: &str| {
        let printed = sagalog(&agency.log, line).await.printed();
        serde_json::from_str::<Value>(&printed).expect("JSON")
    };
    let mut of_the_log = stat("log stat --json").await;
    assert!(
        of_the_log["bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes > 10_000)
    );
    of_the_log["bytes"].take();
    sagalog(&agency.log, "view rebuild").await.printed();
    let mut of_views = stat("log stat --json").await;
    of_views["bytes"].take();
    assert_eq!(of_the_log, of_views);
    of_the_log["partitions"][0]["newest"].take();
    insta::assert_snapshot!(of_the_log, @r#"{"bytes":null,"events":34,"log":"log.db","partitions":[{"newest":null,"oldest":1795204800000000,"owner":{"epoch":1,"node":"agency","since":1795204800000000},"partition":0,"tail":34}],"sagas":{"Compensated":1,"Completed":1,"Running":1}}"#);
    let said = sagalog(&agency.log, "log stat").await.printed();
    assert!(
        said.contains("sagas: 1 Compensated, 1 Completed, 1 Running\n"),
        "{said}"
    );
}

#[tokio::test]
async fn the_statistics_of_a_log_in_postgres_have_its_partitions() {
    let agency = Agency::in_postgres("counting").await;
    agency.ended("t-1", "nothing").await;
    let stat = sagalog(&agency.log, "log stat --json").await.printed();
    let stat: Value = serde_json::from_str(&stat).expect("JSON");
    let partitions = stat["partitions"].as_array().expect("a list");
    assert_eq!(partitions.len(), 16);
    assert!(
        partitions.iter().all(|it| it["owner"]["node"] == "agency"),
        "{stat}"
    );
    assert!(
        stat["bytes"].as_u64().is_some_and(|bytes| bytes > 100_000),
        "{stat}"
    );
    assert_eq!(stat["sagas"]["Completed"], 1);
}
