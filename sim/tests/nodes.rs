//! Several nodes share the partitions: they die, are paused and come back, and each partition has one
//! effective owner.

use std::{collections::BTreeSet, time::Duration};

use sagalog_model::{AnyDefinition, Retry, Saga, Step};
use sagalog_sim::{Explore, Fault, Plan, Run, Sim};

const SECOND: Duration = Duration::from_secs(1);
const SOON: Retry = Retry::fixed(SECOND).attempts(2);
const DO: Step<u32, u32> = Step::new("x.do")
    .compensatable()
    .timeout(SECOND)
    .retry(SOON)
    .undo_timeout(SECOND)
    .undo_retry(SOON);

fn three() -> AnyDefinition {
    const SAGA: Saga<u32, u32> = Saga::new("three");
    let (mut saga, n) = SAGA.define(1);
    let a = saga.step("a", DO, n);
    let b = saga.step("b", DO, a);
    let c = saga.step("c", DO, b);
    saga.returns(c).expect("a good definition").into()
}

/// One saga; of two partitions its id gives the second, which belongs to `n2`.
fn sim() -> Sim {
    Sim::of(three(), &1).gives(DO, |n| n + 1)
}

fn played(sim: &Sim, plan: &str) -> Run {
    let plan: Plan = plan.parse().expect("a good plan");
    let run = sim.run(&plan).unwrap_or_else(|error| panic!("{error}"));
    run.check();
    run
}

/// What the nodes did, one after the other.
fn said(run: &Run) -> Vec<String> {
    let node = |line: &&sagalog_sim::TraceLine| line.lane == sagalog_sim::Lane::Node;
    let lines = run.world().trace().iter().filter(node);
    lines.map(|line| line.what.clone()).collect()
}

#[test]
fn what_a_dead_node_owned_goes_to_another_and_comes_back_to_it() {
    let run = played(&sim().nodes(2), "commit s1 a#1: crash before");
    assert_eq!(
        said(&run),
        [
            "n1 owns partition 0, epoch 1",
            "n2 owns partition 1, epoch 1",
            "n2 dies",
            "n1 owns partition 1, epoch 2",
            "n1 releases partition 1",
            "n2 owns partition 1, epoch 3",
        ]
    );
}

#[test]
fn a_node_that_dies_loses_all_its_partitions() {
    let run = played(&sim().nodes(2).partitions(4), "commit s1 a#1: crash before");
    let said = said(&run);
    let died = said.iter().position(|line| line == "n2 dies");
    let after = &said[died.expect("it dies") + 1..];
    assert_eq!(
        after[..2],
        [
            "n1 owns partition 1, epoch 2",
            "n1 owns partition 3, epoch 2"
        ]
    );
}

#[test]
fn a_paused_owner_is_another_node_than_the_next_one_and_is_fenced() {
    let run = played(&sim().nodes(2), "commit s1 a#1: lease lost");
    let said = said(&run);
    assert_eq!(said[2], "n1 owns partition 1, epoch 2");
    assert_eq!(said[3], "n2 was paused, is fenced, and stops");
}

#[test]
fn a_node_whose_heartbeat_fails_stops_before_another_takes_over() {
    let run = played(&sim().nodes(2), "commit s1 start: heartbeat fails");
    assert_eq!(
        said(&run)[2..4],
        [
            "n2 stops, as its leases may be out",
            "n1 owns partition 1, epoch 2",
        ]
    );
}

#[test]
fn an_owner_that_is_taken_over_alive_is_fenced_at_its_next_append() {
    let run = played(&sim().nodes(3), "commit s1 a#1: taken over alive");
    let said = said(&run);
    assert_eq!(said[3], "n2 owns partition 0, epoch 2");
    assert_eq!(said[4], "n1 is fenced, and stops");
}

#[test]
fn of_two_that_take_over_at_once_the_later_one_stays() {
    for race in ["reading", "appending"] {
        let plan = format!("commit s1 a#1: two take over, the first {race}");
        let run = played(&sim().nodes(3), &plan);
        let fenced = said(&run)
            .iter()
            .filter(|line| line.ends_with("is fenced, and stops"))
            .count();
        assert_eq!(fenced, 1, "{}", run.timeline());
    }
}

#[test]
fn every_kind_of_fault_bites_and_holds_with_several_nodes() {
    let explored = sim().and_saga(&2).nodes(2).explore(Explore::exhaustive(1));
    explored.check();
    let bitten: BTreeSet<_> = explored.report().bites.keys().copied().collect();
    let missing: Vec<_> = Fault::ALL
        .into_iter()
        .filter(|fault| fault.is_tried() && !fault.needs_a_time() && !bitten.contains(fault))
        .collect();
    assert!(missing.is_empty(), "{missing:?} had no consequence");
}

#[test]
fn random_plans_hold_with_three_nodes_and_more_partitions() {
    let sim = sim().and_saga(&2).and_saga(&3).nodes(3).partitions(5);
    let explored = sim.explore(Explore::exhaustive(0).and_swarm(2_000));
    explored.check();
}

#[test]
fn the_same_plan_gives_the_same_bytes_with_several_nodes() {
    let sim = sim().and_saga(&2).nodes(3);
    let plan: Plan = "config s0 world: clocks drift\ncommit s1 a#1: heartbeat fails"
        .parse()
        .expect("a good plan");
    let digest = || sim.run(&plan).expect("both happen").world().digest();
    assert_eq!(digest(), digest());
}

#[test]
fn a_fault_of_several_nodes_has_no_consequence_with_one() {
    let plan: Plan = "commit s1 a#1: taken over alive"
        .parse()
        .expect("a good plan");
    let error = sim().run(&plan).err().expect("there is nobody else");
    assert_eq!(
        error.to_string(),
        "`commit s1 a#1: taken over alive` changes nothing in this run"
    );
}
