//! One step after the other.

use sagalog_engine::admission::{BreakerPolicy, BulkheadPolicy, Class, Policies, Policy};
use sagalog_model::{Saga, Step};

use super::{Sim, all_or_nothing, steps::*};

/// Three steps in a row.
pub fn three() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("three");
    let (mut saga, n) = SAGA.define(1);
    let a = saga.step("a", DO, n);
    let b = saga.step("b", DO, a);
    let c = saga.step("c", DO, b);
    sim(saga.returns(c), &1).eventually("all or nothing", |world| {
        all_or_nothing(world, &["a", "b", "c"])
    })
}

/// Three sagas that ask one participant for two steps, one at a time; it is left alone for longer than an
/// attempt lasts when one failed.
pub fn left_alone() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("left-alone");
    let (mut saga, n) = SAGA.define(1);
    let first = saga.step("first", AGAIN, n);
    let second = saga.step("second", AGAIN, first);
    let breaker = BreakerPolicy::DEFAULT
        .opens_at(1, 1)
        .open_for(2 * SECOND, 4 * SECOND)
        .trials(1);
    let policy = Policy::DEFAULT
        .bulkhead(BulkheadPolicy::DEFAULT.permits(3, 1))
        .breaker(Class::Begins, Some(breaker))
        .breaker(Class::Settles, Some(breaker));
    sim(saga.returns(second), &1)
        .and_saga(&2)
        .and_saga(&3)
        .admission(Policies::of_all(policy))
}

/// Two steps that are never asked twice.
pub fn once() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("once");
    let (mut saga, n) = SAGA.define(1);
    let first = saga.step("first", ONCE, n);
    let second = saga.step("second", ONCE, first);
    sim(saga.returns(second), &1)
}

/// Its second attempt is under way when a late answer to the first comes.
pub fn at_once() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("at-once");
    let (mut saga, n) = SAGA.define(1);
    let first = saga.step("first", AGAIN, n);
    let second = saga.step("second", AGAIN, first);
    sim(saga.returns(second), &1)
}

/// A step and a saga with a deadline.
pub fn hurry() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("hurry");
    let (mut saga, n) = SAGA.define(1);
    saga.deadline(3 * SECOND);
    let first = saga.step("first", DO, n);
    let second = saga.step("second", HURRY, first);
    sim(saga.returns(second), &1)
}

/// A seat that is held for a moment only, and asked for again at once as long as it is.
pub fn rush() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("rush");
    let (mut saga, n) = SAGA.define(1);
    let held = saga.step("hold", DO, n);
    let taken = saga.step("take", RUSH, held);
    sim(saga.returns(taken), &1).eventually("held and taken, or neither", |world| {
        all_or_nothing(world, &["hold", "take"])
    })
}

/// A quote, a reservation, a payment unless it is free, a pivot, and the shipping.
pub fn order() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("order");
    let (mut saga, n) = SAGA.define(1);
    let quote = saga.step("quote", LOOK, n);
    let reserved = saga.step("reserve", DO, quote);
    let paid = saga.when("pay", n.map(|n| n > 0), |saga| {
        saga.step("charge", PAY, reserved)
    });
    saga.pivot();
    saga.step("ship", SHIP, reserved);
    let definition = saga.returns(paid.map(|paid| paid.unwrap_or(0)));
    sim(definition, &1).always("nothing is paid that is not reserved", |world| {
        world.net("charge") <= world.net("reserve")
    })
}

/// Money from one account to another, both of which can be asked what became of it.
pub fn transfer() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("transfer");
    let (mut saga, cents) = SAGA.define(1);
    let limit = saga.step("limit", LOOK, cents);
    let allowed = saga.check(
        "within-limit",
        cents.and(limit).map(|cents, limit| {
            if cents <= limit {
                Ok(cents)
            } else {
                Err(format!("{cents} is more than {limit}"))
            }
        }),
    );
    let debit = saga.step("debit", PAY, allowed);
    let credit = saga.step("credit", PAY, debit);
    saga.pivot();
    saga.step("statement", SHIP, credit);
    sim(saga.returns(credit), &5)
        .always("no money is made", |world| {
            world.net("credit") <= world.net("debit")
        })
        .eventually("no money is lost", |world| {
            all_or_nothing(world, &["debit", "credit"])
        })
}

/// Each step needs what the one before it gave, and so does undoing it.
pub fn provision() -> Sim {
    const SAGA: Saga<u32, String> = Saga::new("provision");
    const MACHINE: Step<u32, String> = Step::new("cloud.machine")
        .compensatable()
        .timeout(SECOND)
        .undo_timeout(SECOND);
    const DISK: Step<(String, u32), String> = Step::new("cloud.disk")
        .compensatable()
        .probed()
        .timeout(SECOND)
        .undo_timeout(SECOND);
    const NAME: Step<String, ()> = Step::new("dns.name")
        .compensatable()
        .timeout(SECOND)
        .undo_timeout(SECOND);
    let (mut saga, size) = SAGA.define(1);
    let machine = saga.step("machine", MACHINE, size);
    let disk = saga.step(
        "disk",
        DISK,
        machine.and(size).map(|machine, size| (machine, size)),
    );
    let whole = saga.value(
        "whole",
        machine
            .and(disk)
            .map(|machine, disk| format!("{machine} with {disk}")),
    );
    saga.step("name", NAME, machine);
    sim(saga.returns(whole), &8)
        .gives(MACHINE, |size| format!("machine of {size}"))
        .gives(DISK, |(machine, size)| format!("{size} for {machine}"))
        .gives(NAME, |_| ())
        .always(
            "no disk without its machine, no name without its disk",
            |world| {
                let net = |node| world.net(node);
                net("disk") <= net("machine") && net("name") <= net("disk")
            },
        )
}
