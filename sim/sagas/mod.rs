//! The sagas that the simulator is tried on: small ones of every shape that the engine treats
//! differently, and realistic ones, each with what its author promises.
//!
//! They are here once, for the tests, for the hunt for planted bugs and for the example `sagas`.
//! Whoever takes them in has `Sim` and the rest of the simulator's names in scope.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each of those who take them in uses its part"
)]

pub mod branches;
pub mod choices;
pub mod later;
pub mod lines;
pub mod people;
pub mod pivots;
mod steps;
pub mod undoing;
pub mod waits;

use sagalog_model::SagaEvent;

use super::{Decide, Mend, Sim, World};

/// A saga by its name, with the number of faults that a test can try together in it.
pub struct Named {
    /// Its name.
    pub name: &'static str,
    /// How many faults at most are tried together, exhaustively.
    pub faults: usize,
    /// The saga.
    pub sim: Sim,
}

/// All of them.
pub fn all() -> Vec<Named> {
    let one = |name, sim| named(name, 1, sim);
    let two = |name, sim| named(name, 2, sim);
    vec![
        two("three", lines::three()),
        two("once", lines::once()),
        two("at-once", lines::at_once()),
        two("hurry", lines::hurry()),
        two("rush", lines::rush()),
        two("order", lines::order()),
        two("transfer", lines::transfer()),
        two("provision", lines::provision()),
        one("two", lines::three().and_saga(&5)),
        one("left-alone", lines::left_alone()),
        one("fork", branches::fork()),
        one("trip", branches::trip()),
        one("quotes", branches::quotes()),
        one("build", branches::build()),
        one("payment", choices::payment()),
        one("onboarding", choices::onboarding()),
        two("polling", choices::polling()),
        two("approval", waits::approval()),
        two("approval-early", waits::approval_that_comes_early()),
        two("approval-late", waits::approval_that_comes_late()),
        two("approval-never", waits::approval_that_never_comes()),
        two("two-approvals", waits::two_approvals()),
        two("loan", waits::loan()),
        two("subscription", waits::subscription()),
        two("withdrawn", waits::subscription_that_is_withdrawn()),
        two("contract", waits::contract()),
        one("prices-of-two", waits::prices_of_two()),
        one("put-right", waits::approval_that_is_put_right()),
        one("dropped", waits::approval_that_is_dropped()),
        one("visits", waits::visits_in_a_long_life()),
        two("prices", waits::prices_or_none()),
        two("asked-prices", waits::prices_that_are_asked_for()),
        two("refund", undoing::refund()),
        one("voucher", undoing::voucher()),
        one("invitation", undoing::invitation()),
        one("notary", undoing::notary()),
        two("slow-way-back", undoing::slow_way_back()),
        one("parcel", pivots::parcel()),
        two("newsletter", pivots::newsletter()),
        two("hasty-tail", pivots::hasty_tail()),
        one("lab", later::lab()),
        one("paid-lab", later::paid_lab()),
        one("tail-lab", later::tail_lab()),
        one("unreadable", people::unreadable()),
        two("hand-made", people::hand_made()),
        one("given-up", people::given_up()),
        one("paused-and-undone", people::paused_and_undone()),
    ]
}

fn named(name: &'static str, faults: usize, sim: Sim) -> Named {
    Named { name, faults, sim }
}

/// Whether every saga has come to its end.
fn all_ended(world: &World) -> bool {
    world.sagas().all(|saga| saga.status().is_terminal())
}

/// Whether a saga waits for a person, and nobody comes.
fn is_parked(world: &World) -> bool {
    world.sagas().any(|saga| saga.parked().next().is_some())
}

/// Whether somebody vouches for a node: what was done or undone by hand is in no participant's ledger.
fn is_by_hand(world: &World, node: &str) -> bool {
    let resolved = |event: &SagaEvent| match event {
        SagaEvent::ResolvedByHand(event) => &*event.node == node,
        _ => false,
    };
    let mut sagas = world.sagas().map(|saga| saga.id().as_str());
    sagas.any(|saga| world.history(saga).iter().any(resolved))
}

/// Whether of these nodes either all effects stand or none, unless somebody is still waited for.
fn all_or_nothing(world: &World, nodes: &[&str]) -> bool {
    let net: Vec<_> = nodes.iter().map(|node| world.net(node)).collect();
    is_parked(world) || net.windows(2).all(|pair| pair[0] == pair[1])
}

/// Gives a node that waits for a person a second try, and then up.
fn retry_then(otherwise: Mend) -> impl Fn(&str, u32) -> Mend + Send + Sync + 'static {
    move |_, times| {
        if times == 1 {
            Mend::Retry
        } else {
            otherwise.clone()
        }
    }
}
