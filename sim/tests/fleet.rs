//! Whether sagas under way can go on with another build of their program.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sagalog_eventlog::Row;
use sagalog_model::{
    AnyDefinition, Fingerprint, Flow, Graph, Out, Saga, SagaId, Step, just,
    log::{Epoch, SchemaVersion},
};
use sagalog_sim::{Candidate, Change, Checked, OtherRules, Plan, Sim, Verdict, What, Why};

const ORDER: Saga<u64, String> = Saga::new("order");
const RESERVE: Step<String, String> = Step::new("stock.reserve").compensatable();
const CHARGE: Step<u64, String> = Step::new("money.charge").compensatable();
const WRAP: Step<String, String> = Step::new("stock.wrap").compensatable();
const SHIP: Step<String, String> = Step::new("post.ship").retryable();

/// How an order of some version differs from that of version 1.
#[derive(Clone, Copy)]
struct Order {
    version: u32,
    /// The price is computed by another function.
    dearer: bool,
    /// Another constant is reserved.
    sku: Option<&'static str>,
    /// A branch before charging.
    wraps: bool,
    /// A step behind charging.
    sleeps: bool,
}

fn order(how: Order) -> AnyDefinition {
    let (mut saga, cents) = ORDER.define(how.version);
    let sku = how.sku.unwrap_or("BOOK").to_owned();
    let reserved = saga.step("reserve", RESERVE, just(sku));
    if how.wraps {
        wrap(&mut saga, cents, reserved);
    }
    let price = match how.dearer {
        false => cents.map(|cents| cents),
        true => cents.map(|cents| cents + 1),
    };
    let paid = saga.step("charge", CHARGE, price);
    if how.sleeps {
        saga.sleep("calm", Duration::from_secs(60));
    }
    saga.pivot();
    let label = saga.step("ship", SHIP, reserved);
    let receipt = paid
        .and(label)
        .map(|paid, label| format!("{paid}, {label}"));
    saga.returns(receipt).expect("it is sound").into()
}

fn wrap(saga: &mut Flow, cents: Out<u64>, reserved: Out<String>) {
    saga.when("dear", cents.map(|cents| cents > 1_000), |saga| {
        saga.step("wrap", WRAP, reserved)
    });
}

const FIRST: Order = Order {
    version: 1,
    dearer: false,
    sku: None,
    wraps: false,
    sleeps: false,
};

/// A version of order 1 that waits for the answer of charging.
fn charging() -> Vec<Row> {
    let run = Sim::of(order(FIRST), &4_200)
        .gives(RESERVE, |sku| format!("{sku} is reserved"))
        .gives(CHARGE, |cents| format!("{cents} are paid"))
        .gives(SHIP, |_| "IP-1".into())
        .run(&Plan::healthy())
        .expect("it runs");
    let capture = run.capture("s1").expect("it ran");
    let rows = capture.rows().iter().map(|row| row.row.clone());
    let is_charged = |row: &Row| row.events[0].control.contains("charge");
    rows.take_while(|row| !is_charged(row)).collect()
}

fn check(candidate: &Candidate) -> Checked {
    check_rows(candidate, &charging())
}

fn check_rows(candidate: &Candidate, rows: &[Row]) -> Checked {
    let saga = SagaId::new("s1").expect("an id");
    candidate.check(&saga, rows, &BTreeMap::new())
}

fn second() -> Order {
    Order {
        version: 2,
        ..FIRST
    }
}

#[test]
fn a_saga_of_the_newest_version_is_compatible_if_it_is_decided_again_as_it_is_on_record() {
    let checked = check(&Candidate::of([order(FIRST)]));
    assert_eq!(checked.why, Why::Same { by: 1 });
    assert_eq!(checked.verdict, Verdict::Compatible);
    assert_eq!((&*checked.definition, checked.version), ("order", 1));
}

#[test]
fn a_change_that_is_ahead_of_a_saga_leaves_it_compatible() {
    let newer = Order {
        sleeps: true,
        ..second()
    };
    let checked = check(&Candidate::of([order(FIRST), order(newer)]));
    assert_eq!(checked.why, Why::Same { by: 2 });
}

