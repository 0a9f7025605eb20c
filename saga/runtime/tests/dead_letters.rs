//! Dead letters of an embedded runtime: everything that nobody could use is in the log, and comes out of it
//! again.

mod double;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use sagalog::{
    AnyDefinition, AttemptNumber, CallError, Client, Direction, EventLog, InProcess, MemoryLog,
    Outcome, Payload, Refusal, Reply, Rules, Runtime, Saga, SagaId, Signal, SqliteLog, Transport,
    dead_letter::{Cause, LetterId},
    history::Reader,
};
use sagalog_model::log::PartitionId;
use sagalog_projections::{
    DeadLetters,
    dead_letters::{Letter, Phase},
};
use sagalog_transport::{Kind, Message, MessageId, Priority, Queue};

use double::{DOUBLE, id, on};

const PARTITION: PartitionId = PartitionId::new(0);

struct Office {
    log: Arc<dyn EventLog>,
    transport: Arc<dyn Transport>,
    runtime: Runtime,
}

impl Office {
    async fn open() -> Self {
        Self::of(Arc::new(MemoryLog::new())).await
    }

    async fn in_file(path: &Path) -> Self {
        Self::of(Arc::new(SqliteLog::open(path).await.expect("a log"))).await
    }

    async fn of(log: Arc<dyn EventLog>) -> Self {
        let transport: Arc<dyn Transport> = Arc::new(InProcess::new());
        let runtime = on(log.clone()).transport(transport.clone());
        Self {
            runtime: runtime.start().await.expect("it starts"),
            log,
            transport,
        }
    }

    async fn send(&self, to: Queue, kind: Kind, number: u128, content: &str) {
        let from = Queue::commands("sums").expect("a good name");
        let message = Message::new(MessageId(number), kind, from, to, content.to_owned());
        let sent = self.transport.publish(vec![message]).await;
        sent.expect("the queue is there");
    }

    async fn reply(&self, number: u128, content: &str) {
        self.send(Queue::inbox(0), Kind::Response, number, content)
            .await;
    }

    /// The letters, as soon as they are as wanted.
    async fn letters(&self, wanted: impl Fn(&DeadLetters) -> bool) -> DeadLetters {
        let mut tail = self.log.watch(PARTITION).await.expect("it can be watched");
        let reader = Reader::new(self.log.clone(), PARTITION);
        loop {
            tail.mark_unchanged();
            let letters = reader.dead_letters().await.expect("they can be read");
            if wanted(&letters) {
                return letters;
            }
            tail.changed().await.expect("the log goes on");
        }
    }

    async fn count(&self, count: usize) -> DeadLetters {
        self.letters(|letters| letters.count(Phase::Waiting) == count)
            .await
    }
}

fn causes(letters: &DeadLetters) -> Vec<(Cause, String, Option<String>)> {
    let shown = |letter: &'_ Letter| {
        let saga = letter.died.saga.as_ref().map(SagaId::to_string);
        (letter.died.cause, letter.died.reason.clone(), saga)
    };
    letters.iter().map(shown).collect()
}

fn reply(saga: &str, node: &str, attempt: u32, outcome: Outcome) -> String {
    let reply = Reply {
        saga: SagaId::new(saga).expect("a good id"),
        node: node.into(),
        direction: Direction::Action,
        attempt: AttemptNumber(attempt),
        outcome,
    };
    serde_json::to_string(&reply).expect("it is plain data")
}

fn succeeded() -> Outcome {
    Outcome::Succeeded(Payload::parse("4").expect("JSON"))
}

