//! The sagas that planted bugs are looked for in: small, and of all shapes that the engine treats
//! differently.

use std::time::Duration;

use sagalog_model::{AnyDefinition, Retry, Saga, Signal, Step, Undo};

use crate::Sim;

const SECOND: Duration = Duration::from_secs(1);
const SOON: Retry = Retry::fixed(SECOND).attempts(3);

const DO: Step<u32, u32> = Step::new("x.do")
    .compensatable()
    .timeout(SECOND)
    .retry(SOON)
    .undo_timeout(SECOND)
    .undo_retry(SOON);
const ONCE: Step<u32, u32> = Step::new("x.once")
    .compensatable()
    .timeout(SECOND)
    .retry(Retry::NEVER)
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
const HURRY: Step<u32, u32> = Step::new("x.hurry")
    .compensatable()
    .timeout(SECOND)
    .retry(Retry::fixed(SECOND).attempts(5))
    .deadline(Duration::from_millis(2_500))
    .undo_timeout(SECOND)
    .undo_retry(SOON);
const AGAIN: Step<u32, u32> = Step::new("x.again")
    .compensatable()
    .timeout(SECOND)
    .retry(Retry::fixed(Duration::ZERO).attempts(3))
    .undo_timeout(SECOND)
    .undo_retry(SOON);
const VOUCHER: Step<Undo<u32, u32>, ()> = Step::new("x.voucher")
    .retryable()
    .timeout(SECOND)
    .retry(SOON);
const CHARGE: Step<u32, u32> = Step::new("x.charge")
    .compensatable()
    .timeout(SECOND)
    .retry(SOON)
    .undo_timeout(SECOND)
    .undo_retry(Retry::NEVER)
    .or(VOUCHER);
const APPROVAL: Signal<bool> = Signal::new("approval");

/// A saga that planted bugs are looked for in.
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What already goes wrong in it, whatever the plan says: a cancel counts as a fault.
    pub faults: usize,
    /// The saga.
    pub sim: Sim,
}

/// All of them.
pub fn scenarios() -> Vec<Scenario> {
    let plain = |name, sim| Scenario {
        name,
        faults: 0,
        sim,
    };
    let cancelled = |name, sim: Sim, after| Scenario {
        name,
        faults: 1,
        sim: sim.cancel(Duration::from_millis(after)),
    };
    vec![
        plain("three", sim(three())),
        plain("order", sim(order())),
        plain("fork", sim(fork())),
        plain("approval", approval()),
        plain("refund", sim(refund())),
        plain("once", sim(once())),
        plain("hurry", sim(hurry())),
        plain("at once", sim(at_once())),
        plain("two", sim(three()).and_saga(&5)),
        cancelled("cancel", sim(three()), 7),
        cancelled("late cancel", sim(order()), 17),
    ]
}

fn sim(definition: AnyDefinition) -> Sim {
    Sim::of(definition, &1)
        .gives(DO, |n| n + 1)
        .gives(ONCE, |n| n + 10)
        .gives(LOOK, |n| n)
        .gives(PAY, |n| n + 100)
        .gives(SHIP, |n| n)
        .gives(HURRY, |n| n + 2)
        .gives(CHARGE, |n| n + 3)
        .gives(AGAIN, |n| n + 4)
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

/// The approval comes before the saga waits for it.
fn approval() -> Sim {
    const SAGA: Saga<u32, bool> = Saga::new("approval");
    let (mut saga, n) = SAGA.define(1);
    let booked = saga.step("book", DO, n);
    let first = saga.signal("approved", APPROVAL).within(5 * SECOND);
    saga.sleep("nap", 3 * SECOND);
    let second = saga.signal("approved-again", APPROVAL).within(5 * SECOND);
    saga.check(
        "is-approved",
        first.and(second).map(|first, second| {
            if first == Some(true) && second == Some(true) {
                Ok(())
            } else {
                Err("nobody approved it".to_owned())
            }
        }),
    );
    saga.pivot();
    saga.step("ship", SHIP, booked);
    let definition = saga
        .returns(second.map(|approved| approved == Some(true)))
        .expect("a good definition");
    sim(definition.into())
        .signal(SECOND, APPROVAL, &true)
        .signal(2 * SECOND, APPROVAL, &true)
}

fn refund() -> AnyDefinition {
    const SAGA: Saga<u32, u32> = Saga::new("refund");
    let (mut saga, n) = SAGA.define(1);
    let paid = saga.step("charge", CHARGE, n);
    let last = saga.step("last", ONCE, paid);
    saga.returns(last).expect("a good definition").into()
}

fn once() -> AnyDefinition {
    const SAGA: Saga<u32, u32> = Saga::new("once");
    let (mut saga, n) = SAGA.define(1);
    let first = saga.step("first", ONCE, n);
    let second = saga.step("second", ONCE, first);
    saga.returns(second).expect("a good definition").into()
}

/// Its second attempt is under way when a late answer to the first comes.
fn at_once() -> AnyDefinition {
    const SAGA: Saga<u32, u32> = Saga::new("at-once");
    let (mut saga, n) = SAGA.define(1);
    let first = saga.step("first", AGAIN, n);
    let second = saga.step("second", AGAIN, first);
    saga.returns(second).expect("a good definition").into()
}

fn hurry() -> AnyDefinition {
    const SAGA: Saga<u32, u32> = Saga::new("hurry");
    let (mut saga, n) = SAGA.define(1);
    saga.deadline(3 * SECOND);
    let first = saga.step("first", DO, n);
    let second = saga.step("second", HURRY, first);
    saga.returns(second).expect("a good definition").into()
}
