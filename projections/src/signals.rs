//! The signals of a saga: early ones wait, first in first out for each name.

use alloc::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use sagalog_model::Payload;

/// Signals that came and were not consumed, and the ids of all that ever came.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Signals {
    waiting: VecDeque<WaitingSignal>,
    ids: BTreeSet<Arc<str>>,
    late: usize,
}

/// A signal that no wait has taken so far.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WaitingSignal {
    /// Its name.
    pub signal: Arc<str>,
    /// The sender's id for it.
    pub id: Arc<str>,
    /// What it carries.
    pub payload: Payload,
}

impl Signals {
    /// How many signals a saga accepts in its life. Their ids are kept, so that each counts once.
    pub const MAX: usize = 1_000;

    /// Whether a signal of this id was recorded.
    pub fn contains(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Whether no more are accepted.
    pub fn is_full(&self) -> bool {
        self.ids.len() >= Self::MAX
    }

    /// The oldest waiting one of this name.
    pub fn oldest(&self, signal: &str) -> Option<&WaitingSignal> {
        self.waiting
            .iter()
            .find(|waiting| &*waiting.signal == signal)
    }

    /// How many wait to be consumed.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many came too late.
    pub const fn late(&self) -> usize {
        self.late
    }

    pub(crate) fn record(&mut self, signal: WaitingSignal) {
        self.ids.insert(signal.id.clone());
        self.waiting.push_back(signal);
    }

    pub(crate) fn take(&mut self, id: &str) -> Option<WaitingSignal> {
        let at = self.waiting.iter().position(|waiting| &*waiting.id == id)?;
        self.waiting.remove(at)
    }

    pub(crate) fn mark_late(&mut self, id: &str) -> bool {
        let was_waiting = self.take(id).is_some();
        self.late += usize::from(was_waiting);
        was_waiting
    }
}
