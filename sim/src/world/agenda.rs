//! What is going to happen, in order.

use std::{collections::BTreeMap, sync::Arc};

use sagalog_model::log::Time;

use super::Happening;

/// Happenings by time; those of one moment in the order in which they were added. Forks of a world
/// share them.
#[derive(Clone, Default)]
pub(super) struct Agenda {
    happenings: BTreeMap<(Time, u64), Arc<Happening>>,
    added: u64,
}

impl Agenda {
    pub(super) fn add(&mut self, at: Time, happening: Happening) {
        self.added += 1;
        self.happenings
            .insert((at, self.added), Arc::new(happening));
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.happenings.keys().next().map(|(at, _)| *at)
    }

    /// What is going to happen before a time.
    pub(super) fn until(&self, end: Time) -> impl Iterator<Item = (Time, &Happening)> {
        let soon = self.happenings.range(..(end, 0));
        soon.map(|((at, _), happening)| (*at, &**happening))
    }

    /// The next happening whose time has come.
    pub(super) fn take(&mut self, now: Time) -> Option<Happening> {
        let first = self.happenings.first_entry()?;
        (first.key().0 <= now).then(|| Arc::unwrap_or_clone(first.remove()))
    }
}
