//! Which ways of a definition an exploration went, and which it never did.

use std::time::Duration;

use sagalog_model::{AnyDefinition, Retry, Saga, Signal, Step, just};
use sagalog_sim::{Explore, Explored, Sim};

const SECOND: Duration = Duration::from_secs(1);
const STOCK: Step<u32, u32> = Step::new("stock.reserve")
    .compensatable()
    .timeout(SECOND)
    .retry(Retry::NEVER)
    .undo_timeout(SECOND);
const CARD: Step<u32, u32> = Step::new("money.charge")
    .compensatable()
    .probed()
    .timeout(SECOND)
    .deadline(Duration::from_secs(5))
    .undo_timeout(SECOND)
    .undo_retry(Retry::NEVER)
    .or_skip("small change");
const APPROVAL: Signal<bool> = Signal::new("approval");

fn order() -> AnyDefinition {
    const ORDER: Saga<u32, u32> = Saga::new("order");
    let (mut saga, cents) = ORDER.define(1);
    let reserved = saga.step("reserve", STOCK, cents);
    saga.when("pay", cents.map(|cents| cents > 0), |saga| {
        saga.step("charge", CARD, reserved)
    });
    let size = saga.choose("size", cents, |case| {
        let small = case.arm("small", |_, _| just(1));
        let large = case.arm("large", |_, _| just(2));
        case.pick((small, large), |cents, (small, large)| match cents {
            0..1000 => small.take(),
            _ => large.take(),
        })
    });
    let approved = saga.signal("approved", APPROVAL).within(5 * SECOND);
    let checked = saga.check(
        "is-approved",
        approved.map(|approved| approved.filter(|it| *it).ok_or_else(|| "nobody".to_owned())),
    );
    saga.returns(size.and(checked).map(|size, _| size))
        .expect("a good definition")
        .into()
}

fn sim(cents: u32) -> Sim {
    Sim::of(order(), &cents)
        .gives(STOCK, |n| n)
        .gives(CARD, |n| n)
        .signal(SECOND, APPROVAL, &true)
}

fn missed(explored: &Explored) -> Vec<&str> {
    explored.coverage().missed().collect()
}

#[test]
fn a_healthy_run_goes_forward_and_never_back() {
    let healthy = sim(900).explore(Explore::exhaustive(0));
    assert_eq!(
        missed(&healthy),
        [
            "failure of reserve",
            "timeout of reserve",
            "compensation of reserve",
            "pay, not taken",
            "failure of charge",
            "timeout of charge",
            "retry of charge",
            "probe of charge",
            "deadline of charge",
            "compensation of charge",
            "skipped compensation of charge",
            "arm large of size",
            "deadline of approved",
            "refusal of is-approved",
            "the saga went back to its end",
        ]
    );
    let ways = healthy.coverage().ways();
    let gone = ways.iter().filter(|way| way.runs == 1);
    let gone: Vec<_> = gone.map(|way| &*way.way).collect();
    assert_eq!(
        gone,
        [
            "reserve",
            "pay, taken",
            "charge",
            "arm small of size",
            "approved",
            "is-approved",
            "the saga completed",
        ]
    );
}

#[test]
fn what_the_input_never_leads_to_is_left_after_every_pair_of_faults() {
    let explored = sim(900).explore(Explore::exhaustive(2).at_most(30_000));
    explored.check();
    assert_eq!(
        missed(&explored),
        ["pay, not taken", "arm large of size"],
        "{}",
        explored.document()
    );
    let told = explored.document().to_string();
    assert!(
        told.contains(
            "covers  20 of 22 ways of the saga\nmissed  pay, not taken · arm large of size\n"
        ),
        "{told}"
    );
}

#[test]
fn whoever_asks_for_all_ways_fails_for_one_that_was_not_gone() {
    let explored = sim(900).explore(Explore::exhaustive(1));
    explored.check();
    let fails = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        explored.check_covers_all();
    }));
    let told = fails.expect_err("not all are covered");
    let told = told.downcast_ref::<String>().expect("a text");
    assert!(told.contains("arm large of size"), "{told}");
}

#[test]
fn a_saga_all_of_whose_ways_were_gone_is_covered() {
    const SAGA: Saga<u32, u32> = Saga::new("one");
    let (mut saga, n) = SAGA.define(1);
    let n = saga.step("reserve", STOCK, n);
    let sim = Sim::auto(saga.returns(n).expect("a good definition"));
    sim.explore(Explore::exhaustive(1)).check_covers_all();
}
