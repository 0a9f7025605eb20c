//! Dead letters: messages that nobody could use, on their way into the log and out of it again.

use std::sync::Arc;

use sagalog_engine::{Refusal, Resend};
use sagalog_model::{
    SagaId,
    dead_letter::{Body, Cause, DeadLetter, Envelope, LetterId},
    log::{Digest, Time},
};
use sagalog_transport::{
    ConsumerError, Delivery, Kind, Message, MessageId, Priority, Queue, WhyDead,
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tracing::{field::display, warn};

use super::{
    Driver,
    inputs::{From, Pending, Told},
};

/// Dead letters that were taken from their queue and are not durable. Each may have as many bytes as a
/// message.
pub(crate) const DEAD_PREFETCH: usize = 256;

/// What names the letter in a message that is sent again.
const LETTER: &str = "dead-letter";
/// And which time that is.
const RETRY: &str = "dead-letter-retry";

/// A message that died, as it is recorded.
#[derive(Clone, Debug)]
pub(crate) struct Burial {
    pub(super) letter: DeadLetter,
    pub(super) body: Body,
}

impl Burial {
    /// Of a message that was, or should have been, in this queue.
    pub(super) fn of(message: &Message, queue: &Queue, cause: Cause, reason: String) -> Self {
        let bytes = message.content.as_bytes();
        Self::new(message, queue, cause, reason, Seen::of(bytes))
    }

    /// Of a message that lies in the queue of the dead letters.
    pub(super) fn of_dead(message: &Message) -> Self {
        let Some(letter) = message.dead_letter() else {
            let reason = "it was published to the dead letters".to_owned();
            return Self::of(message, &message.to, Cause::Refused, reason);
        };
        let seen = match &letter.unread {
            Some(unread) => Seen {
                bytes: &unread.bytes,
                size: unread.size,
                digest: Digest(unread.sha_256),
            },
            None => Seen::of(message.content.as_bytes()),
        };
        let cause = cause_of(letter.why);
        Self::new(message, &letter.queue, cause, letter.reason.clone(), seen)
    }

    fn new(message: &Message, queue: &Queue, cause: Cause, reason: String, seen: Seen<'_>) -> Self {
        let id = message.id.to_string();
        let (letter, retries) =
            sent_again(message).unwrap_or_else(|| (LetterId::of(&id, seen.digest), 0));
        let letter = DeadLetter {
            id: letter,
            retries,
            cause,
            reason,
            queue: queue.as_str().into(),
            from: message.from.as_str().into(),
            message: id.into(),
            kind: message.kind.as_str().into(),
            correlation: message.correlation.map(|id| id.to_string().into()),
            deadline: message.deadline,
            saga: serde_json::from_slice(seen.bytes)
                .ok()
                .map(|About { saga }| saga),
            size: seen.size as u64,
            sha_256: seen.digest.to_string().into(),
            envelope: envelope(message),
        };
        let body = if seen.size > seen.bytes.len() {
            Body::head(seen.bytes)
        } else {
            Body::of(seen.bytes)
        };
        Self { letter, body }
    }
}

/// The bytes of a message, as far as they are here.
struct Seen<'a> {
    bytes: &'a [u8],
    size: usize,
    digest: Digest,
}

impl<'a> Seen<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            size: bytes.len(),
            digest: Digest(Sha256::digest(bytes).into()),
        }
    }
}

/// Commands, replies and withdrawals all say which saga they are about.
#[derive(Deserialize)]
struct About {
    saga: SagaId,
}

/// What its sender said beside its content, if anything.
fn envelope(message: &Message) -> Option<Box<Envelope>> {
    let unusual = Some(message.priority).filter(|priority| *priority != Priority::default());
    let mut envelope = Envelope {
        causation: message.causation.map(|id| id.to_string().into()),
        priority: unusual.map(|priority| priority.as_str().into()),
        ..Envelope::default()
    };
    if let Some(details) = &message.details {
        envelope.traceparent = details.traceparent.as_deref().map(Arc::from);
        envelope.tracestate = details.tracestate.as_deref().map(Arc::from);
        let said = details.metadata.iter();
        let said = said.filter(|(name, _)| ![LETTER, RETRY].contains(&name.as_str()));
        envelope.metadata = said
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
    }
    (envelope != Envelope::default()).then(|| Box::new(envelope))
}

