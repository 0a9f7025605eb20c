//! Ways back that go wrong.

use std::time::Duration;

use sagalog_model::{Retry, Saga, Step, Undo};
use sagalog_projections::Status;

use super::{Mend, Sim, World, all_ended, all_or_nothing, is_parked, retry_then, steps::*};

/// A payment whose compensation has an alternative.
pub fn refund() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("refund");
    let (mut saga, n) = SAGA.define(1);
    let paid = saga.step("charge", CHARGE, n);
    let last = saga.step("last", ONCE, paid);
    sim(saga.returns(last), &1)
}

/// A saga that goes back whenever its input is over a hundred.
const REFUSES: Step<u32, u32> = Step::new("x.refuses")
    .read_only()
    .timeout(SECOND)
    .retry(Retry::NEVER);

fn refusing(sim: Sim) -> Sim {
    sim.answers(REFUSES, |n| {
        if n < 100 {
            Ok(n)
        } else {
            Err("it is too much".to_owned())
        }
    })
}

/// Two payments whose refunds may fail, and so may the vouchers instead: somebody tries again.
pub fn voucher() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("voucher");
    let (mut saga, n) = SAGA.define(1);
    let deposit = saga.step("deposit", CHARGE, n);
    let rest = saga.step("rest", CHARGE, n);
    let agreed = saga.step("agree", REFUSES, n);
    let definition = saga.returns(deposit.and(rest).and(agreed).map(|a, b, c| a + b + c));
    refusing(sim(definition, &200))
        .and_saga(&1)
        .mends(SECOND, retry_then(Mend::resolve(&())))
        .eventually("every saga ends", all_ended)
}

/// What was mailed may be left, and the end says so; the room and the cook are given back.
pub fn invitation() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("invitation");
    let (mut saga, n) = SAGA.define(1);
    let room = saga.step("room", DO, n);
    saga.all(|all| {
        all.step("mail-ada", MAIL, room);
        all.step("mail-bob", MAIL, room);
        all.step("cook", DO, room);
    });
    let agreed = saga.step("agree", REFUSES, n);
    refusing(sim(saga.returns(agreed), &200))
        .and_saga(&1)
        .eventually("what is left is mailed, and named", |world| {
            is_parked(world) || world.sagas().all(|saga| names_only_mails(saga, world))
        })
}

fn names_only_mails(saga: &sagalog_projections::SagaState, world: &World) -> bool {
    let left = saga.left();
    let went_back = saga.status() != Status::Completed;
    let partly = saga.status() == Status::PartlyCompensated;
    let stands = |node: &str| world.net(node) > 1;
    left.iter().all(|node| node.starts_with("mail"))
        && partly != left.is_empty()
        && !(went_back && (stands("room") || stands("cook")))
}

/// A signature that only a person can take back, if nobody else can.
pub fn notary() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("notary");
    let (mut saga, n) = SAGA.define(1);
    let draft = saga.step("draft", DO, n);
    let (seal, _) = saga.all(|all| {
        (
            all.step("seal", SIGN, draft),
            all.step("register", SIGN, draft),
        )
    });
    let agreed = saga.step("agree", REFUSES, n);
    let definition = saga.returns(seal.and(agreed).map(|seal, agreed| seal + agreed));
    refusing(sim(definition, &200))
        .and_saga(&1)
        .mends(SECOND, |node, times| match (node, times) {
            (_, 1) => Mend::Retry,
            ("seal", _) => Mend::Skip,
            _ => Mend::resolve(&()),
        })
        .eventually("every saga ends", all_ended)
        .eventually("a seal is left only where that is said", |world| {
            world
                .sagas()
                .all(|saga| saga.left().iter().all(|node| &**node == "seal"))
        })
}

/// The saga's deadline passes while compensations are tried again and again, and their alternatives.
pub fn slow_way_back() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("slow-way-back");
    const SLOW_VOUCHER: Step<Undo<u32, u32>, ()> = Step::new("x.slow-voucher")
        .retryable()
        .timeout(SECOND)
        .retry(Retry::listed(&[SECOND, Duration::from_secs(2)]));
    const SLOW: Step<u32, u32> = Step::new("x.slow")
        .compensatable()
        .probed()
        .timeout(SECOND)
        .retry(Retry::exponential(Duration::from_millis(100), SECOND).attempts(2))
        .deadline(Duration::from_secs(2))
        .undo_timeout(SECOND)
        .undo_retry(Retry::fixed(SECOND).attempts(2))
        .or(SLOW_VOUCHER);
    let (mut saga, n) = SAGA.define(1);
    saga.deadline(3 * SECOND);
    let first = saga.step("first", SLOW, n);
    let second = saga.step("second", SLOW, first);
    let third = saga.step("third", HURRY, second);
    sim(saga.returns(third), &1)
        .gives(SLOW, |n| n + 7)
        .eventually("all or nothing", |world| {
            all_or_nothing(world, &["first", "second", "third"])
        })
}
