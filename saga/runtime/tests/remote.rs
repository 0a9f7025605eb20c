//! Callers that drive nothing reach whoever does over the inboxes, and see what a caller beside it sees.

use std::{sync::Arc, time::Duration};

use sagalog::{
    CallError, Client, Ended, InProcess, MemoryLog, Refusal, Runtime, Saga, Signal, Status, Step,
    Transport, Worker,
    request::{Answer, Request},
};
use sagalog_model::{Payload, log::Time};
use sagalog_projections::participants::{Presence, Seen};
use sagalog_transport::{Kind, Message, MessageId, Queue};
use tokio::sync::oneshot;

const LUNCH: Saga<String, String> = Saga::new("lunch");
const SPICE: Signal<String> = Signal::new("spice");
const STIR: Step<(), ()> = Step::new("stove.stir").retryable();

/// Whoever drives the log.
async fn kitchen(log: &Arc<MemoryLog>, transport: &Arc<dyn Transport>) -> Runtime {
    let (mut saga, dish) = LUNCH.define(1);
    let spice = saga
        .signal("spice", SPICE)
        .within(Duration::from_secs(3_600));
    let served = dish.and(spice).map(|dish, spice| {
        let spice = spice.unwrap_or_default();
        format!("{dish} with {spice}")
    });
    let lunch = saga.returns(served).expect("it is sound");
    let kitchen = Runtime::on(log.clone())
        .transport(transport.clone())
        .definition(lunch)
        .node("kitchen");
    kitchen.start().await.expect("it starts")
}

/// A kitchen, and a guest in another room: nothing but the transport is between them.
struct House {
    log: Arc<MemoryLog>,
    kitchen: Runtime,
    transport: Arc<dyn Transport>,
    guest: Client,
}

impl House {
    async fn open() -> Self {
        let log = Arc::new(MemoryLog::new());
        let transport: Arc<dyn Transport> = Arc::new(InProcess::new());
        Self {
            kitchen: kitchen(&log, &transport).await,
            log,
            guest: Client::connect(transport.clone()),
            transport,
        }
    }

    async fn order(&self, id: &str) {
        let started = self.guest.start(LUNCH, id, &"soup".to_owned()).await;
        started.expect("it is started");
    }

    async fn spice(&self, id: &str) -> Result<(), CallError> {
        let pepper = "pepper".to_owned();
        self.guest.signal(SPICE, id, "s-1", &pepper).await
    }
}

#[tokio::test]
async fn sagas_are_started_signalled_and_awaited_by_a_process_that_drives_none() {
    let house = House::open().await;
    house.order("l-1").await;
    let status = house.guest.status("l-1").await.expect("it is known");
    assert_eq!(status, Status::Running);
    let waits = tokio::spawn({
        let guest = house.guest.clone();
        async move { guest.result(LUNCH, "l-1").await }
    });
    house.spice("l-1").await.expect("it is recorded");
    let ended = waits.await.expect("it does not panic");
    let soup = "soup with pepper".to_owned();
    assert_eq!(ended.expect("it ends"), Ended::Completed(soup));
}

#[tokio::test]
async fn what_is_sent_twice_from_there_counts_once() {
    let house = House::open().await;
    for _ in 0..2 {
        house.order("l-1").await;
        house.spice("l-1").await.expect("it is recorded");
    }
    let beside = house.kitchen.client();
    let version = beside.end("l-1").await.expect("it ends").version();
    house.order("l-1").await;
    let again = beside.state("l-1").await.expect("it is known").version();
    assert_eq!(again, version);
}

#[tokio::test]
async fn a_refusal_is_the_same_there_as_here() {
    let house = House::open().await;
    let here = house.kitchen.client();
    house.order("l-1").await;
    for client in [&here, &house.guest] {
        let no = "no".to_owned();
        let told = [
            client.signal(SPICE, "l-9", "s", &no).await,
            client.start(LUNCH, "l-1", &"salad".to_owned()).await,
            client.retry("l-1", "r-1", "spice").await,
            client.cancel("$x", "c-1", "no reason").await,
        ];
        let told = told.map(|told| told.expect_err("it is refused"));
        assert!(matches!(
            &told[0],
            CallError::Refused(Refusal::NoSuchSaga { .. })
        ));
        assert!(matches!(
            &told[1],
            CallError::Refused(Refusal::OtherContent { .. })
        ));
        assert!(matches!(
            &told[2],
            CallError::Refused(Refusal::NotParked { .. })
        ));
        assert_eq!(
            told[3].to_string(),
            r#""$x" cannot be a saga's id"#,
            "{:?}",
            told[3]
        );
    }
}

