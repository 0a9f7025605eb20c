//! `saga list`

use crate::{
    agency::{Agency, person},
    program::sagalog,
};

async fn agency() -> Agency {
    let agency = Agency::open().await;
    agency.ended("t-1", "nothing").await;
    agency.ended("t-2", "flight is full").await;
    agency.waiting("t-3", "no ink", person).await;
    agency
}

#[tokio::test]
async fn sagas_are_listed_in_the_order_in_which_they_began() {
    let agency = agency().await;
    insta::assert_snapshot!(sagalog(&agency.log, "saga list").await.printed(), @r#"
    SAGA  STATUS       DEFINITION  STARTED                      CHANGED AFTER  EVENTS  PARKED
    t-1   Completed    trip 1      2026-11-20T20:00:00.000000Z  420 ms         11
    t-2   Compensated  trip 1      2026-11-20T20:00:00.420350Z  460 ms         10
    t-3   Running      trip 1      2026-11-20T20:00:00.880350Z  420 ms         11      ticket
    "#);
    insta::assert_snapshot!(sagalog(&agency.log, "saga list --json").await.printed(), @r#"{"sagas":[{"saga":"t-1","definition":"trip","definition_version":1,"status":"Completed","parked":[],"events":11,"started_at":1795204800000000,"changed_at":1795204800420350,"deadline":1795377600000000,"waiting":[]},{"saga":"t-2","definition":"trip","definition_version":1,"status":"Compensated","parked":[],"events":10,"started_at":1795204800420350,"changed_at":1795204800880350,"deadline":1795377600420350,"waiting":[]},{"saga":"t-3","definition":"trip","definition_version":1,"status":"Running","parked":["ticket"],"events":11,"started_at":1795204800880350,"changed_at":1795204801300700,"deadline":1795377600880350,"next_timer":1795377600880350,"waiting":[{"node":"ticket","for":"person","since":1795204801300700}]}]}"#);
}

#[tokio::test]
async fn sagas_are_picked_by_status_and_definition() {
    let agency = agency().await;
    let list = async |line: &str| sagalog(&agency.log, line).await.printed();
    assert!(
        list("saga list --json --status compensated")
            .await
            .starts_with(r#"{"sagas":[{"saga":"t-2""#)
    );
    assert!(
        list("saga list --json --status parked --definition trip")
            .await
            .starts_with(r#"{"sagas":[{"saga":"t-3""#)
    );
    assert_eq!(
        list("saga list --json --definition order").await,
        "{\"sagas\":[]}\n"
    );
}

#[tokio::test]
async fn a_list_goes_on_where_the_one_before_ended() {
    let agency = agency().await;
    let ran = sagalog(&agency.log, "saga list --limit 2").await;
    let next = ran
        .err
        .trim()
        .rsplit(' ')
        .next()
        .expect("it says how")
        .to_owned();
    let rest = sagalog(&agency.log, &format!("saga list --after {next}"))
        .await
        .printed();
    assert!(rest.contains("t-3") && !rest.contains("t-2"), "{rest}");
}
