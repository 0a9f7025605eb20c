//! `saga why`

use std::time::Duration;

use crate::{
    agency::{Agency, person, reply, retry, signal, sleep},
    program::sagalog,
};

#[tokio::test]
async fn a_reply_is_waited_for_until_its_deadline() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "silent", reply).await;
    insta::assert_snapshot!(sagalog(&agency.log, "saga why t-1").await.printed(), @r#"
    t-1 is Running (trip version 1)
    flight waits for the answer of air.book to attempt 1 of its action
      since      2026-11-20T20:00:00.120000Z, 120 ms after its start
      until      2026-11-20T20:00:30.120000Z, 30.12 s after its start
      unblocked  by participant air
      next       without an answer it counts as unknown; 2 further attempts are left in its budget
    ahead: ask, approved, yes, pivot, ticket, return
    its deadline: 2026-11-22T20:00:00.000000Z, 2 d after its start
    "#);
}

#[tokio::test]
async fn a_retry_waits_for_its_time() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "queue", retry).await;
    insta::assert_snapshot!(sagalog(&agency.log, "saga why t-1").await.printed(), @r#"
    t-1 is Running (trip version 1)
    flight waits for the time of attempt 2 of its action, because of: all lines are busy
      since      2026-11-20T20:00:00.420000Z, 420 ms after its start
      until      2026-11-20T20:00:01.420000Z, 1.42 s after its start
      unblocked  by nobody: air is asked again by itself
      next       2 further attempts are left in its budget
    ahead: ask, approved, yes, pivot, ticket, return
    its deadline: 2026-11-22T20:00:00.000000Z, 2 d after its start
    "#);
}

#[tokio::test]
async fn a_sleep_ends_by_itself() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "tired", sleep).await;
    insta::assert_snapshot!(sagalog(&agency.log, "saga why t-1").await.printed(), @r#"
    t-1 is Running (trip version 1)
    nap waits for the end of its sleep
      since      2026-11-20T20:00:00.120000Z, 120 ms after its start
      until      2026-11-20T20:01:30.120000Z, 1 min 30 s after its start
      unblocked  by nobody: it ends by itself
      next       then its branch ends
    ahead: flight, ask, approved, yes, pivot, ticket, return
    its deadline: 2026-11-22T20:00:00.000000Z, 2 d after its start
    "#);
}

#[tokio::test]
async fn a_signal_is_waited_for_from_whoever_sends_it() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "approval", signal).await;
    insta::assert_snapshot!(sagalog(&agency.log, "saga why t-1").await.printed(), @r#"
    t-1 is Running (trip version 1)
    approved waits for the signal approval
      since      2026-11-20T20:00:00.420000Z, 420 ms after its start
      until      2026-11-23T20:00:00.420000Z, 3 d after its start
      unblocked  by whoever sends the signal approval
      next       then yes; without the signal the same, with none
    ahead: yes, pivot, ticket, return
    its deadline: 2026-11-22T20:00:00.000000Z, 2 d after its start
    "#);
    insta::assert_snapshot!(sagalog(&agency.log, "saga why t-1 --json").await.printed(), @r#"{"saga":"t-1","definition":"trip","definition_version":1,"version":8,"status":"Running","turned":null,"waiting":[{"node":"approved","for":"signal","signal":"approval","since":1795204800420000,"until":1795464000420000,"who":"whoever sends the signal approval","next":"then yes; without the signal the same, with none"}],"to_do":["yes","pivot","ticket","return"],"pivot_passed":false,"deadline":{"at":1795377600000000,"overdue":false},"left":[]}"#);
}

#[tokio::test]
async fn a_parked_node_waits_for_a_person() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "no ink", person).await;
    insta::assert_snapshot!(sagalog(&agency.log, "saga why t-1").await.printed(), @r#"
    t-1 is Running (trip version 1)
    ticket waits for a person: the action failed for good after the pivot: the printer has no ink
      since      2026-11-20T20:00:00.420350Z, 420 ms after its start
      until      it is unblocked
      unblocked  by an operator
      next       `saga retry`, `saga resolve` or `saga skip` of node ticket
    ahead: return
    its deadline: 2026-11-22T20:00:00.000000Z, 2 d after its start
    its pivot is passed: from here on it only goes forward
    "#);
}

#[tokio::test]
async fn a_saga_that_went_back_says_why() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "approval no refund", signal).await;
    agency.clock.advance(Duration::from_secs(48 * 3_600));
    agency.until("t-1", person).await;
    insta::assert_snapshot!(sagalog(&agency.log, "saga why t-1").await.printed(), @r#"
    t-1 is Compensating (trip version 1)
    it went back because its deadline passed
    flight waits for a person: the compensation failed for good: the fare has no refund
      since      2026-11-22T20:00:00.480000Z, 2 d after its start
      until      it is unblocked
      unblocked  by an operator
      next       `saga retry`, `saga resolve` or `saga skip` of node flight
    to undo: room
    "#);
}

#[tokio::test]
async fn an_ended_saga_waits_for_nothing() {
    let agency = Agency::open().await;
    agency.ended("t-1", "nothing").await;
    insta::assert_snapshot!(sagalog(&agency.log, "saga why t-1").await.printed(), @r#"
    t-1 is Completed (trip version 1)
    it ended 2026-11-20T20:00:00.420350Z, 420 ms after its start
    "#);
}

#[tokio::test]
async fn a_reply_that_nobody_can_give_says_so() {
    let agency = Agency::open_without(Some("air")).await;
    agency.waiting("t-1", "nothing", reply).await;
    let said = sagalog(&agency.log, "saga why t-1").await.printed();
    let nobody = "nobody performs air.book: no instance of air is there that has announced it\n";
    assert!(said.contains(nobody), "{said}");
    let said = sagalog(&agency.log, "saga why t-1 --json").await.printed();
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let expected =
        serde_json::json!([{"node": "flight", "step": "air.book", "participant": "air"}]);
    assert_eq!(said["unperformed"], expected);
}
