//! A stored batch, as readers get it.

use std::borrow::Cow;

use sagalog_model::log::{
    Batch, BatchId, Data, Digest, Epoch, EventId, InputId, NewEvent, Position, SchemaVersion,
    StreamKey, StreamName, StreamState, Time, Version,
};

/// One stored batch: what was concluded from one input, for one stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Row {
    /// Position of the first event.
    pub position: Position,
    /// The stream: the position of its first event.
    pub stream: StreamKey,
    /// The stream's name, in its first row only.
    pub name: Option<StreamName>,
    /// Version of the first event.
    pub version: Version,
    /// When it was decided.
    pub at: Time,
    /// Under which ownership it was appended.
    pub epoch: Epoch,
    /// The batch's id.
    pub id: BatchId,
    /// The input that caused it.
    pub input: InputId,
    /// SHA-256 of that input's content.
    pub digest: Digest,
    /// Whether the stream goes on after it.
    pub state: StreamState,
    /// The hash of this row and of everything before it in the partition.
    pub chain: Digest,
    /// Its events, at least one.
    pub events: Vec<Recorded>,
}

impl Row {
    /// The row that stores `batch`; [`seal`](crate::seal) gives it its chain value.
    pub fn new(batch: Batch, epoch: Epoch) -> Self {
        let Batch {
            stream,
            name,
            version,
            position,
            at,
            id,
            input,
            digest,
            state,
            events,
        } = batch;
        let events = events.into_iter().map(Recorded::from).collect();
        Self {
            position,
            stream,
            name,
            version,
            at,
            epoch,
            id,
            input,
            digest,
            state,
            chain: Digest::default(),
            events,
        }
    }

    /// Position of the last event.
    pub fn last_position(&self) -> Position {
        Position::new(self.position.get() + self.events.len() as u64 - 1)
    }

    /// Version of the last event.
    pub fn last_version(&self) -> Version {
        Version::new(self.version.get() + self.events.len() as u64 - 1)
    }

    /// Its events, each with its own place and id.
    pub fn events(&self) -> impl ExactSizeIterator<Item = Event<'_>> {
        self.events
            .iter()
            .enumerate()
            .map(|(index, recorded)| Event {
                position: self.position.plus(index as u64),
                version: self.version.plus(index as u64),
                id: self.id.event(index),
                recorded,
            })
    }

    /// Its events from a position on: what is left for a reader that starts inside the batch.
    pub fn events_from(&self, position: Position) -> impl Iterator<Item = Event<'_>> {
        self.events()
            .skip_while(move |event| event.position < position)
    }
}

/// One stored event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recorded {
    /// Its type.
    pub kind: Cow<'static, str>,
    /// The version of that type's schema.
    pub schema: SchemaVersion,
    /// A small JSON object, exactly as it was appended.
    pub control: String,
    /// The user's bytes, exactly as they were appended, or the hash that they left.
    pub data: Data,
}

impl From<NewEvent> for Recorded {
    fn from(event: NewEvent) -> Self {
        let NewEvent {
            kind,
            schema,
            control,
            data,
        } = event;
        Self {
            kind,
            schema,
            control,
            data,
        }
    }
}

/// An event with its place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Event<'a> {
    /// Place in the partition.
    pub position: Position,
    /// Place in its stream.
    pub version: Version,
    /// Its id.
    pub id: EventId,
    /// What is stored.
    pub recorded: &'a Recorded,
}
