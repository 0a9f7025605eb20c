//! The words that the engine and the event log share: places, times, ids, and what is appended.
//!
//! Nothing here knows what a saga is. A partition is the unit of order: its events have gapless
//! [`Position`]s. A stream lives in one partition and its events have gapless [`Version`]s.

use alloc::{borrow::Cow, string::String, sync::Arc, vec::Vec};
use core::{fmt, num::NonZeroU32, time::Duration};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name($inner);

        impl $name {
            /// Wraps the plain number.
            pub const fn new(number: $inner) -> Self {
                Self(number)
            }

            /// The plain number.
            pub const fn get(self) -> $inner {
                self.0
            }

            /// This one, `count` places further on.
            #[must_use]
            pub const fn plus(self, count: $inner) -> Self {
                Self(self.0 + count)
            }

            /// The one after this.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// Place of an event in its partition, counted from 1 without gaps; 0 is before the first.
    Position(u64)
}
number! {
    /// Place of an event in its stream, counted from 1 without gaps; 0 is before the first.
    Version(u64)
}
number! {
    /// Number of an ownership of a partition; a higher one fences the lower ones.
    Epoch(u64)
}
number! {
    /// Number of a partition, from 0.
    PartitionId(u32)
}

impl PartitionId {
    /// The partition in which a stream of this name lives, in a log of so many partitions: the first
    /// eight bytes of the SHA-256 of the name, as a big-endian number, modulo the count. The system's
    /// own streams carry their partition in their name instead.
    ///
    /// Part of the log's format: it is the same in every release and for every program.
    ///
    /// ```
    /// use std::num::NonZeroU32;
    ///
    /// use sagalog_model::log::PartitionId;
    ///
    /// let sixteen = NonZeroU32::new(16).unwrap();
    /// assert_eq!(PartitionId::of("order-1", sixteen), PartitionId::new(12));
    /// assert_eq!(PartitionId::of("order-1", NonZeroU32::MIN), PartitionId::new(0));
    /// ```
    pub fn of(name: &str, partitions: NonZeroU32) -> Self {
        if partitions == NonZeroU32::MIN {
            return Self(0);
        }
        let hash: [u8; 32] = Sha256::digest(name.as_bytes()).into();
        let (head, _) = hash
            .split_first_chunk()
            .expect("a SHA-256 has more than eight bytes");
        let number = u64::from_be_bytes(*head) % u64::from(partitions.get());
        Self(u32::try_from(number).expect("a remainder is smaller than its divisor"))
    }
}

number! {
    /// A stream's short name inside its partition: the position of its first event.
    StreamKey(u64)
}
number! {
    /// Version of the schema of one event type, from 1.
    SchemaVersion(u16)
}

/// A moment: microseconds since 1970-01-01T00:00:00Z, never before it.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Time(u64);

impl Time {
    /// From microseconds since 1970.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// This moment plus `span`; a sum beyond the range stays at its end.
    #[must_use]
    pub const fn after(self, span: Duration) -> Self {
        let micros = span.as_micros();
        Self(self.0.saturating_add(if micros > u64::MAX as u128 {
            u64::MAX
        } else {
            micros as u64
        }))
    }

    /// This moment less `span`; never before 1970.
    #[must_use]
    pub const fn before(self, span: Duration) -> Self {
        let micros = span.as_micros();
        Self(self.0.saturating_sub(if micros > u64::MAX as u128 {
            u64::MAX
        } else {
            micros as u64
        }))
    }