#[tokio::test]
async fn what_no_saga_asked_for_is_recorded_with_the_reason_and_sagas_go_on() {
    let office = Office::open().await;
    let client = office.runtime.client();
    let ended = client.run(DOUBLE, &id(1), &1).await;
    ended.expect("it runs");
    office.reply(1, "{}").await;
    office.reply(2, "no JSON").await;
    office
        .reply(3, &reply("nobody", "add", 1, succeeded()))
        .await;
    office.reply(4, &reply(&id(1), "add", 7, succeeded())).await;
    office
        .reply(5, &reply(&id(1), "gone", 1, succeeded()))
        .await;
    let letters = office.count(5).await;
    insta::assert_debug_snapshot!(causes(&letters), @r#"
    [
        (
            WrongContent,
            "it is not a reply: missing field `saga` at line 1 column 2",
            None,
        ),
        (
            WrongContent,
            "it is not a reply: expected ident at line 1 column 2",
            None,
        ),
        (
            UnknownSaga,
            "there is no saga `nobody`",
            Some(
                "nobody",
            ),
        ),
        (
            NotAsked,
            "attempt 7 of the action of `add` was never asked",
            Some(
                "d-1",
            ),
        ),
        (
            NotAsked,
            "attempt 1 of the action of `gone` was never asked",
            Some(
                "d-1",
            ),
        ),
    ]
    "#);
    let ended = client.run(DOUBLE, &id(2), &2).await;
    ended.expect("a healthy saga goes on");
}

#[tokio::test]
async fn an_answer_that_comes_twice_is_no_dead_letter() {
    let office = Office::open().await;
    let client = office.runtime.client();
    client.run(DOUBLE, &id(1), &2).await.expect("it runs");
    office.reply(1, &reply(&id(1), "add", 1, succeeded())).await;
    office.reply(2, &reply(&id(1), "add", 1, succeeded())).await;
    // It is behind them in the inbox.
    office.reply(3, "{}").await;
    let letters = office.count(1).await;
    assert_eq!(letters.len(), 1);
}

#[tokio::test]
async fn what_a_worker_refuses_is_recorded_with_its_queue_and_bytes() {
    let office = Office::open().await;
    let sums = Queue::commands("sums").expect("a good name");
    office
        .send(sums, Kind::Request, 9, r#"{"saga":"d-7"}"#)
        .await;
    let letters = office.count(1).await;
    let letter = letters.iter().next().expect("it is there");
    let died = &letter.died;
    assert_eq!((died.cause, &*died.queue), (Cause::Refused, "cmd.sums"));
    assert_eq!(
        died.reason,
        "not a command: missing field `node` at line 1 column 14"
    );
    assert_eq!(died.message.parse(), Ok(MessageId(9)));
    assert_eq!(died.saga.as_ref().map(SagaId::as_str), Some("d-7"));
    assert_eq!(
        letter.body.text().map(|text| &**text),
        Some(r#"{"saga":"d-7"}"#)
    );
    assert_eq!(died.size, 14);
}

#[tokio::test]
async fn a_letter_comes_out_of_its_log_after_a_restart_and_dies_again_as_itself() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("log.db");
    let office = Office::in_file(&path).await;
    let early = reply(&id(1), "add", 1, succeeded());
    office.reply(1, &early).await;
    let letter = office.count(1).await;
    let letter = letter.iter().next().expect("it is there").died.id;
    office.runtime.stop().await.expect("in peace");
    drop(office.log);

    let office = Office::in_file(&path).await;
    let client = office.runtime.client();
    retry(&client, letter, "r-1").await.expect("it is there");
    let twice = office
        .letters(|letters| letters.iter().any(|letter| letter.deaths == 2))
        .await;
    let died = twice.get(letter).expect("it is the same");
    assert_eq!(
        (died.retries, died.phase, twice.len()),
        (1, Phase::Waiting, 1)
    );
    // Now there is a saga that asked for it, and it is taken as a duplicate.
    client.run(DOUBLE, &id(1), &2).await.expect("it runs");
    retry(&client, letter, "r-2").await.expect("it is there");
    office
        .letters(|letters| letters.count(Phase::Sent) == 1)
        .await;
    office.runtime.stop().await.expect("in peace");
}

#[tokio::test]
async fn what_else_its_sender_said_travels_with_a_letter() {
    let office = Office::open().await;
    let from = Queue::commands("sums").expect("a good name");
    let content = "{}".to_owned();
    let mut message = Message::new(MessageId(1), Kind::Response, from, Queue::inbox(0), content);
    message.causation = Some(MessageId(7));
    message.priority = Priority::Critical;
    let details = message.details.get_or_insert_default();
    details.traceparent =
        Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    let metadata = &mut details.metadata;
    metadata.insert("desk".to_owned(), "12".to_owned());
    let sent = office.transport.publish(vec![message]).await;
    sent.expect("the queue is there");
    let first = office.count(1).await;
    let first = &first.iter().next().expect("it is there").died;
    let client = office.runtime.client();
    retry(&client, first.id, "r-1").await.expect("it is there");
    let again = office
        .letters(|letters| letters.iter().any(|letter| letter.deaths == 2))
        .await;
    let again = &again.get(first.id).expect("it is the same").died;
    let said = again.envelope.as_ref().expect("it said something");
    assert_eq!(again.envelope, first.envelope);
    assert_eq!(
        said.causation.as_deref(),
        Some("00000000000000000000000007")
    );
    assert_eq!(
        said.metadata.len(),
        1,
        "what names the letter is not the sender's"
    );
    assert!(said.traceparent.is_some());
    assert_eq!(said.priority.as_deref(), Some("critical"));
}

async fn retry(client: &Client, letter: LetterId, id: &str) -> Result<(), CallError> {
    client.retry_letter(0, letter, id, None).await
}

#[tokio::test]
async fn another_body_mends_a_letter_and_a_purged_one_is_gone() {
    let office = Office::open().await;
    let client = office.runtime.client();
    client.run(DOUBLE, &id(1), &2).await.expect("it runs");
    office.reply(1, "{}").await;
    office.reply(2, "[]").await;
    let letters = office.count(2).await;
    let ids: Vec<_> = letters.iter().map(|letter| letter.died.id).collect();
    let good = reply(&id(1), "add", 1, succeeded());
    let mended = client.retry_letter(0, ids[0], "r-1", Some(&good)).await;
    mended.expect("it is there");
    let purged = client.purge_letter(0, ids[1], "p-1", "of no use").await;
    purged.expect("it is there");
    let letters = office
        .letters(|letters| letters.count(Phase::Sent) == 1)
        .await;
    assert_eq!((letters.len(), letters.get(ids[1])), (1, None));
    let refused = retry(&client, ids[1], "r-1").await;
    assert!(matches!(
        refused,
        Err(CallError::Refused(Refusal::NoSuchLetter { .. }))
    ));
    let nowhere = client.retry_letter(1, ids[0], "r-1", None).await;
    assert!(matches!(nowhere, Err(CallError::NoSuchPartition { .. })));
}

/// An order that waits for a word to go, and for its price, which comes early.
fn order() -> AnyDefinition {
    let (mut saga, _) = ORDER.define(1);
    saga.signal("go", GO).within(Duration::from_secs(3_600));
    let price = saga.signal("price", PRICE).within(Duration::from_secs(60));
    saga.returns(price).expect("a good definition").into()
}

const ORDER: Saga<(), Option<u64>> = Saga::new("order");
const GO: Signal<()> = Signal::new("go");
const PRICE: Signal<u64> = Signal::new("price");

#[tokio::test]
async fn a_signal_that_has_expired_is_refused_to_its_sender_and_recorded() {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new());
    let transport: Arc<dyn Transport> = Arc::new(InProcess::new());
    let rules = Rules {
        ids_max: 1,
        ..Rules::DEFAULT
    };
    let runtime = Runtime::on(log.clone()).rules(rules).definition(order());
    let runtime = runtime.transport(transport.clone()).start().await;
    let office = Office {
        log,
        transport: transport.clone(),
        runtime: runtime.expect("it starts"),
    };
    let sender = Client::connect(transport);
    sender.start(ORDER, "o-1", &()).await.expect("it starts");
    // Sent long ago, of a saga that has no room for two.
    let send = async |second, id: &str| {
        let until = UNIX_EPOCH + Duration::from_secs(second);
        sender.until(until).signal(PRICE, "o-1", id, &7).await
    };
    send(1, "a").await.expect("it is new");
    send(2, "b").await.expect("it is new, and makes room");
    let again = send(1, "a").await;
    assert!(
        matches!(again, Err(CallError::Refused(Refusal::Expired { .. }))),
        "{again:?}"
    );
    let letters = office.count(1).await;
    let letter = letters.iter().next().expect("one");
    assert_eq!(letter.died.cause, Cause::Expired);
    assert_eq!(letter.died.saga, SagaId::new("o-1").ok());
    assert!(letter.died.reason.starts_with("`a` has expired"));
    office.runtime.stop().await.expect("in peace");
}
