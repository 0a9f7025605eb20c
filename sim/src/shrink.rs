//! The smallest plan that still fails in the same way: every fault in it is needed.

use std::sync::Arc;

use crate::{
    check::{Story, Violation},
    explore::{Failure, verdict},
    fault::Fault,
    plan::Plan,
    report::timeline,
    world::{Setup, World},
};

/// The most runs that shrinking may take.
const REPLAYS_MAX: u64 = 500;

/// Shrinks a failing plan, keeping what is violated.
pub(crate) fn shrink(setup: &Arc<Setup>, plan: Plan, violation: Violation) -> Failure {
    let healthy = World::run(setup, Plan::healthy());
    let comparable = healthy.violation().is_none() && !setup.races;
    let healthy = comparable.then(|| Story::of(&healthy));
    let mut shrinker = Shrinker {
        setup,
        healthy,
        class: violation.invariant,
        replays: 0,
    };
    let mut best = (plan, violation);
    while let Some(smaller) = shrinker.smaller(&best.0) {
        best = smaller;
    }
    let traced = Arc::new(Setup {
        traces: true,
        ..Setup::clone(setup)
    });
    let world = World::run(&traced, best.0.clone());
    Failure {
        timeline: timeline(&world, Some(&best.1)),
        plan: best.0,
        violation: best.1,
        replays: shrinker.replays,
    }
}

struct Shrinker<'a> {
    setup: &'a Arc<Setup>,
    healthy: Option<Story>,
    class: &'static str,
    replays: u64,
}

impl Shrinker<'_> {
    /// One fault less, or one simpler fault.
    fn smaller(&mut self, plan: &Plan) -> Option<(Plan, Violation)> {
        let sites: Vec<_> = plan
            .iter()
            .map(|(site, fault)| (site.clone(), fault))
            .collect();
        for (site, _) in &sites {
            if let Some(found) = self.fails(plan.without(site)) {
                return Some(found);
            }
        }
        for (site, fault) in &sites {
            let simpler = Fault::at(site.point)
                .iter()
                .take_while(|simpler| *simpler != fault);
            for simpler in simpler {
                if let Some(found) = self.fails(plan.with(site.clone(), *simpler)) {
                    return Some(found);
                }
            }
        }
        None
    }

    fn fails(&mut self, plan: Plan) -> Option<(Plan, Violation)> {
        if self.replays >= REPLAYS_MAX {
            return None;
        }
        self.replays += 1;
        let world = World::run(self.setup, plan.clone());
        let violation = verdict(&world, self.healthy.as_ref())?;
        (violation.invariant == self.class).then_some((plan, violation))
    }
}
