//! The sagas of the engine's tests.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its part of it"
)]

use std::time::Duration;

use sagalog_model::{AnyDefinition, Gaps, Retry, Saga, Signal, Step, Undo, just};

pub const SECOND: Duration = Duration::from_secs(1);
const SOON: Retry = Retry::fixed(SECOND).attempts(3);

pub const QUOTE: Step<u32, u32> = Step::new("shipping.quote")
    .read_only()
    .timeout(SECOND)
    .retry(SOON);
pub const RESERVE: Step<u32, u32> = Step::new("stock.reserve")
    .compensatable()
    .timeout(SECOND)
    .retry(SOON);
pub const CHARGE: Step<u32, u32> = Step::new("money.charge")
    .compensatable()
    .probed()
    .timeout(SECOND)
    .retry(SOON)
    .undo_timeout(SECOND)
    .undo_retry(SOON);
pub const SHIP: Step<u32, u32> = Step::new("shipping.ship")
    .retryable()
    .timeout(SECOND)
    .retry(SOON);

/// Quote, reserve, charge unless it is free, pivot, ship.
pub fn order() -> AnyDefinition {
    const ORDER: Saga<u32, (u32, Option<u32>)> = Saga::new("order");
    let (mut saga, cents) = ORDER.define(1);
    let quote = saga.step("quote", QUOTE, cents);
    let reserved = saga.step("reserve", RESERVE, cents);
    let paid = saga.when("pay", cents.map(|cents| cents > 0), |saga| {
        saga.step(
            "charge",
            CHARGE,
            cents.and(quote).map(|cents, quote| cents + quote),
        )
    });
    saga.pivot();
    let label = saga.step("ship", SHIP, reserved);
    saga.returns(label.and(paid).map(|label, paid| (label, paid)))
        .expect("a good definition")
        .into()
}

/// Three compensatable steps in a row.
pub fn three() -> AnyDefinition {
    const THREE: Saga<u32, u32> = Saga::new("three");
    const STEP: Step<u32, u32> = Step::new("x.do")
        .compensatable()
        .timeout(SECOND)
        .retry(SOON)
        .undo_timeout(SECOND)
        .undo_retry(SOON);
    let (mut saga, input) = THREE.define(1);
    let a = saga.step("a", STEP, input);
    let b = saga.step("b", STEP, a);
    let c = saga.step("c", STEP, b);
    saga.returns(c).expect("a good definition").into()
}

/// A sample is taken, and scanned by somebody who takes long: accepted within a second, not silent
/// for longer than four, done within ten.
pub fn lab() -> AnyDefinition {
    const LAB: Saga<u32, u32> = Saga::new("lab");
    let (mut saga, input) = LAB.define(1);
    let sample = saga.step("sample", RESERVE, input);
    let scan = saga.step("scan", SCAN, sample);
    saga.returns(scan).expect("a good definition").into()
}

pub const SCAN: Step<u32, u32> = Step::new("lab.scan")
    .compensatable()
    .timeout(SECOND)
    .heartbeat(Duration::from_secs(4))
    .deadline(Duration::from_secs(10))
    .retry(SOON)
    .undo_timeout(SECOND)
    .undo_retry(SOON);

/// A scan behind the pivot.
pub fn shipped_lab() -> AnyDefinition {
    const LAB: Saga<u32, u32> = Saga::new("shipped_lab");
    const SCAN: Step<u32, u32> = Step::new("lab.rescan")
        .retryable()
        .timeout(SECOND)
        .heartbeat(Duration::from_secs(4))
        .deadline(Duration::from_secs(10))
        .retry(SOON);
    let (mut saga, input) = LAB.define(1);
    saga.pivot();
    let scan = saga.step("scan", SCAN, input);
    saga.returns(scan).expect("a good definition").into()
}

/// Two branches side by side, then a last step.
pub fn fork() -> AnyDefinition {
    const FORK: Saga<u32, u32> = Saga::new("fork");
    const STEP: Step<u32, u32> = Step::new("x.do")
        .compensatable()
        .timeout(SECOND)
        .retry(SOON)
        .undo_timeout(SECOND)
        .undo_retry(SOON);
    let (mut saga, input) = FORK.define(1);
    let before = saga.step("before", STEP, input);
    let (left, right) = saga.all(|all| {
        let left = all.branch(|flow| {
            let first = flow.step("left-1", STEP, before);
            flow.step("left-2", STEP, first)
        });
        let right = all.step("right", STEP, before);
        (left, right)
    });
    let last = saga.step(
        "last",
        STEP,
        left.and(right).map(|left, right| left + right),
    );
    saga.returns(last).expect("a good definition").into()
}

