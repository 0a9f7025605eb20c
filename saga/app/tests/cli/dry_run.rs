//! `--dry-run`: what an action would come to, before it is done.

use std::{ffi::OsString, path::Path};

use sagalog::Status;
use sagalog_model::log::PartitionId;

use crate::{
    agency::{Agency, app, person, reply, signal},
    program::sagalog,
};

/// What a program that knows trips says, without moments: it decides at its own time.
async fn said(log: &Path, line: &str) -> String {
    let printed = sagalog(log, line).await.printed();
    let words = printed.split(' ').map(|word| {
        let is_moment =
            word.starts_with("20") && word.trim_end().trim_end_matches(',').ends_with('Z');
        if is_moment { "MOMENT," } else { word }
    });
    let said: String = words.collect::<Vec<_>>().join(" ");
    let lines = said.lines().map(|line| match line.split_once("MOMENT,") {
        Some((before, _)) => format!("{before}MOMENT\n"),
        None => format!("{line}\n"),
    });
    lines.collect()
}

/// The last position of the agency's log.
async fn tail(agency: &Agency) -> u64 {
    let log = sagalog::SqliteLog::read_only(&agency.log)
        .await
        .expect("it opens");
    let tail = sagalog::EventLog::tail(&log, PartitionId::new(0)).await;
    tail.expect("it reads").get()
}

#[tokio::test]
async fn a_cancel_shows_its_way_back_and_nothing_is_written() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "approval", signal).await;
    let before = tail(&agency).await;
    insta::assert_snapshot!(said(&agency.log, "saga cancel t-1 --reason strike --dry-run").await, @r#"
    cancel would record 3 events of saga t-1
         9  CancelRequested  cancel: strike
        10  Turned  TURN: strike
        11  AttemptAsked  ask flight compensation#1
    it would ask air for air.book: attempt 1 of the compensation of flight
    then
      t-1 is Compensating (trip version 1)
      it went back because it was cancelled: strike
      flight waits for the answer of air.book to attempt 1 of its compensation
        since      MOMENT
        until      MOMENT
        unblocked  by participant air
        next       without an answer it counts as unknown; 1 further attempt is left in its budget
      to undo: room
    if all goes well it is Compensated in the end; undone by then, in this order: flight, room
    legal now: saga cancel t-1, saga compensate t-1, saga pause t-1, saga set-deadline t-1, saga signal t-1 approval
    "#);
    assert_eq!(tail(&agency).await, before);
    let status = agency
        .runtime()
        .client()
        .state("t-1")
        .await
        .expect("it is known")
        .status();
    assert_eq!(status, Status::Running);
}

#[tokio::test]
async fn as_json_it_has_the_events_whom_they_ask_and_what_is_waited_for_then() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "no ink", person).await;
    let would = sagalog(
        &agency.log,
        "saga retry t-1 ticket --as bob --dry-run --json",
    )
    .await;
    let mut would: serde_json::Value = serde_json::from_str(&would.printed()).expect("JSON");
    assert_eq!(would["events"][0]["type"], "RetryRequested");
    assert_eq!(would["events"][0]["control"]["by"], "bob");
    assert_eq!(would["events"][1]["type"], "AttemptAsked");
    assert_eq!(would["then"]["waiting"][0]["for"], "reply");
    would["events"].take();
    would["then"].take();
    insta::assert_snapshot!(would, @r#"{"asks":[{"attempt":2,"direction":"action","node":"ticket","participant":"desk","step":"desk.print"}],"events":null,"legal":["saga pause t-1","saga set-deadline t-1","saga retry t-1 ticket","saga resolve t-1 ticket","saga skip t-1 ticket","saga signal t-1 approval"],"saga":"t-1","then":null,"would":"retry"}"#);
}

#[tokio::test]
async fn where_only_the_graph_is_known_it_says_from_where_on_it_is_not() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "silent", reply).await;
    let shown = said(
        &agency.log,
        "saga signal t-1 approval --payload true --dry-run",
    )
    .await;
    assert!(
        shown.contains("whether the signal takes this payload is not known here"),
        "{shown}"
    );
    agency.waiting("t-2", "approval", signal).await;
    let shown = said(
        &agency.log,
        "saga signal t-2 approval --payload true --id b --dry-run",
    )
    .await;
    insta::assert_snapshot!(shown, @r#"
    signal would record 2 events of saga t-2
         9  SignalReceived  signal approval (b)
        10  SignalConsumed  approved takes signal b
    what follows at yes is not known here: the definition's own code computes it, and the log has only its graph; a program that has the definition of trip version 1 knows it
    whether the signal takes this payload is not known here; a program that has the definition of trip version 1 knows it
    then
      t-2 is Running (trip version 1)
      ahead: yes, pivot, ticket, return
      its deadline: MOMENT
      it waits for nothing: whoever drives the log goes on with it
    legal now: saga cancel t-2, saga compensate t-2, saga pause t-2, saga set-deadline t-2, saga signal t-2 approval
    "#);
}

