//! A message as it travels: properties, headers and body, as `docs/protocol.md` says.

use std::{collections::BTreeMap, time::SystemTime};

use lapin::{
    BasicProperties,
    message::Delivery,
    types::{AMQPValue, FieldTable, ShortString},
};
use sagalog_model::log::Time;
use sha2::{Digest as _, Sha256};

use super::topology::EXCHANGE;
use crate::{
    message::{DeadLetter, Details, Kind, Message, MessageId, Priority, Unread, WhyDead},
    queue::Queue,
};

/// The largest body, in bytes: enough for an input and an output of 256 KiB each.
pub const BODY_MAX_BYTES: usize = 1024 * 1024;

/// The largest sum of trace context and metadata, in bytes: all headers must fit in one frame.
pub const HEADERS_MAX_BYTES: usize = 64 * 1024;

/// The version of this envelope.
const VERSION: i64 = 1;

const CONTENT_TYPE: &str = "application/json";
/// Written to disk by the broker.
const PERSISTENT: u8 = 2;

/// What is published: to which queue, and the message as it travels.
#[derive(Clone)]
pub(super) struct Outgoing {
    pub(super) route: Queue,
    pub(super) properties: BasicProperties,
    pub(super) body: Vec<u8>,
}

/// It does not fit the bounds of the envelope.
#[derive(Debug)]
pub(super) struct TooLarge;

/// Why a received message cannot be used. It goes to the dead letters with this reason.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("its body has {0} bytes, more than {BODY_MAX_BYTES}")]
    TooLarge(usize),
    #[error("its content type is {0}, not {CONTENT_TYPE}")]
    ContentType(String),
    #[error("it has no {0}")]
    Missing(&'static str),
    #[error("its {what} is {found:?}, which is no {wanted}")]
    Bad {
        what: &'static str,
        found: String,
        wanted: &'static str,
    },
    #[error("its envelope has version {0}, and this program reads version {VERSION}")]
    Version(i64),
    #[error(
        "its SHA-256 is {found}, but the header sha-256 says {told}: the body was changed on its way"
    )]
    Hash { told: String, found: String },
    #[error("its body is not UTF-8")]
    NotText,
}

impl Unreadable {
    /// Why such a message is dead.
    pub(super) const fn why(&self) -> WhyDead {
        match self {
            Self::TooLarge(_) => WhyDead::TooLarge,
            Self::Hash { .. } => WhyDead::HashMismatch,
            _ => WhyDead::Unreadable,
        }
    }
}

/// The envelope of a message that goes to the queue it names.
pub(super) fn write(message: &Message) -> Result<Outgoing, TooLarge> {
    let body = message.content.as_bytes().to_vec();
    if body.len() > BODY_MAX_BYTES {
        return Err(TooLarge);
    }
    let mut headers = Headers::default();
    headers.number("sagalog-version", VERSION);
    headers.text("sha-256", &sha_256(&body));
    headers.text("to", message.to.as_str());
    if let Some(causation) = message.causation {
        headers.text("causation", &causation.to_string());
    }
    if let Some(deadline) = message.deadline {
        let deadline = i64::try_from(deadline.as_micros()).unwrap_or(i64::MAX);
        headers.number("deadline", deadline);
    }
    if let Some(details) = &message.details {
        write_details(details, &mut headers)?;
    }
    let mut properties = BasicProperties::default()
        .with_content_type(CONTENT_TYPE.into())
        .with_delivery_mode(PERSISTENT)
        .with_priority(priority(message.priority))
        .with_reply_to(message.from.as_str().into())
        .with_message_id(message.id.to_string().into())
        .with_timestamp(seconds())
        .with_type(message.kind.as_str().into())
        .with_headers(headers.0);
    if let Some(correlation) = message.correlation {
        properties = properties.with_correlation_id(correlation.to_string().into());
    }
    Ok(Outgoing {
        route: message.to.clone(),
        properties,
        body,
    })
}

