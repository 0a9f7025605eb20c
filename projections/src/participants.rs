//! Which instances of participants are there, by what they say of themselves.
//!
//! Their announcements are no events: they say what is so now, and are said again.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    sync::Arc,
    vec::Vec,
};
use core::{ops::Bound, time::Duration};

use sagalog_model::{Announcement, graph::participant, log::Time};
use serde::{Deserialize, Serialize};

/// The instances that announced themselves, found by what they can do.
///
/// Bounds: [`Self::MAX`] instances, of each [`Self::CAPABILITIES_MAX`] capabilities, names of
/// [`Self::NAME_MAX`] bytes.
#[derive(Clone, Debug, Default)]
pub struct Participants {
    instances: BTreeMap<Name, Instance>,
    by_capability: BTreeMap<Arc<str>, BTreeSet<Name>>,
}

/// The participant and the instance.
pub type Name = (Arc<str>, Arc<str>);

#[derive(Clone, Debug)]
struct Instance {
    announced: Announcement,
    heard: Time,
    has_left: bool,
}

/// An instance, at some moment.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Seen {
    /// What it said of itself.
    #[serde(flatten)]
    pub announced: Announcement,
    /// Whether it is there.
    pub presence: Presence,
    /// For how long it has said nothing, in microseconds.
    pub silent: u64,
}

impl Seen {
    /// Whether it performs a step, and is not gone.
    pub fn performs(&self, step: &str) -> bool {
        let said = &self.announced;
        self.presence != Presence::Gone
            && *said.participant == *participant(step)
            && said.capabilities.contains_key(step)
    }
}

/// Whether an instance is there.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// It was heard within two of its intervals.
    Alive,
    /// It missed one, and not yet three.
    Suspect,
    /// It missed three, or said that it leaves.
    Gone,
}

/// Why an announcement is not taken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadAnnouncement {
    /// A name is empty, too long or has control characters.
    #[error("names have 1 to {max} bytes without control characters, not {0:?}", max = Participants::NAME_MAX)]
    Name(String),
    /// It can do too much.
    #[error("an instance has at most {max} capabilities, this one has {0}", max = Participants::CAPABILITIES_MAX)]
    Capabilities(usize),
    /// It would be heard too often or too seldom.
    #[error("announcements come every 1 s to every hour, not every {} µs", .0.as_micros())]
    Every(Duration),
    /// As many instances as there may be are there.
    #[error("{} instances are there, which is the limit", Participants::MAX)]
    TooMany,
}

impl Participants {
    /// Instances that are remembered.
    pub const MAX: usize = 4_096;
    /// Capabilities of one instance.
    pub const CAPABILITIES_MAX: usize = 256;
    /// The longest name or version, in bytes.
    pub const NAME_MAX: usize = 255;

    const SUSPECT_AFTER: u32 = 2;
    const GONE_AFTER: u32 = 4;

    /// Takes what an instance says of itself.
    ///
    /// # Errors
    /// [`BadAnnouncement`]: nothing has changed.
    pub fn announce(&mut self, announced: Announcement, now: Time) -> Result<(), BadAnnouncement> {
        check(&announced)?;
        let name = (announced.participant.clone(), announced.instance.clone());
        if !self.instances.contains_key(&name) && self.instances.len() >= Self::MAX {
            self.forget_one(now)?;
        }
        self.forget(&name);
        for capability in announced.capabilities.keys() {
            let able = self.by_capability.entry(capability.clone()).or_default();
            able.insert(name.clone());
        }
        let instance = Instance {
            announced,
            heard: now,
            has_left: false,
        };
        self.instances.insert(name, instance);
        Ok(())
    }

    /// An instance says that it leaves.
    pub fn leave(&mut self, participant: &str, instance: &str) {
        let name = (participant.into(), instance.into());
        if let Some(instance) = self.instances.get_mut(&name) {
            instance.has_left = true;
        }
    }

