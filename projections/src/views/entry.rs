//! What a view is folded from.

use alloc::vec::Vec;

use sagalog_model::{
    SagaEvent,
    event::UnreadableEvent,
    log::{Data, Position, SchemaVersion, StreamKey, StreamName, Time, Version},
    system::SystemEvent,
};

/// A batch as the log stores it, with the name of its stream.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Its stream.
    pub stream: StreamKey,
    /// The name of that stream.
    pub name: &'a StreamName,
    /// Position of its first event.
    pub position: Position,
    /// Version of its first event.
    pub version: Version,
    /// When it was decided.
    pub at: Time,
    /// Its events.
    pub events: Vec<Stored<'a>>,
}

/// An event as the log stores it.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// Its type.
    pub kind: &'a str,
    /// The version of that type's schema.
    pub schema: SchemaVersion,
    /// Its control part.
    pub control: &'a str,
    /// The user's bytes.
    pub data: &'a Data,
}

impl Entry<'_> {
    /// Whether its stream is a saga's, and not one of the system's.
    pub fn is_of_a_saga(&self) -> bool {
        !self.name.as_str().starts_with('$')
    }
}

impl Stored<'_> {
    pub(super) fn of_a_saga(&self) -> Result<SagaEvent, UnreadableEvent> {
        SagaEvent::decode(self.kind, self.schema, self.control, self.data)
    }

    pub(super) fn of_the_system(&self) -> Result<SystemEvent, UnreadableEvent> {
        SystemEvent::decode(self.kind, self.schema, self.control, self.data)
    }
}
