//! The signals of a saga: early ones wait, first in first out for each name.

use alloc::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use sagalog_model::Payload;

/// Signals that came and were not consumed, and all that ever came, by id.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Signals {
    waiting: VecDeque<WaitingSignal>,
    known: BTreeMap<Arc<str>, WaitingSignal>,
    late: usize,
}

/// A signal as it came.
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
    /// How many signals a saga accepts in its life, of those that nobody numbers. They are kept, so
    /// that each counts once. And how many may wait to be consumed, of all.
    pub const MAX: usize = 1_000;

    /// Whether a signal of this id was recorded.
    pub fn contains(&self, id: &str) -> bool {
        self.known.contains_key(id)
    }

    /// The signal of this id, if it ever came.
    pub fn find(&self, id: &str) -> Option<&WaitingSignal> {
        self.known.get(id)
    }

    /// Whether no more are accepted of those that nobody numbers.
    pub fn is_full(&self) -> bool {
        self.known.len() >= Self::MAX
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
        self.known.insert(signal.id.clone(), signal.clone());
        self.waiting.push_back(signal);
    }

    /// One that a person gave up before it came in: if it is sent again it is a duplicate. Where no more
    /// are accepted it is refused anyway.
    pub(crate) fn give_up(&mut self, signal: WaitingSignal) {
        if !self.is_full() {
            self.known.insert(signal.id.clone(), signal);
        }
    }

    /// Records one that its producer numbered: it is told from others by its number, so nothing of
    /// it is kept once it is consumed.
    pub(crate) fn record_numbered(&mut self, signal: WaitingSignal) {
        self.waiting.push_back(signal);
    }

    pub(crate) fn take(&mut self, signal: &str, id: &str) -> Option<WaitingSignal> {
        let is_it = |waiting: &WaitingSignal| &*waiting.signal == signal && &*waiting.id == id;
        let at = self.waiting.iter().position(is_it)?;
        self.waiting.remove(at)
    }

    /// The newest of this id does not wait any more.
    pub(crate) fn mark_late(&mut self, id: &str) -> bool {
        let at = self.waiting.iter().rposition(|waiting| &*waiting.id == id);
        let was_waiting = at.and_then(|at| self.waiting.remove(at)).is_some();
        self.late += usize::from(was_waiting);
        was_waiting
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, vec::Vec};

    use super::*;

    fn signal(name: &str, id: &str) -> WaitingSignal {
        WaitingSignal {
            signal: name.into(),
            id: id.into(),
            payload: Payload::null(),
        }
    }

    fn oldest<'a>(signals: &'a Signals, name: &str) -> Option<&'a str> {
        signals.oldest(name).map(|waiting| &*waiting.id)
    }

    #[test]
    fn the_first_of_a_name_is_taken_first_whatever_came_for_others() {
        let mut signals = Signals::default();
        for (name, id) in [("price", "1"), ("approval", "2"), ("price", "3")] {
            signals.record(signal(name, id));
        }
        let taken: Vec<_> = ["price", "price", "approval", "price"]
            .into_iter()
            .map(|name| {
                let id = signals.oldest(name)?.id.clone();
                signals.take(name, &id).map(|taken| taken.id)
            })
            .collect();
        let id = |id: &str| Some(Arc::<str>::from(id));
        assert_eq!(taken, [id("1"), id("3"), id("2"), None]);
        assert_eq!(signals.waiting(), 0);
    }

    #[test]
    fn a_late_signal_is_counted_and_waits_no_more() {
        let mut signals = Signals::default();
        signals.record(signal("approval", "1"));
        assert!(signals.mark_late("1"));
        assert!(!signals.mark_late("1"), "it is late once");
        assert_eq!((signals.waiting(), signals.late()), (0, 1));
        assert_eq!(oldest(&signals, "approval"), None);
        assert!(signals.contains("1"), "its id still counts");
    }

    #[test]
    fn they_are_full_once_the_last_place_is_taken_and_taking_some_frees_none() {
        let mut signals = Signals::default();
        for number in 0..Signals::MAX {
            assert!(!signals.is_full(), "there is room for {number}");
            signals.record(signal("approval", &format!("{number}")));
        }
        assert!(signals.is_full());
        for number in 0..Signals::MAX {
            assert!(signals.take("approval", &format!("{number}")).is_some());
        }
        assert!(
            signals.is_full(),
            "the ids are kept, so that each counts once"
        );
    }
}