/// A dead letter that was a good message.
pub(super) fn write_dead(message: &Message, letter: &DeadLetter) -> Result<Outgoing, TooLarge> {
    let mut message = message.clone();
    message.details.get_or_insert_default().dead_letter = Some(letter.clone());
    Ok(Outgoing {
        route: Queue::dead_letters(),
        ..write(&message)?
    })
}

/// A dead letter that nobody could read: as it came, with the reason.
pub(super) fn write_unreadable(delivery: &Delivery, letter: &DeadLetter) -> Outgoing {
    let mut headers = Headers(delivery.properties.headers().clone().unwrap_or_default());
    headers.dead_letter(letter);
    Outgoing {
        route: Queue::dead_letters(),
        properties: delivery
            .properties
            .clone()
            .with_delivery_mode(PERSISTENT)
            .with_headers(headers.0),
        body: delivery.data.clone(),
    }
}

/// A message as it was sent, from the queue it was in.
pub(super) fn read(delivery: &Delivery, queue: &Queue) -> Result<Message, Unreadable> {
    let body = &delivery.data;
    if body.len() > BODY_MAX_BYTES {
        return Err(Unreadable::TooLarge(body.len()));
    }
    let properties = &delivery.properties;
    let content_type = properties.content_type().as_ref();
    let content_type = content_type.ok_or(Unreadable::Missing("content type"))?;
    if content_type.as_str() != CONTENT_TYPE {
        return Err(Unreadable::ContentType(content_type.to_string()));
    }
    let none = FieldTable::default();
    let headers = Read(properties.headers().as_ref().unwrap_or(&none));
    let version = headers.number("sagalog-version")?;
    let version = version.ok_or(Unreadable::Missing("header sagalog-version"))?;
    if version != VERSION {
        return Err(Unreadable::Version(version));
    }
    let told = headers.text("sha-256")?;
    let told = told.ok_or(Unreadable::Missing("header sha-256"))?;
    let found = sha_256(body);
    if !told.eq_ignore_ascii_case(&found) {
        return Err(Unreadable::Hash { told, found });
    }
    let content = String::from_utf8(body.clone()).map_err(|_| Unreadable::NotText)?;
    let id = property(properties.message_id(), "message id")?;
    let kind = property(properties.kind(), "type")?;
    let from = property(properties.reply_to(), "reply-to")?;
    let to = match headers.text("to")? {
        Some(to) => self::queue("header to", &to)?,
        None => queue.clone(),
    };
    let mut message = Message::new(
        ulid("message id", id)?,
        read_kind(kind)?,
        self::queue("reply-to", from)?,
        to,
        content,
    );
    if let Some(correlation) = properties.correlation_id() {
        message.correlation = Some(ulid("correlation id", correlation.as_str())?);
    }
    if let Some(causation) = headers.text("causation")? {
        message.causation = Some(ulid("header causation", &causation)?);
    }
    if let Some(deadline) = headers.number("deadline")? {
        let deadline = u64::try_from(deadline).map_err(|_| Unreadable::Bad {
            what: "header deadline",
            found: deadline.to_string(),
            wanted: "time in microseconds since 1970",
        })?;
        message.deadline = Some(Time::from_micros(deadline));
    }
    message.priority = read_priority(properties.priority().unwrap_or(priority(Priority::Normal)));
    let details = read_details(&headers)?;
    if details != Details::default() {
        message.details = Some(Box::new(details));
    }
    Ok(message)
}

/// A dead letter, whatever it is: of what cannot be read, its bytes and what can.
pub(super) fn read_dead(delivery: &Delivery) -> Message {
    let read = read(delivery, &Queue::dead_letters());
    let mut letter = letter(delivery, read.as_ref().err());
    let mut message = read.unwrap_or_else(|_| {
        let sha_256: [u8; 32] = Sha256::digest(&delivery.data).into();
        letter.unread = Some(Unread {
            bytes: delivery.data[..delivery.data.len().min(BODY_MAX_BYTES)].to_vec(),
            size: delivery.data.len(),
            sha_256,
        });
        unread_message(delivery, &letter, sha_256)
    });
    if letter.unread.is_none() && letter.queue != Queue::dead_letters() {
        message.to = letter.queue.clone();
    }
    message.details.get_or_insert_default().dead_letter = Some(letter);
    message
}

