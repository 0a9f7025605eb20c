//! Dead letters from the command line: they are seen by anybody, and sent again or given up by the owner.

use sagalog::{SqliteLog, history::Reader};
use sagalog_model::log::PartitionId;
use sagalog_projections::{DeadLetters, dead_letters::Phase};
use sagalog_transport::{Kind, Message, MessageId, Queue};
use serde_json::{Value, json};

use crate::{agency::Agency, program::sagalog};

/// Sends what is no reply to the inbox, and waits until it is recorded.
async fn garbage(agency: &Agency, contents: &[&str]) {
    let from = Queue::commands("hotel").expect("a good name");
    for (number, content) in contents.iter().enumerate() {
        let (id, to) = (MessageId(number as u128), Queue::inbox(0));
        let message = Message::new(id, Kind::Response, from.clone(), to, (*content).to_owned());
        let sent = agency.transport.publish(vec![message]).await;
        sent.expect("the inbox is there");
    }
    until(agency, |letters| {
        letters.count(Phase::Waiting) == contents.len()
    })
    .await;
}

async fn until(agency: &Agency, wanted: impl Fn(&DeadLetters) -> bool) {
    let log = SqliteLog::read_only(&agency.log).await.expect("a log");
    let reader = Reader::new(std::sync::Arc::new(log), PartitionId::new(0));
    while !wanted(&reader.dead_letters().await.expect("it can be read")) {
        tokio::task::yield_now().await;
    }
}

async fn json(agency: &Agency, line: &str) -> Value {
    let said = sagalog(&agency.log, &format!("{line} -o json")).await;
    serde_json::from_str(&said.printed()).expect("JSON")
}

const UNKNOWN: &str =
    r#"{"saga":"t-9","node":"room","direction":"action","attempt":1,"outcome":"not_done"}"#;

#[tokio::test]
async fn letters_are_listed_grouped_and_shown_by_what_is_said_of_them() {
    let agency = Agency::open().await;
    let none = sagalog(&agency.log, "dlq list").await;
    assert_eq!((none.exit, none.err.as_str()), (0, "no dead letters\n"));
    garbage(&agency, &["{}", "[]", UNKNOWN]).await;
    let all = json(&agency, "dlq list").await;
    assert_eq!(all["found"], 3);
    let fields: Vec<_> = all["letters"][2]
        .as_object()
        .expect("an object")
        .keys()
        .collect();
    assert_eq!(
        fields,
        [
            "cause",
            "deaths",
            "died_at",
            "edited",
            "first_died_at",
            "from",
            "id",
            "kind",
            "message",
            "partition",
            "phase",
            "queue",
            "reason",
            "retries",
            "saga",
            "sha_256",
            "size"
        ]
    );
    let unknown = json(
        &agency,
        "dlq list --cause unknown_saga --saga t-9 --since 2026-11-20T20:00:00Z",
    )
    .await;
    assert_eq!(unknown["letters"][0]["reason"], "there is no saga `t-9`");
    let none = json(&agency, "dlq list --until 2026-11-20T20:00:00Z").await;
    assert_eq!(none["found"], 0);
    let groups = json(&agency, "dlq groups").await;
    let counts: Vec<_> = groups["groups"]
        .as_array()
        .expect("a list")
        .iter()
        .collect();
    let counts: Vec<_> = counts
        .iter()
        .map(|it| (&it["cause"], &it["letters"]))
        .collect();
    assert_eq!(
        counts,
        [
            (&json!("wrong_content"), &json!(2)),
            (&json!("unknown_saga"), &json!(1))
        ]
    );
    let id = unknown["letters"][0]["id"].as_str().expect("an id");
    let shown = json(&agency, &format!("dlq inspect {id}")).await;
    assert_eq!(shown["body"], json!({ "text": UNKNOWN }));
    let text = sagalog(&agency.log, &format!("dlq inspect {id}"))
        .await
        .printed();
    assert!(text.contains("cause        unknown_saga"), "{text}");
    let stats = json(&agency, "dlq stats").await;
    assert_eq!(
        (&stats["waiting"], &stats["total"]["died"]),
        (&json!(3), &json!(3))
    );
    let lines = sagalog(&agency.log, "dlq export --queue inbox.0")
        .await
        .printed();
    assert_eq!(lines.lines().count(), 3);
    let missing = sagalog(&agency.log, "dlq inspect 01K75DPZS0E2V9QT4XNBJA6WMF").await;
    assert!(missing.failed(3).contains("keeps no dead letter"));
}

#[tokio::test]
async fn letters_are_sent_again_and_given_up_with_a_result_for_each() {
    let agency = Agency::open().await;
    garbage(&agency, &["{}", "[]", UNKNOWN]).await;
    let would = json(&agency, "dlq retry-all --dry-run").await;
    assert_eq!(
        (&would["done"], &would["dry_run"]),
        (&json!(0), &json!(true))
    );
    assert_eq!(would["letters"][0]["result"], "would_be_done");
    let all = json(&agency, "dlq list").await;
    assert_eq!(all["letters"][0]["retries"], 0, "a dry run does nothing");

    let done = json(&agency, "dlq retry-all --cause wrong_content").await;
    assert_eq!((&done["done"], &done["refused"]), (&json!(2), &json!(0)));
    until(&agency, |letters| {
        letters.iter().filter(|letter| letter.deaths == 2).count() == 2
    })
    .await;
    let id = all["letters"][2]["id"].as_str().expect("an id");
    let purged = json(&agency, &format!("dlq purge --id {id} --reason test")).await;
    assert_eq!(purged["letters"][0]["result"], "done");
    let gone = sagalog(&agency.log, &format!("dlq retry {id}")).await;
    assert!(gone.failed(3).contains(id));
    let nothing = sagalog(&agency.log, "dlq purge --reason test").await;
    assert!(nothing.failed(2).contains("--all"));
    json(&agency, "dlq purge --all --reason test").await;
    let stats = json(&agency, "dlq stats").await;
    let total =
        json!({"died": 5, "retried": 2, "sent": 2, "purged": 3, "expired": 0, "dropped": 0});
    assert_eq!((&stats["waiting"], &stats["total"]), (&json!(0), &total));
}

#[tokio::test]
async fn letters_of_a_log_that_nobody_drives_are_given_up_by_this_program() {
    let mut agency = Agency::open().await;
    garbage(&agency, &["{}"]).await;
    agency.stop().await;
    let said = sagalog(&agency.log, "dlq purge --all --reason test").await;
    assert_eq!(said.exit, 0, "{}", said.err);
    let stats = json(&agency, "dlq stats").await;
    assert_eq!(stats["total"]["purged"], 1);
}
