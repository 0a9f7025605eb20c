//! Announcements that this owner leaves in its inbox, so that the next owner gets them too.
//!
//! The roll of participants is kept in memory. The latest announcement of each instance is not acknowledged
//! until its next one is there: when the partition moves, however that comes about, the transport delivers
//! them again, and the next owner knows who is there as soon as it owns the inbox.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use sagalog_model::log::Time;
use sagalog_transport::Tag;

/// Instances whose announcements are left in the inbox, a part of what may be delivered and not
/// acknowledged. Those of others are said again within their time.
const MAX: usize = 1_024;

/// For how long one is left there: RabbitMQ ends a consumer that does not acknowledge within half an hour.
const KEPT: Duration = Duration::from_secs(5 * 60);

/// A participant and its instance.
pub(super) type Name = (Arc<str>, Arc<str>);

/// What is left in the inbox.
#[derive(Default)]
pub(super) struct Announced {
    tags: BTreeMap<Name, (Time, Tag)>,
    by_age: BTreeSet<(Time, Name)>,
}

impl Announced {
    /// Leaves this announcement in the inbox; what it gives back can be acknowledged.
    pub(super) fn keep(&mut self, name: Name, tag: Tag, now: Time) -> Option<Tag> {
        let before = self.forget(&name);
        if self.tags.len() >= MAX {
            return Some(tag);
        }
        let until = now.after(KEPT);
        self.by_age.insert((until, name.clone()));
        self.tags.insert(name, (until, tag));
        before
    }

    /// The instance has left, or says something else from now on.
    pub(super) fn forget(&mut self, name: &Name) -> Option<Tag> {
        let (until, tag) = self.tags.remove(name)?;
        self.by_age.remove(&(until, name.clone()));
        Some(tag)
    }

    /// Those that were left there for long enough.
    pub(super) fn old(&mut self, now: Time) -> Vec<Tag> {
        let mut old = Vec::new();
        while let Some((_, name)) = self.by_age.first().filter(|(until, _)| *until <= now) {
            let name = name.clone();
            old.extend(self.forget(&name));
        }
        old
    }

    /// When the next one will be.
    pub(super) fn next_old(&self) -> Option<Time> {
        self.by_age.first().map(|(until, _)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    fn tag(number: u64) -> Tag {
        Tag { number, slot: 0 }
    }

    fn name(number: usize) -> Name {
        ("payments".into(), format!("i{number}").into())
    }

    #[test]
    fn the_latest_of_each_instance_is_left_until_it_leaves_or_is_old() {
        let mut announced = Announced::default();
        assert_eq!(announced.keep(name(1), tag(1), at(0)), None);
        assert_eq!(announced.keep(name(2), tag(2), at(1)), None);
        assert_eq!(announced.keep(name(1), tag(3), at(5)), Some(tag(1)));
        assert_eq!(announced.forget(&name(1)), Some(tag(3)));
        assert_eq!(announced.forget(&name(1)), None);
        assert_eq!(announced.next_old(), Some(at(301)));
        assert_eq!(announced.old(at(300)), []);
        assert_eq!(announced.old(at(301)), [tag(2)]);
        assert_eq!(announced.next_old(), None);
    }

    #[test]
    fn as_many_are_left_as_leave_room_for_replies() {
        let mut announced = Announced::default();
        for number in 0..MAX {
            assert_eq!(announced.keep(name(number), tag(0), at(0)), None);
        }
        assert_eq!(announced.keep(name(MAX), tag(9), at(0)), Some(tag(9)));
        assert_eq!(announced.keep(name(0), tag(7), at(1)), Some(tag(0)));
        assert_eq!(announced.old(at(300)).len(), MAX - 1);
    }
}
