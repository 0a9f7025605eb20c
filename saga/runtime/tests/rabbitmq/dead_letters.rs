//! What strangers send to a runtime over RabbitMQ: each message is used, or is a dead letter in the log with
//! the reason. Healthy sagas go on.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable},
};
use sagalog::{
    Attempt, Ended, EventLog, Failure, MemoryLog, Retry, Rules, Runtime, Saga, Step, Worker,
    dead_letter::{Body, Cause},
    history::Reader,
    log::PartitionId,
};
use sagalog_projections::{
    DeadLetters,
    dead_letters::{Letter, Phase},
};
use sagalog_transport::MessageId;
use sha2::{Digest as _, Sha256};

use crate::{
    broker::Broker,
    trip::{in_time, transport, travel, trip, worker},
};

/// The same bytes under one id are one message, so each has its own.
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// A client of the broker that is none of ours.
struct Stranger(Channel);

impl Stranger {
    async fn at(url: &str) -> Self {
        let connection = Connection::connect(url, ConnectionProperties::default()).await;
        let channel = connection
            .expect("the broker is there")
            .create_channel()
            .await;
        let channel = channel.expect("the broker is there");
        let confirms = channel
            .confirm_select(ConfirmSelectOptions::default())
            .await;
        confirms.expect("the broker is there");
        Self(channel)
    }

    async fn publish(&self, to: &str, properties: BasicProperties, body: &[u8]) {
        let options = BasicPublishOptions::default();
        let published = self
            .0
            .basic_publish("".into(), to.into(), options, body, properties);
        let confirm = published.await.expect("the broker is there").await;
        assert!(confirm.expect("the broker is there").is_ack());
    }

    async fn delete(&self, queue: &str) {
        let deleted = self
            .0
            .queue_delete(queue.into(), QueueDeleteOptions::default());
        deleted.await.expect("the broker is there");
    }
}

fn good(body: &[u8]) -> BasicProperties {
    let hash: [u8; 32] = Sha256::digest(body).into();
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut headers = FieldTable::default();
    headers.insert("sagalog-version".into(), AMQPValue::LongLongInt(1));
    headers.insert(
        "sha-256".into(),
        AMQPValue::LongString(hash.as_str().into()),
    );
    BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(2)
        .with_type("response".into())
        .with_message_id(
            MessageId(NEXT.fetch_add(1, Ordering::Relaxed) as u128)
                .to_string()
                .into(),
        )
        .with_reply_to("cmd.hotel".into())
        .with_headers(headers)
}

/// The letters, as soon as they are as wanted.
async fn letters(log: &Arc<dyn EventLog>, wanted: impl Fn(&DeadLetters) -> bool) -> DeadLetters {
    let partition = PartitionId::new(0);
    let mut tail = log.watch(partition).await.expect("it can be watched");
    let reader = Reader::new(log.clone(), partition);
    loop {
        tail.mark_unchanged();
        let letters = reader.dead_letters().await.expect("they can be read");
        if wanted(&letters) {
            return letters;
        }
        tail.changed().await.expect("the log goes on");
    }
}

fn reply(saga: &str, node: &str, attempt: u32, outcome: &str) -> Vec<u8> {
    let text = format!(
        r#"{{"saga":"{saga}","node":"{node}","direction":"action","attempt":{attempt},"outcome":{outcome}}}"#
    );
    text.into_bytes()
}

