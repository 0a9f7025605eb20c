//! `sagalog held` of a saga that cannot be driven at all.

use std::borrow::Cow;

use sagalog::{SagaId, Status};
use sagalog_eventlog::{EventLog as _, Owner, SqliteLog};
use sagalog_model::log::{
    Batch, BatchId, Data, Digest, InputId, NewEvent, PartitionId, SchemaVersion, StreamState, Time,
};

use crate::{
    agency::{Agency, signal},
    program::sagalog,
};

/// Something else writes an event behind those of a saga, which says nothing.
async fn damage(agency: &Agency, saga: &str) {
    let log = SqliteLog::open(&agency.log).await.expect("it opens");
    let partition = PartitionId::new(0);
    let owner = Owner::this_process("meddler", Time::default());
    let owned = log.acquire(partition, owner).await.expect("nobody owns it");
    let saga = SagaId::new(saga).expect("a good id");
    let heads = log.heads(partition, &[saga.stream().clone()]).await;
    let head = heads.expect("it reads").pop().flatten();
    let head = head.expect("the saga is there");
    let batch = Batch {
        stream: head.stream,
        name: None,
        version: head.version.next(),
        position: owned.tail.next(),
        at: owned.last_at,
        id: BatchId(7),
        input: InputId(7),
        digest: Digest::default(),
        state: StreamState::Open,
        events: vec![NewEvent {
            kind: Cow::Borrowed("Turned"),
            schema: SchemaVersion::new(1),
            control: "{}".to_owned(),
            data: Data::None,
        }],
    };
    let appended = log.append(partition, owned.epoch, vec![batch]).await;
    appended.expect("the log does not know what a saga is");
    log.release(partition).await.expect("it was owned");
}

#[tokio::test]
async fn a_saga_that_cannot_be_driven_is_listed_with_the_reason_and_the_others_go_on() {
    let mut agency = Agency::open().await;
    agency.waiting("t-1", "approval", signal).await;
    agency.stop().await;
    damage(&agency, "t-1").await;
    agency.start(true).await;
    agency.begin("t-2", "nothing").await;
    assert_eq!(agency.end("t-2").await.status(), Status::Completed);
    let run = async |line: &str| sagalog(&agency.log, line).await.printed();
    run("saga signal t-1 approval --payload true --id boss-1").await;
    let listed = run("held list").await;
    assert!(listed.contains("all of the saga"), "{listed}");
    let why = run("saga why t-1").await;
    for told in [
        "t-1 is held: it cannot be driven\n",
        "  why        ",
        "`Turned`",
        "  behind it  1 input\n    1000001 signal approval, id boss-1\n      carries true\n",
        "  next       `held release t-1 0` tries it now\n",
    ] {
        assert!(why.contains(told), "{told} in\n{why}");
    }
    let shown = run("held show t-1 --json").await;
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["status"], "held");
    assert_eq!(shown["waits"][0]["content"], true);
    let listed = run("saga list --json").await;
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed["left_out"], 1);
    assert_eq!(listed["sagas"][0]["saga"], "t-2");
    let released = sagalog(&agency.log, "held release t-1 0").await;
    let refused = released.failed(1);
    assert!(
        refused.contains("the saga's history cannot be used"),
        "{refused}"
    );

    let refused = sagalog(&agency.log, "held drop t-1 1000007 --reason other").await;
    assert!(
        refused
            .failed(5)
            .contains("input 1000007 is not held; the first is 1000001")
    );
    let would = run("held edit t-1 1000001 --content false --dry-run").await;
    assert_eq!(
        would,
        "would edit input 1000001, signal approval, id boss-1\n"
    );
    run("held edit t-1 1000001 --content false").await;
    let shown = run("held show t-1 --json").await;
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["waits"][0]["content"], false);
    run("held drop t-1 1000001 --reason other").await;
    let shown = run("held show t-1").await;
    assert!(shown.contains("  behind it  0 inputs\n"), "{shown}");
}
