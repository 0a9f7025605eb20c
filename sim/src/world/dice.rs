//! Dice: what goes wrong in a random run. A few kinds of fault for each run, each with its own weight;
//! or an order of what is under way, by priorities.

use std::collections::BTreeMap;

use super::{Chain, Setup};
use crate::{fault::Fault, site::Site};

/// Chooses faults at random, from a few kinds. The plan that comes of it is the reproducer, not the
/// seed.
#[derive(Clone, Debug)]
pub(crate) struct Dice {
    random: SplitMix,
    /// In percent, for the kinds of this run.
    weights: BTreeMap<Fault, u64>,
    left: u32,
    priorities: Option<Priorities>,
}

impl Dice {
    /// The most faults of one run: then they stop, and everything must come to its end.
    const FAULTS_MAX: u32 = 12;

    /// A random subset of all kinds, each with a weight of 5, 15 or 40 percent.
    pub(crate) fn swarm(random: &mut SplitMix, setup: &Setup) -> Self {
        let share = [25, 50, 75][random.below(3) as usize];
        let mut weights = BTreeMap::new();
        for fault in Fault::ALL.into_iter().filter(|fault| setup.tries(*fault)) {
            let weight = [5, 15, 40][random.below(3) as usize];
            if random.below(100) < share {
                weights.insert(fault, weight);
            }
        }
        Self {
            random: SplitMix(random.next()),
            weights,
            left: Self::FAULTS_MAX,
            priorities: None,
        }
    }

    /// The same of those kinds alone that the engine promises to mask wherever they happen.
    pub(crate) fn masked(random: &mut SplitMix, setup: &Setup) -> Self {
        let mut dice = Self::swarm(random, setup);
        dice.weights.retain(|fault, _| fault.is_transparent());
        dice
    }

    /// A random order of chains, and at most two faults besides.
    pub(crate) fn schedule(random: &mut SplitMix, setup: &Setup) -> Self {
        let left = random.below(3) as u32;
        let priorities = Some(Priorities::of(random));
        Self {
            left,
            priorities,
            ..Self::swarm(random, setup)
        }
    }

    /// Whether others go ahead at a site of a chain.
    pub(crate) fn order(&mut self, site: &Site, chain: &Chain, rivals: &[Chain]) -> Option<Fault> {
        match &mut self.priorities {
            Some(priorities) => priorities.order(&mut self.random, site, chain, rivals),
            None => self.roll(site),
        }
    }

    /// What goes wrong at a site.
    pub(crate) fn roll(&mut self, site: &Site) -> Option<Fault> {
        if self.left == 0 {
            return None;
        }
        let weights = &self.weights;
        let possible: Vec<_> = Fault::at_site(site)
            .filter_map(|fault| Some((fault, *weights.get(&fault)?)))
            .collect();
        if possible.is_empty() {
            return None;
        }
        let (fault, weight) = possible[self.random.below(possible.len() as u64) as usize];
        if self.random.below(100) >= weight {
            return None;
        }
        self.left -= 1;
        Some(fault)
    }
}

/// Chains in the order of their priorities: as long as one of a higher priority is under way, those of
/// lower priorities wait. At a few moments the one that runs becomes the last.
#[derive(Clone, Debug)]
struct Priorities {
    of: BTreeMap<Chain, u64>,
    /// What a chain does for one of a higher priority.
    gives_way: Fault,
    /// How often a chain may still become the last.
    changes: u64,
    /// Below all others; less with each change.
    last: u64,
    left: u32,
}

impl Priorities {
    /// How rarely a chain becomes the last: at one of so many places.
    const CHANGE: u64 = 8;

    /// All priorities that are drawn are above.
    const DRAWN: u64 = 1 << 32;

    fn of(random: &mut SplitMix) -> Self {
        Self {
            of: BTreeMap::new(),
            gives_way: [Fault::StepsAside, Fault::Waits][random.below(2) as usize],
            changes: random.below(4),
            last: Self::DRAWN,
            left: Dice::FAULTS_MAX,
        }
    }

    fn order(
        &mut self,
        random: &mut SplitMix,
        site: &Site,
        chain: &Chain,
        rivals: &[Chain],
    ) -> Option<Fault> {
        if self.left == 0 || !Fault::at_site(site).any(|fault| fault == self.gives_way) {
            return None;
        }
        let mut priority = self.priority(random, chain);
        if self.changes > 0 && random.below(Self::CHANGE) == 0 {
            self.changes -= 1;
            self.last -= 1;
            self.of.insert(chain.clone(), self.last);
            priority = self.last;
        }
        let mut rivals = rivals.iter().map(|rival| self.priority(random, rival));
        if !rivals.any(|rival| rival > priority) {
            return None;
        }
        self.left -= 1;
        Some(self.gives_way)
    }

    fn priority(&mut self, random: &mut SplitMix, chain: &Chain) -> u64 {
        if let Some(priority) = self.of.get(chain) {
            return *priority;
        }
        let drawn = Self::DRAWN + random.below(Self::DRAWN);
        self.of.insert(chain.clone(), drawn);
        drawn
    }
}

/// SplitMix64: a small generator whose numbers depend on nothing but its seed.
#[derive(Clone, Debug)]
pub(crate) struct SplitMix(pub(crate) u64);

impl SplitMix {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
