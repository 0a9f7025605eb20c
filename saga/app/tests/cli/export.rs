//! `saga export`

use std::fs;

use serde_json::Value;

use crate::{
    agency::{Agency, person},
    program::sagalog,
};

#[tokio::test]
async fn a_saga_is_exported_with_where_it_stands_after_each_event() {
    let agency = Agency::open().await;
    agency.ended("t-1", "flight is full").await;
    insta::assert_snapshot!(sagalog(&agency.log, "saga export t-1").await.printed());
    let document = exported(&agency, "saga export t-1 --json").await;
    insta::assert_snapshot!(serde_json::to_string_pretty(&document).expect("JSON"));
}

#[tokio::test]
async fn what_its_lines_change_adds_up_to_how_it_ended() {
    let agency = Agency::open().await;
    agency.ended("t-1", "flight is full").await;
    let document = exported(&agency, "saga export t-1 --json").await;
    let changes = list(&document["lines"]).iter().map(|line| &line["changed"]);
    for node in list(&document["sagas"][0]["nodes"]) {
        let id = node["node"].as_str().expect("a name");
        let last = changes
            .clone()
            .filter_map(|changed| changed["nodes"].get(id))
            .next_back();
        assert_eq!(last, Some(&node["phase"]), "{id}");
    }
    assert_eq!(document["sagas"][0]["status"], "Compensated");
}

#[tokio::test]
async fn sagas_and_take_overs_stand_in_the_order_of_the_log() {
    let mut agency = Agency::open().await;
    agency.waiting("t-1", "no ink", person).await;
    agency.stop().await;
    agency.start(true).await;
    agency.ended("t-2", "nothing").await;
    let line = "saga retry t-1 ticket";
    assert_eq!(sagalog(&agency.log, line).await.exit, 0);
    agency.until("t-1", person).await;
    let printed = sagalog(&agency.log, "saga export").await.printed();
    let place = |text: &str| {
        let found = printed.lines().position(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("{text} is not in\n{printed}"))
    };
    let (parked, owns) = (place("t-1: ticket PARKED"), place("agency owns, epoch 2"));
    let (started, mended) = (place("t-2: Started"), place("t-1: ann asks to retry"));
    assert!(parked < owns && owns < started && started < mended);
    // Nobody had begun when the first owner came.
    assert!(!printed.contains("epoch 1"), "{printed}");
}

#[tokio::test]
async fn sagas_are_exported_by_status_and_definition_and_by_name() {
    let agency = agency().await;
    let sagas = async |line: &str| {
        let document = exported(&agency, line).await;
        let sagas = list(&document["sagas"]).iter();
        let sagas = sagas.map(|saga| saga["saga"].as_str().expect("a name").to_owned());
        sagas.collect::<Vec<_>>()
    };
    assert_eq!(sagas("saga export --json").await, ["t-1", "t-2", "t-3"]);
    assert_eq!(sagas("saga export --json t-3 t-1").await, ["t-1", "t-3"]);
    assert_eq!(
        sagas("saga export --json --status parked --definition trip").await,
        ["t-3"]
    );
    assert!(
        sagas("saga export --json --definition order")
            .await
            .is_empty()
    );
}

/// Whole sagas only: what one document has no room for is in the next.
#[tokio::test]
async fn a_long_log_is_exported_in_several_documents() {
    let agency = agency().await;
    let first = sagalog(&agency.log, "saga export --json --at-most 22").await;
    let document: Value = serde_json::from_str(&first.out).expect("JSON");
    assert_eq!(list(&document["sagas"]).len(), 2);
    let next = document["next"].as_u64().expect("where to go on");
    assert_eq!(
        first.err,
        format!("these are 2 sagas, the next does not fit into 22 events: --after {next}\n")
    );
    let rest = format!("saga export --json --after {next}");
    let rest = exported(&agency, &rest).await;
    assert_eq!(rest["sagas"][0]["saga"], "t-3");
    assert_eq!(rest["next"], Value::Null);
}

#[tokio::test]
async fn a_saga_that_is_longer_than_a_document_is_refused() {
    let agency = agency().await;
    for line in [
        "saga export t-1 t-2 --at-most 20",
        "saga export --at-most 10",
    ] {
        let said = sagalog(&agency.log, line).await.failed(1);
        assert!(said.contains("events in all\n  export fewer"), "{said}");
    }
    sagalog(&agency.log, "saga export --at-most 100001")
        .await
        .failed(2);
}

#[tokio::test]
async fn a_saga_that_is_not_there_is_not_found() {
    let agency = agency().await;
    sagalog(&agency.log, "saga export t-9").await.failed(3);
    sagalog(&agency.log, "saga export t-1 --status parked")
        .await
        .failed(2);
}

#[tokio::test]
async fn a_page_of_a_log_shows_payloads_as_text() {
    let mut agency = Agency::open().await;
    let evil = "</script><img src=x onerror=alert(1)><!--";
    agency.ended("t-1", evil).await;
    agency.stop().await;
    let page = agency.folder().join("page.html");
    let line = format!("saga export --html {}", page.display());
    let printed = sagalog(&agency.log, &line).await.printed();
    assert_eq!(printed, format!("{}: 1 saga, 11 lines\n", page.display()));
    let page = fs::read_to_string(page).expect("a page");
    for markup in ["<img", "<!--", "</script><"] {
        assert!(!page.contains(markup), "{markup}");
    }
    let (_, rest) = page.split_once("id=\"data\">").expect("its data");
    let (data, _) = rest.split_once("</script>").expect("their end");
    let data: Value = serde_json::from_str(data).expect("JSON");
    let document = exported(&agency, "saga export --json").await;
    assert_eq!(data, document);
    let started = document["lines"][0]["what"].as_str().expect("a text");
    assert_eq!(started, format!("Started {:?}", evil));
}

async fn agency() -> Agency {
    let agency = Agency::open().await;
    agency.ended("t-1", "nothing").await;
    agency.ended("t-2", "flight is full").await;
    agency.waiting("t-3", "no ink", person).await;
    agency
}

async fn exported(agency: &Agency, line: &str) -> Value {
    let printed = sagalog(&agency.log, line).await.printed();
    serde_json::from_str(&printed).expect("JSON")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}
