//! Which plans are tried: all of them up to a number of faults, random ones, and those that grow where
//! they lead to something new.

mod baked;
mod exhaust;
mod guided;
mod random;
mod situation;

use std::{collections::BTreeMap, sync::Arc};

use sagalog_model::Kind;
use sagalog_projections::{SagaState, Status};

pub(crate) use self::baked::baked_in;
use crate::{
    check::{Story, Violation, differs, differs_when_repeated, redecided},
    coverage::Coverage,
    fault::Fault,
    plan::Plan,
    shrink::shrink,
    world::{Setup, World},
};

/// One run of several faults in so many is decided again.
const DECIDED_AGAIN: u64 = 64;

/// How much is tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Explore {
    faults: usize,
    swarm: u64,
    schedules: u64,
    guided: u64,
    runs_max: u64,
}

impl Explore {
    /// Every plan with at most this many faults. One fault is of any kind; several are of the core
    /// ([`Fault::is_core`]).
    pub const fn exhaustive(faults: usize) -> Self {
        Self {
            faults,
            swarm: 0,
            schedules: 0,
            guided: 0,
            runs_max: u64::MAX,
        }
    }

    /// What a test can afford: every plan with at most two faults, then random and guided ones, at most
    /// 20,000 runs in all; the report says how far it came.
    pub const fn ci() -> Self {
        Self {
            faults: 2,
            swarm: 500,
            schedules: 200,
            guided: 500,
            runs_max: 20_000,
        }
    }

    /// What a night can hold: every plan with at most three faults, then random and guided ones, at most
    /// 2,000,000 runs in all.
    pub const fn nightly() -> Self {
        Self {
            faults: 3,
            swarm: 20_000,
            schedules: 20_000,
            guided: 20_000,
            runs_max: 2_000_000,
        }
    }

    /// Also this many random plans of more faults.
    #[must_use]
    pub const fn and_swarm(mut self, runs: u64) -> Self {
        self.swarm = runs;
        self
    }

    /// Also this many random orders of what is under way, each with at most two faults besides: for
    /// races between branches, sagas and calls. Chains have random priorities, and one waits as long as
    /// one of a higher priority is under way; at a few moments the one that runs becomes the last.
    #[must_use]
    pub const fn and_schedules(mut self, runs: u64) -> Self {
        self.schedules = runs;
        self
    }

    /// Also this many plans that grow fault by fault: one that leads to a situation in which no run was
    /// before, or to a mark of [`Sim::sometimes`](crate::Sim::sometimes), is kept, and longer ones begin as it does.
    #[must_use]
    pub const fn and_guided(mut self, runs: u64) -> Self {
        self.guided = runs;
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
    /// How many events of sagas the log held before anything new went wrong.
    pub after: u64,
    /// Runs in all.
    pub runs: u64,
    /// How many plans of each number of faults were run, and whether that is all of them.
    pub exhausted: Vec<(u64, bool)>,
    /// Random plans that were run.
    pub swarm: u64,
    /// How many random plans had so many faults.
    pub swarm_faults: BTreeMap<usize, u64>,
    /// Random orders that were run.
    pub schedules: u64,
    /// Plans that were run because they begin as one does that led to something new.
    pub guided: u64,
    /// In how many different situations these were.
    pub situations: u64,
    /// In how many runs each `sometimes` was true, in the order in which they were stated.
    pub sometimes: Vec<(String, u64)>,
    /// How often each kind of fault had a consequence.
    pub bites: BTreeMap<Fault, u64>,
    /// In how many runs a saga completed.
    pub completed: u64,
    /// In how many runs a saga went back.
    pub went_back: u64,
    /// How often each way of the definition was gone.
    pub coverage: Coverage,
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
    /// The number of the log's event after which it was inevitable: it failed in this way however it went
    /// on, healthy and 99 times with random faults and orders that the engine promises to mask. None if it
    /// could be averted until the end, or if that took too long to tell.
    pub baked_in: Option<u64>,
    /// What happened.
    pub timeline: String,
    /// The plan that failed first, before it was shrunk.
    pub found: Plan,
    /// How many runs the shrinker needed.
    pub replays: u64,
    /// Whether it was shown that each fault of the plan is needed: without any one of them the run
    /// does not fail in this way.
    pub needed: bool,
}

/// Tries plans until one fails or the budget is spent. Nothing more than the plan goes wrong until the
/// log holds so many events of sagas.
pub(crate) fn explore(setup: &Arc<Setup>, plan: &Plan, events: u64, budget: Explore) -> Report {
    let mut base = World::begin(setup, plan.clone());
    while base.events() < events && base.turn() {}
    let unmarked = |(name, _): &(String, _)| (name.clone(), 0);
    let mut search = Search {
        base,
        budget,
        report: Report {
            after: events,
            sometimes: setup.sometimes.iter().map(unmarked).collect(),
            coverage: Coverage::of(setup.definition.graph()),
            ..Report::default()
        },
        healthy: None,
    };
    let found = search
        .exhaust()
        .or_else(|| search.swarm())
        .or_else(|| search.schedules())
        .or_else(|| search.guided());
    let mut report = search.report;
    report.failure = found.map(|(plan, violation)| shrink(setup, plan, violation));
    report
}

/// One run of so many is run again.
const REPEATED: u64 = 100;

struct Search {
    /// Where all runs begin.
    base: World,
    budget: Explore,
    report: Report,
    healthy: Option<Story>,
}

type Found = Option<(Plan, Violation)>;

impl Search {
    /// Plays the run in which all begin, and learns what others are compared with.
    fn begin(&mut self) -> World {
        let mut world = self.base.clone();
        world.play();
        self.healthy = if world.plan().is_empty() {
            comparable(&world)
        } else {
            healthy(world.setup())
        };
        world
    }