#[tokio::test]
async fn a_cancel_from_there_makes_a_saga_go_back() {
    let house = House::open().await;
    house.order("l-1").await;
    let ann = house.guest.acting_as("ann");
    let cancelled = ann.cancel("l-1", "c-1", "no time").await;
    cancelled.expect("it is recorded");
    let ended = house.guest.result(LUNCH, "l-1").await;
    let reason = "no time".to_owned();
    assert_eq!(ended.expect("it ends"), Ended::Compensated { reason });
}

#[tokio::test]
async fn from_there_a_saga_is_paused_hurried_resumed_and_undone() {
    let house = House::open().await;
    house.order("l-1").await;
    let ann = house.guest.acting_as("ann");
    let paused = ann.pause("l-1", "p-1", "is there any salt").await;
    paused.expect("it is recorded");
    let again = ann.pause("l-1", "p-2", "is there").await;
    assert!(
        matches!(
            again,
            Err(CallError::Refused(Refusal::AlreadyPaused { .. }))
        ),
        "{again:?}"
    );
    let later = Some(Time::from_micros(u64::MAX / 4));
    let set = ann.set_deadline("l-1", "d-1", later, "no hurry").await;
    set.expect("it is recorded");
    let state = house.kitchen.client().state("l-1").await;
    let state = state.expect("it is told");
    assert_eq!(state.deadline(), later);
    let pause = state.pause().expect("it stands still");
    assert_eq!((&*pause.by, &*pause.reason), ("ann", "is there any salt"));
    ann.resume("l-1", "r-1").await.expect("it is recorded");
    let undone = ann.compensate("l-1", "u-1", "no salt").await;
    undone.expect("it is recorded");
    let ended = house.guest.result(LUNCH, "l-1").await;
    let reason = "no salt".to_owned();
    assert_eq!(ended.expect("it ends"), Ended::Compensated { reason });
}

#[tokio::test]
async fn a_state_is_read_from_the_log_by_who_has_it() {
    let house = House::open().await;
    house.order("l-1").await;
    let told = house.guest.state("l-1").await;
    assert!(matches!(told, Err(CallError::NoLog)), "{told:?}");
    let reads = house.guest.reading(house.log.clone());
    let [there, here] = [
        reads.state("l-1").await,
        house.kitchen.client().state("l-1").await,
    ];
    assert_eq!(there.expect("it is read"), here.expect("it is told"));
    house.spice("l-1").await.expect("it is recorded");
    let ended = reads.end("l-1").await.expect("it is read");
    assert_eq!(ended.status(), Status::Completed);
}

#[tokio::test]
async fn what_nobody_answers_is_told_with_what_was_in_the_way() {
    let alone = Client::connect(Arc::new(InProcess::new()));
    let alone = alone.within(Duration::from_millis(300));
    let told = alone.cancel("l-1", "c-1", "why not").await;
    let told = told.expect_err("nobody is there").to_string();
    assert_eq!(
        told,
        "no answer within 0.3 s: there is no inbox.0, so no node was ever started"
    );
}

#[tokio::test]
async fn a_transport_that_is_closed_ends_the_waiting() {
    let house = House::open().await;
    house.order("l-1").await;
    let waits = tokio::spawn({
        let guest = house.guest.clone();
        async move { guest.result(LUNCH, "l-1").await }
    });
    house.transport.close().await;
    let ended = waits.await.expect("it does not panic");
    assert!(matches!(ended, Err(CallError::Stopped { .. })), "{ended:?}");
}

/// A program that writes its messages by hand.
async fn answers(house: &House, contents: &[&str]) -> Vec<Answer> {
    let queue = Queue::answers("by-hand").expect("a name");
    let declared = house.transport.declare(&queue, 16).await;
    declared.expect("it is there");
    let messages = contents.iter().zip(1..).map(|(content, id)| {
        let (from, to) = (queue.clone(), Queue::inbox(0));
        Message::new(
            MessageId(id),
            Kind::Control,
            from,
            to,
            (*content).to_owned(),
        )
    });
    let published = house.transport.publish(messages.collect()).await;
    published.expect("they are taken");
    let mut consumer = house.transport.consume(&queue, 16).await.expect("a queue");
    let mut got = Vec::new();
    while got.len() < contents.len() {
        consumer.receive(&mut got, 16).await.expect("it is open");
    }
    got.sort_by_key(|delivery| delivery.message.correlation);
    let read = |text: &str| serde_json::from_str(text).expect("an answer");
    let texts = got.iter().map(|delivery| read(&delivery.message.content));
    texts.collect()
}

