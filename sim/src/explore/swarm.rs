//! Random plans: a random subset of kinds for each run, each with its weight, up to twelve faults.

use super::{Found, Search};
use crate::world::{Dice, SplitMix, World};

/// Where the random numbers of every exploration begin.
const SEED: u64 = 0x5a6a_0106;

impl Search<'_> {
    /// Each run rolls dice at the places that it comes to; what came of it is its plan.
    pub(super) fn swarm(&mut self) -> Found {
        let mut random = SplitMix(SEED);
        for _ in 0..self.budget.swarm {
            if self.is_spent() {
                return None;
            }
            let world = World::roll(self.setup, Dice::swarm(&mut random));
            self.report.swarm += 1;
            let faults = world.plan().len();
            *self.report.swarm_faults.entry(faults).or_default() += 1;
            if let Some(found) = self.judge(&world) {
                return Some(found);
            }
        }
        None
    }
}
