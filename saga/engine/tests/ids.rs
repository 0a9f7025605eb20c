//! Ids that senders choose: known while they may come again, forgotten on record, never taken twice.

#[path = "support/sagas.rs"]
mod sagas;
mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use insta::assert_snapshot;
use proptest::{collection::vec, prelude::*};
use sagalog_engine::{Rules, input::Wish};
use sagalog_model::Payload;
use sagalog_projections::{Status, dedup::LASTING_MAX};
use support::{World, refusal_of};

/// Few are remembered, and the clocks of senders may be five seconds behind.
const FEW: Rules = Rules {
    ids_max: 2,
    clock_skew_max: Duration::from_secs(5),
    ..Rules::DEFAULT
};

fn patient() -> World {
    let mut world = World::with(vec![sagas::patient()], FEW);
    world.start("patient", "s", "0");
    world.settle();
    world
}

/// Sends a price whose sender says that it may come again until this second.
fn price(world: &mut World, id: &str, until: u64) -> u64 {
    let sent = world.signal_until("s", "price", (id, Some(until)), "7");
    world.settle();
    sent
}

#[test]
fn a_repeat_is_known_until_its_time_is_over_and_refused_once_it_is_forgotten() {
    let mut world = patient();
    let first = price(&mut world, "a", 10);
    let again = price(&mut world, "a", 10);
    world.run_for(Duration::from_secs(20));
    let late = price(&mut world, "a", 10);
    for (id, until) in [("b", 30), ("c", 31)] {
        price(&mut world, id, until);
    }
    let forgotten = price(&mut world, "a", 10);
    for recorded in [first, again, late] {
        assert_eq!(world.answer(recorded), "recorded");
    }
    assert_snapshot!(refusal_of(&world, forgotten), @"`a` has expired: it may have come before, and its time is over, so that is not remembered any more; look at what the saga did, and choose another id if it is still wanted");
    assert_snapshot!(world.story("s"), @r"
    started 0
      wait go
    signal price a 7
    signal price b 7
    signal price c 7
      forget signals until 10
    ");
}

#[test]
fn what_cannot_be_told_from_what_is_forgotten_is_refused_and_anything_later_is_not() {
    let mut world = patient();
    for (id, until) in [("a", 10), ("b", 11)] {
        price(&mut world, id, until);
    }
    world.run_for(Duration::from_secs(20));
    price(&mut world, "c", 40);
    let behind = price(&mut world, "never seen", 11);
    let ahead = price(&mut world, "neither", 12);
    assert!(refusal_of(&world, behind).contains("has expired"));
    assert_eq!(world.answer(ahead), "recorded");
}

#[test]
fn what_may_still_come_is_not_forgotten_and_there_is_room_again_when_its_time_is_over() {
    let mut world = patient();
    for (id, until) in [("a", 10), ("b", 10)] {
        price(&mut world, id, until);
    }
    let refused = price(&mut world, "c", 30);
    assert_snapshot!(refusal_of(&world, refused), @"2 signals of the saga may still come again, which is the limit; send it again when the time of some is over");
    // The clock of their sender may be five seconds behind.
    world.run_for(Duration::from_secs(15));
    let at_the_edge = price(&mut world, "c", 30);
    assert!(world.answer(at_the_edge).starts_with("refused"));
    world.run_for(Duration::from_micros(1));
    let again = price(&mut world, "c", 30);
    assert_eq!(world.answer(again), "recorded");
}

#[test]
fn an_id_comes_with_the_same_time_whenever_it_comes() {
    let mut world = patient();
    price(&mut world, "a", 10);
    world.signal("s", "price", "b", "7");
    world.settle();
    let refused = [
        price(&mut world, "a", 11),
        world.signal("s", "price", "a", "7"),
        price(&mut world, "b", 10),
    ];
    world.settle();
    for refused in refused {
        let why = refusal_of(&world, refused);
        assert!(why.contains("with another time"), "{why}");
    }
}

#[test]
fn ids_without_a_time_are_known_for_life_beside_those_that_are_forgotten() {
    let mut world = patient();
    world.signal("s", "price", "lasting", "7");
    for number in 0..6 {
        world.run_for(Duration::from_secs(20));
        price(&mut world, &format!("p-{number}"), 20 * (number + 1));
    }
    let again = world.signal("s", "price", "lasting", "7");
    world.settle();
    assert_eq!(world.answer(again), "recorded");
    let state = world.fold("s").expect("it is there");
    assert_eq!(state.signals().waiting(), 7, "each was taken once");
    assert_eq!(state.signals().ids().lasting(), 1);
}

/// A saga with a node that waits for a person, however often it is tried again.
fn parked() -> World {
    let mut world = World::with(vec![sagas::panicking()], FEW)
        .gives("reserve", "13")
        .gives("last", "1");
    world.start("panicking", "s", "0");
    world.run();
    world
}

fn retry(world: &mut World, id: &str, until: Option<u64>) -> u64 {
    let node = "risky".into();
    let sent = world.request_until("s", (id, until), Wish::Retry { node, reason: None });
    world.run();
    sent
}

#[test]
fn no_request_is_done_again_when_it_is_forgotten() {
    let mut world = parked();
    for (number, until) in [(0, 10), (1, 20), (2, 90)] {
        world.run_for(Duration::from_secs(20));
        let sent = retry(&mut world, &format!("r-{number}"), Some(until));
        assert_eq!(world.answer(sent), "recorded");
    }
    let forgotten = retry(&mut world, "r-0", Some(10));
    assert!(refusal_of(&world, forgotten).contains("has expired"));
    let known = retry(&mut world, "r-2", Some(90));
    assert_eq!(world.answer(known), "recorded");
    let story = world.story("s");
    assert_eq!(story.matches("retry risky by ada").count(), 3, "{story}");
    assert_eq!(story.matches("forget requests").count(), 1, "{story}");
}

#[test]
fn of_requests_without_a_time_none_is_forgotten_and_those_with_one_still_pass() {
    let mut world = parked();
    for number in 0..LASTING_MAX {
        retry(&mut world, &format!("r-{number}"), None);
    }
    let refused = retry(&mut world, "one more", None);
    let oldest = retry(&mut world, "r-0", None);
    assert_snapshot!(refusal_of(&world, refused), @"the saga has had 1000 requests, which is the limit for those that do not say until when they may come again; say it");
    assert_eq!(world.answer(oldest), "recorded", "it is known");
    let resolve = Wish::Resolve {
        node: "risky".into(),
        output: Payload::parse("14").expect("JSON"),
    };
    let passes = world.request_until("s", ("one more", Some(1)), resolve);
    world.run();
    assert_eq!(world.answer(passes), "recorded");
    assert_eq!(world.status("s"), Status::Completed);
}

proptest! {
    /// Beside a model that forgets nothing.
    #[test]
    fn whatever_comes_when_is_taken_once_and_nothing_is_refused_that_may_still_come(
        sent in vec((0..12_u64, 0..16_u64, 0..12_u64), 0..60),
    ) {
        let mut world = patient();
        let (mut untils, mut taken) = (BTreeMap::new(), BTreeSet::new());
        let mut now = 0;
        for (passed, number, lifetime) in sent {
            now += passed;
            world.run_for(Duration::from_secs(passed));
            // A sender's clock may be up to five seconds behind.
            let skew = number % 6;
            let until = *untils
                .entry(number)
                .or_insert_with(|| (now + lifetime).saturating_sub(skew));
            let is_over = |until: u64| until + FEW.clock_skew_max.as_secs() < now;
            let ticket = price(&mut world, &format!("p-{number}"), until);
            let answer = world.answer(ticket);
            if answer == "recorded" {
                taken.insert(number);
            } else if answer.contains("has expired") {
                prop_assert!(is_over(until), "{}: {}", number, answer);
            } else {
                prop_assert!(answer.contains("may still come again"), "{}", answer);
                prop_assert!(!taken.contains(&number));
                let alive = taken.iter().filter(|number| !is_over(untils[number]));
                prop_assert!(alive.count() >= FEW.ids_max);
            }
            let state = world.fold("s").expect("it is there");
            prop_assert_eq!(state.signals().waiting(), taken.len(), "each was taken once");
            prop_assert!(state.signals().ids().in_window() <= FEW.ids_max);
        }
        world.compare();
    }
}