    fn is_spent(&self) -> bool {
        self.report.runs >= self.budget.runs_max
    }

    /// Counts a run that has come to its end, and looks what is wrong with it.
    fn judge(&mut self, world: &World) -> Found {
        self.count(world);
        let violation = self.verdict(world);
        // What fails must fail again, and now and then what holds is looked at as well.
        let repeated = violation.is_some() || self.report.runs % REPEATED == 1;
        let flickers = repeated.then(|| differs_when_repeated(world)).flatten();
        Some((world.plan().clone(), flickers.or(violation)?))
    }

    fn count(&mut self, world: &World) {
        self.report.runs += 1;
        self.report.coverage.add(world);
        for (_, fault) in world.bites() {
            *self.report.bites.entry(fault).or_default() += 1;
        }
        for mark in world.marks() {
            self.report.sometimes[mark].1 += 1;
        }
        let any = |test: fn(&SagaState) -> bool| u64::from(world.sagas().any(test));
        self.report.completed += any(|saga| saga.status() == Status::Completed);
        self.report.went_back += any(|saga| saga.turn().is_some());
    }

    /// Every run of at most one fault, and a share of those of more: it takes a seventh of a run.
    fn is_decided_again(&self, world: &World) -> bool {
        world.plan().len() <= 1 || self.report.runs.is_multiple_of(DECIDED_AGAIN)
    }

    fn verdict(&self, world: &World) -> Option<Violation> {
        let healthy = self.healthy.as_ref();
        if self.is_decided_again(world) {
            verdict(world, healthy)
        } else {
            seen(world, healthy)
        }
    }
}

/// What happens when nothing goes wrong, if a masked fault must leave it as it is.
pub(crate) fn healthy(setup: &Arc<Setup>) -> Option<Story> {
    comparable(&World::run(setup, Plan::healthy()))
}

/// The story of a healthy run, if others are compared with it: not if somebody acts at a time of the
/// clock, nor if a branch fails beside others, which is earlier or later for them.
fn comparable(healthy: &World) -> Option<Story> {
    let setup = healthy.setup();
    let turns = healthy.sagas().any(|saga| saga.turn().is_some());
    let mut nodes = setup.definition.graph().iter();
    let branches = nodes.any(|(_, node)| matches!(node.kind, Kind::All { .. }));
    let depends = setup.races || (turns && branches);
    (healthy.violation().is_none() && !depends).then(|| Story::of(healthy))
}

/// What is wrong with a run: what is [`seen`], or decisions that do not come out again (I19).
pub(crate) fn verdict(world: &World, healthy: Option<&Story>) -> Option<Violation> {
    seen(world, healthy).or_else(|| redecided(world).err())
}

/// What is wrong with a run at first sight: its own violation, or a masked fault that shows (I21).
fn seen(world: &World, healthy: Option<&Story>) -> Option<Violation> {
    if let Some(violation) = world.violation() {
        return Some(violation.clone());
    }
    let healthy = healthy?;
    if !world.plan().is_masked() || world.setup().is_raced_for(world.plan()) {
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
