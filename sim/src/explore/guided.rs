//! Plans that grow where they lead to something new: a run that comes into a situation that no run
//! was in before, or to a mark, is kept, and others begin as it does.

use std::collections::BTreeSet;

use super::{Found, Search, random::SEED, situation::situation};
use crate::{
    plan::Plan,
    site::Site,
    world::{Setup, SplitMix, World},
};

/// How often a plan that was not tried yet is looked for.
const DRAWS_MAX: u32 = 100;

/// How many more extensions a plan gets than one with one fault more.
const LENGTH: u64 = 20;

/// What guided runs have come to so far.
#[derive(Default)]
pub(super) struct Guide {
    situations: BTreeSet<u64>,
    marks: BTreeSet<usize>,
    tried: BTreeSet<Plan>,
    kept: Vec<Kept>,
}

/// A run that came to something new.
struct Kept {
    plan: Plan,
    /// The places that it came to after its last fault.
    places: Vec<Site>,
    /// How many plans began as this one does.
    extended: u64,
}

impl Search {
    /// Runs plans, each one fault longer than one that is kept.
    pub(super) fn guided(&mut self) -> Found {
        let mut random = SplitMix(SEED);
        let mut guide = Guide::default();
        let mut next = Some((self.base.plan().clone(), None));
        while let Some((plan, last)) = next {
            if self.report.guided == self.budget.guided || self.is_spent() {
                break;
            }
            let mut world = self.base.planned(plan);
            let is_new = guide.plays(&mut world);
            self.report.guided += 1;
            self.report.situations = guide.situations.len() as u64;
            let found = self.judge(&world);
            if found.is_some() {
                return found;
            }
            if is_new {
                guide.keep(&world, last.as_ref(), self.base.visited().len());
            }
            next = guide.draw(&mut random, self.base.setup());
        }
        None
    }
}

impl Guide {
    /// Plays a run to its end. True if it came to something new.
    fn plays(&mut self, world: &mut World) -> bool {
        let mut is_new = false;
        loop {
            let goes_on = world.turn();
            is_new |= self.situations.insert(situation(world));
            if !goes_on {
                break;
            }
        }
        for mark in world.marks() {
            is_new |= self.marks.insert(mark);
        }
        is_new
    }

    fn keep(&mut self, world: &World, last: Option<&Site>, begun: usize) {
        let visited = world.visited();
        let place = last.and_then(|last| visited.iter().position(|site| site == last));
        let from = place.map_or(begun, |place| place + 1);
        self.kept.push(Kept {
            plan: world.plan().clone(),
            places: visited[from..].to_vec(),
            extended: 0,
        });
    }

    /// A plan that was not tried yet, and its last fault's place.
    fn draw(&mut self, random: &mut SplitMix, setup: &Setup) -> Option<(Plan, Option<Site>)> {
        for _ in 0..DRAWS_MAX {
            let [one, other] = [0; 2].map(|_| random.below(self.kept.len() as u64) as usize);
            // Rather the shorter one, and the one that was extended less often.
            let weight =
                |at: usize| self.kept[at].extended + LENGTH * self.kept[at].plan.len() as u64;
            let at = if weight(other) < weight(one) {
                other
            } else {
                one
            };
            let kept = &mut self.kept[at];
            kept.extended += 1;
            if kept.places.is_empty() {
                continue;
            }
            let site = &kept.places[random.below(kept.places.len() as u64) as usize];
            let faults: Vec<_> = setup.faults_at(site).collect();
            if faults.is_empty() || kept.plan.at(site).is_some() {
                continue;
            }
            let fault = faults[random.below(faults.len() as u64) as usize];
            let plan = kept.plan.with(site.clone(), fault);
            if self.tried.insert(plan.clone()) {
                return Some((plan, Some(site.clone())));
            }
        }
        None
    }
}