#[tokio::test]
async fn a_message_that_is_no_request_is_answered_with_what_is_wrong() {
    let house = House::open().await;
    let answers = answers(&house, &["{", r#"{"eat":{}}"#, r#"{"state":{"saga":" "}}"#]).await;
    let codes: Vec<_> = answers
        .iter()
        .map(|answer| match answer {
            Answer::Refused(refused) => refused.code(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(codes, ["bad_request", "bad_request", "bad_id"]);
}

#[tokio::test]
async fn who_answers_says_how_many_partitions_there_are() {
    let house = House::open().await;
    let answer = house.guest.ask(Request::Who {}).await.expect("it answers");
    let Answer::Owner(owner) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!((&*owner.program, owner.partitions), ("kitchen", 1));
}

#[tokio::test]
async fn a_saga_that_is_started_by_hand_runs() {
    let house = House::open().await;
    let start = Request::Start {
        saga: "l-1".into(),
        definition: "lunch".into(),
        input: Payload::from_json_text("\"stew\""),
    };
    let start = serde_json::to_string(&start).expect("plain data");
    let signal =
        r#"{"signal":{"saga":"l-1","signal":"spice","id":"s","payload":"salt"}}"#.to_owned();
    let end = r#"{"end":{"saga":"l-1"}}"#;
    let done = Answer::Done {};
    let got = answers(&house, &[&start, &signal, end]).await;
    assert_eq!((&got[0], &got[1]), (&done, &done));
    let json = serde_json::to_string(&got[2]).expect("plain data");
    assert_eq!(
        json,
        r#"{"standing":{"saga":"l-1","definition":"lunch","version":1,"status":"completed","output":"stew with salt"}}"#
    );
}

/// Waits until this is said of the instances that can do this.
async fn until(client: &Client, capability: &str, presence: Presence) -> Seen {
    loop {
        let seen = client.participants(Some(capability)).await;
        let seen = seen.expect("it is told").into_iter();
        if let Some(seen) = seen.into_iter().find(|seen| seen.presence == presence) {
            return seen;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_worker_in_another_process_is_found_by_what_it_can_do_until_it_leaves() {
    let house = House::open().await;
    let worker = Worker::new()
        .action(STIR, async |_, ()| Ok(()))
        .capability("induction", "2")
        .capability("stove.stir", "7");
    let (stop, stopped) = oneshot::channel::<()>();
    let transport = house.transport.clone();
    let serving = tokio::spawn(worker.serve(transport, async move { drop(stopped.await) }));
    let seen = until(&house.guest, "induction", Presence::Alive).await;
    assert_eq!(&*seen.announced.participant, "stove");
    let able: Vec<_> = seen.announced.capabilities.iter().collect();
    let able: Vec<_> = able
        .iter()
        .map(|(name, version)| (&***name, &***version))
        .collect();
    assert_eq!(able, [("induction", "2"), ("stove.stir", "7")]);
    assert!(seen.performs("stove.stir") && !seen.performs("stove.bake"));
    let none = house.guest.participants(Some("gas")).await;
    assert_eq!(none.expect("it is told"), []);

    stop.send(()).expect("it serves");
    let served = serving.await.expect("it does not panic");
    served.expect("it stops in peace");
    let gone = until(&house.guest, "stove.stir", Presence::Gone).await;
    assert_eq!(gone.announced, seen.announced);
}

/// The next owner of the log knows at once who is there, and who has left.
#[tokio::test]
async fn who_is_there_is_known_to_the_next_owner_before_it_is_said_again() {
    let house = House::open().await;
    let serve = |name: &str| {
        let worker = Worker::new()
            .action(STIR, async |_, ()| Ok(()))
            .capability(name, "");
        let (stop, stopped) = oneshot::channel::<()>();
        let transport = house.transport.clone();
        let serving = worker.serve(transport, async move { drop(stopped.await) });
        (stop, tokio::spawn(serving))
    };
    let (stays, leaves) = (serve("gas"), serve("induction"));
    until(&house.guest, "gas", Presence::Alive).await;
    until(&house.guest, "induction", Presence::Alive).await;
    leaves.0.send(()).expect("it serves");
    let left = leaves.1.await.expect("it does not panic");
    left.expect("it stops in peace");
    until(&house.guest, "induction", Presence::Gone).await;

    house.kitchen.stop().await.expect("it stops in peace");
    let next = kitchen(&house.log, &house.transport).await;
    let there = house.guest.participants(Some("stove.stir")).await;
    let there = there.expect("it is told");
    assert_eq!(there.len(), 1, "{there:?}");
    assert!(there[0].announced.capabilities.contains_key("gas"));
    assert_eq!(there[0].presence, Presence::Alive);
    drop((stays, next));
}

#[tokio::test]
async fn an_announcement_that_cannot_be_meant_is_answered_with_why() {
    let house = House::open().await;
    let said = r#"{"participants":{"announce":{"participant":"stove","instance":"","capabilities":{},"concurrency":1,"every":5000000}}}"#;
    let answers = answers(&house, &[said]).await;
    let [Answer::Refused(refused)] = &*answers else {
        panic!("{answers:?}");
    };
    assert_eq!(refused.code(), "bad_announcement");
    assert_eq!(
        refused.message,
        r#"names have 1 to 255 bytes without control characters, not """#
    );
}
