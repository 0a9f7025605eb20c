//! What people tell sagas: over the owner's socket, or with a program that takes the log.

use std::{ffi::OsString, os::unix::net::UnixListener, process::ExitCode};

use sagalog::{Status, control::socket_of};

use crate::{
    agency::{Agency, app, person, signal},
    program::sagalog,
};

/// Runs a program that knows trips; the exit code, as `ExitCode` shows itself.
async fn agency_program(log: &std::path::Path, line: &str) -> String {
    let mut words: Vec<OsString> = vec!["agency".into()];
    words.extend(line.split_whitespace().map(OsString::from));
    words.extend(["--log".into(), log.into()]);
    let ran = tokio::task::spawn_blocking(move || sagalog_cli::main_with(app(), words));
    format!("{:?}", ran.await.expect("it does not panic"))
}

fn exit(code: u8) -> String {
    format!("{:?}", ExitCode::from(code))
}

#[tokio::test]
async fn a_signal_reaches_the_owner_and_says_under_which_id() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "approval", signal).await;
    let said = sagalog(
        &agency.log,
        "saga signal t-1 approval --payload true --id boss-1",
    )
    .await
    .printed();
    assert_eq!(said, "signal recorded for saga t-1, id boss-1\n");
    assert_eq!(agency.end("t-1").await.status(), Status::Completed);
}

#[tokio::test]
async fn a_signal_may_say_until_when_it_comes_again_and_always_says_the_same() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "approval", signal).await;
    let said = async |until: &str| {
        let line = format!("saga signal t-1 approval --payload true --id boss-1 --until {until}");
        sagalog(&agency.log, &line).await
    };
    let recorded = said("2026-11-20T21:00:00Z").await.printed();
    assert_eq!(recorded, "signal recorded for saga t-1, id boss-1\n");
    said("2026-11-20T21:00:00Z").await.printed();
    let other = said("2026-11-20T22:00:00Z").await.failed(5);
    insta::assert_snapshot!(other.lines().next().expect("a line"), @"error: the id `boss-1` was used before for something else, or with another time; choose another id");
    let no_time = said("tomorrow").await.failed(2);
    assert!(no_time.contains("as 2026-11-20T20:07:30Z"), "{no_time}");
}

#[tokio::test]
async fn a_signal_that_cannot_be_read_is_held_shown_and_put_right() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "approval", signal).await;
    let run = async |line: &str| sagalog(&agency.log, line).await.printed();
    run("saga signal t-1 approval --payload 7 --id boss-1").await;
    let shown = run("held show t-1 --json").await;
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["held"][0]["number"], 1);
    assert_eq!(shown["held"][0]["content"], 7);
    assert!(
        run("held list")
            .await
            .contains("signal approval, id boss-1")
    );
    assert!(run("saga why t-1").await.contains("input 1 is held"));
    let would = run("held edit t-1 1 --content true --dry-run").await;
    assert!(
        would.contains("it is about input 1, signal approval, id boss-1; behind it: 0 inputs\n"),
        "{would}"
    );
    run("held edit t-1 1 --content true --request-id r-1").await;
    assert_eq!(agency.end("t-1").await.status(), Status::Completed);
}

#[tokio::test]
async fn a_paused_saga_says_so_everywhere_until_it_is_undone() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "approval", signal).await;
    let run = async |line: &str| sagalog(&agency.log, line).await.printed();
    run("saga pause t-1 --by bob --reason strike --request-id p-1").await;
    run("saga set-deadline t-1 --in 2h --by bob --reason patience --request-id d-1").await;
    run("saga signal t-1 approval --payload true --id boss-1").await;
    for line in [
        "saga list --status paused",
        "saga list --waiting-for paused",
    ] {
        let listed = run(line).await;
        assert!(listed.contains("Running, paused"), "{line}: {listed}");
    }
    let why = run("saga why t-1").await;
    assert!(why.contains("it is paused by bob: strike\n"), "{why}");
    assert!(why.contains("its deadline: "), "{why}");
    let shown = run("saga show t-1").await;
    assert!(shown.contains("it is paused by bob since "), "{shown}");
    assert!(shown.contains(" by bob: patience\n"), "{shown}");
    let again = sagalog(&agency.log, "saga pause t-1 --reason two").await;
    let again = again.failed(5);
    assert!(again.contains("paused already, by bob"), "{again}");
    assert!(again.contains("saga resume t-1"), "{again}");
    let would = run("saga compensate t-1 --reason enough --dry-run").await;
    assert!(would.contains("CompensateRequested"), "{would}");
    run("saga compensate t-1 --reason enough").await;
    assert_eq!(agency.end("t-1").await.status(), Status::Compensated);
}

#[tokio::test]
async fn a_paused_saga_goes_on_with_what_came_when_it_is_resumed() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "approval", signal).await;
    let run = async |line: &str| sagalog(&agency.log, line).await.printed();
    run("saga pause t-1 --reason strike").await;
    run("saga signal t-1 approval --payload true --id boss-1").await;
    run("saga resume t-1").await;
    assert_eq!(agency.end("t-1").await.status(), Status::Completed);
    for line in [
        "saga resume t-1",
        "saga set-deadline t-1 --none --reason no",
    ] {
        sagalog(&agency.log, line).await.failed(5);
    }
    let both = "saga set-deadline t-1 --none --in 2h --reason no";
    sagalog(&agency.log, both).await.failed(2);
}

#[tokio::test]
async fn a_new_id_is_made_and_said() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "approval", signal).await;
    let said = sagalog(&agency.log, "saga cancel t-1 --reason strike --json")
        .await
        .printed();
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(said["id"].as_str().expect("an id").len(), 26);
    assert_eq!(agency.end("t-1").await.status(), Status::Compensated);
}

