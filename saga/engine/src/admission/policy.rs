//! How much of which participant is asked at once, and when it is left alone.

use alloc::{collections::BTreeMap, string::String};

use super::{BreakerPolicy, BulkheadPolicy, Class};

/// How commands are admitted to one participant, by each partition for itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Policy {
    pub(super) bulkhead: BulkheadPolicy,
    pub(crate) breakers: [Option<BreakerPolicy>; 2],
}

impl Policy {
    /// Bulkhead and breakers as their defaults say.
    pub const DEFAULT: Self = Self {
        bulkhead: BulkheadPolicy::DEFAULT,
        breakers: [Some(BreakerPolicy::DEFAULT); 2],
    };

    /// With another bulkhead.
    #[must_use]
    pub const fn bulkhead(mut self, bulkhead: BulkheadPolicy) -> Self {
        self.bulkhead = bulkhead;
        self
    }

    /// With another breaker for a class of commands; without one nothing is kept from the participant,
    /// unless a person says so.
    #[must_use]
    pub const fn breaker(mut self, class: Class, breaker: Option<BreakerPolicy>) -> Self {
        self.breakers[class as usize] = breaker;
        self
    }
}

impl Policy {
    /// How many commands of both classes may be under way, and how many that begin something.
    pub const fn permits(&self) -> (u32, u32) {
        self.bulkhead.permits_and_of_begins()
    }

    /// How many trials of a class may be under way while its breaker is half-open.
    pub fn trials(&self, class: Class) -> Option<u32> {
        self.breakers[class as usize].map(|breaker| breaker.at_a_time())
    }
}

/// The policies of all participants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policies {
    others: Policy,
    of: BTreeMap<String, Policy>,
}

impl Policies {
    /// The same for all.
    pub const fn of_all(policy: Policy) -> Self {
        Self {
            others: policy,
            of: BTreeMap::new(),
        }
    }

    /// Another for one participant.
    #[must_use]
    pub fn with(mut self, participant: impl Into<String>, policy: Policy) -> Self {
        self.of.insert(participant.into(), policy);
        self
    }

    /// That of a participant.
    pub fn of(&self, participant: &str) -> Policy {
        self.of.get(participant).copied().unwrap_or(self.others)
    }
}

#[cfg(feature = "mutants")]
impl Policies {
    pub(crate) fn changed(&self, change: impl Fn(Policy) -> Policy) -> Self {
        let of = self
            .of
            .iter()
            .map(|(name, policy)| (name.clone(), change(*policy)));
        Self {
            others: change(self.others),
            of: of.collect(),
        }
    }
}

impl Default for Policies {
    fn default() -> Self {
        Self::of_all(Policy::DEFAULT)
    }
}
