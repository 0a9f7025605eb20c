//! Dead letters: messages that nobody could use. The log records each, and keeps it until a person
//! sends it again or gives it up.

use alloc::{boxed::Box, collections::BTreeMap, string::String, sync::Arc, vec::Vec};
use core::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    log::{Digest, Time, Version},
    message::SagaId,
};

/// Names a dead letter: a hash of the message's id and bytes, so that a message that is recorded twice
/// is one letter.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LetterId(pub u128);

impl LetterId {
    /// The letter of the message with this id, or without one, and the digest of its bytes.
    pub fn of(message: &str, bytes: Digest) -> Self {
        let mut hash = Sha256::new();
        hash.update((message.len() as u64).to_be_bytes());
        hash.update(message.as_bytes());
        hash.update(bytes.0);
        let hash: [u8; 32] = hash.finalize().into();
        let (head, _) = hash
            .split_first_chunk()
            .expect("a SHA-256 has more than sixteen bytes");
        Self(u128::from_be_bytes(*head))
    }
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&ulid::Ulid(self.0), f)
    }
}

/// A text that is no letter's id.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not the id of a dead letter, which has 26 letters and digits")]
pub struct NotALetter(pub String);

impl FromStr for LetterId {
    type Err = NotALetter;

    fn from_str(text: &str) -> Result<Self, NotALetter> {
        match ulid::Ulid::from_string(text) {
            Ok(ulid) => Ok(Self(ulid.0)),
            Err(_) => Err(NotALetter(text.into())),
        }
    }
}

impl TryFrom<String> for LetterId {
    type Error = NotALetter;

    fn try_from(text: String) -> Result<Self, NotALetter> {
        text.parse()
    }
}

impl From<LetterId> for String {
    fn from(id: LetterId) -> Self {
        alloc::format!("{id}")
    }
}

/// Why a message died, to group by. The text beside it says more.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It breaks the envelope of the protocol: its content type, a property, a header, its text.
    Unreadable,
    /// Its bytes are not those whose hash it carries.
    HashMismatch,
    /// It is larger than a message may be.
    TooLarge,
    /// The envelope is good, and it does not say what its queue is for: no reply in an inbox.
    WrongContent,
    /// Of a saga that was never started, or whose history cannot be used.
    UnknownSaga,
    /// A reply to an attempt that was not asked, or of a kind that the attempt does not have.
    NotAsked,
    /// As many inputs of its saga are held as may be.
    NoRoom,
    /// Its consumer, such as a worker, gave it back as of no use.
    Refused,
    /// The queue it was sent to does not exist.
    NoQueue,
    /// It came back unacknowledged too often.
    DeliveryLimit,
    /// It came after its time.
    Expired,
    /// The broker gave it up for another reason.
    GivenUp,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Unreadable,
        Self::HashMismatch,
        Self::TooLarge,
        Self::WrongContent,
        Self::UnknownSaga,
        Self::NotAsked,
        Self::NoRoom,
        Self::Refused,
        Self::NoQueue,
        Self::DeliveryLimit,
        Self::Expired,
        Self::GivenUp,
    ];

    /// Its word, the same in every release.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::HashMismatch => "hash_mismatch",
            Self::TooLarge => "too_large",
            Self::WrongContent => "wrong_content",
            Self::UnknownSaga => "unknown_saga",
            Self::NotAsked => "not_asked",
            Self::NoRoom => "no_room",
            Self::Refused => "refused",
            Self::NoQueue => "no_queue",
            Self::DeliveryLimit => "delivery_limit",
            Self::Expired => "expired",
            Self::GivenUp => "given_up",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A message that died: what is known of it beside its bytes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its id, which stays when it is sent again and dies again.
    pub id: LetterId,
    /// How often it had been sent again when it died.
    pub retries: u32,
    /// Why it died, to group by.
    pub cause: Cause,
    /// Why it died, for people.
    pub reason: String,
    /// The queue it was in; sent again, it goes there.
    pub queue: Arc<str>,
    /// The queue of whoever sent it.
    pub from: Arc<str>,
    /// The message's id.
    pub message: Arc<str>,
    /// What the message was for: `request`, `response`, `event` or `control`.
    pub kind: Arc<str>,
    /// The message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<Arc<str>>,
    /// When the message is of no use any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// The saga that it is about, if that could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saga: Option<SagaId>,
    /// How many bytes the body had.
    pub size: u64,
    /// The SHA-256 of all of the body, in hexadecimal digits.
    pub sha_256: Arc<str>,
    /// What else its sender said, if anything: it travels with the letter when that is sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envelope: Option<Box<Envelope>>,
}

/// What only some messages say beside their content.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// The message that led to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation: Option<Arc<str>>,
    /// The W3C trace context's `traceparent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<Arc<str>>,
    /// The W3C trace context's `tracestate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<Arc<str>>,
    /// What goes first where a transport can choose: `low`, `high` or `critical`; nothing if it is normal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Arc<str>>,
    /// What the sender added for whoever reads it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

impl Envelope {
    /// How many bytes it takes where it is kept.
    pub fn kept(&self) -> usize {
        let texts = [
            &self.causation,
            &self.traceparent,
            &self.tracestate,
            &self.priority,
        ];
        let texts = texts.into_iter().flatten().map(|text| text.len());
        let metadata = self.metadata.iter();
        let metadata = metadata.map(|(name, value)| name.len() + value.len());
        texts.chain(metadata).sum()
    }
}

/// The bytes of a dead letter, as far as they are kept.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// All of it, which is text.
    Text(Arc<str>),
    /// All of it, which is no text, as base64.
    Base64(Arc<str>),
    /// Its beginning, as base64: it was larger than [`Body::MAX_BYTES`].
    Head(Arc<str>),
}

