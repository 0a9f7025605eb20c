//! Signals, sleeps and deadlines.

use std::{collections::BTreeSet, time::Duration};

use sagalog_model::{BadDefinition, Definition, Gaps, Saga, Signal};

use super::{Decide, Sim, all_ended, all_or_nothing, is_parked, steps::*};

fn approval_of() -> Result<Definition<u32, bool>, BadDefinition> {
    const SAGA: Saga<u32, bool> = Saga::new("approval");
    let (mut saga, n) = SAGA.define(1);
    let booked = saga.step("book", DO, n);
    saga.sleep("nap", SECOND);
    let approved = saga.signal("approved", APPROVAL).within(5 * SECOND);
    saga.check(
        "is-approved",
        approved.and(n).map(|approved, n| {
            if approved == Some(true) || n < NEEDS_APPROVAL {
                Ok(())
            } else {
                Err("nobody approved it".to_owned())
            }
        }),
    );
    saga.pivot();
    saga.step("ship", SHIP, booked);
    saga.returns(approved.map(|approved| approved == Some(true)))
}

/// What is less needs no approval.
const NEEDS_APPROVAL: u32 = 10;

/// A booking that somebody must approve.
fn approved(sim: Sim) -> Sim {
    sim.always("nothing is shipped that is not booked", |world| {
        world.net("ship") <= world.net("book")
    })
    .eventually("booked and shipped, or neither", |world| {
        all_or_nothing(world, &["book", "ship"])
    })
}

/// The approval comes while it is waited for.
pub fn approval() -> Sim {
    approval_after(2 * SECOND)
}

/// The approval comes before anybody waits for it, and comes again.
pub fn approval_that_comes_early() -> Sim {
    approved(sim(approval_of(), &10))
        .signal(Duration::from_millis(2), APPROVAL, &true)
        .signal(3 * SECOND, APPROVAL, &false)
}

/// The approval comes in about the moment in which the wait ends.
pub fn approval_that_comes_late() -> Sim {
    approval_after(Duration::from_millis(6_006)).and_saga(&1)
}

/// The approval comes so long after the start.
pub fn approval_after(after: Duration) -> Sim {
    approved(sim(approval_of(), &10)).signal(after, APPROVAL, &true)
}

/// Nobody approves it, so what needs an approval goes back.
pub fn approval_that_never_comes() -> Sim {
    approved(sim(approval_of(), &10)).and_saga(&1)
}

/// Two approvals, the first of which comes before anybody waits for it.
pub fn two_approvals() -> Sim {
    const SAGA: Saga<u32, bool> = Saga::new("two-approvals");
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
    approved(sim(
        saga.returns(second.map(|approved| approved == Some(true))),
        &1,
    ))
    .signal(SECOND, APPROVAL, &true)
    .signal(2 * SECOND, APPROVAL, &true)
}

const SIGNED: Signal<String> = Signal::new("signed");

/// A loan with two signatures in any order, within the saga's own deadline; paid out after the pivot.
pub fn loan() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("loan");
    let (mut saga, cents) = SAGA.define(1);
    saga.deadline(8 * SECOND);
    let rating = saga.step("rating", LOOK, cents);
    let held = saga.step("hold", PAY, cents);
    let (first, second) = saga.all(|all| {
        let first = all.branch(|saga| saga.signal("first", SIGNED).within(5 * SECOND));
        let second = all.branch(|saga| saga.signal("second", SIGNED).within(6 * SECOND));
        (first, second)
    });
    saga.check(
        "is-signed",
        first.and(second).and(rating).map(|first, second, rating| {
            if first.is_some() && second.is_some() && rating > 0 {
                Ok(())
            } else {
                Err("two must sign".to_owned())
            }
        }),
    );
    saga.pivot();
    saga.step("pay-out", SHIP, held);
    sim(saga.returns(held), &5)
        .signal(SECOND, SIGNED, &"ada".to_owned())
        .signal(4 * SECOND, SIGNED, &"bob".to_owned())
        .always("nothing is paid out that is not held", |world| {
            world.net("pay-out") <= world.net("hold")
        })
        .eventually("held and paid out, or neither", |world| {
            all_or_nothing(world, &["hold", "pay-out"])
        })
}

const WITHDRAWAL: Signal<String> = Signal::new("withdrawal");