    /// The span from `earlier` to this moment; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// A SHA-256 value, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Reads a hash of 64 lower-case hexadecimal digits, as it is displayed.
    pub fn parse(text: &str) -> Option<Self> {
        let nibble = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let mut digest = [0; 32];
        if !rest.is_empty() || pairs.len() != digest.len() {
            return None;
        }
        for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Some(Self(digest))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl TryFrom<String> for Digest {
    type Error = NotADigest;

    fn try_from(text: String) -> Result<Self, NotADigest> {
        Self::parse(&text).ok_or(NotADigest(text))
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        alloc::format!("{digest}")
    }
}

/// A text that is no SHA-256 value.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is no SHA-256 value, which has 64 digits from 0 to f")]
pub struct NotADigest(pub String);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(pub u128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&ulid::Ulid(self.0), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

id! {
    /// A ULID, derived from what the batch is (its time, and a hash of stream, version and input
    /// id), never drawn: deciding the same input again gives the same id.
    BatchId
}
id! {
    /// Identity of an input: the same input delivered twice has the same id.
    InputId
}
id! {
    /// Identity of an event: its batch's id plus its index in the batch.
    EventId
}

impl BatchId {
    /// The id of the event at `index` of this batch.
    pub const fn event(self, index: usize) -> EventId {
        EventId(self.0.wrapping_add(index as u128))
    }
}

/// A stream's name: 1 to 255 bytes of printable text. Names that begin with `$` are the system's.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamName(Arc<str>);

impl StreamName {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// Takes a name.
    ///
    /// # Errors
    /// [`BadName`] says what is wrong with it.
    pub fn new(name: impl Into<Arc<str>>) -> Result<Self, BadName> {
        let name = name.into();
        if name.is_empty() {
            return Err(BadName::Empty);
        }
        if name.len() > Self::MAX_BYTES {
            return Err(BadName::TooLong { bytes: name.len() });
        }
        match name.chars().find(|c| c.is_control() || c.is_whitespace()) {
            Some(character) => Err(BadName::Character { character }),
            None => Ok(Self(name)),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for StreamName {
    type Error = BadName;

    fn try_from(name: String) -> Result<Self, BadName> {
        Self::new(name)
    }
}

impl From<StreamName> for String {
    fn from(name: StreamName) -> Self {
        Self::from(name.as_str())
    }
}

impl From<StreamName> for Arc<str> {
    fn from(name: StreamName) -> Self {
        name.0
    }
}

/// Why a text cannot name a stream (or a saga, whose id names its stream).
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadName {
    /// No text at all.
    #[error("an id needs at least one character")]
    Empty,
    /// More than [`StreamName::MAX_BYTES`].
    #[error("an id has at most {max} bytes, this one has {bytes}", max = StreamName::MAX_BYTES)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// A space or a control character, which would make the id unreadable in a terminal.
    #[error("an id has no spaces or control characters, this one has {character:?}")]
    Character {
        /// The first such character.
        character: char,
    },
    /// A saga id that begins with `$`.
    #[error("ids that begin with `$` belong to the system")]
    Reserved,
}

/// Whether a stream is still going on. A store's notion: recovery reads open streams only.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StreamState {
    /// More will be appended.
    Open,
    /// Nothing needs this stream any more, unless somebody asks for it.
    Closed,
}

/// What the user's bytes of one event have become.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Data {
    /// There never were any.
    None,
    /// JSON text exactly as it was written.
    Inline(Arc<str>),
    /// Removed for good; the hash of what was there keeps the chain whole.
    Erased(Digest),
}

/// One event as it is appended: the log stores `control` and `data` exactly as given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewEvent {
    /// Its type, a name of letters such as `AttemptAsked`.
    pub kind: Cow<'static, str>,
    /// The version of that type's schema.
    pub schema: SchemaVersion,
    /// A small JSON object, always in the clear: enough to fold status, steps and timers.
    pub control: String,
    /// The user's bytes.
    pub data: Data,
}

/// One input and what was decided on it: the unit that is appended whole or not at all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Batch {
    /// The stream; for a new one, the position of its first event.
    pub stream: StreamKey,
    /// The stream's name, exactly if this batch is its first.
    pub name: Option<StreamName>,
    /// Version of the first event.
    pub version: Version,
    /// Position of the first event.
    pub position: Position,
    /// The time that was decided with; never earlier than that of the batch before it.
    pub at: Time,
    /// The batch's own id.
    pub id: BatchId,
    /// The input that caused it.
    pub input: InputId,
    /// SHA-256 of that input's content, so that one id with two contents is found out.
    pub digest: Digest,
    /// Whether the stream goes on after this batch.
    pub state: StreamState,
    /// Its events, at least one.
    pub events: Vec<NewEvent>,
}

impl Batch {
    /// Position of the last event.
    pub fn last_position(&self) -> Position {
        Position::new(self.position.get() + self.events.len() as u64 - 1)
    }

    /// Version of the last event.
    pub fn last_version(&self) -> Version {
        Version::new(self.version.get() + self.events.len() as u64 - 1)
    }
}