/// A reservation beside a question, then the payment.
pub fn beside() -> AnyDefinition {
    const SAGA: Saga<u32, u32> = Saga::new("beside");
    let (mut saga, input) = SAGA.define(1);
    let (reserved, _) = saga.all(|all| {
        (
            all.step("reserve", RESERVE, input),
            all.step("quote", QUOTE, input),
        )
    });
    let paid = saga.step("charge", CHARGE, reserved);
    saga.returns(paid).expect("a good definition").into()
}

pub const APPROVAL: Signal<bool> = Signal::new("approval");

/// Books, waits for an approval within ten seconds, sleeps a while, confirms or gives up.
pub fn approval() -> AnyDefinition {
    const SAGA: Saga<u32, bool> = Saga::new("approval");
    const BOOK: Step<u32, u32> = Step::new("desk.book").compensatable().timeout(SECOND);
    const CONFIRM: Step<u32, u32> = Step::new("desk.confirm").retryable().timeout(SECOND);
    let (mut saga, input) = SAGA.define(1);
    let booked = saga.step("book", BOOK, input);
    saga.sleep("cool-off", 2 * SECOND);
    let approved = saga.signal("approved", APPROVAL).within(10 * SECOND);
    saga.check(
        "is-approved",
        approved.map(|approved| match approved {
            Some(true) => Ok(()),
            Some(false) => Err("it was declined".to_owned()),
            None => Err("nobody approved it in time".to_owned()),
        }),
    );
    saga.pivot();
    saga.step("confirm", CONFIRM, booked);
    saga.returns(approved.map(|approved| approved.unwrap_or(false)))
        .expect("a good definition")
        .into()
}

/// A charge whose refund falls back on a voucher.
pub fn refund(skip: bool) -> AnyDefinition {
    const SAGA: Saga<u32, u32> = Saga::new("refund");
    const VOUCHER: Step<Undo<u32, u32>, ()> = Step::new("money.voucher")
        .retryable()
        .timeout(SECOND)
        .retry(SOON);
    const WITH_VOUCHER: Step<u32, u32> = Step::new("money.charge")
        .compensatable()
        .timeout(SECOND)
        .undo_timeout(SECOND)
        .undo_retry(SOON)
        .or(VOUCHER);
    const WITH_SKIP: Step<u32, u32> = Step::new("money.charge")
        .compensatable()
        .timeout(SECOND)
        .undo_timeout(SECOND)
        .undo_retry(SOON)
        .or_skip("the fee is small");
    const LAST: Step<u32, u32> = Step::new("x.last").compensatable().timeout(SECOND);
    let (mut saga, input) = SAGA.define(1);
    let first = saga.step("first", LAST, input);
    let charged = saga.step("charge", if skip { WITH_SKIP } else { WITH_VOUCHER }, first);
    let last = saga.step("last", LAST, charged);
    saga.returns(last).expect("a good definition").into()
}

/// A definition whose code panics on 13.
pub fn panicking() -> AnyDefinition {
    const SAGA: Saga<u32, u32> = Saga::new("panicking");
    let (mut saga, input) = SAGA.define(1);
    let reserved = saga.step("reserve", RESERVE, input);
    let risky = saga.value(
        "risky",
        reserved.map(|n| {
            assert_ne!(n, 13, "unlucky");
            n
        }),
    );
    let last = saga.step("last", RESERVE, risky);
    saga.returns(last).expect("a good definition").into()
}

/// A saga and a step with deadlines of their own.
pub fn hurried() -> AnyDefinition {
    const SAGA: Saga<u32, u32> = Saga::new("hurried");
    const SLOW: Step<u32, u32> = Step::new("x.slow")
        .compensatable()
        .timeout(SECOND)
        .retry(Retry::fixed(SECOND).attempts(100))
        .deadline(Duration::from_secs(5));
    let (mut saga, input) = SAGA.define(1);
    saga.deadline(20 * SECOND);
    let first = saga.step("first", RESERVE, input);
    saga.sleep(
        "nap",
        first.map(|seconds| Duration::from_secs(seconds.into())),
    );
    let slow = saga.step("slow", SLOW, first);
    saga.pivot();
    let label = saga.step("ship", SHIP, slow);
    saga.returns(label).expect("a good definition").into()
}

