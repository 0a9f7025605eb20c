//! The demo on small files of orders.

mod demo_support;

use demo_support::{BUNDLED, Place, assert_exactly_right};

const GOOD: &str = r#"{"id":"o-1","customer":"c-17","items":[{"sku":"LAMP-3","quantity":2,"cents":1999}],"card":"tok_ok","gift":false,"address":{"country":"DE","postcode":"10115"}}"#;

/// The same order under another id, with something else in it.
fn order(id: &str, change: &str, to: &str) -> String {
    GOOD.replace("o-1", id).replace(change, to)
}

#[tokio::test]
async fn a_bad_line_is_told_with_its_number_and_the_others_go_on() {
    let good = [GOOD.to_owned(), order("o-2", "DE", "AT")];
    let place = Place::with(&[&good[0], "{\"id\":\"o-9\"}", "not json", &good[1]].join("\n"));
    let (summary, said) = place.summary().await;
    assert_eq!(
        (&summary["completed"], &summary["bad_lines"]),
        (&2.into(), &2.into())
    );
    assert!(said.contains("line 2: missing field `customer`"), "{said}");
    assert!(said.contains("line 3: expected ident"), "{said}");
    assert_exactly_right(&place, &good.join("\n")).await;
}

#[tokio::test]
async fn an_id_that_is_known_with_other_content_is_a_bad_line() {
    let place = Place::with(GOOD);
    place.summary().await;
    let dearer = order("o-1", "1999", "2999");
    place.give(&[dearer, order("o-2", "", "")].join("\n"));
    let (summary, said) = place.summary().await;
    assert_eq!(
        (&summary["started"], &summary["bad_lines"]),
        (&1.into(), &1.into())
    );
    assert!(
        said.contains("line 1: order o-1 is known with other content"),
        "{said}"
    );
    assert_exactly_right(&place, &[GOOD.to_owned(), order("o-2", "", "")].join("\n")).await;
}

#[tokio::test]
async fn run_again_without_work_it_does_nothing() {
    let orders: Vec<_> = BUNDLED.lines().take(40).collect();
    let place = Place::with(&orders.join("\n"));
    let (first, _) = place.summary().await;
    let (events, effects) = (place.recorded().await.events, place.effects().await);
    let (again, _) = place.summary().await;
    assert_eq!(again, first);
    assert_eq!(place.recorded().await.events, events);
    assert_eq!(place.effects().await, effects);
}

#[tokio::test]
async fn every_rule_of_the_shop_holds_and_a_gift_ignores_its_card() {
    let orders = [
        order("o-1", "", ""),
        order("o-2", "DE", "AQ"),
        order("o-3", "LAMP-3", "OUT-LAMP-3"),
        order("o-4", "tok_ok", "tok_declined"),
        order("o-5", "tok_ok", "tok_flaky"),
        order("o-6", "tok_ok", "tok_lost"),
        order("o-7", "tok_ok", "tok_declined").replace("false", "true"),
        order("o-8", "LAMP-3", "OUT-LAMP-3").replace("DE", "AQ"),
    ]
    .join("\n");
    let place = Place::with(&orders);
    let (summary, _) = place.summary().await;
    assert_eq!(
        (&summary["completed"], &summary["compensated"]),
        (&4.into(), &4.into())
    );
    assert_exactly_right(&place, &orders).await;
    place.verify().await;
}

#[tokio::test]
async fn the_summary_has_these_fields_and_no_others() {
    let (summary, _) = Place::with(GOOD).summary().await;
    let fields: Vec<_> = summary
        .as_object()
        .expect("it is an object")
        .keys()
        .map(String::as_str)
        .collect();
    let wanted = "bad_lines compensated completed p50_ms p99_ms parked partly_compensated sagas_per_s started";
    assert_eq!(fields, wanted.split(' ').collect::<Vec<_>>());
    assert!(
        summary["p50_ms"].as_f64().is_some_and(|ms| ms > 0.0),
        "{summary}"
    );
}

#[tokio::test]
async fn asked_to_stop_it_stops_in_peace_and_goes_on_later() {
    let orders: String = BUNDLED
        .lines()
        .take(50)
        .map(|line| format!("{line}\n"))
        .collect();
    let place = Place::with(&orders);
    let mut demo = place.start(100);
    assert!(demo.reaches(60).await);
    demo.ask_to_stop();
    assert!(demo.end().await.success());
    assert!(place.recorded().await.last.len() < 50);
    place.summary().await;
    assert_exactly_right(&place, &orders).await;
}

#[tokio::test]
async fn without_a_folder_it_is_killed_in_the_middle_and_nothing_is_lost() {
    let orders: Vec<_> = BUNDLED.lines().take(200).collect();
    let place = Place::with(&orders.join("\n"));
    let (summary, said) = place.summary_without_folder().await;
    assert_eq!(
        (&summary["started"], &summary["parked"]),
        (&200.into(), &0.into())
    );
    let ended =
        ["completed", "compensated"].map(|field| summary[field].as_u64().expect("it is a number"));
    assert_eq!(ended.iter().sum::<u64>(), 200);
    let folder = said
        .lines()
        .find_map(|line| line.strip_prefix("log and outside world are in "));
    assert!(
        said.contains("with SIGKILL") && said.contains("on the same folder"),
        "{said}"
    );
    std::fs::remove_dir_all(folder.expect("it says where")).expect("the folder is there");
}

#[tokio::test]
async fn while_it_runs_it_takes_requests_beside_its_log() {
    let orders: String = BUNDLED
        .lines()
        .take(50)
        .map(|line| format!("{line}\n"))
        .collect();
    let place = Place::with(&orders);
    let mut demo = place.start(100);
    assert!(demo.reaches(60).await);
    let said = place.sagalog(&["saga", "cancel", "no-such-order", "--reason", "a test"]);
    assert!(said.contains("there is no saga `no-such-order`"), "{said}");
    demo.ask_to_stop();
    assert!(demo.end().await.success());
}
