//! Another end of a captured history.

use std::time::Duration;

use sagalog_model::{AnyDefinition, Payload, Retry, Saga, Step};
use sagalog_projections::Status;
use sagalog_sim::{CannotFork, Capture, Forked, Otherwise, Plan, Sim};

const ORDER: Saga<u32, String> = Saga::new("order");
const SOON: Retry = Retry::fixed(Duration::from_secs(1)).attempts(2);
const RESERVE: Step<u32, String> = Step::new("stock.reserve").compensatable().retry(SOON);
const CHARGE: Step<String, String> = Step::new("money.charge").compensatable().retry(SOON);
const PACK: Step<String, String> = Step::new("stock.pack").compensatable().retry(SOON);

fn order() -> AnyDefinition {
    let (mut saga, order) = ORDER.define(1);
    let reserved = saga.step("reserve", RESERVE, order);
    let paid = saga.step("charge", CHARGE, reserved);
    saga.returns(paid).expect("it is sound").into()
}

/// The next version packs what was reserved first.
fn packed_order() -> AnyDefinition {
    let (mut saga, order) = ORDER.define(2);
    let reserved = saga.step("reserve", RESERVE, order);
    let packed = saga.step("pack", PACK, reserved);
    let paid = saga.step("charge", CHARGE, packed);
    saga.returns(paid).expect("it is sound").into()
}

/// An order whose money was refused.
fn refused() -> (Sim, Capture) {
    let sim = Sim::of(order(), &7)
        .gives(RESERVE, |number| format!("item {number} is reserved"))
        .gives(CHARGE, |reserved| format!("{reserved} and paid"));
    let run = sim.run(&plan("outcome s1 charge#1: fails"));
    let capture = run.expect("the run comes there").capture("s1");
    let capture = capture.expect("it has begun");
    let sim = Sim::of_capture(order(), &capture).expect("it runs this definition");
    (sim, capture)
}

fn plan(text: &str) -> Plan {
    text.parse().expect("a good plan")
}

fn kinds(forked: &Forked) -> Vec<&'static str> {
    forked
        .forked
        .events
        .iter()
        .map(|event| event.kind())
        .collect()
}

#[test]
fn without_a_change_both_ends_are_the_same() {
    let (sim, capture) = refused();
    for at in 0..=capture.events().len() {
        let forked = sim
            .fork(&capture, at, &Otherwise::default())
            .expect("it comes there");
        assert!(forked.is_same(), "{at}: {forked:#?}");
        assert_eq!(forked.plan, plan("outcome s1 charge#1: fails"));
    }
}

#[test]
fn what_went_wrong_goes_well_and_the_saga_completes() {
    let (sim, capture) = refused();
    let at = capture
        .events()
        .position(|placed| placed.event.kind() == "AttemptFailed");
    let at = at.expect("it was refused");
    let otherwise = Otherwise {
        well: vec!["outcome s1 charge#1".parse().expect("a place")],
        ..Otherwise::default()
    };
    let forked = sim.fork(&capture, at, &otherwise).expect("it comes there");
    assert!(!forked.is_same());
    assert_eq!(forked.recorded.status, Status::Compensated);
    assert_eq!(forked.forked.status, Status::Completed);
    assert!(forked.plan.is_empty());
    assert_eq!(kinds(&forked), ["AttemptSucceeded", "Completed"]);
    // After the refusal it is too late for that.
    let late = sim.fork(&capture, at + 1, &otherwise);
    let Err(CannotFork::PartEarlier(leaves)) = late else {
        panic!("{late:?}");
    };
    assert_eq!(leaves.version, at + 1);
}

#[test]
fn another_fault_and_another_output_lead_elsewhere() {
    let (sim, capture) = refused();
    let at = capture
        .events()
        .position(|placed| placed.event.kind() == "AttemptAsked");
    let at = at.expect("it was asked") + 1;
    let otherwise = Otherwise {
        faults: plan("outcome s1 reserve#1: fails"),
        ..Otherwise::default()
    };
    let forked = sim.fork(&capture, at, &otherwise).expect("it comes there");
    assert_eq!(forked.forked.status, Status::Compensated);
    assert_eq!(forked.plan, plan("outcome s1 reserve#1: fails"));
    let otherwise = Otherwise {
        gives: [("stock.reserve".to_owned(), payload("\"nothing\""))].into(),
        ..Otherwise::default()
    };
    let forked = sim.fork(&capture, at, &otherwise).expect("it comes there");
    assert!(!forked.is_same(), "{forked:#?}");
    assert_eq!(forked.forked.status, Status::Compensated);
}

#[test]
fn another_input_is_a_fork_before_the_first_event() {
    let (sim, capture) = refused();
    let otherwise = Otherwise {
        input: Some(payload("8")),
        ..Otherwise::default()
    };
    assert!(matches!(
        sim.fork(&capture, 1, &otherwise),
        Err(CannotFork::PartEarlier(_))
    ));
    let forked = sim.fork(&capture, 0, &otherwise).expect("it comes there");
    assert!(!forked.is_same());
}

#[test]
fn another_definition_goes_on_with_what_was_given() {
    let (_, capture) = refused();
    let sim = Sim::of_another(packed_order(), &capture);
    let forked = sim
        .fork(&capture, 0, &Otherwise::default())
        .expect("it comes there");
    assert!(!forked.is_same());
    assert_eq!(forked.forked.status, Status::Compensated);
    let packed = forked
        .forked
        .events
        .iter()
        .any(|event| event.encode().control.contains("pack"));
    assert!(packed, "{forked:#?}");
}

#[test]
fn a_version_that_is_not_there_is_refused() {
    let (sim, capture) = refused();
    let last = capture.events().len();
    let beyond = sim.fork(&capture, last + 1, &Otherwise::default());
    assert_eq!(
        beyond,
        Err(CannotFork::NoSuchVersion { at: last + 1, last })
    );
}

fn payload(json: &str) -> Payload {
    Payload::parse(json).expect("JSON")
}
