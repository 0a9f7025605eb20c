//! Captures: the plan behind a recorded history brings it about again, and is a test to paste.

#[path = "../sagas/mod.rs"]
mod sagas;

use std::time::Duration;

use sagalog_model::{AnyDefinition, Retry, Saga, Step};
// What the pasted test calls it.
use sagalog_projections as sagalog;
use sagalog_sim::{Capture, Decide, Mend, Plan, Sim, World};

const ORDER: Saga<u32, String> = Saga::new("order");
const SOON: Retry = Retry::fixed(Duration::from_secs(1)).attempts(2);
const RESERVE: Step<u32, String> = Step::new("stock.reserve").compensatable().retry(SOON);
const CHARGE: Step<String, String> = Step::new("money.charge").compensatable().retry(SOON);

fn order() -> AnyDefinition {
    let (mut saga, order) = ORDER.define(1);
    let reserved = saga.step("reserve", RESERVE, order);
    let paid = saga.step("charge", CHARGE, reserved);
    saga.returns(paid).expect("it is sound").into()
}

fn captured(plan: &str) -> Capture {
    let plan: Plan = plan.parse().expect("a good plan");
    let sim = Sim::of(order(), &7)
        .gives(RESERVE, |number| format!("item {number} is reserved"))
        .gives(CHARGE, |reserved| format!("{reserved} and paid"));
    let run = sim.run(&plan).expect("the run comes there");
    run.capture("s1").expect("it has begun")
}

#[test]
fn the_faults_behind_a_history_are_found() {
    for plan in [
        "",
        "outcome s1 charge#1: fails",
        "outcome s1 charge#1: fails for now",
        "reply s1 reserve#1: lost",
        "reply s1 reserve#1: lost\ncommit s1 reserve#2: crash after",
        "outcome s1 charge#1: in doubt, done",
        "outcome s1 charge#1: in doubt, not done\noutcome s1 charge#2: in doubt, not done",
        "commit s1 charge#1: crash after\noutcome s1 charge#1: fails\noutcome s1 reserve compensation#1: fails for now",
    ] {
        let capture = captured(plan);
        let sim = Sim::of_capture(order(), &capture).expect("it runs this definition");
        let inferred = sim.infer(&capture);
        assert!(inferred.reproduces(), "{plan}\n{inferred}");
        let found: Plan = inferred.plan.to_string().parse().expect("it reads back");
        let run = sim.run(&found).expect("every fault has a consequence");
        run.check();
        let again = run.capture("s1").expect("it has begun");
        assert_eq!(again.events().len(), capture.events().len(), "{plan}");
    }
}

/// What others gave, sent and mended comes from the record.
#[test]
fn a_history_of_people_is_brought_about_by_what_they_did() {
    let sims = [
        sagas::waits::approval(),
        sagas::people::hand_made(),
        sagas::pivots::parcel(),
        sagas::branches::trip().cancel(Duration::from_millis(7)),
    ];
    for sim in sims {
        let run = sim.run(&Plan::healthy()).expect("it is healthy");
        let capture = run.capture("s1").expect("it has begun");
        let again = Sim::of_capture(sim.definition().clone(), &capture);
        let inferred = again.expect("it runs this definition").infer(&capture);
        assert!(inferred.reproduces(), "{inferred}\n{}", run.timeline());
    }
}

/// Nobody knows what a hidden cause was: the first event that the run does not bring about is told.
#[test]
fn a_history_that_is_not_brought_about_says_where_the_run_leaves_it() {
    let sim = sagas::waits::approval_that_is_put_right();
    let run = sim.run(&Plan::healthy()).expect("it is healthy");
    let capture = run.capture("s1").expect("it has begun");
    let again = Sim::of_capture(sim.definition().clone(), &capture).expect("it is its definition");
    let inferred = again.infer(&capture);
    assert!(!inferred.reproduces(), "{inferred}");
    insta::assert_snapshot!(inferred);
}

fn incident() -> Capture {
    captured("reply s1 reserve#1: lost\noutcome s1 charge#1: fails")
}

#[test]
fn what_is_pasted_is_the_test_below() {
    let capture = incident();
    let sim = Sim::of_capture(order(), &capture).expect("it runs this definition");
    let inferred = sim.infer(&capture);
    insta::assert_snapshot!(inferred, @"
    plan  outcome s1 charge#1: fails
    plan  reply s1 reserve#1: lost
    its run is the recorded history
    ");
    let test = inferred.test(&capture, "order-4711.capture");
    assert!(include_str!("infer.rs").contains(&test), "{test}");
}

#[test]
fn the_captured_file_is_what_the_run_gives() {
    assert_eq!(include_str!("order-4711.capture"), incident().to_string());
}

#[should_panic(expected = "it completes")]
#[test]
fn s1_of_order_happens_again() {
    let capture: Capture = include_str!("order-4711.capture")
        .parse()
        .expect("it is whole");
    let sim = Sim::of_capture(order(), &capture)
        .expect("it runs this definition")
        .eventually("it completes", |world| {
            let saga = world.saga("s1");
            saga.is_some_and(|saga| saga.status() == sagalog::Status::Completed)
        });
    let plan: Plan = "
        outcome s1 charge#1: fails
        reply s1 reserve#1: lost
    "
    .parse()
    .expect("a good plan");
    let run = sim.run(&plan).expect("the run comes there");
    run.check();
}