fn subscription_of() -> Result<Definition<u32, u32>, BadDefinition> {
    const SAGA: Saga<u32, u32> = Saga::new("subscription");
    let (mut saga, cents) = SAGA.define(1);
    let paid = saga.step("charge", CHARGE, cents);
    let withdrawn = saga.signal("cool-off", WITHDRAWAL).within(3 * SECOND);
    saga.when(
        "if-withdrawn",
        withdrawn.map(|reason| reason.is_some()),
        |saga| {
            let reason = withdrawn.map(|reason| reason.unwrap_or_default());
            saga.fail::<u32>("withdrawn", reason)
        },
    );
    saga.pivot();
    let (active, _) = saga.all(|all| {
        (
            all.step("activate", SHIP, paid),
            all.step("welcome", TAIL, paid),
        )
    });
    saga.returns(active)
}

/// A payment, a while in which the customer may withdraw, and then no way back.
pub fn subscription() -> Sim {
    sim(subscription_of(), &9)
        .always("nothing is active that is not paid", |world| {
            world.net("activate") <= world.net("charge")
        })
        .eventually("paid and active, or neither", |world| {
            all_or_nothing(world, &["charge", "activate"])
        })
}

/// The customer withdraws while the first attempt to charge may still be under way.
pub fn subscription_that_is_withdrawn() -> Sim {
    subscription().signal(Duration::from_millis(3), WITHDRAWAL, &"too dear".to_owned())
}

fn prices_of(gaps: Gaps) -> Result<Definition<u32, Vec<Option<u32>>>, BadDefinition> {
    const SAGA: Saga<u32, Vec<Option<u32>>> = Saga::new("prices");
    let price: Signal<u32> = Signal::new("price").gaps(gaps);
    let (mut saga, n) = SAGA.define(1);
    saga.step("offer", DO, n);
    let first = saga.signal("first", price).within(20 * SECOND);
    let second = saga.signal("second", price).within(20 * SECOND);
    let third = saga.signal("third", price).within(20 * SECOND);
    let all = first.and(second).and(third);
    saga.returns(all.map(|first, second, third| vec![first, second, third]))
}

/// Three prices that their producer numbers; what is missing is waited for two seconds.
fn prices(gaps: Gaps) -> Sim {
    const PRICE: Signal<u32> = Signal::new("price");
    let mut sim = sim(prices_of(gaps), &1);
    for number in 1..=3_u32 {
        let after = Duration::from_millis(u64::from(number) * 300);
        sim = sim.signal_in_order(after, PRICE, ("prices", number.into()), &number);
    }
    sim.always("prices are taken in order, each once", |world| {
        let mut sagas = world.sagas().map(prices_taken);
        sagas.all(|taken| taken.is_sorted_by(|one, other| one < other))
    })
}

fn prices_taken(saga: &sagalog_projections::SagaState) -> Vec<u32> {
    let taken = |node| saga.node(saga.graph().find(node)?).output.as_ref();
    let taken = ["first", "second", "third"].into_iter().filter_map(taken);
    taken.filter_map(|price| price.read().ok()).collect()
}

/// What comes behind a gap that does not close is rejected.
pub fn prices_or_none() -> Sim {
    prices(Gaps::within(2 * SECOND))
}

/// The producer is asked once for what is missing, then the saga goes on without it.
pub fn prices_that_are_asked_for() -> Sim {
    prices(Gaps::within(2 * SECOND).asking(1).releasing())
}

/// Two producers that number their prices.
pub fn prices_of_two() -> Sim {
    const PRICE: Signal<u32> = Signal::new("price");
    sim(prices_of(Gaps::within(2 * SECOND)), &1)
        .signal_in_order(Duration::from_millis(300), PRICE, ("prices", 1), &1)
        .signal_in_order(Duration::from_millis(600), PRICE, ("offers", 1), &2)
        .signal_in_order(Duration::from_millis(900), PRICE, ("prices", 2), &3)
}

