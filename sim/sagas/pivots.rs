//! Points of no return, and what is behind them.

use std::time::Duration;

use sagalog_model::{Retry, Saga, Step};

use super::{Mend, Sim, all_ended, all_or_nothing, is_parked, retry_then, steps::*};

/// What is sent, billed and announced side by side once there is no way back; somebody helps where it
/// does not go on.
pub fn parcel() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("parcel");
    let (mut saga, n) = SAGA.define(1);
    saga.deadline(5 * SECOND);
    let packed = saga.step("pack", DO, n);
    saga.pivot();
    let (sent, billed, seen) = saga.all(|all| {
        let sent = all.branch(|saga| {
            let label = saga.step("label", TAIL, packed);
            saga.step("send", SHIP, label)
        });
        (
            sent,
            all.step("bill", TAIL, packed),
            all.step("see", LOOK, packed),
        )
    });
    let told = saga.step(
        "tell",
        TAIL,
        sent.and(billed)
            .and(seen)
            .map(|sent, billed, seen| sent + billed + seen),
    );
    sim(saga.returns(told), &1)
        .mends(2 * SECOND, |_, times| match times {
            1 | 2 => Mend::Retry,
            _ => Mend::resolve(&4),
        })
        .always("nothing is sent that is not packed", |world| {
            world.net("send") <= world.net("pack") && world.net("bill") <= world.net("pack")
        })
        .eventually("every saga ends", all_ended)
        .eventually("what is sent stays packed", |world| {
            let went_on = world.sagas().filter(|saga| saga.turn().is_none());
            world.net("pack") >= went_on.count() as i64
        })
}

/// There is no way back from the beginning; a failure is skipped, and the end tells.
pub fn newsletter() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("newsletter");
    let (mut saga, n) = SAGA.define(1);
    saga.pivot();
    let printed = saga.step("print", TAIL, n);
    saga.step("post", SHIP, n);
    sim(saga.returns(printed.map(|_| 1)), &1)
        .mends(SECOND, retry_then(Mend::Skip))
        .eventually("it never goes back", |world| {
            world.sagas().all(|saga| saga.turn().is_none())
        })
}

/// Behind the pivot deadlines pass and nothing turns: the step's own, and the saga's.
pub fn hasty_tail() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("hasty-tail");
    const HASTY: Step<u32, u32> = Step::new("x.hasty")
        .retryable()
        .probed()
        .timeout(SECOND)
        .retry(Retry::fixed(SECOND).attempts(4))
        .deadline(Duration::from_millis(1_500));
    let (mut saga, n) = SAGA.define(1);
    saga.deadline(2 * SECOND);
    let held = saga.step("hold", PAY, n);
    saga.pivot();
    let taken = saga.step("take", HASTY, held);
    saga.step("receipt", SHIP, taken);
    sim(saga.returns(taken), &1)
        .gives(HASTY, |n| n + 8)
        .always("nothing is taken that is not held", |world| {
            world.net("take") <= world.net("hold")
        })
        .eventually("held and taken, or neither", |world| {
            is_parked(world) || all_or_nothing(world, &["hold", "take", "receipt"])
        })
}
