//! A batch as it is appended, and its events as they are read back: once, for all who look.

use sagalog_model::{
    SagaEvent,
    dead_letter::LetterEvent,
    held_saga::HeldSagaEvent,
    log::{Batch, NewEvent},
    system::SystemEvent,
};

use super::system_event;

/// One batch.
#[derive(Debug)]
pub(crate) struct Row {
    batch: Batch,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Saga(Vec<SagaEvent>),
    /// What becomes of dead letters.
    Letters(Vec<LetterEvent>),
    /// What becomes of sagas that cannot be driven.
    HeldSagas(Vec<HeldSagaEvent>),
    System,
    /// What the engine could not read back, and why.
    Unreadable(String),
}

impl Row {
    /// Reads a batch back from its bytes, as a real log's reader would.
    pub(crate) fn new(batch: Batch) -> Self {
        let read = |event: &NewEvent| {
            SagaEvent::decode(&event.kind, event.schema, &event.control, &event.data)
        };
        let content = if batch.events.iter().all(is_of_the_system) {
            Content::System
        } else if batch.events.iter().all(is_of_a_letter) {
            let unreadable = || Content::Unreadable("what is recorded of a dead letter".into());
            letters(&batch).map_or_else(unreadable, Content::Letters)
        } else if batch.events.iter().all(is_of_a_held_saga) {
            let unreadable = || Content::Unreadable("what is recorded of a held saga".into());
            held_sagas(&batch).map_or_else(unreadable, Content::HeldSagas)
        } else {
            let events = batch.events.iter().map(read).collect::<Result<_, _>>();
            events.map_or_else(|why| Content::Unreadable(why.to_string()), Content::Saga)
        };
        Self { batch, content }
    }

    pub(crate) fn batch(&self) -> &Batch {
        &self.batch
    }

    /// The events of a saga; none of the system's.
    pub(crate) fn events(&self) -> &[SagaEvent] {
        match &self.content {
            Content::Saga(events) => events,
            _ => &[],
        }
    }

    /// What becomes of dead letters.
    pub(crate) fn letters(&self) -> &[LetterEvent] {
        match &self.content {
            Content::Letters(events) => events,
            _ => &[],
        }
    }

    /// What becomes of sagas that cannot be driven.
    pub(crate) fn held_sagas(&self) -> &[HeldSagaEvent] {
        match &self.content {
            Content::HeldSagas(events) => events,
            _ => &[],
        }
    }

    /// Whether it is what happened to a saga.
    pub(crate) fn is_of_a_saga(&self) -> bool {
        matches!(self.content, Content::Saga(_))
    }

    /// Whether it is the system's.
    pub(crate) fn is_of_the_system(&self) -> bool {
        matches!(self.content, Content::System)
    }

    /// Why the engine could not read it back, if so.
    pub(crate) fn unreadable(&self) -> Option<&str> {
        match &self.content {
            Content::Unreadable(why) => Some(why),
            _ => None,
        }
    }
}

fn letters(batch: &Batch) -> Option<Vec<LetterEvent>> {
    let letter = |event: &NewEvent| match system_event(event)? {
        SystemEvent::Letter(event) => Some(event),
        _ => None,
    };
    batch.events.iter().map(letter).collect()
}

fn held_sagas(batch: &Batch) -> Option<Vec<HeldSagaEvent>> {
    let held = |event: &NewEvent| match system_event(event)? {
        SystemEvent::HeldSaga(event) => Some(event),
        _ => None,
    };
    batch.events.iter().map(held).collect()
}

fn is_of_a_letter(event: &NewEvent) -> bool {
    event.kind.starts_with("DeadLetter")
}

fn is_of_a_held_saga(event: &NewEvent) -> bool {
    [
        "SagaHeld",
        "InputWaits",
        "WaitingEdited",
        "WaitingDropped",
        "SagaReleased",
    ]
    .contains(&&*event.kind)
}

fn is_of_the_system(event: &NewEvent) -> bool {
    ["PartitionOwned", "DefinitionRecorded", "LateSuccess"].contains(&&*event.kind)
}
