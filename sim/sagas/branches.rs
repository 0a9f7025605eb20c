//! Branches side by side, and inside each other.

use std::time::Duration;

use sagalog_model::Saga;

use super::{Sim, all_or_nothing, steps::*};

/// A branch of two steps beside a step that can be probed.
pub fn fork() -> Sim {
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
    sim(saga.returns(last), &1)
}

/// A flight there and back, a hotel and a car, side by side; paid once all are booked and cheap enough.
pub fn trip() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("trip");
    let (mut saga, day) = SAGA.define(1);
    let (flight, hotel, car) = saga.all(|all| {
        let flight = all.branch(|saga| {
            let quote = saga.step("quote", LOOK, day);
            let (there, back) =
                saga.all(|all| (all.step("there", DO, quote), all.step("back", ONCE, quote)));
            there.and(back).map(|there, back| there + back)
        });
        (
            flight,
            all.step("hotel", PAY, day),
            all.step("car", ONCE, day),
        )
    });
    let price = saga.check(
        "price",
        flight
            .and(hotel)
            .and(car)
            .map(|flight, hotel, car| match flight + hotel + car {
                price @ ..=1_000 => Ok(price),
                price => Err(format!("{price} is too much")),
            }),
    );
    let paid = saga.step("charge", DO, price);
    sim(saga.returns(paid), &1)
        .always("only a whole trip is paid", |world| {
            ["there", "back", "hotel", "car"]
                .iter()
                .all(|part| world.net("charge") <= world.net(part))
        })
        .eventually("a whole trip or none", |world| {
            all_or_nothing(world, &["there", "back", "hotel", "car", "charge"])
        })
}

/// Four suppliers are asked side by side, and the cheapest gets the order.
pub fn quotes() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("quotes");
    let (mut saga, n) = SAGA.define(1);
    let (a, b, c, d) = saga.all(|all| {
        (
            all.step("ask-a", LOOK, n),
            all.step("ask-b", LOOK, n.map(|n| n + 1)),
            all.step("ask-c", LOOK, n.map(|n| n + 2)),
            all.step("ask-d", LOOK, n.map(|n| n + 3)),
        )
    });
    let cheapest = saga.value(
        "cheapest",
        a.and(b)
            .and(c)
            .and(d)
            .map(|a, b, c, d| a.min(b).min(c).min(d)),
    );
    let ordered = saga.step("order", DO, cheapest);
    saga.pivot();
    saga.step("confirm", SHIP, ordered);
    sim(saga.returns(cheapest), &1)
        .always("nothing is confirmed that is not ordered", |world| {
            world.net("confirm") <= world.net("order")
        })
        .eventually("who asks changes nothing", |world| {
            all_or_nothing(world, &["order", "confirm"])
        })
}

/// While one branch works, another waits for a signal, one sleeps and one only looks: whatever turns the
/// saga meets all of them.
pub fn build() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("build");
    let (mut saga, n) = SAGA.define(1);
    let site = saga.step("site", DO, n);
    let (house, ..) = saga.all(|all| {
        let house = all.branch(|saga| {
            let (walls, roof) =
                saga.all(|all| (all.step("walls", ONCE, site), all.step("roof", HURRY, site)));
            walls.and(roof).map(|walls, roof| walls + roof)
        });
        let permit = all.branch(|saga| {
            let permit = saga.signal("permit", APPROVAL).within(5 * SECOND);
            saga.check(
                "is-permitted",
                permit.map(|permit| {
                    permit
                        .filter(|yes| *yes)
                        .ok_or_else(|| "no permit".to_owned())
                }),
            )
        });
        let garden = all.branch(|saga| {
            saga.sleep("winter", Duration::from_millis(1_500));
            saga.step("garden", DO, site)
        });
        (house, permit, garden, all.step("survey", LOOK, site))
    });
    let sold = saga.step("sell", CHARGE, house);
    sim(saga.returns(sold), &1)
        .signal(2 * SECOND, APPROVAL, &true)
        .always("only what is whole is sold", |world| {
            ["site", "walls", "roof", "garden"]
                .iter()
                .all(|part| world.net("sell") <= world.net(part))
        })
        .eventually("a whole house or none", |world| {
            all_or_nothing(world, &["site", "walls", "roof", "garden"])
        })
}
