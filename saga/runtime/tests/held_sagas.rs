//! A saga whose history cannot be used is held, and the others go on.

mod double;

use std::{borrow::Cow, sync::Arc, time::Duration};

use sagalog::{
    CallError, EventLog, MemoryLog, Payload, Refusal, Runtime, RuntimeBuilder, Saga, SagaId,
    Signal, history::Reader,
};
use sagalog_eventlog::Owner;
use sagalog_model::log::{
    Batch, BatchId, Data, Digest, InputId, NewEvent, PartitionId, SchemaVersion, StreamState, Time,
};
use sagalog_projections::HeldSagas;

use double::{DOUBLE, id, on};

const PARTITION: PartitionId = PartitionId::new(0);
const LEAVE: Saga<u32, Option<bool>> = Saga::new("leave");
const APPROVAL: Signal<bool> = Signal::new("approval");

fn with_leave(log: &Arc<dyn EventLog>) -> RuntimeBuilder {
    let (mut saga, _days) = LEAVE.define(1);
    let approved = saga
        .signal("approved", APPROVAL)
        .within(Duration::from_secs(3_600));
    let leave = saga.returns(approved).expect("a good definition");
    on(log.clone()).definition(leave)
}

async fn started(runtime: RuntimeBuilder) -> Runtime {
    runtime.start().await.expect("it starts")
}

/// A log in which a saga waits for an approval.
async fn waiting() -> Arc<dyn EventLog> {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new());
    let runtime = started(with_leave(&log)).await;
    let begun = runtime.client().start(LEAVE, "leave-1", &3).await;
    begun.expect("it starts");
    runtime.stop().await.expect("it stops in peace");
    log
}

/// Something else writes an event behind those of the saga.
async fn meddle(log: &Arc<dyn EventLog>, kind: &'static str) {
    let owner = Owner::this_process("meddler", Time::default());
    let owned = log.acquire(PARTITION, owner).await.expect("nobody owns it");
    let stream = saga().stream().clone();
    let heads = log.heads(PARTITION, &[stream]).await.expect("it reads");
    let head = heads[0].as_ref().expect("the saga is there");
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
            kind: Cow::Borrowed(kind),
            schema: SchemaVersion::new(1),
            control: "{}".to_owned(),
            data: Data::None,
        }],
    };
    let appended = log.append(PARTITION, owned.epoch, vec![batch]).await;
    appended.expect("the log does not know what a saga is");
    log.release(PARTITION).await.expect("it was owned");
}

fn saga() -> SagaId {
    SagaId::new("leave-1").expect("a good id")
}

async fn held(log: &Arc<dyn EventLog>) -> HeldSagas {
    let reader = Reader::new(log.clone(), PARTITION);
    reader.held_sagas().await.expect("they can be read")
}

#[tokio::test]
async fn a_damaged_history_holds_its_saga_and_what_comes_for_it_and_the_others_go_on() {
    let log = waiting().await;
    // What a saga turned for is missing in it.
    meddle(&log, "Turned").await;
    let runtime = started(with_leave(&log)).await;
    let client = runtime.client();
    for mail in ["mail-1", "mail-2", "mail-1"] {
        let told = client.signal(APPROVAL, "leave-1", mail, &true).await;
        told.expect("it is recorded");
    }
    let sum = client.run(DOUBLE, &id(1), &1).await;
    sum.expect("the partition goes on");
    let state = client.state("leave-1").await;
    let Err(CallError::Refused(Refusal::SagaHeld { why, .. })) = state else {
        panic!("{state:?}");
    };
    let held = held(&log).await;
    let it = held.get(&saga()).expect("it is held");
    assert_eq!(it.reason, why);
    assert!(why.contains("position"), "it says where: {why}");
    assert_eq!(it.inputs.len(), 2, "what comes twice waits once");
    let ada = client.acting_as("ada");
    let edited = Payload::parse("false").expect("good JSON");
    let edited = ada
        .release("leave-1", "ticket-2", 1_000_002, Some(edited))
        .await;
    edited.expect("it waits");
    let dropped = ada
        .drop_held("leave-1", "ticket-3", 1_000_001, "sent twice")
        .await;
    dropped.expect("it waits");
    let waits = self::held(&log).await;
    let waits = waits.get(&saga()).expect("it is held");
    let left: Vec<_> = waits.inputs.iter().collect();
    assert_eq!((left.len(), left[0].content.as_str()), (1, "false"));
    let decided = waits.decisions.iter();
    let decided: Vec<_> = decided.map(|it| (it.number, &*it.by)).collect();
    assert_eq!(decided, [(1_000_002, "ada"), (1_000_001, "ada")]);
    let released = client.acting_as("ada");
    let released = released.release("leave-1", "ticket-1", 0, None).await;
    assert!(matches!(
        released,
        Err(CallError::Refused(Refusal::BadHistory { .. }))
    ));
    runtime.stop().await.expect("it stops in peace");
}

#[tokio::test]
async fn a_look_up_of_a_damaged_history_stops_nobody_else() {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new());
    let runtime = started(with_leave(&log)).await;
    let client = runtime.client();
    client.start(LEAVE, "leave-1", &3).await.expect("it starts");
    let told = client.signal(APPROVAL, "leave-1", "mail-1", &true).await;
    told.expect("it is recorded");
    client.end("leave-1").await.expect("it ends");
    runtime.stop().await.expect("it stops in peace");
    meddle(&log, "Turned").await;
    // It lay among those that have ended; what reads it finds it damaged.
    let runtime = started(with_leave(&log)).await;
    let client = runtime.client();
    let state = client.state("leave-1").await;
    assert!(state.is_err());
    client
        .run(DOUBLE, &id(1), &1)
        .await
        .expect("the partition goes on");
    runtime.stop().await.expect("it stops in peace");
}

#[tokio::test]
async fn a_program_that_is_older_than_its_log_or_lacks_a_definition_does_not_start() {
    let log = waiting().await;
    let lacks = on(log.clone()).start().await.map(drop);
    let lacks = lacks.expect_err("it lacks a definition").to_string();
    assert!(
        lacks.contains("`leave-1`: saga `leave` version 1 is needed"),
        "{lacks}"
    );
    meddle(&log, "OfALaterRelease").await;
    let older = with_leave(&log).start().await.map(drop);
    let older = older.expect_err("it is too old").to_string();
    assert!(older.contains("OfALaterRelease"), "{older}");
    assert!(held(&log).await.is_empty());
}