/// Which letter a message is, if it was sent again, and which time that was.
pub(super) fn sent_again(message: &Message) -> Option<(LetterId, u32)> {
    let metadata = &message.details.as_ref()?.metadata;
    let letter = metadata.get(LETTER)?.parse().ok()?;
    Some((letter, metadata.get(RETRY)?.parse().ok()?))
}

/// The message of a letter that is to be sent again, to the queue that it died in.
///
/// None if what was recorded names no queue, which this program never writes.
fn message(resend: &Resend) -> Option<Message> {
    let letter = &resend.letter;
    let to = Queue::new(&*letter.queue).ok()?;
    let from = Queue::new(&*letter.from).unwrap_or_else(|_| to.clone());
    let id = letter.message.parse().unwrap_or(MessageId(letter.id.0));
    // What could not be read does not say what it is for; its queue does.
    let kind = match Kind::of(&letter.kind) {
        Some(Kind::Event) | None if to.has_one_consumer() => Kind::Response,
        kind => kind.unwrap_or(Kind::Request),
    };
    let mut message = Message::new(id, kind, from, to, resend.body.as_ref().to_owned());
    message.correlation = letter.correlation.as_ref().and_then(|id| id.parse().ok());
    // Another body may have been given because the time had passed; it says itself until when it is good.
    message.deadline = letter.deadline.filter(|_| !resend.is_edited);
    let details = message.details.get_or_insert_default();
    if let Some(envelope) = &letter.envelope {
        message.causation = envelope.causation.as_ref().and_then(|id| id.parse().ok());
        details.traceparent = envelope.traceparent.as_deref().map(str::to_owned);
        details.tracestate = envelope.tracestate.as_deref().map(str::to_owned);
        details.metadata.clone_from(&envelope.metadata);
        let priority = envelope.priority.as_deref().and_then(Priority::of);
        message.priority = priority.unwrap_or_default();
    }
    let metadata = &mut details.metadata;
    metadata.insert(LETTER.to_owned(), letter.id.to_string());
    metadata.insert(RETRY.to_owned(), resend.retry.to_string());
    Some(message)
}

const fn cause_of(why: WhyDead) -> Cause {
    match why {
        WhyDead::Refused => Cause::Refused,
        WhyDead::Unreadable => Cause::Unreadable,
        WhyDead::HashMismatch => Cause::HashMismatch,
        WhyDead::TooLarge => Cause::TooLarge,
        WhyDead::NoQueue => Cause::NoQueue,
        WhyDead::DeliveryLimit => Cause::DeliveryLimit,
        WhyDead::Expired => Cause::Expired,
        _ => Cause::GivenUp,
    }
}

/// Why a reply that was refused is dead.
pub(super) const fn cause_of_refusal(refusal: &Refusal) -> Cause {
    match refusal {
        Refusal::NoSuchSaga { .. }
        | Refusal::NoSuchDefinition { .. }
        | Refusal::BadHistory { .. } => Cause::UnknownSaga,
        Refusal::TooManyHeld => Cause::NoRoom,
        Refusal::Expired { .. } => Cause::Expired,
        _ => Cause::NotAsked,
    }
}

impl Driver {
    /// Takes what lies in the queue of the dead letters. It leaves it when it is durable (I8).
    pub(super) fn receive_dead(&mut self, deliveries: Vec<Delivery>) {
        let now = self.clock.now();
        for delivery in deliveries {
            let burial = Burial::of_dead(&delivery.message);
            let from = From::Dead(delivery.tag);
            self.bury(burial, from, now);
        }
    }

    pub(super) async fn acknowledge_dead(&mut self) -> Result<(), ConsumerError> {
        let tags = std::mem::take(&mut self.dead_acknowledged);
        match &mut self.dead {
            Some(dead) if !tags.is_empty() => dead.ack(&tags).await,
            _ => Ok(()),
        }
    }

    /// Records a dead letter.
    pub(super) fn bury(&mut self, burial: Burial, from: From, now: Time) {
        let DeadLetter {
            id,
            queue,
            reason,
            saga,
            ..
        } = &burial.letter;
        self.watch.died(burial.letter.cause);
        let saga = saga.as_ref().map(display);
        warn!(letter = %id, %queue, saga, reason, "a message is a dead letter");
        let told = Told::Died(Arc::new(burial));
        self.feed(Pending { told, from }, now);
    }

    /// A letter is to be sent again.
    pub(super) fn resend(&mut self, resend: &Resend) {
        match message(resend) {
            Some(message) => self.outgoing.push(message),
            None => {
                warn!(letter = %resend.letter.id, queue = %resend.letter.queue, "it names no queue")
            }
        }
    }
}