/// What can be read of the properties of a message that is not a good one.
fn unread_message(delivery: &Delivery, letter: &DeadLetter, sha_256: [u8; 32]) -> Message {
    let properties = &delivery.properties;
    let text = |property: &Option<ShortString>| property.as_ref().map(ToString::to_string);
    let id = text(properties.message_id()).and_then(|id| id.parse().ok());
    let kind = text(properties.kind()).and_then(|kind| Kind::of(&kind));
    let from = text(properties.reply_to()).and_then(|from| Queue::new(from).ok());
    let (head, _) = sha_256.split_first_chunk().expect("a SHA-256 has 32 bytes");
    Message::new(
        id.unwrap_or_else(|| MessageId(u128::from_be_bytes(*head))),
        kind.unwrap_or(Kind::Event),
        from.unwrap_or_else(|| letter.queue.clone()),
        letter.queue.clone(),
        String::new(),
    )
}

/// Why it died: as we wrote it, or as the broker did, or because no queue took it.
fn letter(delivery: &Delivery, unreadable: Option<&Unreadable>) -> DeadLetter {
    let none = FieldTable::default();
    let headers = Read(delivery.properties.headers().as_ref().unwrap_or(&none));
    let told = |name| headers.text(name).ok().flatten();
    let queue_in = |name| told(name).and_then(|name| Queue::new(name).ok());
    if let (Some(queue), Some(reason)) = (queue_in("dead-queue"), told("dead-reason")) {
        let why = unreadable.map_or(WhyDead::Refused, Unreadable::why);
        return DeadLetter::new(queue, why, reason);
    }
    if let (Some(queue), Some(reason)) = (
        queue_in("x-first-death-queue"),
        told("x-first-death-reason"),
    ) {
        return match (unreadable, reason.as_str()) {
            (Some(unreadable), _) => {
                DeadLetter::new(queue, unreadable.why(), unreadable.to_string())
            }
            (None, "delivery_limit") => {
                let reason = "it came back unacknowledged too often";
                DeadLetter::new(queue, WhyDead::DeliveryLimit, reason)
            }
            (None, "expired") => {
                DeadLetter::new(queue, WhyDead::Expired, "it waited for longer than it may")
            }
            (None, other) => {
                let reason = format!("the broker gave it up: {other}");
                DeadLetter::new(queue, WhyDead::GivenUp, reason)
            }
        };
    }
    let key = delivery.routing_key.as_str();
    let queue = Queue::new(key).unwrap_or_else(|_| Queue::dead_letters());
    if delivery.exchange.as_str() == EXCHANGE {
        let reason = format!("there is no queue {key:?}");
        return DeadLetter::new(queue, WhyDead::NoQueue, reason);
    }
    match unreadable {
        Some(unreadable) => DeadLetter::new(queue, unreadable.why(), unreadable.to_string()),
        None => {
            let reason = "it was published to the dead letters";
            DeadLetter::new(queue, WhyDead::Refused, reason)
        }
    }
}

fn write_details(details: &Details, headers: &mut Headers) -> Result<(), TooLarge> {
    let Details {
        traceparent,
        tracestate,
        metadata,
        dead_letter,
    } = details;
    let context = [("traceparent", traceparent), ("tracestate", tracestate)];
    let mut bytes = 0;
    for (name, value) in context {
        if let Some(value) = value {
            bytes += value.len();
            headers.text(name, value);
        }
    }
    if !metadata.is_empty() {
        let mut table = Headers::default();
        for (name, value) in metadata {
            bytes += name.len() + value.len();
            let name = ShortString::try_new(&**name).map_err(|_| TooLarge)?;
            table
                .0
                .insert(name, AMQPValue::LongString(value.as_str().into()));
        }
        headers
            .0
            .insert("metadata".into(), AMQPValue::FieldTable(table.0));
    }
    if let Some(letter) = dead_letter {
        headers.dead_letter(letter);
    }
    if bytes > HEADERS_MAX_BYTES {
        return Err(TooLarge);
    }
    Ok(())
}

