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

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn a_request_is_known_by_its_id() {
        let mut requests = Requests::default();
        requests.record("r-1".into());
        assert!(requests.contains("r-1"));
        assert!(!requests.contains("r-10"));
    }

    #[test]
    fn beyond_the_bound_the_oldest_is_forgotten() {
        let mut requests = Requests::default();
        for number in 0..=Requests::MAX {
            requests.record(format!("{number}").into());
        }
        assert!(!requests.contains("0"));
        assert!(requests.contains("1"));
        assert!(requests.contains(&format!("{}", Requests::MAX)));
        assert_eq!(requests.ids.len(), Requests::MAX);
    }
}
