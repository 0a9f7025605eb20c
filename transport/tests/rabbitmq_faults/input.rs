//! Messages of strangers: each is used as far as the envelope allows, or is a dead letter that says
//! why. None is lost, none comes for ever.

use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable},
};
use sagalog_transport::{
    Consumer, Delivery, Message, Queue, RabbitMq, Transport as _, WhyDead, WhyUndelivered,
    rabbitmq::BODY_MAX_BYTES,
};

use crate::{
    broker::Broker,
    support::{consume, fresh, in_time, message, payments, receive},
};

/// SHA-256 of `null`.
const HASH: &str = "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b";
const ID: &str = "01K75DPZS0E2V9QT4XNBJA6WMF";

/// A client of the broker that is none of ours.
pub(crate) struct Stranger(Connection);

impl Stranger {
    pub(crate) async fn at(url: &str) -> Self {
        let connected = Connection::connect(url, ConnectionProperties::default()).await;
        Self(connected.expect("the broker is there"))
    }

    pub(crate) async fn delete(&self, queue: &Queue) {
        let channel = self.0.create_channel().await.expect("a channel");
        let name = queue.as_str().into();
        let deleted = channel.queue_delete(name, QueueDeleteOptions::default());
        deleted.await.expect("it was there");
    }

    async fn publish(&self, exchange: &str, to: &str, properties: BasicProperties, body: &[u8]) {
        let channel = self.0.create_channel().await.expect("a channel");
        let selected = channel.confirm_select(ConfirmSelectOptions::default());
        selected.await.expect("it can confirm");
        let options = BasicPublishOptions::default();
        let published =
            channel.basic_publish(exchange.into(), to.into(), options, body, properties);
        let confirmed = published.await.expect("the broker is there").await;
        assert!(confirmed.expect("the broker is there").is_ack());
    }
}

/// A good envelope around `null`.
fn good() -> BasicProperties {
    BasicProperties::default()
        .with_content_type("application/json".into())
        .with_type("response".into())
        .with_message_id(ID.into())
        .with_reply_to("cmd.payments".into())
        .with_headers(headers(&[("sha-256", HASH)]))
}

fn headers(texts: &[(&str, &str)]) -> FieldTable {
    let mut headers = FieldTable::default();
    headers.insert("sagalog-version".into(), AMQPValue::LongInt(1));
    for (name, value) in texts {
        headers.insert((*name).into(), AMQPValue::LongString((*value).into()));
    }
    headers
}

fn without(text: &str) -> BasicProperties {
    let mut headers = headers(&[("sha-256", HASH)]).inner().clone();
    headers.remove(text);
    good().with_headers(headers.into())
}

struct Room {
    transport: RabbitMq,
    stranger: Stranger,
}

impl Room {
    async fn open() -> Self {
        let broker = Broker::shared();
        let url = broker.url();
        let transport = RabbitMq::connect(&url).await.expect("the broker is there");
        let declared = transport.declare(&payments(), 100).await;
        declared.expect("a new queue can be declared");
        Self {
            transport,
            stranger: Stranger::at(&url).await,
        }
    }

    async fn publish(&self, properties: BasicProperties, body: &[u8]) {
        let to = payments();
        self.stranger
            .publish("", to.as_str(), properties, body)
            .await;
    }

    /// The first dead letter there is, acknowledged.
    async fn dead(&self) -> Message {
        let mut dead = consume(&self.transport, &Queue::dead_letters()).await;
        let letter = receive_one(&mut *dead).await;
        dead.ack(&[letter.tag]).await.expect("the broker is there");
        Message::clone(&letter.message)
    }

    /// Why a message became a dead letter, while the queue's consumer goes on.
    async fn refused(&self, properties: BasicProperties, body: &[u8]) -> String {
        self.publish(properties, body).await;
        self.publish(good(), b"null").await;
        let mut consumer = consume(&self.transport, &payments()).await;
        // What is good comes through behind it.
        let received = receive_one(&mut *consumer).await;
        assert_eq!(received.message.content, "null");
        consumer
            .ack(&[received.tag])
            .await
            .expect("the broker is there");
        let dead = self.dead().await;
        let letter = dead.dead_letter().expect("it says why");
        assert_eq!(letter.queue, payments());
        assert!(consumer.is_empty().await.expect("the broker is there"));
        letter.reason.clone()
    }
}

