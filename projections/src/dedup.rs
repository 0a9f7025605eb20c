//! Which requests were recorded before: an input that comes twice is decided once.

use alloc::{collections::VecDeque, string::ToString, sync::Arc};

use sagalog_model::Payload;

/// The newest operator requests of a saga.
///
/// Bounded: beyond [`Requests::MAX`] the oldest is forgotten, and one sent again is then a new one.
/// Operator actions are always accepted, and each is legal in one state only.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Requests {
    known: VecDeque<(Arc<str>, Asked)>,
}

/// What a request asked for: the same id with something else is an error of its sender.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asked {
    kind: &'static str,
    node: Option<Arc<str>>,
    content: Arc<str>,
}

impl Asked {
    /// To undo the saga.
    pub fn cancel(reason: &str) -> Self {
        Self {
            kind: "cancel",
            node: None,
            content: reason.into(),
        }
    }

    /// To try a node again.
    pub fn retry(node: &Arc<str>) -> Self {
        Self {
            kind: "retry",
            node: Some(node.clone()),
            content: "".into(),
        }
    }

    /// To take a node's work as done.
    pub fn resolve(node: &Arc<str>, output: &str) -> Self {
        Self {
            kind: "resolve",
            node: Some(node.clone()),
            content: output.into(),
        }
    }

    /// To process a held input, perhaps with another content.
    pub fn release(number: u64, content: Option<&Payload>) -> Self {
        Self {
            kind: "release",
            node: Some(number.to_string().into()),
            content: content.map_or_else(|| "".into(), Payload::text),
        }
    }

    /// To give a held input up.
    pub fn drop(number: u64, reason: &str) -> Self {
        Self {
            kind: "drop",
            node: Some(number.to_string().into()),
            content: reason.into(),
        }
    }

    /// To give a node's work up.
    pub fn skip(node: &Arc<str>, reason: &str) -> Self {
        Self {
            kind: "skip",
            node: Some(node.clone()),
            content: reason.into(),
        }
    }
}

impl Requests {
    /// How many requests are remembered.
    pub const MAX: usize = 1_000;

    /// Whether a request of this id was recorded.
    pub fn contains(&self, id: &str) -> bool {
        self.find(id).is_some()
    }

    /// What the request of this id asked for.
    pub fn find(&self, id: &str) -> Option<&Asked> {
        self.known
            .iter()
            .find(|(known, _)| **known == *id)
            .map(|(_, asked)| asked)
    }

    pub(crate) fn record(&mut self, id: &Arc<str>, asked: Asked) {
        if self.known.len() == Self::MAX {
            self.known.pop_front();
        }
        self.known.push_back((id.clone(), asked));
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn a_request_is_known_by_its_id() {
        let mut requests = Requests::default();
        requests.record(&"r-1".into(), Asked::cancel("why"));
        assert_eq!(requests.find("r-1"), Some(&Asked::cancel("why")));
        assert_ne!(requests.find("r-1"), Some(&Asked::cancel("another")));
        assert!(!requests.contains("r-10"));
    }

    #[test]
    fn beyond_the_bound_the_oldest_is_forgotten() {
        let mut requests = Requests::default();
        for number in 0..=Requests::MAX {
            requests.record(&format!("{number}").into(), Asked::cancel(""));
        }
        assert!(!requests.contains("0"));
        assert!(requests.contains("1"));
        assert!(requests.contains(&format!("{}", Requests::MAX)));
        assert_eq!(requests.known.len(), Requests::MAX);
    }
}
