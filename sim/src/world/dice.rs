//! Dice: what goes wrong in a random run. A few kinds of fault for each run, each with its own weight.

use std::collections::BTreeMap;

use crate::{fault::Fault, site::Site};

/// Chooses faults at random, from a few kinds. The plan that comes of it is the reproducer, not the
/// seed.
#[derive(Clone, Debug)]
pub(crate) struct Dice {
    random: SplitMix,
    /// In percent, for the kinds of this run.
    weights: BTreeMap<Fault, u64>,
    left: u32,
}

impl Dice {
    /// The most faults of one run: then they stop, and everything must come to its end.
    const FAULTS_MAX: u32 = 12;

    /// A random subset of all kinds, each with a weight of 5, 15 or 40 percent.
    pub(crate) fn swarm(random: &mut SplitMix) -> Self {
        let share = [25, 50, 75][random.below(3) as usize];
        let mut weights = BTreeMap::new();
        for fault in Fault::ALL {
            let weight = [5, 15, 40][random.below(3) as usize];
            if random.below(100) < share {
                weights.insert(fault, weight);
            }
        }
        Self {
            random: SplitMix(random.next()),
            weights,
            left: Self::FAULTS_MAX,
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