async fn receive_one(consumer: &mut dyn Consumer) -> Delivery {
    let mut received = Vec::new();
    consumer
        .receive(&mut received, 1)
        .await
        .expect("the broker is there");
    received.remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_s_good_message_is_read() {
    in_time(async {
        let room = Room::open().await;
        room.publish(good(), b"null").await;
        let mut consumer = consume(&room.transport, &payments()).await;
        let received = receive_one(&mut *consumer).await;
        assert_eq!(received.message.id.to_string(), ID);
        assert_eq!(received.message.to, payments());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_the_envelope_is_a_dead_letter_that_says_why() {
    in_time(async {
        let room = Room::open().await;
        let cases: [(&str, BasicProperties, &[u8]); 11] = [
            (
                "it has no content type",
                BasicProperties::default(),
                b"\xff\x00",
            ),
            (
                "its content type is text/xml, not application/json",
                good().with_content_type("text/xml".into()),
                b"null",
            ),
            ("it has no header sagalog-version", without("sagalog-version"), b"null"),
            ("it has no header sha-256", without("sha-256"), b"null"),
            (
                "its SHA-256 is 74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b, but the \
                 header sha-256 says 00: the body was changed on its way",
                good().with_headers(headers(&[("sha-256", "00")])),
                b"null",
            ),
            (
                "its body is not UTF-8",
                good().with_headers(headers(&[(
                    "sha-256",
                    "a8100ae6aa1940d0b663bb31cd466142ebbdbd5187131b92d93818987832eb89",
                )])),
                b"\xff",
            ),
            (
                "its type is \"gossip\", which is no request, response, event or control",
                good().with_type("gossip".into()),
                b"null",
            ),
            (
                "its message id is \"7\", which is no ULID of 26 characters",
                good().with_message_id("7".into()),
                b"null",
            ),
            (
                "its reply-to is \"\", which is no name of a queue",
                good().with_reply_to("".into()),
                b"null",
            ),
            (
                "its deadline is \"soon\", which is no whole number",
                good().with_headers(headers(&[("sha-256", HASH), ("deadline", "soon")])),
                b"null",
            ),
            (
                "its envelope has version 2, and this program reads version 1",
                good().with_headers({
                    let mut headers = headers(&[("sha-256", HASH)]);
                    headers.insert("sagalog-version".into(), AMQPValue::ShortShortUInt(2));
                    headers
                }),
                b"null",
            ),
        ];
        for (why, properties, body) in cases {
            assert_eq!(room.refused(properties, body).await, why);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_mebibytes_are_refused_on_both_sides() {
    in_time(async {
        let room = Room::open().await;
        let mut large = message(1);
        large.content = "x".repeat(100 * 1024 * 1024);
        let refused = room
            .transport
            .publish(vec![message(2), large, message(3)])
            .await;
        let back = refused.expect_err("it is too large").0;
        assert_eq!(back.len(), 1);
        assert_eq!(back[0].why, WhyUndelivered::TooLarge);
        let mut consumer = consume(&room.transport, &payments()).await;
        let small = receive(&room.transport, &mut consumer, 2).await;
        let tags: Vec<_> = small.iter().map(|delivery| delivery.tag).collect();
        consumer.ack(&tags).await.expect("the broker is there");
        drop(consumer);

        let why = room
            .refused(good(), back[0].message.content.as_bytes())
            .await;
        assert_eq!(why, "its body has 104857600 bytes, more than 1048576");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_that_cannot_be_read_is_shown_up_to_a_bound() {
    in_time(async {
        let room = Room::open().await;
        let to = Queue::dead_letters();
        let body = vec![b'x'; 2 * BODY_MAX_BYTES];
        let stranger = &room.stranger;
        stranger
            .publish("", to.as_str(), BasicProperties::default(), &body)
            .await;
        let dead = room.dead().await;
        let letter = dead.dead_letter().expect("it says why");
        assert_eq!(letter.why, WhyDead::TooLarge);
        let unread = letter.unread.as_ref().expect("it is no message");
        let sizes = (unread.bytes.len(), unread.size);
        assert_eq!(sizes, (BODY_MAX_BYTES, 2 * BODY_MAX_BYTES));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_takes_from_the_exchange_is_a_dead_letter() {
    in_time(async {
        let room = Room::open().await;
        room.stranger
            .publish("sagalog", "inbox.77", good(), b"null")
            .await;
        let dead = room.dead().await;
        let letter = dead.dead_letter().expect("it says why");
        assert_eq!(letter.reason, "there is no queue \"inbox.77\"");
        room.stranger
            .publish("sagalog", "cmd.payments", good(), b"null")
            .await;
        let mut consumer = consume(&room.transport, &payments()).await;
        receive_one(&mut *consumer).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_messages_exactly_those_to_no_queue_come_back() {
    in_time(async {
        let transport = fresh(Broker::shared(), 10_000).await;
        let nowhere = Queue::commands("nobody").expect("a good name");
        let messages = (0..1000).map(|number| {
            let mut message = message(number);
            if number % 7 == 0 {
                message.to = nowhere.clone();
            }
            message
        });
        let published = transport.publish(messages.collect()).await;
        let back = published.expect_err("some have no queue").0;
        assert!(back.iter().all(|it| it.why == WhyUndelivered::NoSuchQueue));
        let back: Vec<_> = back.iter().map(|it| it.message.id.0 as u64).collect();
        let expected: Vec<_> = (0..1000).filter(|number| number % 7 == 0).collect();
        assert_eq!(back, expected);
    })
    .await;
}
