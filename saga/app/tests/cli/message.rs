//! `message list` and `participant stats`: what was said to whom, and how it was answered.

use crate::{
    agency::{Agency, person},
    program::sagalog,
};

async fn with_views() -> Agency {
    let agency = Agency::open().await;
    agency.ended("t-1", "nothing").await;
    agency.ended("t-2", "flight is full").await;
    agency.waiting("t-3", "no ink", person).await;
    sagalog(&agency.log, "view rebuild").await.printed();
    agency
}

/// What a list says, as JSON.
async fn listed(agency: &Agency, line: &str) -> serde_json::Value {
    let printed = sagalog(&agency.log, line).await.printed();
    serde_json::from_str(&printed).expect("JSON")
}

fn count(listed: &serde_json::Value) -> usize {
    listed["messages"].as_array().expect("a list").len()
}

#[tokio::test]
async fn the_messages_of_a_saga_are_listed_in_the_order_of_time() {
    let agency = with_views().await;
    let printed = sagalog(&agency.log, "message list --saga t-2")
        .await
        .printed();
    insta::assert_snapshot!(printed);
}

#[tokio::test]
async fn a_conversation_is_what_two_have_said_to_each_other() {
    let agency = with_views().await;
    let both = listed(&agency, "message list --json --saga t-1 --party air").await;
    let words = both["messages"].as_array().expect("a list");
    let said: Vec<_> = words
        .iter()
        .map(|message| (message["sent"].clone(), message["kind"].clone()))
        .collect();
    let expected = [
        (true.into(), "command".into()),
        (false.into(), "succeeded".into()),
    ];
    assert_eq!(said, expected);
    let sent = listed(&agency, "message list --json --saga t-1 --party air --sent").await;
    let received = listed(
        &agency,
        "message list --json --saga t-1 --party air --received",
    )
    .await;
    assert_eq!((count(&sent), count(&received)), (1, 1));
    let typed = listed(&agency, "message list --json --type air.book --received").await;
    assert!(count(&typed) > 1, "{typed}");
    let none = listed(&agency, "message list --json --since 2026-11-21T00:00:00Z").await;
    assert_eq!(count(&none), 0);
    let all = listed(&agency, "message list --json --before 2026-11-21T00:00:00Z").await;
    assert!(count(&all) > 10, "{all}");
}

#[tokio::test]
async fn what_messages_carry_is_looked_through() {
    let agency = with_views().await;
    let found = listed(&agency, "message list --json --containing ink").await;
    let sagas = found["messages"].as_array().expect("a list").iter();
    let sagas: Vec<_> = sagas.map(|message| message["saga"].clone()).collect();
    assert!(
        !sagas.is_empty() && sagas.iter().all(|saga| saga == "t-3"),
        "{found}"
    );
    let none = listed(&agency, "message list --json --containing nowhere").await;
    assert_eq!(count(&none), 0);
}

#[tokio::test]
async fn a_list_goes_on_where_the_one_before_it_ended() {
    let agency = with_views().await;
    let all = listed(&agency, "message list --json").await;
    assert_eq!(all.get("next"), None);
    let (mut pages, mut after) = (Vec::new(), "0.0.0".to_owned());
    loop {
        let line = format!("message list --json --limit 4 --after {after}");
        let page = listed(&agency, &line).await;
        pages.extend(page["messages"].as_array().expect("a list").clone());
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => break,
        }
    }
    assert_eq!(all["messages"], serde_json::json!(pages));
    let bad = sagalog(&agency.log, "message list --after 7")
        .await
        .failed(2);
    assert!(bad.contains("three numbers with dots"), "{bad}");
}

#[tokio::test]
async fn how_participants_answered_is_counted_by_contract() {
    let agency = with_views().await;
    let line = "participant stats --json --participant desk";
    let counted = listed(&agency, line).await;
    let contract = &counted["contracts"][0];
    assert_eq!(contract["contract"], "desk.print");
    assert_eq!(
        (&contract["asked"], &contract["succeeded"]),
        (&2.into(), &1.into())
    );
    assert_eq!(contract["failed"], 1);
    let all = sagalog(&agency.log, "participant stats").await.printed();
    assert_eq!(all.lines().count(), 4, "{all}");
}

#[tokio::test]
async fn without_views_it_is_said_how_to_make_them() {
    let agency = Agency::open().await;
    for line in ["message list", "participant stats"] {
        let failed = sagalog(&agency.log, line).await.failed(5);
        insta::allow_duplicates! {
            insta::assert_snapshot!(failed, @r"
            error: there are no views of this log, which this is looked up in
              make them: `sagalog view rebuild`
            ");
        }
    }
}

#[tokio::test]
async fn it_is_the_same_on_postgresql() {
    let agency = Agency::in_postgres("messages").await;
    agency.ended("t-1", "nothing").await;
    sagalog(&agency.log, "view rebuild").await.printed();
    let all = listed(&agency, "message list --json").await;
    assert_eq!(count(&all), 7, "{all}");
    let found = listed(
        &agency,
        "message list --json --saga t-1 --party air --containing nothing",
    )
    .await;
    assert!(count(&found) > 0, "{found}");
    let counted = listed(&agency, "participant stats --json").await;
    assert_eq!(counted["contracts"].as_array().map(Vec::len), Some(3));
    let sagas = listed(&agency, "saga list --json --status completed").await;
    assert_eq!(sagas["sagas"][0]["saga"], "t-1");
}
