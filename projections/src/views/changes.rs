//! What batches change in the views.

use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};

use sagalog_model::{NodeIndex, log::StreamKey};

use super::{LetterChange, MessageRow, NodeRow, SagaRow, Tally};

/// What some batches of a partition change. Rows replace those of the same key; tallies are added to
/// what was counted before, so changes are stored once, together with how far they go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Sagas.
    pub sagas: BTreeMap<StreamKey, SagaRow>,
    /// Their nodes.
    pub nodes: BTreeMap<(StreamKey, NodeIndex), NodeRow>,
    /// Messages, in the order of their positions. Each is new.
    pub messages: Vec<MessageRow>,
    /// What becomes of dead letters, in order.
    pub letters: Vec<LetterChange>,
    /// What was asked and answered, by contract.
    pub tallies: BTreeMap<Arc<str>, Tally>,
}

impl Changes {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.sagas.is_empty()
            && self.nodes.is_empty()
            && self.messages.is_empty()
            && self.letters.is_empty()
            && self.tallies.is_empty()
    }

    pub(super) fn tally(&mut self, contract: &Arc<str>) -> &mut Tally {
        self.tallies.entry(contract.clone()).or_default()
    }
}