fn read_details(headers: &Read<'_>) -> Result<Details, Unreadable> {
    let mut metadata = BTreeMap::new();
    if let Some(AMQPValue::FieldTable(table)) = headers.0.inner().get("metadata") {
        for (name, value) in table {
            let value =
                as_text(value).ok_or_else(|| bad("header metadata", value, "table of texts"))?;
            metadata.insert(name.to_string(), value);
        }
    }
    Ok(Details {
        traceparent: headers.text("traceparent")?,
        tracestate: headers.text("tracestate")?,
        metadata,
        dead_letter: None,
    })
}

/// Lower-case hexadecimal.
fn sha_256(body: &[u8]) -> String {
    let hash: [u8; 32] = Sha256::digest(body).into();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// For people: nothing is decided by it.
fn seconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn read_kind(text: &str) -> Result<Kind, Unreadable> {
    Kind::of(text).ok_or_else(|| Unreadable::Bad {
        what: "type",
        found: text.into(),
        wanted: "request, response, event or control",
    })
}

/// RabbitMQ 4 takes what is above 4 before the rest; older ones do not choose.
fn priority(priority: Priority) -> u8 {
    match priority {
        Priority::Low => 2,
        Priority::Normal => 4,
        Priority::High => 6,
        Priority::Critical => 8,
    }
}

fn read_priority(number: u8) -> Priority {
    match number {
        0..=3 => Priority::Low,
        4 => Priority::Normal,
        5..=7 => Priority::High,
        _ => Priority::Critical,
    }
}

fn property<'a>(found: &'a Option<ShortString>, what: &'static str) -> Result<&'a str, Unreadable> {
    let found = found.as_ref().ok_or(Unreadable::Missing(what))?;
    Ok(found.as_str())
}

fn ulid(what: &'static str, text: &str) -> Result<MessageId, Unreadable> {
    text.parse().map_err(|_| Unreadable::Bad {
        what,
        found: text.into(),
        wanted: "ULID of 26 characters",
    })
}

fn queue(what: &'static str, text: &str) -> Result<Queue, Unreadable> {
    Queue::new(text).map_err(|_| Unreadable::Bad {
        what,
        found: text.into(),
        wanted: "name of a queue",
    })
}

#[derive(Default)]
struct Headers(FieldTable);

impl Headers {
    fn text(&mut self, name: &str, value: &str) {
        let value = AMQPValue::LongString(value.into());
        self.0.insert(name.into(), value);
    }

    fn number(&mut self, name: &str, value: i64) {
        self.0.insert(name.into(), AMQPValue::LongLongInt(value));
    }

    fn dead_letter(&mut self, letter: &DeadLetter) {
        self.text("dead-queue", letter.queue.as_str());
        self.text("dead-reason", &letter.reason);
    }
}

/// Headers that came: texts and numbers in any of the forms in which client libraries write them.
struct Read<'a>(&'a FieldTable);

impl Read<'_> {
    fn text(&self, name: &'static str) -> Result<Option<String>, Unreadable> {
        let value = self.0.inner().get(name);
        let text = value.map(|value| as_text(value).ok_or_else(|| bad(name, value, "text")));
        text.transpose()
    }

    fn number(&self, name: &'static str) -> Result<Option<i64>, Unreadable> {
        let value = self.0.inner().get(name);
        let number =
            value.map(|value| as_number(value).ok_or_else(|| bad(name, value, "whole number")));
        number.transpose()
    }
}