/// This process's memory now, in MiB.
fn memory() -> usize {
    let status = Command::new("ps")
        .args(["-o", "rss=", "-p", &std::process::id().to_string()])
        .output();
    let status = String::from_utf8(status.expect("ps is there").stdout).expect("text");
    status.trim().parse::<usize>().expect("a number") / 1_024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_strangers_send_is_in_the_log_with_its_reason() {
    in_time(async {
        let url = Broker::shared().url();
        let transport = transport(&url).await;
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new());
        let runtime = Runtime::on(log.clone())
            .transport(transport)
            .definition(trip());
        let runtime = runtime.worker(worker()).start().await.expect("it starts");
        let client = runtime.client();
        travel(&client, 1).await;

        let stranger = Stranger::at(&url).await;
        let inbox = "inbox.0";
        let room = reply("t-1", "hotel", 1, r#"{"succeeded":"a room in Rome"}"#);
        // What comes twice and late says nothing new.
        stranger.publish(inbox, good(&room), &room).await;
        stranger.publish(inbox, good(&room), &room).await;
        let none = BasicProperties::default();
        stranger.publish(inbox, none, b"\xff\x00garbage").await;
        let text = good(b"null").with_content_type("text/plain".into());
        stranger.publish(inbox, text, b"null").await;
        stranger.publish(inbox, good(b"other bytes"), b"null").await;
        stranger.publish(inbox, good(b"null"), b"null").await;
        let nobody = reply("t-99", "hotel", 1, r#"{"succeeded":"a room"}"#);
        stranger.publish(inbox, good(&nobody), &nobody).await;
        let unasked = reply("t-1", "hotel", 9, r#"{"succeeded":"a room"}"#);
        stranger.publish(inbox, good(&unasked), &unasked).await;
        let command = b"{}";
        let request = good(command).with_type("request".into());
        stranger.publish("cmd.hotel", request, command).await;

        let found = letters(&log, |letters| letters.count(Phase::Waiting) == 7).await;
        let mut shown: Vec<_> = found.iter().map(Letter::clone).collect();
        shown.sort_by_key(|letter| letter.died.cause);
        let causes: Vec<_> = shown.iter().map(|letter| letter.died.cause).collect();
        assert_eq!(
            causes,
            [
                Cause::Unreadable,
                Cause::Unreadable,
                Cause::HashMismatch,
                Cause::WrongContent,
                Cause::UnknownSaga,
                Cause::NotAsked,
                Cause::Refused
            ]
        );
        let garbage = shown
            .iter()
            .find(|letter| matches!(letter.body, Body::Base64(_)));
        let garbage = garbage.expect("its bytes are no text");
        assert_eq!(garbage.body.bytes(), b"\xff\x00garbage");
        assert_eq!(&*garbage.died.queue, inbox);
        travel(&client, 2).await;
        runtime.stop().await.expect("in peace");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_mebibytes_are_a_dead_letter_of_which_the_head_is_kept() {
    in_time(async {
        let url = Broker::shared().url();
        let transport = transport(&url).await;
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new());
        let runtime = Runtime::on(log.clone())
            .transport(transport)
            .definition(trip());
        let runtime = runtime.worker(worker()).start().await.expect("it starts");
        let stranger = Stranger::at(&url).await;
        let before = memory();
        {
            let body = vec![b'x'; 100 * 1024 * 1024];
            stranger.publish("inbox.0", good(b"null"), &body).await;
        }
        let found = letters(&log, |letters| letters.len() == 1).await;
        let letter = found.iter().next().expect("it is there");
        assert_eq!(
            (letter.died.cause, letter.died.size),
            (Cause::TooLarge, 100 * 1024 * 1024)
        );
        assert_eq!(letter.body.bytes(), vec![b'x'; Body::HEAD_BYTES]);
        let after = memory();
        // The message here and there, as the client library holds it, and no more for ever.
        assert!(after < before + 600, "{before} MiB, then {after}");
        travel(&runtime.client(), 1).await;
        runtime.stop().await.expect("in peace");
    })
    .await;
}

const ASK: Saga<u32, u32> = Saga::new("ask");
const LOOK: Step<u32, u32> = Step::new("looks.look")
    .read_only()
    .retry(Retry::fixed(std::time::Duration::from_millis(1)).attempts(2));

async fn look(at: Attempt<Arc<AtomicUsize>>, number: u32) -> Result<u32, Failure> {
    at.state.fetch_add(1, Ordering::Relaxed);
    Ok(number)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_no_queue_takes_is_a_dead_letter_and_its_attempt_is_not_silent() {
    in_time(async {
        let url = Broker::shared().url();
        let transport = transport(&url).await;
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new());
        let (mut saga, number) = ASK.define(1);
        let seen = saga.step("look", LOOK, number);
        let ask = saga.returns(seen).expect("a good definition");
        let looks = Arc::new(AtomicUsize::new(0));
        let worker = Worker::with(looks.clone()).action(LOOK, look);
        let runtime = Runtime::on(log.clone())
            .transport(transport)
            .definition(ask);
        let runtime = runtime.worker(worker).elsewhere("looks");
        let runtime = runtime.start().await.expect("it starts");
        let stranger = Stranger::at(&url).await;
        stranger.delete("cmd.looks").await;

        let ended = runtime.client().run(ASK, "a-1", &1).await.expect("it ends");
        let Ended::Compensated { reason } = ended else {
            panic!("{ended:?}");
        };
        assert!(reason.contains("there is no queue cmd.looks"), "{reason}");
        let found = letters(&log, |letters| letters.len() == 2).await;
        for letter in found.iter() {
            assert_eq!(letter.died.cause, Cause::NoQueue);
            assert_eq!(
                letter.died.saga.as_ref().map(|saga| saga.as_str()),
                Some("a-1")
            );
        }
        assert_eq!(looks.load(Ordering::Relaxed), 0);
        runtime.stop().await.expect("in peace");
    })
    .await;
}

const PRINT: Saga<String, u32> = Saga::new("print");
const PRESS: Step<String, u32> = Step::new("press.print")
    .read_only()
    .retry(Retry::fixed(std::time::Duration::from_millis(1)).attempts(2));

/// A program that allows larger payloads than its broker carries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_larger_than_the_broker_carries_fails_its_saga_and_no_other() {
    in_time(async {
        let transport = transport(&Broker::shared().url()).await;
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new());
        let (mut saga, text) = PRINT.define(1);
        let pages = text.map(|text| text.repeat(16));
        let printed = saga.step("press", PRESS, pages);
        let print = saga.returns(printed).expect("a good definition");
        let worker = Worker::new().action(PRESS, async |_, text: String| Ok(text.len() as u32));
        let rules = Rules {
            payload_max: 2 * 1_024 * 1_024,
            ..Rules::DEFAULT
        };
        let runtime = Runtime::on(log.clone())
            .transport(transport)
            .rules(rules)
            .definition(print)
            .worker(worker);
        let runtime = runtime.start().await.expect("it starts");
        let client = runtime.client();
        let page = "x".repeat(100 * 1_024);
        let ended = client.run(PRINT, "p-1", &page).await.expect("it ends");
        let Ended::Compensated { reason } = ended else {
            panic!("{ended:?}");
        };
        assert!(
            reason.contains("larger than the transport carries"),
            "{reason}"
        );
        let found = letters(&log, |letters| letters.len() == 2).await;
        for letter in found.iter() {
            assert_eq!(letter.died.cause, Cause::TooLarge);
            assert!(letter.died.size > 16 * 100 * 1_024);
            assert_eq!(letter.body.bytes().len(), Body::HEAD_BYTES);
        }
        let ended = client.run(PRINT, "p-2", &"a page".to_owned()).await;
        assert_eq!(ended.expect("it ends"), Ended::Completed(16 * 6));
        runtime.stop().await.expect("in peace");
    })
    .await;
}
