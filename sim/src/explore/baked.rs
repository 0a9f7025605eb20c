//! From which event on a failure was inevitable.

use std::sync::Arc;

use super::verdict;
use crate::{
    check::{DETERMINISM, Story, Violation},
    plan::Plan,
    world::{Dice, Setup, SplitMix, World},
};

/// How many ways to go on must all fail.
const WAYS: u64 = 100;

/// How many turns of worlds the search may take.
const TURNS_MAX: u64 = 500_000;

/// Where the random numbers begin.
const SEED: u64 = 0x5a6a_ba4e;

/// The number of the first event of the log after which this plan's run fails in this way however it goes
/// on: healthy, and 99 times with random faults and orders that the engine promises to mask. None if it
/// could be averted until the end, or if it would take too long to tell.
pub(crate) fn baked_in(
    setup: &Arc<Setup>,
    plan: &Plan,
    violation: &Violation,
    healthy: Option<&Story>,
) -> Option<u64> {
    // What comes out otherwise every time is not in the hands of a plan.
    if violation.invariant == DETERMINISM {
        return None;
    }
    let mut suffixes = Suffixes {
        violation,
        healthy,
        random: SplitMix(SEED),
        turns_left: TURNS_MAX,
    };
    let mut world = World::begin(setup, plan.clone());
    let mut goes_on = true;
    while goes_on {
        let events = world.events();
        goes_on = world.turn();
        // Each event is looked at in turn, not by halves: a later fault of a plan may avert for a while
        // what was inevitable, and most events are told by the first, healthy way.
        if world.events() > events && suffixes.all_fail(&world) {
            return (suffixes.turns_left > 0).then(|| world.events());
        }
    }
    None
}

/// The ways in which a run may go on.
struct Suffixes<'a> {
    violation: &'a Violation,
    healthy: Option<&'a Story>,
    random: SplitMix,
    turns_left: u64,
}

impl Suffixes<'_> {
    /// Also true if there is no time left to tell.
    fn all_fail(&mut self, world: &World) -> bool {
        let here = without_what_is_ahead(world);
        (0..WAYS).all(|way| {
            let here = if way == 0 {
                here.clone()
            } else {
                here.rolled(Dice::masked(&mut self.random, here.setup()))
            };
            self.turns_left == 0 || self.fails(here)
        })
    }

    fn fails(&mut self, mut world: World) -> bool {
        let begun = world.turns();
        world.play();
        self.turns_left = self.turns_left.saturating_sub(world.turns() - begun);
        let violated = verdict(&world, self.healthy);
        violated.is_some_and(|violated| violated.is_alike(self.violation))
    }
}

/// The same world, in which no fault of the plan is to come any more.
fn without_what_is_ahead(world: &World) -> World {
    let visited = world.visited();
    let behind = world.plan().iter();
    let behind = behind.filter(|(site, _)| visited.contains(site));
    let plan = behind.fold(Plan::healthy(), |plan, (site, fault)| {
        plan.with(site.clone(), fault)
    });
    world.planned(plan)
}
