//! Sagas of many shapes keep their promises, and their authors', whatever goes wrong.

#[path = "../sagas/mod.rs"]
mod sagas;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use sagalog_model::SagaEvent;
use sagalog_sim::{Decide, Explore, Mend, Sim, World};

/// Tries every saga whose name begins with one of these letters, as far as a test can afford.
fn try_all_from(first: char, last: char) {
    let sagas = sagas::all().into_iter();
    for saga in sagas.filter(|saga| (first..=last).contains(&initial(saga.name))) {
        let budget = Explore::exhaustive(saga.faults).and_swarm(RANDOM);
        saga.sim.explore(budget).check();
    }
}

/// Random plans for each saga.
const RANDOM: u64 = 50;

fn initial(name: &str) -> char {
    name.chars().next().expect("it has a name")
}

// Apart, so that they run side by side.
#[test]
fn sagas_from_a_to_g_hold() {
    try_all_from('a', 'g');
}

#[test]
fn sagas_from_h_to_o_hold() {
    try_all_from('h', 'o');
}

#[test]
fn sagas_from_p_to_r_hold() {
    try_all_from('p', 'r');
}

#[test]
fn sagas_from_s_to_z_hold() {
    try_all_from('s', 'z');
}

#[test]
fn cancelled_at_any_moment_they_hold() {
    let shapes = [
        sagas::branches::build(),
        sagas::lines::transfer(),
        sagas::pivots::hasty_tail(),
        sagas::people::hand_made(),
    ];
    for sim in shapes {
        for after in 0..30 {
            let cancelled = sim.clone().cancel(Duration::from_millis(after));
            let explored = cancelled.explore(Explore::exhaustive(0).and_swarm(5));
            let report = explored.report();
            assert!(report.failure.is_none(), "{}", explored.document());
        }
    }
}

#[test]
fn a_signal_at_any_moment_around_the_end_of_its_wait_holds() {
    for after in 5_990..6_020 {
        let sim = sagas::waits::approval_after(Duration::from_millis(after));
        let explored = sim.explore(Explore::exhaustive(0).and_swarm(5));
        let report = explored.report();
        assert!(report.failure.is_none(), "{}", explored.document());
    }
}

/// What no run brings is not tried, so a new type of event needs a saga in which it occurs.
#[test]
fn every_type_of_event_occurs() {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    for saga in sagas::all() {
        let seen = seen.clone();
        let looks = move |world: &World| {
            let mut seen = seen.lock().expect("nobody has panicked");
            for saga in world.sagas() {
                let events = world.history(saga.id().as_str());
                seen.extend(events.iter().map(SagaEvent::kind));
            }
            true
        };
        let sim = saga.sim.eventually("what occurs is noted", looks);
        let explored = sim.explore(Explore::exhaustive(0).and_swarm(80));
        assert!(explored.report().failure.is_none());
    }
    let seen = seen.lock().expect("nobody has panicked");
    let missing: Vec<_> = SagaEvent::KINDS
        .iter()
        .filter(|kind| !seen.contains(*kind))
        .collect();
    assert!(missing.is_empty(), "no run brings {missing:?}");
}
