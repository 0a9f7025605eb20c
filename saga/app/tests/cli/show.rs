//! `saga show`

use std::time::Duration;

use crate::{
    agency::{Agency, person, retry, signal},
    program::sagalog,
};

#[tokio::test]
async fn a_compensated_saga_shows_both_lanes_and_the_turn() {
    let agency = Agency::open().await;
    agency.ended("t-1", "flight is full").await;
    insta::assert_snapshot!(sagalog(&agency.log, "saga show t-1").await.printed(), @r#"
    t-1  Compensated  trip version 1
    started 2026-11-20T20:00:00.000000Z, ended after 460 ms, at version 10
    input "flight is full"

    forward
           +0 ms  room         hotel.book: done after 120 ms, gave "room 12"
         +120 ms  tired        choice: none
         +120 ms  flight       air.book: failed after 300 ms
         +120 ms    attempt 1  failed permanently after 300 ms: no seat is left

         +420 ms  turned at flight because the step failed for good: no seat is left

    compensation
         +420 ms  room         hotel.book: undone after 40 ms
    "#);
}

#[tokio::test]
async fn a_retried_attempt_shows_its_reason_and_its_wait() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "queue", retry).await;
    insta::assert_snapshot!(sagalog(&agency.log, "saga show t-1").await.printed(), @r#"
    t-1  Running  trip version 1
    started 2026-11-20T20:00:00.000000Z, last changed after 420 ms, at version 7
    it goes back by itself 2 d after the start
    input "queue"

    forward
           +0 ms  room         hotel.book: done after 120 ms, gave "room 12"
         +120 ms  tired        choice: none
         +120 ms  flight       air.book: under way
         +120 ms    attempt 1  failed after 300 ms: all lines are busy
         +420 ms    retry      waits 1 s

    ahead
               ·  ask          choice
               ·    approved   approval
               ·    yes        check
               ·  pivot        pivot
               ·  ticket       desk.print
    "#);
    agency.clock.advance(Duration::from_secs(1));
    agency.end("t-1").await;
    insta::assert_snapshot!(sagalog(&agency.log, "saga show t-1").await.printed(), @r#"
    t-1  Completed  trip version 1
    started 2026-11-20T20:00:00.000000Z, ended after 1.72 s, at version 15
    input "queue"
    output "ticket 7"

    forward
           +0 ms  room         hotel.book: done after 120 ms, gave "room 12"
         +120 ms  tired        choice: none
         +120 ms  flight       air.book: done after 1.60 s, gave "seat 4A"
         +120 ms    attempt 1  failed after 300 ms: all lines are busy
         +420 ms    retry      waits 1 s
         +1.42 s    attempt 2  succeeded after 300 ms
         +1.72 s  ask          choice: none
         +1.72 s  pivot        pivot: done
         +1.72 s  ticket       desk.print: done after 350 µs, gave "ticket 7"
    "#);
}

#[tokio::test]
async fn a_parked_saga_shows_what_a_person_must_do_and_did() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "no ink", person).await;
    insta::assert_snapshot!(sagalog(&agency.log, "saga show t-1").await.printed(), @r#"
    t-1  Running  trip version 1
    started 2026-11-20T20:00:00.000000Z, last changed after 420 ms, at version 11
    it goes back by itself 2 d after the start
    input "no ink"

    forward
           +0 ms  room         hotel.book: done after 120 ms, gave "room 12"
         +120 ms  tired        choice: none
         +120 ms  flight       air.book: done after 300 ms, gave "seat 4A"
         +420 ms  ask          choice: none
         +420 ms  pivot        pivot: done
         +420 ms  ticket       desk.print: parked
         +420 ms    attempt 1  failed permanently after 350 µs: the printer has no ink
         +420 ms    parked     waits for a person: the action failed for good after the pivot: the printer has no ink
    "#);
    sagalog(&agency.log, "saga resolve t-1 ticket --output \"by-hand\"")
        .await
        .printed();
    agency.end("t-1").await;
    insta::assert_snapshot!(sagalog(&agency.log, "saga show t-1").await.printed(), @r#"
    t-1  Completed  trip version 1
    started 2026-11-20T20:00:00.000000Z, ended after 420 ms, at version 13
    input "no ink"
    output "by-hand"

    forward
           +0 ms  room         hotel.book: done after 120 ms, gave "room 12"
         +120 ms  tired        choice: none
         +120 ms  flight       air.book: done after 300 ms, gave "seat 4A"
         +420 ms  ask          choice: none
         +420 ms  pivot        pivot: done
         +420 ms  ticket       desk.print: done after 350 µs, gave "by-hand"
         +420 ms    attempt 1  failed permanently after 350 µs: the printer has no ink
         +420 ms    parked     waits for a person: the action failed for good after the pivot: the printer has no ink
         +420 ms    resolved   by hand, by ann
    "#);
}

#[tokio::test]
async fn a_compensation_that_failed_for_good_is_parked_in_its_lane() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "approval no refund", signal).await;
    sagalog(&agency.log, "saga cancel t-1 --reason strike")
        .await
        .printed();
    agency.until("t-1", person).await;
    insta::assert_snapshot!(sagalog(&agency.log, "saga show t-1").await.printed(), @r#"
    t-1  Compensating  trip version 1
    started 2026-11-20T20:00:00.000000Z, last changed after 480 ms, at version 13
    input "approval no refund"

    forward
           +0 ms  room         hotel.book: done after 120 ms, gave "room 12"
         +120 ms  tired        choice: none
         +120 ms  flight       air.book: done after 300 ms, gave "seat 4A"
         +420 ms  ask          choice: yes
         +420 ms    approved   waits for approval: dropped at the turn after 0 ms
         +420 ms  cancel wanted by ann: strike

         +420 ms  turned because it was cancelled: strike

    compensation
         +420 ms  flight       air.book: parked
         +420 ms    attempt 1  failed permanently after 60 ms: the fare has no refund
         +480 ms    parked     waits for a person: the compensation failed for good: the fare has no refund

    still to undo
               ·  room         hotel.book
    "#);
    sagalog(&agency.log, "saga skip t-1 flight --reason paid-anyway")
        .await
        .printed();
    agency.end("t-1").await;
    insta::assert_snapshot!(sagalog(&agency.log, "saga show t-1").await.printed(), @r#"
    t-1  PartlyCompensated  trip version 1
    started 2026-11-20T20:00:00.000000Z, ended after 520 ms, at version 17
    input "approval no refund"
    left with their effects: flight

    forward
           +0 ms  room         hotel.book: done after 120 ms, gave "room 12"
         +120 ms  tired        choice: none
         +120 ms  flight       air.book: done after 300 ms, gave "seat 4A"
         +420 ms  ask          choice: yes
         +420 ms    approved   waits for approval: dropped at the turn after 0 ms
         +420 ms  cancel wanted by ann: strike

         +420 ms  turned because it was cancelled: strike

    compensation
         +420 ms  flight       air.book: left after 60 ms
         +420 ms    attempt 1  failed permanently after 60 ms: the fare has no refund
         +480 ms    parked     waits for a person: the compensation failed for good: the fare has no refund
         +480 ms    given up   by ann: paid-anyway
         +480 ms  room         hotel.book: undone after 40 ms
    "#);
}

#[tokio::test]
async fn a_saga_whose_time_is_up_shows_the_wait_that_was_dropped() {
    let agency = Agency::open().await;
    agency.waiting("t-1", "approval", signal).await;
    agency.clock.advance(Duration::from_secs(48 * 3_600));
    agency.end("t-1").await;
    insta::assert_snapshot!(sagalog(&agency.log, "saga show t-1").await.printed(), @r#"
    t-1  Compensated  trip version 1
    started 2026-11-20T20:00:00.000000Z, ended after 2 d, at version 15
    input "approval"

    forward
           +0 ms  room        hotel.book: done after 120 ms, gave "room 12"
         +120 ms  tired       choice: none
         +120 ms  flight      air.book: done after 300 ms, gave "seat 4A"
         +420 ms  ask         choice: yes
         +420 ms    approved  waits for approval: dropped at the turn after 2 d
            +2 d  the saga's deadline passed

            +2 d  turned because its deadline passed

    compensation
            +2 d  flight      air.book: undone after 60 ms
            +2 d  room        hotel.book: undone after 40 ms
    "#);
}

#[tokio::test]
async fn any_version_can_be_shown_as_it_was_then() {
    let agency = Agency::open().await;
    agency.ended("t-1", "flight is full").await;
    insta::assert_snapshot!(sagalog(&agency.log, "saga show t-1 --at 3").await.printed(), @r#"
    t-1  Running  trip version 1
    started 2026-11-20T20:00:00.000000Z, last changed after 120 ms, at version 3
    it goes back by itself 2 d after the start
    input "flight is full"

    forward
           +0 ms  room        hotel.book: done after 120 ms, gave "room 12"

    ahead
               ·  tired       choice
               ·    nap       sleep
               ·  flight      air.book
               ·  ask         choice
               ·    approved  approval
               ·    yes       check
               ·  pivot       pivot
               ·  ticket      desk.print
    "#);
    insta::assert_snapshot!(sagalog(&agency.log, "saga show t-1 --at 99").await.failed(3), @r#"error: saga `t-1` has versions 1 to 10, there is no version 99"#);
}

#[tokio::test]
async fn as_json_a_timeline_has_everything() {
    let agency = Agency::open().await;
    agency.ended("t-1", "flight is full").await;
    insta::assert_snapshot!(sagalog(&agency.log, "saga show t-1 -o json").await.printed(), @r#"{"saga":"t-1","definition":"trip","definition_version":1,"status":"Compensated","started":{"position":3,"version":1,"at":1795204800000000},"last":{"position":12,"version":10,"at":1795204800460000},"input":"flight is full","deadline":{"at":1795377600000000,"overdue":false},"pivot_passed":false,"turned":{"cause":"step_failed","node":"flight","reason":"no seat is left","at":1795204800420000},"forward":[{"entry":{"node":"room","does":"step","depth":0,"contract":"hotel.book","began":{"position":4,"version":2,"at":1795204800000000},"ended":{"position":5,"version":3,"at":1795204800120000},"end":"done","parked":false,"input":"flight is full","output":"room 12","moments":[{"position":4,"version":2,"at":1795204800000000,"what":"attempt","direction":"action","attempt":1,"deadline":1795204830000000,"renewed":false,"ended":{"position":5,"version":3,"at":1795204800120000,"outcome":"succeeded"}}]}},{"entry":{"node":"tired","does":"choice","depth":0,"began":{"position":6,"version":4,"at":1795204800120000},"ended":{"position":6,"version":4,"at":1795204800120000},"end":"done","parked":false,"moments":[{"position":6,"version":4,"at":1795204800120000,"what":"arm"}]}},{"entry":{"node":"flight","does":"step","depth":0,"contract":"air.book","began":{"position":7,"version":5,"at":1795204800120000},"ended":{"position":8,"version":6,"at":1795204800420000},"end":"failed","parked":false,"input":"flight is full","moments":[{"position":7,"version":5,"at":1795204800120000,"what":"attempt","direction":"action","attempt":1,"deadline":1795204830120000,"renewed":false,"ended":{"position":8,"version":6,"at":1795204800420000,"outcome":"failed","class":"permanent","reason":"no seat is left"}}]}}],"compensation":[{"entry":{"node":"room","does":"step","depth":0,"contract":"hotel.book","began":{"position":10,"version":8,"at":1795204800420000},"ended":{"position":11,"version":9,"at":1795204800460000},"end":"undone","parked":false,"moments":[{"position":10,"version":8,"at":1795204800420000,"what":"attempt","direction":"compensation","attempt":1,"deadline":1795204830420000,"renewed":false,"ended":{"position":11,"version":9,"at":1795204800460000,"outcome":"succeeded"}}]}}],"waiting":[],"ahead":[]}"#);
}