    /// Those that can do this, or all, in the order of their names; behind this one.
    pub fn seen<'a>(
        &'a self,
        capability: Option<&str>,
        after: Option<&Name>,
        now: Time,
    ) -> impl Iterator<Item = Seen> + 'a {
        let start = after.map_or(Bound::Unbounded, |name| Bound::Excluded(name.clone()));
        let range = (start, Bound::Unbounded);
        let able = capability.map(|capability| self.by_capability.get(capability));
        let names: Vec<_> = match able {
            Some(able) => able
                .into_iter()
                .flat_map(|able| able.range(range.clone()))
                .collect(),
            None => self.instances.range(range).map(|(name, _)| name).collect(),
        };
        names
            .into_iter()
            .map(move |name| self.instances[name].seen(now))
    }

    /// One that is gone makes room, the one that is silent for longest.
    fn forget_one(&mut self, now: Time) -> Result<(), BadAnnouncement> {
        let gone = self.instances.iter();
        let gone = gone.filter(|(_, instance)| instance.presence(now) == Presence::Gone);
        let longest = gone.min_by_key(|(_, instance)| instance.heard);
        let name = longest.map(|(name, _)| name.clone());
        self.forget(&name.ok_or(BadAnnouncement::TooMany)?);
        Ok(())
    }

    fn forget(&mut self, name: &Name) {
        let Some(instance) = self.instances.remove(name) else {
            return;
        };
        for capability in instance.announced.capabilities.keys() {
            let Some(able) = self.by_capability.get_mut(capability) else {
                continue;
            };
            able.remove(name);
            if able.is_empty() {
                self.by_capability.remove(capability);
            }
        }
    }
}

impl Instance {
    fn seen(&self, now: Time) -> Seen {
        let silent = now.since(self.heard).as_micros();
        Seen {
            announced: self.announced.clone(),
            presence: self.presence(now),
            silent: u64::try_from(silent).unwrap_or(u64::MAX),
        }
    }

    fn presence(&self, now: Time) -> Presence {
        let silent = now.since(self.heard);
        let every = self.announced.every;
        if self.has_left || silent >= every * Participants::GONE_AFTER {
            Presence::Gone
        } else if silent >= every * Participants::SUSPECT_AFTER {
            Presence::Suspect
        } else {
            Presence::Alive
        }
    }
}

