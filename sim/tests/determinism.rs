//! The same plan gives the same run, byte for byte, in this process and in another.

use std::{process::Command, time::Duration};

use sagalog_model::{AnyDefinition, Saga, Step};
use sagalog_sim::{Explore, Plan, Sim};

const SECOND: Duration = Duration::from_secs(1);
const DO: Step<u32, u32> = Step::new("x.do").compensatable().timeout(SECOND);

/// Names the plan that the other process is to run.
const PLAN: &str = "SAGALOG_SIM_PLAN";

/// Before the digest in what the other process prints.
const MARK: &str = "digest of the run: ";

fn definition() -> AnyDefinition {
    const SAGA: Saga<u32, u32> = Saga::new("row");
    let (mut saga, n) = SAGA.define(1);
    let a = saga.step("a", DO, n);
    let (b, c) = saga.all(|all| (all.step("b", DO, a), all.step("c", DO, a)));
    saga.returns(b.and(c).map(|b, c| b + c))
        .expect("a good definition")
        .into()
}

fn sim() -> Sim {
    Sim::of(definition(), &1).and_saga(&2).gives(DO, |n| n + 1)
}

fn digest(plan: &str) -> u64 {
    let plan: Plan = plan.parse().expect("a good plan");
    let run = sim().run(&plan).expect("every fault has a consequence");
    run.world().digest()
}

const PLANS: [&str; 4] = [
    "",
    "reply s1 b#1: lost\ncommit s1 a#1: lease lost",
    "config s0 world: one more saga\ncommit s1 start: crash twice\noutcome s2 c#1: fails",
    "deliver s1 a#1: broker down\ncommit s1 a#1: clock jumps back\nreply s2 a#1: after the end",
];

#[test]
fn the_same_plan_gives_the_same_bytes_again() {
    for plan in PLANS {
        assert_eq!(digest(plan), digest(plan), "{plan}");
    }
    let different: std::collections::BTreeSet<_> = PLANS.into_iter().map(digest).collect();
    assert_eq!(different.len(), PLANS.len(), "the digest tells runs apart");
}

#[test]
fn the_same_plan_gives_the_same_bytes_in_another_process() {
    let this = std::env::current_exe().expect("a test has a file");
    for plan in PLANS {
        let other = Command::new(&this)
            .args(["--exact", "a_run_in_another_process", "--nocapture"])
            .env(PLAN, plan)
            .output()
            .expect("this program starts again");
        let printed = String::from_utf8(other.stdout).expect("it prints text");
        let told = printed
            .split_once(MARK)
            .and_then(|(_, rest)| rest.lines().next());
        assert_eq!(told, Some(&*digest(plan).to_string()), "{plan}\n{printed}");
    }
}

/// Not a test of its own: what the one above starts.
#[test]
fn a_run_in_another_process() {
    if let Ok(plan) = std::env::var(PLAN) {
        println!("{MARK}{}", digest(&plan));
    }
}

#[test]
fn a_run_that_shares_its_beginning_is_the_run_of_its_plan() {
    // A property that notes every run's digest by its plan: those of an exploration, which go on
    // from forks, must be those of runs from the beginning.
    use std::sync::{Arc, Mutex};
    let ended = Arc::new(Mutex::new(Vec::new()));
    let notes = ended.clone();
    let sim = sim().eventually("it is noted", move |world| {
        notes
            .lock()
            .expect("nobody panics")
            .push((world.plan().clone(), world.digest()));
        true
    });
    sim.explore(Explore::exhaustive(1).and_swarm(50)).check();
    let explored = std::mem::take(&mut *ended.lock().expect("nobody panics"));
    assert!(explored.len() > 100, "{}", explored.len());
    for (plan, digest) in explored {
        assert_eq!(sim.play(&plan).digest(), digest, "{plan}");
    }
}
