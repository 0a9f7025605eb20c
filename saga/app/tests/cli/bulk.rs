//! An action on all sagas that fit.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use sagalog::Status;
use serde_json::Value;

use crate::{
    agency::{Agency, person, signal},
    program::{Ran, sagalog},
};

/// Trips that wait: some for an approval, one for a person.
async fn agency() -> Agency {
    let agency = Agency::open().await;
    agency.ended("t-0", "nothing").await;
    agency.waiting("t-1", "approval", signal).await;
    agency.waiting("t-2", "approval", signal).await;
    agency.waiting("t-3", "no ink", person).await;
    agency
}

/// What it printed, whatever it said beside that.
fn out(ran: Ran, exit: i32) -> String {
    assert_eq!(ran.exit, exit, "{}{}", ran.out, ran.err);
    ran.out
}

/// How often a saga has recorded events of this type.
async fn recorded(agency: &Agency, saga: &str, kind: &str) -> usize {
    let read = sagalog(&agency.log, "log read --json").await.printed();
    let lines = read
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines
        .filter(|line| line["stream"] == saga && line["type"] == kind)
        .count()
}

#[tokio::test]
async fn a_dry_run_lists_what_would_become_of_each_and_does_nothing() {
    let agency = agency().await;
    let would = sagalog(
        &agency.log,
        "saga cancel --definition trip --reason strike --dry-run",
    )
    .await;
    insta::assert_snapshot!(out(would, 5), @r#"
    t-1 would be done: CancelRequested, Turned, AttemptAsked; then Compensating
    t-2 would be done: CancelRequested, Turned, AttemptAsked; then Compensating
    t-3 refused: saga `t-3` has passed its pivot: from there on it only goes forward
    "#);
    let would = sagalog(
        &agency.log,
        "saga retry --all --operation op-1 --dry-run --json",
    )
    .await;
    insta::assert_snapshot!(out(would, 0), @r#"
    {"saga":"t-1","result":"skipped","code":"nothing_to_do","message":"there is no parked node of it"}
    {"saga":"t-2","result":"skipped","code":"nothing_to_do","message":"there is no parked node of it"}
    {"saga":"t-3","of":"ticket","result":"would_be_done","events":["RetryRequested","AttemptAsked"],"then":"Running"}
    {"did":"retry","operation":"op-1","dry_run":true,"sagas":3,"done":0,"would_be_done":1,"done_before":0,"still_failing":0,"skipped":2,"refused":0}
    "#);
    assert_eq!(recorded(&agency, "t-1", "CancelRequested").await, 0);
    assert_eq!(recorded(&agency, "t-3", "RetryRequested").await, 0);
}

#[tokio::test]
async fn each_has_its_result_and_the_last_line_counts_them() {
    let agency = agency().await;
    let line =
        "saga cancel --waiting-for signal:approval --reason strike --yes --operation op-1 --json";
    insta::assert_snapshot!(out(sagalog(&agency.log, line).await, 0), @r#"
    {"saga":"t-1","result":"done"}
    {"saga":"t-2","result":"done"}
    {"did":"cancel","operation":"op-1","dry_run":false,"sagas":2,"done":2,"would_be_done":0,"done_before":0,"still_failing":0,"skipped":0,"refused":0}
    "#);
    for saga in ["t-1", "t-2"] {
        assert_eq!(agency.end(saga).await.status(), Status::Compensated);
        assert_eq!(recorded(&agency, saga, "CancelRequested").await, 1);
    }
    let again = sagalog(&agency.log, line).await;
    insta::assert_snapshot!(out(again, 0), @r#"{"did":"cancel","operation":"op-1","dry_run":false,"sagas":0,"done":0,"would_be_done":0,"done_before":0,"still_failing":0,"skipped":0,"refused":0}"#);
}

#[tokio::test]
async fn nothing_is_done_unless_somebody_says_that_all_of_them_are_meant() {
    let agency = agency().await;
    let said = async |line: &str| sagalog(&agency.log, line).await.failed(2);
    let mut all = String::new();
    for line in [
        "saga cancel --reason strike",
        "saga cancel --reason strike --yes",
        "saga cancel t-1 --reason strike --status running",
        "saga cancel --reason strike --all --request-id r-1",
        "saga retry t-3",
        "saga retry --all --yes --operation a/b",
    ] {
        all.push_str(&said(line).await);
    }
    let unasked = sagalog(&agency.log, "saga cancel --reason strike --status running").await;
    all.push_str(&unasked.err);
    assert_eq!(unasked.exit, 2);
    insta::assert_snapshot!(all, @r#"
    error: neither a saga nor a filter says which sagas are meant
      name one, say which with --status, --definition, --waiting-for and the like, or say --all
    error: neither a saga nor a filter says which sagas are meant
      name one, say which with --status, --definition, --waiting-for and the like, or say --all
    error: a saga is named, or which of many are meant is said; --request-id and --id are of one, --operation, --all and --yes of many
    error: a saga is named, or which of many are meant is said; --request-id and --id are of one, --operation, --all and --yes of many
    error: the node was not named
      `saga why` names those that are parked
    error: an operation's id has 1 to 100 bytes and no `/`
    error: cancel would be for 3 sagas, and nobody is here who could say whether that is meant
      look at them with --dry-run, then say so with --yes
    "#);
}

#[tokio::test]
async fn one_that_is_killed_goes_on_under_its_id_and_does_nothing_twice() {
    let agency = Agency::open().await;
    let sagas: Vec<String> = (0..12).map(|number| format!("t-{number:02}")).collect();
    for saga in &sagas {
        agency.waiting(saga, "no ink", person).await;
    }
    let line = "saga retry --status parked --yes --operation op-1";
    let mut command = Command::new(env!("CARGO_BIN_EXE_sagalog"));
    command
        .args(line.split(' '))
        .args(["--rate", "1", "--log"])
        .arg(&agency.log);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let first = tokio::task::spawn_blocking(move || {
        let mut killed = command.spawn().expect("the program is built");
        let mut out = BufReader::new(killed.stdout.take().expect("it is a pipe"));
        let mut first = String::new();
        out.read_line(&mut first).expect("it is text");
        killed.kill().expect("it runs");
        killed.wait().expect("it has ended");
        first
    });
    assert_eq!(
        first.await.expect("it does not panic"),
        "t-00 ticket done\n"
    );
    // What was tried again is parked again, so the filter finds it again.
    for saga in &sagas {
        agency.until(saga, person).await;
    }
    let again = sagalog(&agency.log, line).await;
    let again = out(again, 1);
    assert!(again.starts_with("t-00 ticket still failing\n"), "{again}");
    assert!(again.ends_with("t-11 ticket done\n"), "{again}");
    for saga in &sagas {
        assert_eq!(recorded(&agency, saga, "RetryRequested").await, 1, "{saga}");
    }
}

#[tokio::test]
async fn what_began_after_an_operation_is_not_of_it() {
    let agency = agency().await;
    // An id of the day before the trips.
    let line = "saga cancel --all --yes --reason strike --operation 01KAFGT20000000000TEST0000";
    let ran = sagalog(&agency.log, line).await;
    assert_eq!(
        (ran.exit, ran.out.as_str(), ran.err.as_str()),
        (0, "", "no sagas under way fit\n")
    );
}

#[tokio::test]
async fn the_first_held_input_of_each_is_put_right_and_signals_are_sent_to_all() {
    let agency = agency().await;
    let run = async |line: &str| sagalog(&agency.log, line).await;
    let sent =
        run("saga signal --signal approval --payload 7 --status running --yes --operation op-1");
    insta::assert_snapshot!(out(sent.await, 0), @r#"
    t-1 done
    t-2 done
    t-3 done
    "#);
    let again =
        run("saga signal --signal approval --payload 7 --status running --yes --operation op-1")
            .await;
    assert_eq!(
        out(again, 0),
        "t-1 done before\nt-2 done before\nt-3 done before\n"
    );
    let edited = run("held edit --waiting-for held --content true --yes").await;
    assert_eq!(out(edited, 0), "t-1 1 done\nt-2 1 done\nt-3 1 done\n");
    for saga in ["t-1", "t-2"] {
        assert_eq!(agency.end(saga).await.status(), Status::Completed);
    }
}

#[tokio::test]
async fn views_find_the_same_sagas() {
    let agency = agency().await;
    let line = "saga retry --status parked --dry-run --operation op-1";
    let from_the_log = out(sagalog(&agency.log, line).await, 0);
    assert_eq!(sagalog(&agency.log, "view rebuild").await.exit, 0);
    assert_eq!(out(sagalog(&agency.log, line).await, 0), from_the_log);
    assert!(
        from_the_log.starts_with("t-3 ticket would be done"),
        "{from_the_log}"
    );
}