fn check(announced: &Announcement) -> Result<(), BadAnnouncement> {
    let Announcement {
        participant,
        instance,
        capabilities,
        ..
    } = announced;
    if capabilities.len() > Participants::CAPABILITIES_MAX {
        return Err(BadAnnouncement::Capabilities(capabilities.len()));
    }
    let names = [participant, instance]
        .into_iter()
        .chain(capabilities.keys());
    let fits = |name: &&Arc<str>| {
        name.len() <= Participants::NAME_MAX && !name.chars().any(char::is_control)
    };
    let wrong = names.clone().find(|name| name.is_empty());
    let mut texts = names.chain(capabilities.values());
    if let Some(wrong) = wrong.or_else(|| texts.find(|text| !fits(text))) {
        let shown: String = wrong.chars().take(40).collect();
        return Err(BadAnnouncement::Name(shown));
    }
    let every = announced.every;
    if !(Duration::from_secs(1)..=Duration::from_secs(3_600)).contains(&every) {
        return Err(BadAnnouncement::Every(every));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    const EVERY: Duration = Duration::from_secs(5);

    fn payments(instance: &str, capabilities: &[&str]) -> Announcement {
        let able = capabilities.iter().map(|name| ((*name).into(), "1".into()));
        Announcement {
            participant: "payments".into(),
            instance: instance.into(),
            capabilities: able.collect(),
            concurrency: 8,
            every: EVERY,
        }
    }

    fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    fn names(of: &Participants, capability: Option<&str>, now: Time) -> Vec<(String, Presence)> {
        let seen = of.seen(capability, None, now);
        seen.map(|seen| (String::from(&*seen.announced.instance), seen.presence))
            .collect()
    }

    #[test]
    fn an_instance_is_alive_then_suspect_then_gone_and_alive_again() {
        let mut known = Participants::default();
        known
            .announce(payments("a", &[]), at(0))
            .expect("it is good");
        let presence = |known: &Participants, now| names(known, None, at(now))[0].1;
        assert_eq!(presence(&known, 9), Presence::Alive);
        assert_eq!(presence(&known, 10), Presence::Suspect);
        assert_eq!(presence(&known, 20), Presence::Gone);
        known
            .announce(payments("a", &[]), at(20))
            .expect("it is good");
        assert_eq!(presence(&known, 21), Presence::Alive);
        known.leave("payments", "a");
        assert_eq!(presence(&known, 21), Presence::Gone);
    }

    #[test]
    fn instances_are_found_by_what_they_say_last_that_they_can_do() {
        let mut known = Participants::default();
        for (name, can) in [("a", "euro"), ("b", "dollar"), ("c", "euro")] {
            let announced = payments(name, &["payments.charge", can]);
            known.announce(announced, at(0)).expect("it is good");
        }
        let alive = |name: &str| (String::from(name), Presence::Alive);
        assert_eq!(names(&known, Some("euro"), at(1)), [alive("a"), alive("c")]);
        known
            .announce(payments("a", &["yen"]), at(1))
            .expect("it is good");
        assert_eq!(names(&known, Some("euro"), at(1)), [alive("c")]);
        assert_eq!(names(&known, Some("yen"), at(1)), [alive("a")]);
        assert_eq!(names(&known, Some("payments.charge"), at(1)).len(), 2);
        assert!(names(&known, Some("rouble"), at(1)).is_empty());
    }

    #[test]
    fn a_page_goes_on_behind_the_last_one() {
        let mut known = Participants::default();
        for name in ["a", "b", "c"] {
            known
                .announce(payments(name, &["euro"]), at(0))
                .expect("it is good");
        }
        let after = ("payments".into(), "a".into());
        for capability in [None, Some("euro")] {
            let rest = known.seen(capability, Some(&after), at(0));
            let rest: Vec<_> = rest
                .map(|seen| String::from(&*seen.announced.instance))
                .collect();
            assert_eq!(rest, ["b", "c"]);
        }
    }

    #[test]
    fn the_longest_gone_makes_room_and_who_is_there_does_not() {
        let mut known = Participants::default();
        for number in 0..Participants::MAX {
            let announced = payments(&format!("i{number:04}"), &["euro"]);
            known
                .announce(announced, at(number as u64 % 7))
                .expect("there is room");
        }
        let late = |known: &mut Participants, now| known.announce(payments("late", &[]), at(now));
        assert_eq!(late(&mut known, 19), Err(BadAnnouncement::TooMany));
        assert_eq!(late(&mut known, 20), Ok(()));
        let left = names(&known, None, at(20));
        assert_eq!(left.len(), Participants::MAX);
        assert!(!left.iter().any(|(name, _)| name == "i0000"));
        assert_eq!(
            names(&known, Some("euro"), at(20)).len(),
            Participants::MAX - 1
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let mut known = Participants::default();
        let many: Vec<_> = (0..=Participants::CAPABILITIES_MAX)
            .map(|number| format!("c{number}"))
            .collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let never = Announcement {
            every: Duration::MAX,
            ..payments("a", &[])
        };
        let told = [
            payments("", &[]),
            payments("a", &["line\nbreak"]),
            payments("a", &many),
            never,
        ]
        .map(|announced| known.announce(announced, at(0)).expect_err("it is refused"));
        assert!(matches!(&told[0], BadAnnouncement::Name(name) if name.is_empty()));
        assert!(matches!(&told[1], BadAnnouncement::Name(_)));
        assert_eq!(told[2], BadAnnouncement::Capabilities(257));
        assert!(matches!(told[3], BadAnnouncement::Every(_)));
        assert_eq!(known.seen(None, None, at(0)).count(), 0);
    }
}
