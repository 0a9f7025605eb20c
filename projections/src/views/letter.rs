//! The row of a dead letter.

use alloc::{string::String, sync::Arc};

use sagalog_model::{
    SagaId,
    dead_letter::{Cause, LetterEvent, LetterId},
    log::Time,
};

use crate::dead_letters::Phase;

/// One dead letter that is there. Its bytes stay in the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LetterRow {
    /// Its id.
    pub id: LetterId,
    /// Why it died, to group by.
    pub cause: Cause,
    /// Why it died, for people.
    pub reason: String,
    /// The queue it was in.
    pub queue: Arc<str>,
    /// The queue of whoever sent it.
    pub from: Arc<str>,
    /// The saga that it is about, if that could be read.
    pub saga: Option<SagaId>,
    /// How many bytes it had.
    pub size: u64,
    /// How often it has died.
    pub deaths: u32,
    /// When it died first.
    pub first_at: Time,
    /// When it died last.
    pub at: Time,
}

/// What becomes of a dead letter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LetterChange {
    /// It died, for the first time or again, and waits for a person.
    Died(LetterRow),
    /// It is somewhere else on its way.
    Phase(LetterId, Phase),
    /// It was given up.
    Gone(LetterId),
}

impl LetterChange {
    pub(super) fn of(event: LetterEvent, at: Time) -> Self {
        match event {
            LetterEvent::Died(died, _) => Self::Died(LetterRow {
                id: died.letter.id,
                cause: died.letter.cause,
                reason: died.letter.reason,
                queue: died.letter.queue,
                from: died.letter.from,
                saga: died.letter.saga,
                size: died.letter.size,
                deaths: died.deaths,
                first_at: died.first_at,
                at,
            }),
            LetterEvent::Retried(event, _) => Self::Phase(event.letter, Phase::Sending),
            LetterEvent::Sent(event) => Self::Phase(event.letter, Phase::Sent),
            LetterEvent::Purged(event) => Self::Gone(event.letter),
        }
    }
}
