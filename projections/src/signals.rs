//! The signals of a saga: early ones wait, first in first out for each name.

use alloc::{collections::VecDeque, sync::Arc};

use sagalog_model::{Payload, log::Time};

use crate::dedup::{Content, Ids, LASTING_MAX};

/// Signals that came and were not consumed, and the ids of those that nobody numbers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Signals {
    waiting: VecDeque<WaitingSignal>,
    ids: Ids<Content>,
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
    /// How many signals of a saga may wait to be consumed.
    pub const MAX: usize = 1_000;

    /// The ids of those that nobody numbers.
    pub const fn ids(&self) -> &Ids<Content> {
        &self.ids
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

    pub(crate) fn record(&mut self, signal: WaitingSignal, until: Option<Time>) {
        self.know(&signal, until);
        self.waiting.push_back(signal);
    }

    /// One that a person gave up before it came in: if it is sent again it is a duplicate. Where no more
    /// are accepted it is refused anyway.
    pub(crate) fn give_up(&mut self, signal: &WaitingSignal, until: Option<Time>) {
        if until.is_some() || self.ids.lasting() < LASTING_MAX {
            self.know(signal, until);
        }
    }

    pub(crate) fn forget(&mut self, until: Time) {
        self.ids.forget(until);
    }

    fn know(&mut self, signal: &WaitingSignal, until: Option<Time>) {
        let content = Content::of(&signal.signal, &signal.payload);
        self.ids.record(&signal.id, until, content);
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
            signals.record(signal(name, id), None);
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
        signals.record(signal("approval", "1"), None);
        assert!(signals.mark_late("1"));
        assert!(!signals.mark_late("1"), "it is late once");
        assert_eq!((signals.waiting(), signals.late()), (0, 1));
        assert_eq!(oldest(&signals, "approval"), None);
        assert!(signals.ids().contains("1"), "its id still counts");
    }

    #[test]
    fn an_id_is_kept_when_its_signal_is_taken() {
        let mut signals = Signals::default();
        signals.record(signal("approval", "1"), None);
        assert!(signals.take("approval", "1").is_some());
        assert!(signals.ids().contains("1"), "it counts once");
    }

    #[test]
    fn the_id_of_what_was_given_up_is_known_as_long_as_more_are_accepted() {
        let mut signals = Signals::default();
        for number in 0..LASTING_MAX - 1 {
            signals.record(signal("approval", &format!("{number}")), None);
        }
        signals.give_up(&signal("approval", "the last"), None);
        signals.give_up(&signal("approval", "one more"), None);
        assert!(signals.ids().contains("the last"));
        assert!(!signals.ids().contains("one more"));
        assert_eq!(signals.ids().lasting(), LASTING_MAX);
    }
}
