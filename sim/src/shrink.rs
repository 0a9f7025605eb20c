//! The smallest plan that still fails in the same way: every fault in it is needed.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    check::{DETERMINISM, Story, Violation, differs_when_repeated},
    explore::{Failure, healthy, verdict},
    fault::Fault,
    plan::Plan,
    run::Run,
    site::{Point, Site},
    world::{Setup, World},
};

/// The most runs that shrinking may take.
const REPLAYS_MAX: u64 = 500;

/// How many runs for each fault are kept for the proof that it is needed.
const RESERVE: u64 = 4;

/// Shrinks a failing plan, keeping what is violated.
pub(crate) fn shrink(setup: &Arc<Setup>, plan: Plan, violation: Violation) -> Failure {
    let mut shrinker = Shrinker {
        setup,
        healthy: healthy(setup),
        best: (plan.clone(), violation),
        replays: 0,
    };
    let found = plan;
    shrinker.drop_what_is_idle();
    shrinker.keep_one_saga();
    shrinker.drop_in_parts();
    let needed = shrinker.drop_and_simplify();
    if needed {
        shrinker.leave_out_calls();
    }
    let (plan, violation) = shrinker.best;
    let run = Run::of(setup, &plan).found(&violation);
    Failure {
        baked_in: run.baked_in(),
        timeline: run.timeline(),
        plan,
        violation,
        found,
        replays: shrinker.replays,
        needed,
    }
}

struct Shrinker<'a> {
    setup: &'a Arc<Setup>,
    healthy: Option<Story>,
    /// The smallest so far that fails in the same way.
    best: (Plan, Violation),
    replays: u64,
}

impl Shrinker<'_> {
    /// Faults without a consequence go first, all at once.
    fn drop_what_is_idle(&mut self) {
        let world = World::run(self.setup, self.best.0.clone());
        let bit = |site: &Site| world.bites().any(|(bitten, _)| bitten == site);
        let smaller = keep(&self.best.0, |_, site| bit(site));
        if smaller.len() < self.best.0.len() {
            self.fails(smaller);
        }
    }

    /// Delta debugging: halves, then quarters and so on, as long as something can go.
    fn drop_in_parts(&mut self) {
        let mut parts = 2;
        while parts < self.best.0.len() {
            let size = self.best.0.len().div_ceil(parts);
            let without = |part: usize, plan: &Plan| keep(plan, |at, _| at / size != part);
            let dropped = (0..parts).any(|part| {
                let smaller = without(part, &self.best.0);
                // The last part may be empty.
                smaller.len() < self.best.0.len() && self.fails(smaller)
            });
            parts = if dropped { 2 } else { parts * 2 };
        }
    }

    /// Of several sagas one, as the first.
    fn keep_one_saga(&mut self) {
        let sagas: BTreeSet<_> = self.best.0.iter().map(|(site, _)| site.saga).collect();
        let others = sagas.into_iter().filter(|saga| *saga > 1);
        let plans: Vec<_> = [1]
            .into_iter()
            .chain(others)
            .map(|saga| alone(&self.best.0, saga))
            .collect();
        for plan in plans {
            if plan.len() < self.best.0.len() && self.fails(plan) {
                return;
            }
        }
    }

    /// One fault less, or one simpler fault, until neither is possible. True if it was shown that
    /// every fault that is left is needed.
    fn drop_and_simplify(&mut self) -> bool {
        loop {
            if !self.drop_each() {
                return false;
            }
            if !self.simplify_each() {
                return true;
            }
        }
    }

    /// Tries to do without each fault, until none can go. False if there was no time for that.
    fn drop_each(&mut self) -> bool {
        loop {
            let faults = faults(&self.best.0);
            let dropped = faults.iter().any(|(site, _)| {
                let smaller = self.best.0.without(site);
                self.fails(smaller)
            });
            if self.replays >= REPLAYS_MAX {
                return false;
            }
            if !dropped {
                return true;
            }
        }
    }

    /// Tries simpler alternatives for each fault. True if there was one, and time is left to look
    /// whether another fault has become needless by it.
    fn simplify_each(&mut self) -> bool {
        let faults = faults(&self.best.0);
        let before = self.best.clone();
        let end = REPLAYS_MAX.saturating_sub(RESERVE * faults.len() as u64);
        let mut simplified = false;
        for (site, fault) in &faults {
            for simpler in self
                .setup
                .faults_at(site)
                .take_while(|simpler| simpler != fault)
            {
                if self.replays >= end {
                    // What was shown of the plan before is not shown of this one.
                    self.best = before;
                    return false;
                }
                let plan = self.best.0.with(site.clone(), simpler);
                if self.fails(plan) {
                    simplified = true;
                    break;
                }
            }
        }
        simplified
    }

    /// Tries a smaller world: without a saga, a signal, a cancel. What it shows must be the plan's doing as
    /// before: without any one of its faults the smaller world does not fail. Of a plan without faults that
    /// cannot be told.
    fn leave_out_calls(&mut self) {
        let faults = faults(&self.best.0);
        if faults.is_empty() {
            return;
        }
        let world = World::run(self.setup, self.best.0.clone());
        let calls = world.visited().iter().filter(|site| {
            let taken = world.plan().at(site).is_some();
            site.point == Point::Call && !taken
        });
        // The first saga is the last to go.
        for call in calls.rev() {
            if self.replays + 1 + faults.len() as u64 > REPLAYS_MAX {
                return;
            }
            let smaller = self.best.0.with(call.clone(), Fault::LeftOut);
            let Some(violation) = self.violated(smaller.clone()) else {
                continue;
            };
            let without = faults.iter().map(|(site, _)| smaller.without(site));
            if without
                .map(|plan| self.violated(plan))
                .all(|it| it.is_none())
            {
                self.best = (smaller, violation);
            }
        }
    }

    /// Whether a plan fails in the same way; then it is the best so far.
    fn fails(&mut self, plan: Plan) -> bool {
        let violation = self.violated(plan.clone());
        let fails = violation.is_some();
        if let Some(violation) = violation {
            self.best = (plan, violation);
        }
        fails
    }

    /// What a plan violates in the same way.
    fn violated(&mut self, plan: Plan) -> Option<Violation> {
        if self.replays >= REPLAYS_MAX {
            return None;
        }
        self.replays += 1;
        let world = World::run(self.setup, plan);
        let violation = if self.best.1.invariant == DETERMINISM {
            differs_when_repeated(&world)
        } else {
            verdict(&world, self.healthy.as_ref())
        };
        violation.filter(|violation| violation.is_alike(&self.best.1))
    }
}

fn faults(plan: &Plan) -> Vec<(Site, Fault)> {
    let faults = plan.iter().map(|(site, fault)| (site.clone(), fault));
    faults.collect()
}

fn keep(plan: &Plan, keeps: impl Fn(usize, &Site) -> bool) -> Plan {
    let faults = plan.iter().enumerate();
    faults
        .filter(|(at, (site, _))| keeps(*at, site))
        .fold(Plan::healthy(), |kept, (_, (site, fault))| {
            kept.with(site.clone(), fault)
        })
}

/// What a plan does to one saga and to no other, done to the first.
fn alone(plan: &Plan, saga: u32) -> Plan {
    let of_it = plan.iter().filter(|(site, fault)| {
        site.saga == saga || (site.is_of_the_world() && *fault != Fault::OneMoreSaga)
    });
    of_it.fold(Plan::healthy(), |alone, (site, fault)| {
        let mut site = site.clone();
        if !site.is_of_the_world() {
            site.saga = 1;
        }
        alone.with(site, fault)
    })
}
