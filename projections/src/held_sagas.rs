//! The sagas of a partition that cannot be driven: the fold of `$held-N`.

use alloc::{collections::BTreeMap, string::String};

use sagalog_model::{
    SagaId,
    event::HeldContent,
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
    /// What came for it since, in order.
    pub inputs: Held,
    place: Version,
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
                        inputs: Held::default(),
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
