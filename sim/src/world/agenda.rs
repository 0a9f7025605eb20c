//! What is going to happen, in order.

use sagalog_model::log::Time;

use super::Happening;

/// Happenings by time; those of one moment in the order in which they were added.
#[derive(Clone, Default)]
pub(super) struct Agenda {
    /// The next one is the last, so that taking it moves nothing.
    happenings: Vec<(Time, Happening)>,
}

impl Agenda {
    pub(super) fn add(&mut self, at: Time, happening: Happening) {
        // What is added goes behind all others of its moment.
        let place = self.happenings.partition_point(|(other, _)| *other > at);
        self.happenings.insert(place, (at, happening));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.happenings.is_empty()
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.happenings.last().map(|(at, _)| *at)
    }

    /// What is going to happen before a time.
    pub(super) fn until(&self, end: Time) -> impl Iterator<Item = (Time, &Happening)> {
        let all = self.happenings.iter().rev();
        let soon = all.take_while(move |(at, _)| *at < end);
        soon.map(|(at, happening)| (*at, happening))
    }

    /// The next happening whose time has come.
    pub(super) fn take(&mut self, now: Time) -> Option<Happening> {
        let next = self.happenings.pop_if(|(at, _)| *at <= now)?;
        Some(next.1)
    }
}
