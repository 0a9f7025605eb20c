//! Arms, one of which is taken, and the same part several times.

use sagalog_model::{Flow, Out, Saga, just};
use serde::{Deserialize, Serialize};

use super::{Sim, all_or_nothing, is_parked, steps::*};

#[derive(Serialize, Deserialize)]
enum Pay {
    Card(u32),
    Points(u32),
    Nothing,
}

/// A card is charged, or points are taken, or nothing is; three sagas, one for each.
pub fn payment() -> Sim {
    const SAGA: Saga<Pay, u32> = Saga::new("payment");
    let (mut saga, pay) = SAGA.define(1);
    let goods = saga.step("goods", DO, just(1));
    let paid = saga.choose("pay", pay, |case| {
        let card = case.arm("card", |saga, cents| {
            let held = saga.step("hold", ONCE, cents);
            saga.step("charge", PAY, held)
        });
        let points = case.arm("points", |saga, points| saga.step("points", DO, points));
        let nothing = case.arm("nothing", |saga, _| {
            saga.fail("unpaid", just("nobody pays".to_owned()))
        });
        case.pick(
            (card, points, nothing),
            |pay, (card, points, nothing)| match pay {
                Pay::Card(cents) => card.with(cents),
                Pay::Points(points_taken) => points.with(points_taken),
                Pay::Nothing => nothing.take(),
            },
        )
    });
    saga.pivot();
    saga.step("ship", SHIP, goods);
    sim(saga.returns(paid), &Pay::Card(500))
        .and_saga(&Pay::Points(7))
        .and_saga(&Pay::Nothing)
        .always("nothing is shipped that is not paid", |world| {
            world.net("ship") <= world.net("charge") + world.net("points")
        })
        .eventually("goods are paid or on the shelf", |world| {
            is_parked(world) || world.net("goods") == world.net("charge") + world.net("points")
        })
}

/// An account for everybody, a laptop and a badge for those who come to the office.
pub fn onboarding() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("onboarding");
    let (mut saga, days_in_office) = SAGA.define(1);
    let account = saga.step("account", DO, days_in_office);
    let equipped = saga.when("equip", days_in_office.map(|days| days > 0), |saga| {
        let (laptop, badge) = saga.all(|all| {
            let badge = all.branch(|saga| {
                let photo = saga.step("photo", LOOK, account);
                saga.when("badge-if-often", photo.map(|days| days > 1), |saga| {
                    saga.step("badge", SIGN, photo)
                })
            });
            (all.step("laptop", DO, account), badge)
        });
        laptop
            .and(badge)
            .map(|laptop, badge| laptop + badge.unwrap_or(0))
    });
    let payroll = saga.step("payroll", PAY, account);
    sim(
        saga.returns(
            equipped
                .and(payroll)
                .map(|equipped, paid| equipped.unwrap_or(0) + paid),
        ),
        &3,
    )
    .always("nobody is paid or equipped without an account", |world| {
        ["laptop", "badge", "payroll"]
            .iter()
            .all(|part| world.net(part) <= world.net("account"))
    })
    .eventually("all of it or nothing", |world| {
        all_or_nothing(world, &["account", "laptop", "badge", "payroll"])
    })
}

/// Orders something and looks up to three times whether it is there: the same part again and again.
pub fn polling() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("polling");
    let (mut saga, n) = SAGA.define(1);
    let ordered = saga.step("order", DO, n);
    let unseen = saga.value("unseen", just(0));
    let first = look_again(&mut saga, "first", unseen);
    let second = look_again(&mut saga, "second", first);
    let third = look_again(&mut saga, "third", second);
    saga.check(
        "is-there",
        third.map(|seen| {
            (seen == THERE)
                .then_some(())
                .ok_or_else(|| "it never came".to_owned())
        }),
    );
    saga.pivot();
    saga.step("fetch", SHIP, ordered);
    sim(saga.returns(third), &1)
        .gives(LOOK, |seen| seen + 1)
        .always("nothing is fetched that is not ordered", |world| {
            world.net("fetch") <= world.net("order")
        })
        .eventually("what is ordered is fetched", |world| {
            all_or_nothing(world, &["order", "fetch"])
        })
}

/// What is seen once it is there, at the second look.
const THERE: u32 = 2;

/// Looks once more after a while, unless it is there.
fn look_again(saga: &mut Flow, id: &str, seen: Out<u32>) -> Out<u32> {
    let looked = saga.when(id, seen.map(|seen| seen != THERE), |saga| {
        saga.sleep(&format!("{id}-nap"), SECOND);
        saga.step(&format!("{id}-look"), LOOK, seen)
    });
    saga.value(
        &format!("{id}-seen"),
        looked.map(|seen| seen.unwrap_or(THERE)),
    )
}
