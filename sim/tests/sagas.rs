//! Sagas of many shapes keep their promises under every plan with at most two faults.

use std::time::Duration;

use sagalog_model::{AnyDefinition, Retry, Saga, Signal, Step, Undo};
use sagalog_sim::{Explore, Sim};

const SECOND: Duration = Duration::from_secs(1);
const SOON: Retry = Retry::fixed(SECOND).attempts(3);

const DO: Step<u32, u32> = Step::new("x.do")
    .compensatable()
    .timeout(SECOND)
    .retry(SOON)
    .undo_timeout(SECOND)
    .undo_retry(SOON);
const LOOK: Step<u32, u32> = Step::new("x.look").read_only().timeout(SECOND).retry(SOON);
const PAY: Step<u32, u32> = Step::new("x.pay")
    .compensatable()
    .probed()
    .timeout(SECOND)
    .retry(SOON)
    .undo_timeout(SECOND)
    .undo_retry(SOON);
const SHIP: Step<u32, u32> = Step::new("x.ship").retryable().timeout(SECOND).retry(SOON);

fn sim(definition: AnyDefinition) -> Sim {
    Sim::of(definition, &1)
        .gives(DO, |n| n + 1)
        .gives(LOOK, |n| n)
        .gives(PAY, |n| n + 100)
        .gives(SHIP, |n| n)
}

fn three() -> AnyDefinition {
    const SAGA: Saga<u32, u32> = Saga::new("three");
    let (mut saga, n) = SAGA.define(1);
    let a = saga.step("a", DO, n);
    let b = saga.step("b", DO, a);
    let c = saga.step("c", DO, b);
    saga.returns(c).expect("a good definition").into()
}

fn order() -> AnyDefinition {
    const SAGA: Saga<u32, u32> = Saga::new("order");
    let (mut saga, n) = SAGA.define(1);
    let quote = saga.step("quote", LOOK, n);
    let reserved = saga.step("reserve", DO, quote);
    let paid = saga.when("pay", n.map(|n| n > 0), |saga| {
        saga.step("charge", PAY, reserved)
    });
    saga.pivot();
    saga.step("ship", SHIP, reserved);
    saga.returns(paid.map(|paid| paid.unwrap_or(0)))
        .expect("a good definition")
        .into()
}

fn fork() -> AnyDefinition {
    const SAGA: Saga<u32, u32> = Saga::new("fork");
    let (mut saga, n) = SAGA.define(1);
    let first = saga.step("first", DO, n);
    let (left, right) = saga.all(|all| {
        let left = all.branch(|flow| {
            let one = flow.step("left-1", DO, first);
            flow.step("left-2", DO, one)
        });
        (left, all.step("right", PAY, first))
    });
    let last = saga.step("last", DO, left.and(right).map(|left, right| left + right));
    saga.returns(last).expect("a good definition").into()
}

#[test]
fn three_steps_in_a_row() {
    sim(three()).explore(Explore::exhaustive(2)).check();
}

#[test]
fn an_order_with_a_pivot() {
    sim(order())
        .always("nothing is paid that is not reserved", |world| {
            world.net("charge") <= world.net("reserve")
        })
        .explore(Explore::exhaustive(2))
        .check();
}

#[test]
fn a_fork_with_a_probed_branch() {
    sim(fork())
        .explore(Explore::exhaustive(1).and_swarm(300))
        .check();
}

#[test]
fn two_sagas_beside_each_other() {
    sim(three())
        .and_saga(&5)
        .explore(Explore::exhaustive(1).and_swarm(300))
        .check();
}

#[test]
fn a_saga_that_is_cancelled_in_the_middle() {
    let cancelled = sim(three()).cancel(Duration::from_millis(7));
    let explored = cancelled.explore(Explore::exhaustive(2));
    assert!(explored.report().went_back > 0);
    explored.check();
}

const APPROVAL: Signal<bool> = Signal::new("approval");

#[test]
fn a_wait_for_a_signal_with_a_deadline() {
    const SAGA: Saga<u32, bool> = Saga::new("approval");
    let (mut saga, n) = SAGA.define(1);
    let booked = saga.step("book", DO, n);
    saga.sleep("nap", SECOND);
    let approved = saga.signal("approved", APPROVAL).within(5 * SECOND);
    saga.check(
        "is-approved",
        approved.map(|approved| {
            if approved == Some(true) {
                Ok(())
            } else {
                Err("nobody approved it".to_owned())
            }
        }),
    );
    saga.pivot();
    saga.step("ship", SHIP, booked);
    let definition = saga
        .returns(approved.map(|approved| approved == Some(true)))
        .expect("a good definition");
    sim(definition.into())
        .signal(2 * SECOND, APPROVAL, &true)
        .explore(Explore::exhaustive(2))
        .check();
}

#[test]
fn a_compensation_with_an_alternative() {
    const SAGA: Saga<u32, u32> = Saga::new("refund");
    const VOUCHER: Step<Undo<u32, u32>, ()> = Step::new("x.voucher")
        .retryable()
        .timeout(SECOND)
        .retry(SOON);
    const CHARGE: Step<u32, u32> = Step::new("x.charge")
        .compensatable()
        .timeout(SECOND)
        .undo_timeout(SECOND)
        .undo_retry(Retry::NEVER)
        .or(VOUCHER);
    let (mut saga, n) = SAGA.define(1);
    let paid = saga.step("charge", CHARGE, n);
    let last = saga.step("last", DO, paid);
    let definition = saga.returns(last).expect("a good definition");
    sim(definition.into())
        .gives(CHARGE, |n| n)
        .explore(Explore::exhaustive(3).at_most(20_000))
        .check();
}