/// Three approvals, the first of which cannot be read: it and what comes behind it wait for a person.
fn unreadable_approval(
    second: &str,
    decide: impl Fn(u64) -> Decide + Send + Sync + 'static,
) -> Sim {
    const SAGA: Saga<u32, bool> = Saga::new("unreadable-approval");
    let (mut saga, n) = SAGA.define(1);
    let (booked, both) = saga.all(|all| {
        let booked = all.step("book", DO, n);
        let both = all.branch(|saga| {
            let first = saga.signal("first", APPROVAL).within(20 * SECOND);
            let second = saga.signal("second", APPROVAL).within(20 * SECOND);
            saga.value(
                "both",
                first
                    .and(second)
                    .map(|first, second| (first == Some(true), second == Some(true))),
            )
        });
        (booked, both)
    });
    saga.check(
        "in-order",
        both.map(|(first, second)| match (first, second) {
            (false, true) => Err("the second came first".to_owned()),
            _ => Ok(()),
        }),
    );
    saga.pivot();
    saga.step("ship", SHIP, booked);
    approved(sim(
        saga.returns(both.map(|(first, second)| first && second)),
        &1,
    ))
    .signal_text(Duration::from_millis(2), APPROVAL, "7")
    .signal_text(Duration::from_millis(3), APPROVAL, second)
    .signal(Duration::from_millis(500), APPROVAL, &false)
    .decides(SECOND, decide)
}

/// Somebody puts right what cannot be read, and then the next one, which cannot be read either.
pub fn approval_that_is_put_right() -> Sim {
    unreadable_approval("8", |_| Decide::edit(&true))
}

/// Somebody gives up what cannot be read.
pub fn approval_that_is_dropped() -> Sim {
    unreadable_approval("true", |_| Decide::Drop)
}

/// What is sent must be signed in time, else the way back begins while a branch still sleeps.
pub fn contract() -> Sim {
    const SAGA: Saga<u32, u32> = Saga::new("contract");
    let (mut saga, n) = SAGA.define(1);
    saga.deadline(4 * SECOND);
    let draft = saga.step("draft", DO, n);
    let (signed, stored) = saga.all(|all| {
        let signed = all.branch(|saga| {
            let sent = saga.step("send", MAIL, draft);
            let signed = saga.signal("wait", SIGNED).within(2 * SECOND);
            saga.check(
                "is-signed",
                signed.map(|signed| signed.ok_or_else(|| "nobody signed".to_owned())),
            );
            sent
        });
        let stored = all.branch(|saga| {
            saga.sleep("settle", Duration::from_millis(2_500));
            saga.step("store", AGAIN, draft)
        });
        (signed, stored)
    });
    saga.pivot();
    saga.step(
        "file",
        SHIP,
        signed.and(stored).map(|signed, stored| signed + stored),
    );
    sim(saga.returns(stored), &1)
        .signal(Duration::from_millis(2_004), SIGNED, &"ada".to_owned())
        .always("nothing is filed that is not stored", |world| {
            world.net("file") <= world.net("store")
        })
        .eventually("it ends by itself", |world| {
            all_ended(world) || is_parked(world)
        })
}

/// Four visits in a long life, each announced under an id that may come again for half a minute. Two such
/// ids are remembered.
pub fn visits_in_a_long_life() -> Sim {
    const SAGA: Saga<u32, Vec<Option<u32>>> = Saga::new("patient");
    const VISIT: Signal<u32> = Signal::new("visit");
    const HOUR: Duration = Duration::from_secs(3_600);
    let (mut saga, n) = SAGA.define(1);
    saga.step("admit", DO, n);
    let first = saga.signal("first", VISIT).within(4 * HOUR);
    let second = saga.signal("second", VISIT).within(4 * HOUR);
    let third = saga.signal("third", VISIT).within(4 * HOUR);
    let fourth = saga.signal("fourth", VISIT).within(4 * HOUR);
    let all = first.and(second).and(third).and(fourth);
    let all = all.map(|first, second, third, fourth| vec![first, second, third, fourth]);
    let mut sim = sim(saga.returns(all), &1).remembers(2);
    for number in 0..4 {
        let after = number * HOUR / 2 + SECOND;
        sim = sim.signal_for(30 * SECOND, after, VISIT, &number);
    }
    sim.always("each visit is made once", |world| {
        let mut sagas = world.sagas().map(visits_made);
        sagas.all(|made| made.iter().collect::<BTreeSet<_>>().len() == made.len())
    })
}

fn visits_made(saga: &sagalog_projections::SagaState) -> Vec<u32> {
    let made = |node| saga.node(saga.graph().find(node)?).output.as_ref();
    let made = ["first", "second", "third", "fourth"]
        .into_iter()
        .filter_map(made);
    made.filter_map(|visit| visit.read().ok()).collect()
}