#[test]
fn a_change_behind_which_a_saga_is_keeps_it_on_its_version() {
    let newer = Order {
        wraps: true,
        ..second()
    };
    let checked = check(&Candidate::of([order(FIRST), order(newer)]));
    assert_eq!(checked.verdict, Verdict::KeepOld);
    insta::assert_snapshot!(checked, @r#"
    s1 (order 1) keep-old: version 2 does something else
      s1, version 4, decided on `reserve#1 succeeded: "BOOK is reserved"`
        recorded  AttemptAsked {"node":"charge","attempt":1,"deadline":1000030003000} 4200
        decided   ArmChosen {"node":"dear","arm":0} null
    "#);
}

#[test]
fn what_a_function_gives_is_compared_too() {
    let newer = Order {
        dearer: true,
        ..second()
    };
    let checked = check(&Candidate::of([order(FIRST), order(newer)]));
    assert_eq!(checked.why, Why::Differs { by: 2 });
    let difference = checked.difference.expect("it differs");
    let What::Events { recorded, decided } = difference.what else {
        panic!("both sides have an event");
    };
    let data = |side: Option<sagalog_sim::Side>| side.and_then(|side| side.data);
    assert_eq!(data(recorded).as_deref(), Some("4200"));
    assert_eq!(data(decided).as_deref(), Some("4201"));
}

#[test]
fn a_build_without_its_version_breaks_it_even_if_another_would_do_the_same() {
    let ahead = Order {
        sleeps: true,
        ..second()
    };
    let checked = check(&Candidate::of([order(ahead)]));
    assert_eq!(checked.why, Why::Gone { by: 2, same: true });
    let behind = Order {
        dearer: true,
        ..second()
    };
    let checked = check(&Candidate::of([order(behind)]));
    assert_eq!(checked.why, Why::Gone { by: 2, same: false });
    assert!(checked.difference.is_some());
    assert_eq!(checked.verdict, Verdict::Breaks);
    assert_eq!(check(&Candidate::default()).why, Why::Undefined);
}

#[test]
fn a_version_that_was_changed_without_another_number_breaks_its_sagas() {
    let changed = Order {
        sku: Some("BALL"),
        ..FIRST
    };
    let (was, is) = (order(FIRST), order(changed));
    let candidate = Candidate::of([is.clone()]).on([(was.fingerprint(), was.graph().clone())]);
    let checked = check(&candidate);
    assert_eq!(checked.verdict, Verdict::Breaks);
    assert!(matches!(checked.why, Why::Changed { ours, .. } if ours == is.fingerprint()));
    let changed = candidate.changed();
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0].recorded, was.fingerprint());
}

#[test]
fn a_function_that_was_changed_without_a_new_version_breaks_unless_other_rules_decided() {
    let changed = Order {
        dearer: true,
        ..FIRST
    };
    let candidate = Candidate::of([order(changed)]);
    let rows = charging();
    assert_eq!(check_rows(&candidate, &rows).why, Why::Diverges);
    let other = OtherRules::of(0, "0.0.9").expect("these rules are others");
    let others = BTreeMap::from([(rows[0].epoch, other.clone())]);
    let saga = SagaId::new("s1").expect("an id");
    let checked = candidate.check(&saga, &rows, &others);
    assert_eq!(checked.why, Why::OtherRules(other.clone()));
    assert_eq!(checked.verdict, Verdict::KeepOld);
    // Those of an owner that did not decide what differs are no excuse.
    let others = BTreeMap::from([(Epoch::new(99), other)]);
    let checked = candidate.check(&saga, &rows, &others);
    assert_eq!(checked.why, Why::Diverges);
}

#[test]
fn a_history_that_does_not_read_breaks() {
    let mut rows = charging();
    rows[0].events[0].schema = SchemaVersion::new(9);
    let candidate = Candidate::of([order(FIRST)]);
    let checked = check_rows(&candidate, &rows);
    assert_eq!(checked.verdict, Verdict::Breaks);
    assert!(matches!(checked.why, Why::Unreadable { .. }), "{checked}");
    assert_eq!(check_rows(&candidate, &[]).verdict, Verdict::Breaks);
}

/// What a build that has the first version and this one is found to change, by its graphs alone.
fn change(newer: Order) -> Option<Change> {
    let graphs = [order(FIRST), order(newer)].map(|it| it.graph().clone());
    let candidate = Candidate::of_graphs(graphs.clone()).on([recorded(&graphs[0])]);
    let checked = check(&candidate);
    match checked.why {
        Why::SameNodes { by: 2 } => None,
        Why::Differs { by: 2 } => checked.node.map(|node| node.change),
        other => panic!("{other}"),
    }
}

fn recorded(graph: &Arc<Graph>) -> (Fingerprint, Arc<Graph>) {
    (Fingerprint::of(graph), graph.clone())
}

#[test]
fn graphs_are_compared_as_far_as_a_saga_has_come() {
    let other_constant = Order {
        sku: Some("BALL"),
        ..second()
    };
    let behind = Order {
        wraps: true,
        ..second()
    };
    let ahead = Order {
        sleeps: true,
        ..second()
    };
    // Functions are not in a graph.
    let unseen = Order {
        dearer: true,
        ..second()
    };
    let other = "dear".into();
    assert_eq!(change(second()), None);
    assert_eq!(change(ahead), None);
    assert_eq!(change(unseen), None);
    assert_eq!(change(other_constant), Some(Change::Reads));
    assert_eq!(change(behind), Some(Change::Behind { other }));
}

#[test]
fn of_a_build_whose_graphs_are_known_a_missing_version_breaks_too() {
    let (first, newer) = (order(FIRST), order(second()));
    let first = first.graph();
    let candidate = Candidate::of_graphs([newer.graph().clone()]).on([recorded(first)]);
    assert_eq!(check(&candidate).why, Why::Gone { by: 2, same: true });
    let unrecorded = Candidate::of_graphs([newer.graph().clone()]);
    let checked = check(&unrecorded);
    assert!(matches!(checked.why, Why::Unreadable { .. }), "{checked}");
}
