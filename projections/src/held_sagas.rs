//! The sagas of a partition that cannot be driven: the fold of `$held-N`.

use alloc::{collections::BTreeMap, string::String, sync::Arc, vec::Vec};

use sagalog_model::{
    Payload, SagaId,
    event::{HeldContent, Origin},
    held_saga::HeldSagaEvent,
    log::{Time, Version},
};

use crate::held::Held;

/// The sagas that cannot be driven.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HeldSagas {
    sagas: BTreeMap<SagaId, HeldSaga>,
}

/// A saga that cannot be driven.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HeldSaga {
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Time,
    /// What came for it since, in order: without what was given up, and as it was edited.
    pub inputs: Held,
    /// What people have decided about that, in order.
    pub decisions: Vec<Decision>,
    place: Version,
}

/// What a person has decided about an input that waits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decision {
    /// The input's number.
    pub number: u64,
    /// What it is.
    pub input: Origin,
    /// What it came with, or carried before.
    pub content: Payload,
    /// The caller's id for the request.
    pub id: Arc<str>,
    /// Who.
    pub by: Arc<str>,
    /// Until when the request may come again, if its sender says so.
    pub until: Option<Time>,
    /// What.
    pub what: Decided,
}

/// What a person can decide about an input that waits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decided {
    /// It carries this instead.
    Edited(Payload),
    /// It is given up.
    Dropped {
        /// Why.
        reason: String,
    },
}

impl HeldSaga {
    /// What waits is numbered behind this: no number means both an input that waits for a saga and one that the
    /// saga itself holds.
    pub const NUMBERED_FROM: u64 = 1_000_000;

    /// The most decisions that are kept: each is known when it comes again.
    pub const DECISIONS_MAX: usize = Held::MAX;

    /// What was decided under this id.
    pub fn decision(&self, id: &str) -> Option<&Decision> {
        self.decisions.iter().find(|decision| *decision.id == *id)
    }

    /// What an input came with, if it was edited.
    pub fn came_with(&self, number: u64) -> Option<&Payload> {
        let mut of = self.decisions.iter().filter(|it| it.number == number);
        of.next().map(|first| &first.content)
    }
}

impl HeldSagas {
    /// Takes the next event of the stream, at its version and time. One about a saga that is not here
    /// says nothing: the fold may have begun behind it.
    pub fn apply(&mut self, event: &HeldSagaEvent, place: Version, at: Time) {
        match event {
            HeldSagaEvent::Held(event) => {
                let held = self
                    .sagas
                    .entry(event.saga.clone())
                    .or_insert_with(|| HeldSaga {
                        reason: String::new(),
                        since: at,
                        inputs: Held::numbered_from(HeldSaga::NUMBERED_FROM),
                        decisions: Vec::new(),
                        place,
                    });
                held.reason.clone_from(&event.reason);
            }
            HeldSagaEvent::Waits(event, content) => {
                if let Some(held) = self.sagas.get_mut(&event.saga) {
                    let content = HeldContent {
                        reason: None,
                        content: content.clone(),
                    };
                    held.inputs.hold(event.input.clone(), content, at);
                }
            }
            HeldSagaEvent::Edited(event, content) => {
                if let Some(held) = self.sagas.get_mut(&event.saga)
                    && let Some(input) = held.inputs.find(event.number).cloned()
                {
                    held.inputs.edit(event.number, content.clone());
                    held.decisions.push(Decision {
                        number: event.number,
                        input: input.input,
                        content: input.content,
                        id: event.id.clone(),
                        by: event.by.clone(),
                        until: event.until,
                        what: Decided::Edited(content.clone()),
                    });
                }
            }
            HeldSagaEvent::Dropped(event) => {
                if let Some(held) = self.sagas.get_mut(&event.saga)
                    && let Some(input) = held.inputs.drop(event.number)
                {
                    let reason = event.reason.clone();
                    held.decisions.push(Decision {
                        number: event.number,
                        input: input.input,
                        content: input.content,
                        id: event.id.clone(),
                        by: event.by.clone(),
                        until: event.until,
                        what: Decided::Dropped { reason },
                    });
                }
            }
            HeldSagaEvent::Released(event) => {
                self.sagas.remove(&event.saga);
            }
        }
    }

    /// The saga of this id, if it is held.
    pub fn get(&self, saga: &SagaId) -> Option<&HeldSaga> {
        self.sagas.get(saga)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&SagaId, &HeldSaga)> {
        self.sagas.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sagas.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sagas.is_empty()
    }

    /// Where to begin to read to get what is here, if anything is.
    pub fn oldest(&self) -> Option<Version> {
        self.sagas.values().map(|held| held.place).min()
    }
}