#[tokio::test]
async fn a_request_sent_twice_counts_once() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "no ink", person).await;
    let line = "saga retry t-1 ticket --request-id r-1";
    sagalog(&agency.log, line).await.printed();
    agency.until("t-1", person).await;
    let version = agency
        .runtime()
        .client()
        .state("t-1")
        .await
        .expect("it is known")
        .version();
    sagalog(&agency.log, line).await.printed();
    assert_eq!(
        agency
            .runtime()
            .client()
            .state("t-1")
            .await
            .expect("it is known")
            .version(),
        version
    );
}

#[tokio::test]
async fn who_wants_a_node_tried_again_and_why_is_in_the_log_and_decided_again_from_it() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "no ink", person).await;
    let line = "saga retry t-1 ticket --as bob --reason toner --request-id r-1";
    sagalog(&agency.log, line).await.printed();
    agency.until("t-1", person).await;
    let shown = sagalog(&agency.log, "saga show t-1").await.printed();
    assert!(
        shown.contains("wanted by bob, with a new budget: toner"),
        "{shown}"
    );
    let other = "saga retry t-1 ticket --as bob --reason paper --request-id r-1";
    let other = sagalog(&agency.log, other).await.failed(5);
    assert!(other.contains("the id `r-1` was used before"), "{other}");
    let replayed = agency_program(&agency.log, "history replay t-1").await;
    assert_eq!(replayed, exit(0));
}

#[tokio::test]
async fn refusals_say_why_and_have_their_exit_codes() {
    let agency = Agency::open().await;
    agency.ended("t-1", "nothing").await;
    agency.waiting("t-2", "approval", signal).await;
    let mut said = String::new();
    for (line, exit) in [
        ("saga cancel t-1 --reason late", 5),
        ("saga cancel t-9 --reason no", 3),
        ("saga retry t-2 flight", 5),
        ("saga retry t-2 hotel", 3),
        ("saga signal t-2 applause", 3),
        ("saga signal t-2 approval --payload yes", 2),
        ("saga retry $x flight", 2),
    ] {
        let error = sagalog(&agency.log, line).await.failed(exit);
        said.push_str(error.lines().next().expect("a line"));
        said.push('\n');
    }
    insta::assert_snapshot!(said, @r#"
    error: saga `t-1` has ended: it is Completed
    error: there is no saga `t-9`
    error: node `flight` is not parked; no node of this saga is
    error: the definition has no node `hotel`
    error: the definition waits for no signal `applause`; it waits for: approval
    error: invalid value 'yes' for '--payload <JSON>': it is not JSON: expected value at line 1 column 1; a text needs its quotes, as in '"text"'
    error: "$x" cannot be a saga's id: ids that begin with `$` belong to the system
    "#);
}

#[tokio::test]
async fn as_json_an_error_is_an_object_on_stderr() {
    let agency = Agency::open().await;
    agency.ended("t-1", "nothing").await;
    let error = sagalog(&agency.log, "saga retry t-1 ticket --json")
        .await
        .failed(5);
    insta::assert_snapshot!(error, @r#"{"error":{"code":"ended","message":"saga `t-1` has ended: it is Completed","legal":[],"exit":5}}"#);
}

#[tokio::test]
async fn when_nobody_drives_the_log_a_program_with_the_definition_does_it_and_leaves() {
    let mut agency = Agency::open().await;
    agency.waiting("t-1", "no ink", person).await;
    agency.stop().await;
    assert_eq!(
        agency_program(&agency.log, "saga resolve t-1 ticket --output null").await,
        exit(0)
    );
    assert_eq!(
        agency_program(&agency.log, "saga resolve t-1 ticket --output null").await,
        exit(5)
    );
    agency.start(true).await;
    assert_eq!(agency.end("t-1").await.status(), Status::Completed);
}

#[tokio::test]
async fn when_nobody_drives_the_log_a_program_without_the_definition_says_what_to_start() {
    let mut agency = Agency::open().await;
    agency.waiting("t-1", "no ink", person).await;
    agency.stop().await;
    insta::assert_snapshot!(sagalog(&agency.log, "saga retry t-1 ticket").await.failed(5), @r#"
    error: nobody drives log.db, and this program does not have the definition of saga `t-1`: trip version 1
      start the program that has it (`node`), or run this command with that program
    "#);
}

#[tokio::test]
async fn an_owner_that_does_not_answer_is_not_waited_for_longer_than_asked() {
    let mut agency = Agency::open().await;
    agency.stop().await;
    let _silent = UnixListener::bind(socket_of(&agency.log)).expect("the place is free");
    let error = sagalog(
        &agency.log,
        "saga cancel t-1 --reason no --request-id c-1 --timeout 0",
    )
    .await
    .failed(6);
    insta::assert_snapshot!(error, @r"
    error: no answer within 0 s; whether it was recorded is not known
      send it again with the id c-1: it counts once
    ");
}

#[tokio::test]
async fn a_log_in_use_names_who_has_it() {
    let mut agency = Agency::open().await;
    agency.ended("t-1", "nothing").await;
    let error = sagalog(&agency.log, "serve").await.failed(5);
    let said = error.replace(&std::process::id().to_string(), "PID");
    insta::assert_snapshot!(said, @r#"
    error: log.db is in use by agency (process PID, since 2026-11-20T20:00:00Z)
      stop that program, or let it do what you want; reading the log works while it runs
    "#);
    // Without a socket nobody can be asked, and the log is not taken from its owner either.
    agency.stop().await;
    agency.start(false).await;
    assert!(!socket_of(&agency.log).exists());
    assert_eq!(
        agency_program(&agency.log, "saga cancel t-1 --reason no").await,
        exit(5)
    );
}