fn bad(what: &'static str, found: &AMQPValue, wanted: &'static str) -> Unreadable {
    Unreadable::Bad {
        what,
        found: as_text(found).unwrap_or_else(|| format!("{found:?}")),
        wanted,
    }
}

fn as_text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok().map(str::to_owned),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}

fn as_number(value: &AMQPValue) -> Option<i64> {
    match *value {
        AMQPValue::ShortShortInt(number) => Some(number.into()),
        AMQPValue::ShortShortUInt(number) => Some(number.into()),
        AMQPValue::ShortInt(number) => Some(number.into()),
        AMQPValue::ShortUInt(number) => Some(number.into()),
        AMQPValue::LongInt(number) => Some(number.into()),
        AMQPValue::LongUInt(number) => Some(number.into()),
        AMQPValue::LongLongInt(number) => Some(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROTOCOL: &str = include_str!("../../../docs/protocol.md");

    /// What the document shows of the messages that are published: all of it, and the body.
    fn examples() -> Vec<(&'static str, &'static str)> {
        let shown = PROTOCOL.split("```text\nexchange (the default one)\n");
        let shown = shown.skip(1).map(|rest| {
            let (shown, _) = rest.split_once("\n```").expect("its end");
            let (_, body) = shown.split_once("\nbody ").expect("a body");
            (shown, body)
        });
        shown.collect()
    }

    #[test]
    fn the_examples_of_the_document_are_what_is_sent() {
        let [(command, content), (page, rows)] = examples()[..] else {
            panic!("there are two");
        };
        let id = ulid("message id", "01K75DPZS0E2V9QT4XNBJA6WMF").expect("a ULID");
        let to = Queue::commands("payments").expect("a good name");
        let from = Queue::inbox(0);
        let mut message = Message::new(id, Kind::Request, from, to, content.to_owned());
        message.deadline = Some(Time::from_micros(1_760_000_030_000_000));
        assert_eq!(render(&write(&message).expect("it is small")), command);
        let partition = sagalog_model::log::PartitionId::new(0);
        let message = super::super::streams::message(partition, rows.to_owned());
        assert_eq!(render(&write(&message).expect("it is small")), page);
    }

    fn render(outgoing: &Outgoing) -> String {
        let properties = &outgoing.properties;
        let text = |value: &Option<ShortString>| value.clone().unwrap_or_default().to_string();
        let mut lines = vec![
            format!("routing key {}", outgoing.route),
            "mandatory true".to_owned(),
            format!("content_type {}", text(properties.content_type())),
            format!("delivery_mode {}", properties.delivery_mode().unwrap_or(1)),
            format!("priority {}", properties.priority().unwrap_or(0)),
            format!("reply_to {}", text(properties.reply_to())),
            format!("message_id {}", text(properties.message_id())),
            format!("type {}", text(properties.kind())),
        ];
        for (name, value) in properties.headers().iter().flatten() {
            lines.push(match value {
                AMQPValue::LongString(value) => format!("header {name} S {value}"),
                AMQPValue::LongLongInt(value) => format!("header {name} l {value}"),
                other => panic!("the document does not know the type of {other:?}"),
            });
        }
        let body = std::str::from_utf8(&outgoing.body).expect("it is text");
        lines.push(format!("body {body}"));
        lines.join("\n")
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let to = Queue::inbox(0);
        let of = |content: String| {
            Message::new(MessageId(1), Kind::Event, to.clone(), to.clone(), content)
        };
        assert!(write(&of("x".repeat(BODY_MAX_BYTES))).is_ok());
        assert!(write(&of("x".repeat(BODY_MAX_BYTES + 1))).is_err());
        for (name, value) in [
            ("a".into(), "x".repeat(HEADERS_MAX_BYTES)),
            ("x".repeat(256), String::new()),
        ] {
            let mut message = of(String::new());
            let details: &mut Details = message.details.get_or_insert_default();
            details.metadata.insert(name, value);
            assert!(write(&message).is_err());
        }
    }
}