impl Body {
    /// The largest body that is kept whole: whatever a transport carries fits.
    pub const MAX_BYTES: usize = 1024 * 1024;

    /// How much is kept of a larger one.
    pub const HEAD_BYTES: usize = 4 * 1024;

    /// What is kept of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        if bytes.len() > Self::MAX_BYTES {
            return Self::head(bytes);
        }
        match core::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.into()),
            Err(_) => Self::Base64(STANDARD.encode(bytes).into()),
        }
    }

    /// What is kept of more bytes than these.
    pub fn head(bytes: &[u8]) -> Self {
        let head = &bytes[..bytes.len().min(Self::HEAD_BYTES)];
        Self::Head(STANDARD.encode(head).into())
    }

    /// What was kept, as it came.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.as_bytes().to_vec(),
            // Only this module writes it; damaged bytes show as none.
            Self::Base64(text) | Self::Head(text) => {
                STANDARD.decode(text.as_bytes()).unwrap_or_default()
            }
        }
    }

    /// The text, if it is one and all of it was kept: then it can be sent again.
    pub const fn text(&self) -> Option<&Arc<str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Base64(_) | Self::Head(_) => None,
        }
    }

    /// How many bytes it takes where it is kept.
    pub fn kept(&self) -> usize {
        let (Self::Text(text) | Self::Base64(text) | Self::Head(text)) = self;
        text.len()
    }
}

/// What becomes of dead letters: the events of `$dead-N`.
///
/// Each says where the events begin that the letters still there need: who folds begins at the `oldest`
/// of the newest event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LetterEvent {
    /// A message died.
    Died(Died, Body),
    /// Somebody wants it sent again, with another body if there is one.
    Retried(Retried, Option<Body>),
    /// The broker has it again.
    Sent(Sent),
    /// It is given up.
    Purged(Purged),
}

/// A message died, for the first time or again.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Died {
    /// The message.
    pub letter: DeadLetter,
    /// How often it has died, with this.
    pub deaths: u32,
    /// When it died first.
    pub first_at: Time,
    /// The ids of the newest requests to send it again, so that one that comes twice is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<Arc<str>>,
    /// Where to begin to read.
    pub oldest: Version,
}

/// A letter is to be sent again.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Retried {
    /// The letter.
    pub letter: LetterId,
    /// The caller's id for the request.
    pub id: Arc<str>,
    /// Who wants it.
    pub by: Arc<str>,
    /// Which time this is, from 1.
    pub retry: u32,
    /// Where to begin to read.
    pub oldest: Version,
}

/// A letter was sent again.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// The letter.
    pub letter: LetterId,
    /// Which time this was.
    pub retry: u32,
    /// Where to begin to read.
    pub oldest: Version,
}

/// A letter is given up. Its bytes stay in the log.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Purged {
    /// The letter.
    pub letter: LetterId,
    /// By whom, or why by the runtime itself.
    pub why: WhyPurged,
    /// Where to begin to read.
    pub oldest: Version,
}

/// Why a letter is given up.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyPurged {
    /// A person wants it.
    Asked {
        /// The caller's id for the request.
        id: Arc<str>,
        /// Who.
        by: Arc<str>,
        /// Why.
        reason: Arc<str>,
    },
    /// It has been there for longer than letters are kept.
    Expired,
    /// It was the oldest when there was no room for another.
    NoRoom,
}

impl LetterEvent {
    /// Where the events begin that the letters still there after it need.
    pub const fn oldest(&self) -> Version {
        match self {
            Self::Died(event, _) => event.oldest,
            Self::Retried(event, _) => event.oldest,
            Self::Sent(event) => event.oldest,
            Self::Purged(event) => event.oldest,
        }
    }

    /// The same, to be set when the event is recorded.
    pub const fn oldest_mut(&mut self) -> &mut Version {
        match self {
            Self::Died(event, _) => &mut event.oldest,
            Self::Retried(event, _) => &mut event.oldest,
            Self::Sent(event) => &mut event.oldest,
            Self::Purged(event) => &mut event.oldest,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn the_same_message_is_one_letter_and_its_id_reads_back() {
        let bytes = Digest([7; 32]);
        let id = LetterId::of("01K75DPZS0E2V9QT4XNBJA6WMF", bytes);
        assert_eq!(id, LetterId::of("01K75DPZS0E2V9QT4XNBJA6WMF", bytes));
        assert_ne!(id, LetterId::of("01K75DPZS0E2V9QT4XNBJA6WMG", bytes));
        assert_ne!(
            id,
            LetterId::of("01K75DPZS0E2V9QT4XNBJA6WMF", Digest([8; 32]))
        );
        assert_eq!(alloc::format!("{id}").parse(), Ok(id));
        assert!("charge".parse::<LetterId>().is_err());
    }

    #[test]
    fn a_body_is_kept_whole_up_to_its_bound_and_then_its_head() {
        let text = Body::of(b"{\"a\":1}");
        assert_eq!(text.text().map(|text| &**text), Some("{\"a\":1}"));
        let bytes = Body::of(&[0xff, 0]);
        assert_eq!((bytes.text(), bytes.bytes()), (None, vec![0xff, 0]));
        let largest = vec![b'x'; Body::MAX_BYTES];
        assert_eq!(Body::of(&largest).bytes(), largest);
        let larger = Body::of(&vec![b'x'; Body::MAX_BYTES + 1]);
        assert!(matches!(larger, Body::Head(_)));
        assert_eq!(larger.bytes(), vec![b'x'; Body::HEAD_BYTES]);
    }
}
