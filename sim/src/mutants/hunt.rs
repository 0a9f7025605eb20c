//! One planted bug, explored in one saga after the other until a run fails.

use std::time::Instant;

use super::{Mutant, Scenario, scenarios};
use crate::{Explore, Plan, Sim, explore::Failure, shrink::shrink};

/// How much is tried to find a bug.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Budget {
    /// What a change can wait for.
    Ci,
    /// What a night can hold.
    Nightly,
    /// One way alone, to compare it with others.
    Only(Way),
}

/// A way to look for a bug.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// All plans, by the number of their faults.
    Exhaustive,
    /// Random plans.
    Swarm,
    /// Random orders of what is under way.
    Schedules,
    /// Plans that grow where they lead to something new.
    Guided,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Exhaustive, Self::Swarm, Self::Schedules, Self::Guided];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exhaustive => "exhaustive",
            Self::Swarm => "swarm",
            Self::Schedules => "schedules",
            Self::Guided => "guided",
        }
    }
}

/// How a bug is looked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    /// All plans of at most so many faults, within a number of runs.
    Exhaustive(usize, u64),
    /// So many random plans.
    Swarm(u64),
    /// So many random orders.
    Schedules(u64),
    /// So many plans that grow where they lead to something new.
    Guided(u64),
}

impl Mode {
    const fn name(self) -> &'static str {
        match self {
            Self::Exhaustive(0, _) => "healthy",
            Self::Exhaustive(1, _) => "exhaustive 1",
            Self::Exhaustive(2, _) => "exhaustive 2",
            Self::Exhaustive(..) => "exhaustive 3",
            Self::Swarm(_) => "swarm",
            Self::Schedules(_) => "schedules",
            Self::Guided(_) => "guided",
        }
    }

    /// What is tried in a scenario in which something goes wrong already; nothing if that is too much.
    fn explore(self, scenario: &Scenario) -> Option<Explore> {
        match self {
            Self::Exhaustive(faults, runs) => {
                let faults = faults.checked_sub(scenario.faults)?;
                Some(Explore::exhaustive(faults).at_most(runs))
            }
            Self::Swarm(runs) => Some(Explore::exhaustive(0).and_swarm(runs)),
            Self::Schedules(runs) => Some(Explore::exhaustive(0).and_schedules(runs)),
            Self::Guided(runs) => Some(Explore::exhaustive(0).and_guided(runs)),
        }
    }
}

impl Budget {
    /// What is tried in each saga, cheapest first.
    const fn modes(self) -> &'static [Mode] {
        match self {
            Self::Ci => &[
                Mode::Exhaustive(0, 1),
                Mode::Exhaustive(1, 2_000),
                Mode::Exhaustive(2, 8_000),
                Mode::Swarm(500),
                Mode::Schedules(200),
                Mode::Guided(500),
            ],
            Self::Nightly => &[
                Mode::Exhaustive(0, 1),
                Mode::Exhaustive(1, u64::MAX),
                Mode::Exhaustive(2, u64::MAX),
                Mode::Swarm(20_000),
                Mode::Schedules(20_000),
                Mode::Guided(20_000),
                Mode::Exhaustive(3, 1_000_000),
            ],
            Self::Only(Way::Exhaustive) => &[
                Mode::Exhaustive(0, 1),
                Mode::Exhaustive(1, u64::MAX),
                Mode::Exhaustive(2, u64::MAX),
                Mode::Exhaustive(3, 100_000),
            ],
            Self::Only(Way::Swarm) => &[Mode::Swarm(20_000)],
            Self::Only(Way::Schedules) => &[Mode::Schedules(20_000)],
            Self::Only(Way::Guided) => &[Mode::Guided(20_000)],
        }
    }
}

/// How a planted bug was found.
#[derive(Clone, Debug)]
pub struct Catch {
    /// How it was looked for when it was found.
    pub mode: &'static str,
    /// In which saga.
    pub saga: &'static str,
    /// How many things go wrong in all: the plan's faults and the saga's own.
    pub faults: usize,
    /// The smallest plan that shows it.
    pub plan: Plan,
    /// How many runs the shrinker needed.
    pub replays: u64,
    /// How many milliseconds it needed.
    pub shrunk_in: u128,
    /// What it breaks.
    pub invariant: &'static str,
    /// What happened.
    pub timeline: String,
}

/// What a hunt came to.
#[derive(Clone, Debug)]
pub struct Hunt {
    /// How the bug was found, if it was.
    pub catch: Option<Catch>,
    /// The runs that it took.
    pub runs: u64,
    /// The milliseconds that it took.
    pub millis: u128,
}

/// Looks for a planted bug; for none, to see that the checks raise no false alarm.
pub fn hunt(mutant: Option<Mutant>, budget: Budget) -> Hunt {
    let began = Instant::now();
    let mut runs = 0;
    let mut catch = None;
    'found: for mode in budget.modes() {
        for scenario in scenarios() {
            let Some(explore) = mode.explore(&scenario) else {
                continue;
            };
            let sim = match mutant {
                Some(mutant) => scenario.sim.mutant(mutant),
                None => scenario.sim,
            };
            let explored = sim.explore(explore);
            let report = explored.report();
            runs += report.runs;
            if let Some(failure) = &report.failure {
                catch = Some(Catch {
                    mode: mode.name(),
                    saga: scenario.name,
                    faults: failure.plan.faults() + scenario.faults,
                    plan: failure.plan.clone(),
                    replays: failure.replays,
                    shrunk_in: shrunk_in(&sim, failure),
                    invariant: failure.violation.invariant,
                    timeline: failure.timeline.clone(),
                });
                break 'found;
            }
        }
    }
    Hunt {
        catch,
        runs,
        millis: began.elapsed().as_millis(),
    }
}

/// Shrinks once more what was found, for the time that it takes.
fn shrunk_in(sim: &Sim, failure: &Failure) -> u128 {
    let setup = sim.must_be_ready();
    let (plan, violation) = (failure.found.clone(), failure.violation.clone());
    let began = Instant::now();
    let again = shrink(&setup, plan, violation);
    assert_eq!(again.plan, failure.plan, "shrinking is deterministic");
    began.elapsed().as_millis()
}
