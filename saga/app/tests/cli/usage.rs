//! Exit codes and help of what is not about a certain saga.

use std::{path::Path, process::Command};

use crate::{
    agency::Agency,
    program::{Ran, sagalog},
};

/// Runs the program without naming a log.
fn without_log(line: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sagalog"));
    let ran = command
        .args(line.split_whitespace())
        .env_remove("SAGALOG_LOG")
        .output()
        .expect("the program is built");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Ran {
        exit: ran.status.code().expect("it was not killed"),
        out: text(ran.stdout),
        err: text(ran.stderr),
    }
}

#[test]
fn a_command_without_a_log_says_how_to_name_one() {
    insta::assert_snapshot!(without_log("saga list").failed(2), @r#"
    error: no log was named
      give it with --log PATH, or set SAGALOG_LOG
    "#);
}

#[tokio::test]
async fn a_log_that_is_not_there_is_not_made() {
    let log = Path::new("/nowhere/log.db");
    assert_eq!(
        sagalog(log, "saga list").await.failed(3),
        "error: there is no log at log.db\n"
    );
}

#[test]
fn an_unknown_command_is_a_usage_error() {
    without_log("sagas").failed(2);
    without_log("saga list --status sleepy --log x").failed(2);
}

#[test]
fn help_says_what_exit_codes_mean() {
    let help = without_log("--help").printed();
    assert!(
        help.contains("Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 5 conflict, 6 timeout"),
        "{help}"
    );
}

#[tokio::test]
async fn a_graph_is_drawn_from_the_log_alone() {
    let agency = Agency::open().await;
    agency.ended("t-1", "nothing").await;
    insta::assert_snapshot!(sagalog(&agency.log, "graph trip").await.printed(), @r#"
    saga trip, version 1, deadline 2 d
      start
      room: asks hotel.book (compensatable) with start
      tired: when f(start)
        [yes]
          nap: sleeps 90 s
          gives null
      flight: asks air.book (compensatable, probed, 3 attempts, waits 1 s, jitter 0 %, undo 2 attempts, undo waits 2 s, undo jitter 0 %) with start
      ask: when f(start)
        [yes]
          approved: waits for approval within 3 d
          yes: checks f(approved)
          gives null
      pivot
      ticket: asks desk.print (retryable) with f(start, room, flight)
      return: ticket
    "#);
    assert!(
        sagalog(&agency.log, "graph trip --mermaid")
            .await
            .printed()
            .starts_with("flowchart TD\n")
    );
    insta::assert_snapshot!(sagalog(&agency.log, "graph trip --version 2").await.failed(3), @r#"
    error: log.db has no definition trip version 2
      it has: trip version 1
    "#);
}

#[test]
fn without_a_log_a_graph_is_that_of_the_program() {
    let drawn = without_log("graph order").printed();
    assert!(drawn.starts_with("saga order, version 1"), "{drawn}");
}
