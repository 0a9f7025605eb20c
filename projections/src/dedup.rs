//! Which requests were recorded before: an input that comes twice is decided once.

use alloc::{collections::VecDeque, sync::Arc};

/// The ids of the newest operator requests of a saga.
///
/// Bounded: beyond [`Requests::MAX`] the oldest id is forgotten. Operator actions are always
/// accepted and each is legal in one state only, so a forgotten one cannot act twice.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Requests {
    ids: VecDeque<Arc<str>>,
}

impl Requests {
    /// How many ids are remembered.
    pub const MAX: usize = 1_000;

    /// Whether a request of this id was recorded.
    pub fn contains(&self, id: &str) -> bool {
        self.ids.iter().any(|known| &**known == id)
    }

    pub(crate) fn record(&mut self, id: Arc<str>) {
        if self.ids.len() == Self::MAX {
            self.ids.pop_front();
        }
        self.ids.push_back(id);
    }
}
