//! Which plans are tried: all of them up to a number of faults, and random ones.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    check::{Story, Violation, differs},
    fault::Fault,
    plan::Plan,
    shrink::shrink,
    world::{Setup, World},
};

/// How much is tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Explore {
    faults: usize,
    swarm: u64,
    runs_max: u64,
}

impl Explore {
    /// Every plan with at most this many faults.
    pub const fn exhaustive(faults: usize) -> Self {
        Self {
            faults,
            swarm: 0,
            runs_max: u64::MAX,
        }
    }

    /// What a test can afford: every plan with at most two faults, then random ones, within a budget
    /// of runs; the report says how far it came.
    pub const fn ci() -> Self {
        Self {
            faults: 2,
            swarm: 500,
            runs_max: 20_000,
        }
    }

    /// Also this many random plans of more faults.
    #[must_use]
    pub const fn and_swarm(mut self, runs: u64) -> Self {
        self.swarm = runs;
        self
    }

    /// At most this many runs in all.
    #[must_use]
    pub const fn at_most(mut self, runs: u64) -> Self {
        self.runs_max = runs;
        self
    }
}

/// What an exploration found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Runs in all.
    pub runs: u64,
    /// How many plans of each number of faults were run, and whether that is all of them.
    pub exhausted: Vec<(u64, bool)>,
    /// Random plans that were run.
    pub swarm: u64,
    /// How often each kind of fault had a consequence.
    pub bites: BTreeMap<Fault, u64>,
    /// In how many runs a saga completed.
    pub completed: u64,
    /// In how many runs a saga went back.
    pub went_back: u64,
    /// The first failure, shrunk.
    pub failure: Option<Failure>,
}

/// A run that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The smallest plan that fails in the same way.
    pub plan: Plan,
    /// What is violated.
    pub violation: Violation,
    /// What happened.
    pub timeline: String,
    /// How many runs the shrinker needed.
    pub replays: u64,
}

/// Tries plans until one fails or the budget is spent.
pub(crate) fn explore(setup: &Arc<Setup>, budget: Explore) -> Report {
    let mut search = Search {
        setup,
        budget,
        report: Report::default(),
        healthy: None,
    };
    let found = search.exhaust().or_else(|| search.swarm());
    let mut report = search.report;
    report.failure = found.map(|(plan, violation)| shrink(setup, plan, violation));
    report
}

struct Search<'a> {
    setup: &'a Arc<Setup>,
    budget: Explore,
    report: Report,
    healthy: Option<Story>,
}

type Found = Option<(Plan, Violation)>;

impl Search<'_> {
    /// Breadth first by the number of faults. Each plan is extended only at sites that its run visits
    /// after its last fault, so that no plan is run twice.
    fn exhaust(&mut self) -> Found {
        let mut frontier = vec![(Plan::healthy(), 0_usize)];
        for depth in 0..=self.budget.faults {
            let mut next = Vec::new();
            let mut count = 0;
            for (plan, from) in frontier {
                if self.report.runs >= self.budget.runs_max {
                    self.report.exhausted.push((count, false));
                    return None;
                }
                let world = self.run(&plan);
                count += 1;
                if let Some(violation) = self.verdict(&world) {
                    return Some((plan, violation));
                }
                if depth == self.budget.faults {
                    continue;
                }
                for (place, site) in world.visited().iter().enumerate().skip(from) {
                    for fault in Fault::at(site.point) {
                        next.push((plan.with(site.clone(), *fault), place + 1));
                    }
                }
            }
            self.report.exhausted.push((count, true));
            frontier = next;
        }
        None
    }

    /// Random plans over the sites that earlier runs visited: three to eight faults each.
    fn swarm(&mut self) -> Found {
        let mut random = SplitMix(0x5a6a_0106);
        for _ in 0..self.budget.swarm {
            if self.report.runs >= self.budget.runs_max {
                return None;
            }
            let mut plan = Plan::healthy();
            let wanted = 3 + random.below(6);
            for _ in 0..wanted {
                let world = World::run(self.setup, plan.clone());
                let sites = world.visited();
                let Some(site) = sites.get(random.below(sites.len().max(1) as u64) as usize) else {
                    break;
                };
                let faults = Fault::at(site.point);
                plan = plan.with(
                    site.clone(),
                    faults[random.below(faults.len() as u64) as usize],
                );
            }
            let world = self.run(&plan);
            self.report.swarm += 1;
            if let Some(violation) = self.verdict(&world) {
                return Some((plan, violation));
            }
        }
        None
    }

    fn run(&mut self, plan: &Plan) -> World {
        let world = World::run(self.setup, plan.clone());
        self.report.runs += 1;
        for (_, fault) in world.bites() {
            *self.report.bites.entry(fault).or_default() += 1;
        }
        let any =
            |test: fn(&sagalog_projections::SagaState) -> bool| u64::from(world.sagas().any(test));
        self.report.completed +=
            any(|saga| saga.status() == sagalog_projections::Status::Completed);
        self.report.went_back += any(|saga| saga.turn().is_some());
        world
    }

    fn verdict(&mut self, world: &World) -> Option<Violation> {
        let violation = verdict(world, self.healthy.as_ref());
        if self.healthy.is_none() && violation.is_none() && !self.setup.races {
            self.healthy = Some(Story::of(world));
        }
        violation
    }
}

/// What is wrong with a run: its own violation, or a masked fault that shows (I21).
pub(crate) fn verdict(world: &World, healthy: Option<&Story>) -> Option<Violation> {
    if let Some(violation) = world.violation() {
        return Some(violation.clone());
    }
    let healthy = healthy?;
    if !world.plan().iter().all(|(_, fault)| fault.is_transparent()) {
        return None;
    }
    let (saga, what) = differs(healthy, &Story::of(world))?;
    Some(Violation {
        invariant: "I21",
        saga: Some(saga),
        what,
        at: world.now(),
    })
}

/// SplitMix64: a small generator whose numbers depend on nothing but its seed.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