#[tokio::test]
async fn a_program_with_the_definition_knows_all_of_it() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "approval", signal).await;
    let line = "agency saga signal t-1 approval --payload true --dry-run --json --log";
    let mut words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
    words.push(agency.log.clone().into());
    let before = tail(&agency).await;
    let ran = tokio::task::spawn_blocking(move || sagalog_cli::main_with(app(), words));
    let exit = format!("{:?}", ran.await.expect("it does not panic"));
    assert_eq!(exit, format!("{:?}", std::process::ExitCode::SUCCESS));
    assert_eq!(tail(&agency).await, before);
}

#[tokio::test]
async fn what_is_not_legal_is_refused_with_what_is_with_and_without_it() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "approval", signal).await;
    let dry = sagalog(&agency.log, "saga retry t-1 flight --dry-run")
        .await
        .failed(5);
    insta::assert_snapshot!(dry, @r#"
    error: node `flight` is not parked; no node of this saga is
      legal now: saga cancel t-1, saga compensate t-1, saga pause t-1, saga set-deadline t-1, saga signal t-1 approval
    "#);
    assert_eq!(
        sagalog(&agency.log, "saga retry t-1 flight")
            .await
            .failed(5),
        dry
    );
    agency.waiting("t-2", "no ink", person).await;
    let refused = sagalog(&agency.log, "saga cancel t-2 --reason late --json")
        .await
        .failed(5);
    insta::assert_snapshot!(refused, @r#"{"error":{"code":"pivot_passed","message":"saga `t-2` has passed its pivot: from there on it only goes forward","legal":["saga pause t-2","saga set-deadline t-2","saga retry t-2 ticket","saga resolve t-2 ticket","saga skip t-2 ticket","saga signal t-2 approval"],"exit":5}}"#);
}

#[tokio::test]
async fn what_came_before_says_nothing_new() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "approval no refund", signal).await;
    sagalog(
        &agency.log,
        "saga cancel t-1 --reason strike --request-id c-1",
    )
    .await
    .printed();
    agency.until("t-1", person).await;
    let again = said(
        &agency.log,
        "saga cancel t-1 --reason strike --request-id c-1 --dry-run",
    )
    .await;
    insta::assert_snapshot!(again, @r#"
    cancel says nothing new to saga t-1: nothing would be recorded
    then
      t-1 is Compensating (trip version 1)
      it went back because it was cancelled: strike
      flight waits for a person: the compensation failed for good: the fare has no refund
        since      MOMENT
        until      it is unblocked
        unblocked  by an operator
        next       `saga retry`, `saga resolve` or `saga skip` of node flight
      to undo: room
    if all goes well it comes to wait for a person at flight
    legal now: saga pause t-1, saga retry t-1 flight, saga resolve t-1 flight, saga skip t-1 flight
    "#);
}

#[tokio::test]
async fn a_way_back_says_how_it_ends_and_what_is_left_if_somebody_gives_it_up() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "approval no refund", signal).await;
    let line = "saga cancel t-1 --reason strike --request-id c-1";
    sagalog(&agency.log, line).await.printed();
    agency.until("t-1", person).await;
    let back = async |line: &str| {
        let would = sagalog(&agency.log, line).await.printed();
        let would: serde_json::Value = serde_json::from_str(&would).expect("JSON");
        would["way_back"].to_string()
    };
    insta::assert_snapshot!(back("saga skip t-1 flight --reason lost --dry-run --json").await, @r#"{"left":["flight"],"parked":[],"status":"PartlyCompensated","undone":["room"]}"#);
    insta::assert_snapshot!(back("saga retry t-1 flight --dry-run --json").await, @r#"{"left":[],"parked":[],"status":"Compensated","undone":["flight","room"]}"#);
    insta::assert_snapshot!(back("saga cancel t-1 --reason strike --request-id c-1 --dry-run --json").await, @r#"{"left":[],"parked":["flight"],"status":"Compensating","undone":[]}"#);
    // What is under way counts as done, and is undone.
    agency.waiting("t-2", "silent", reply).await;
    let cancelled = back("saga cancel t-2 --reason strike --dry-run --json").await;
    assert!(
        cancelled.contains(r#""undone":["flight","room"]"#),
        "{cancelled}"
    );
}
