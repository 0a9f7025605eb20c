//! Random plans: of faults, or of an order of what is under way.

use super::{Found, Search};
use crate::world::{Dice, SplitMix};

/// Where the random numbers of every exploration begin.
pub(super) const SEED: u64 = 0x5a6a_0106;

impl Search {
    /// A random subset of kinds for each run, each with its weight, up to twelve faults.
    pub(super) fn swarm(&mut self) -> Found {
        let mut random = SplitMix(SEED);
        for _ in 0..self.budget.swarm {
            if self.is_spent() {
                return None;
            }
            let (found, faults) = self.roll(Dice::swarm(&mut random, self.base.setup()));
            self.report.swarm += 1;
            *self.report.swarm_faults.entry(faults).or_default() += 1;
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Random priorities of what is under way, and at most two faults of any kind.
    pub(super) fn schedules(&mut self) -> Found {
        let mut random = SplitMix(SEED);
        for _ in 0..self.budget.schedules {
            if self.is_spent() {
                return None;
            }
            let (found, _) = self.roll(Dice::schedule(&mut random, self.base.setup()));
            self.report.schedules += 1;
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// A run rolls dice at the places that it comes to; what came of it is its plan.
    fn roll(&mut self, dice: Dice) -> (Found, usize) {
        let mut world = self.base.rolled(dice);
        world.play();
        let faults = world.plan().len() - self.base.plan().len();
        (self.judge(&world), faults)
    }
}