/// A step that is asked again at once, within its own deadline.
pub fn rushed() -> AnyDefinition {
    const SAGA: Saga<u32, u32> = Saga::new("rushed");
    const RUSH: Step<u32, u32> = Step::new("x.rush")
        .compensatable()
        .timeout(SECOND)
        .retry(Retry::fixed(Duration::ZERO).attempts(100))
        .deadline(Duration::from_secs(5));
    let (mut saga, input) = SAGA.define(1);
    let taken = saga.step("take", RUSH, input);
    saga.returns(taken).expect("a good definition").into()
}

/// Nothing but a constant.
pub fn constant() -> AnyDefinition {
    const SAGA: Saga<u32, u32> = Saga::new("constant");
    let (saga, _) = SAGA.define(1);
    saga.returns(just(7)).expect("a good definition").into()
}

/// Gives its input twice over.
pub fn doubling() -> AnyDefinition {
    const SAGA: Saga<String, String> = Saga::new("doubling");
    let (mut saga, input) = SAGA.define(1);
    let twice = saga.value("twice", input.map(|text| text.repeat(2)));
    saga.returns(twice).expect("a good definition").into()
}

/// A return whose function panics on 13.
pub fn panicking_return() -> AnyDefinition {
    const SAGA: Saga<u32, u32> = Saga::new("panicking-return");
    let (saga, input) = SAGA.define(1);
    saga.returns(input.map(lucky))
        .expect("a good definition")
        .into()
}

/// A step whose input's function panics on 13.
pub fn panicking_input() -> AnyDefinition {
    const SAGA: Saga<u32, u32> = Saga::new("panicking-input");
    let (mut saga, input) = SAGA.define(1);
    let risky = saga.step("risky", RESERVE, input.map(lucky));
    let last = saga.step("last", RESERVE, risky);
    saga.returns(last).expect("a good definition").into()
}

fn lucky(n: u32) -> u32 {
    assert_ne!(n, 13, "unlucky");
    n
}

/// Waits for three prices.
pub fn prices(gaps: Gaps) -> AnyDefinition {
    const SAGA: Saga<u32, Vec<Option<u64>>> = Saga::new("prices");
    let price: Signal<u64> = Signal::new("price").gaps(gaps);
    let (mut saga, _) = SAGA.define(1);
    let first = saga.signal("first", price).within(100 * SECOND);
    let second = saga.signal("second", price).within(100 * SECOND);
    let third = saga.signal("third", price).within(100 * SECOND);
    let all = first.and(second).and(third);
    let all = all.map(|first, second, third| vec![first, second, third]);
    saga.returns(all).expect("a good definition").into()
}

/// Waits for two approvals beside a step that takes a while.
pub fn two_approvals() -> AnyDefinition {
    const SAGA: Saga<u32, bool> = Saga::new("two-approvals");
    let (mut saga, input) = SAGA.define(1);
    let (_, both) = saga.all(|all| {
        let taken = all.step("take", TAKE_SOON, input);
        let both = all.branch(|saga| {
            let first = saga.signal("first", APPROVAL).within(100 * SECOND);
            let second = saga.signal("second", APPROVAL).within(100 * SECOND);
            saga.value(
                "both",
                first
                    .and(second)
                    .map(|one, other| one == Some(true) && other == Some(true)),
            )
        });
        (taken, both)
    });
    saga.returns(both).expect("a good definition").into()
}

const TAKE_SOON: Step<u32, u32> = Step::new("desk.take")
    .compensatable()
    .timeout(Duration::from_secs(10))
    .retry(SOON);

/// Waits for a word to go, and then for a price: prices come early, as many as there are.
pub fn patient() -> AnyDefinition {
    const SAGA: Saga<u32, Option<u64>> = Saga::new("patient");
    const GO: Signal<bool> = Signal::new("go");
    const PRICE: Signal<u64> = Signal::new("price");
    let (mut saga, _) = SAGA.define(1);
    saga.signal("go", GO).within(100_000 * SECOND);
    let price = saga.signal("price", PRICE).within(SECOND);
    saga.returns(price).expect("a good definition").into()
}
