//! Signals that their producer numbers: each counts once, in the order of their numbers.

#[path = "support/sagas.rs"]
mod sagas;
mod support;

use std::time::Duration;

use insta::assert_snapshot;
use sagalog_model::Gaps;
use sagalog_projections::{sequence::Sequences, why::why};
use support::{World, refusal_of};

const WITHIN: Gaps = Gaps::within(Duration::from_secs(10));

fn waiting(gaps: Gaps) -> World {
    let mut world = World::new(sagas::prices(gaps));
    world.start("prices", "s", "0");
    world.settle();
    world
}

#[test]
fn they_are_taken_in_the_order_of_their_numbers_and_each_counts_once() {
    let mut world = waiting(WITHIN);
    for number in [1, 1, 2, 1, 2, 3, 2] {
        let sent = world.price("s", number);
        world.settle();
        assert_eq!(world.answer(sent), "recorded");
    }
    assert_snapshot!(world.story("s"));
}

#[test]
fn what_comes_ahead_is_kept_and_taken_once_what_is_missing_came() {
    let mut world = waiting(WITHIN);
    for number in [3, 2, 3, 1] {
        let sent = world.price("s", number);
        world.run_for(Duration::from_secs(1));
        assert_eq!(world.answer(sent), "recorded");
    }
    assert_snapshot!(world.timed_story("s"));
}

#[test]
fn each_missing_number_that_comes_gives_the_others_their_time_again() {
    let mut world = waiting(WITHIN);
    world.price("s", 4);
    for number in [1, 2] {
        world.run_for(Duration::from_secs(8));
        world.price("s", number);
    }
    world.run_for(Duration::from_secs(8));
    world.price("s", 3);
    world.run();
    assert_snapshot!(world.timed_story("s"));
}

#[test]
fn behind_a_gap_that_does_not_close_everything_is_rejected_and_may_come_again() {
    let mut world = waiting(WITHIN);
    for number in [1, 3, 4] {
        world.price("s", number);
    }
    world.run_for(Duration::from_secs(11));
    for number in [2, 3] {
        world.price("s", number);
    }
    world.run();
    assert_snapshot!(world.timed_story("s"));
}

#[test]
fn a_gap_may_be_given_up_on_record_and_what_was_missing_is_then_too_late() {
    let mut world = waiting(WITHIN.releasing());
    for number in [3, 4, 7] {
        world.price("s", number);
    }
    world.run_for(Duration::from_secs(11));
    let given_up = world.price("s", 2);
    world.run();
    assert_eq!(
        refusal_of(&world, given_up),
        "number 2 of `prices` comes too late: the saga has gone on without it"
    );
    assert_snapshot!(world.timed_story("s"));
}

#[test]
fn a_producer_is_asked_for_what_is_missing_as_often_as_agreed() {
    let mut world = waiting(WITHIN.asking(2).releasing());
    world.price("s", 3);
    world.run_for(Duration::from_secs(11));
    world.price("s", 1);
    world.run_for(Duration::from_secs(31));
    world.price("s", 4);
    world.run();
    assert_eq!(
        world.missing,
        ["s prices 1-2", "s prices 2-2", "s prices 2-2"],
        "what is missing after some of it came is another gap"
    );
    assert_snapshot!(world.timed_story("s"));
}

#[test]
fn a_gap_and_what_was_asked_for_survive_a_crash() {
    let mut world = waiting(WITHIN.asking(1));
    world.price("s", 2);
    world.run_for(Duration::from_secs(11));
    world.die();
    world.settle();
    assert_eq!(
        world.missing,
        ["s prices 1-1", "s prices 1-1"],
        "asked again after the take-over: it is a hint"
    );
    world.run_for(Duration::from_secs(2));
    world.price("s", 1);
    world.run_for(Duration::from_secs(1));
    assert_snapshot!(world.timed_story("s"));
}

#[test]
fn producers_do_not_wait_for_each_other() {
    let mut world = waiting(WITHIN);
    world.numbered("s", "prices", 2, "2");
    world.numbered("s", "offers", 1, "1");
    world.settle();
    assert_snapshot!(world.story("s"));
}

#[test]
fn a_number_is_used_for_one_thing() {
    let mut world = waiting(WITHIN);
    world.numbered("s", "prices", 1, "1");
    world.numbered("s", "prices", 3, "3");
    let refused = [
        world.numbered("s", "prices", 1, "7"),
        world.numbered("s", "prices", 3, "7"),
        world.numbered("s", "prices", 0, "7"),
        world.numbered("s", "prices", Sequences::NUMBER_MAX + 1, "7"),
    ];
    world.settle();
    let refused = refused.map(|ticket| refusal_of(&world, ticket));
    assert_snapshot!(refused.join("\n"));
}

#[test]
fn beyond_what_may_be_kept_the_newest_is_refused_and_the_missing_one_is_not() {
    let mut world = waiting(WITHIN);
    let kept = Sequences::AHEAD_MAX as u64;
    for number in 2..kept + 2 {
        world.price("s", number);
    }
    let refused = world.price("s", kept + 2);
    let missing = world.price("s", 1);
    let again = world.price("s", kept + 2);
    world.settle();
    assert_snapshot!(refusal_of(&world, refused));
    assert_eq!(
        (world.answer(missing), world.answer(again)),
        ("recorded", "refused: saga `s` has ended: it is Completed")
    );
}

#[test]
fn why_says_what_is_missing_and_what_is_done_about_it() {
    let mut world = waiting(WITHIN.asking(1));
    world.price("s", 2);
    world.price("s", 5);
    world.settle();
    let state = world.fold("s").expect("it was started");
    assert_snapshot!(format!("{:#?}", why(&state).missing));
}

#[test]
fn after_the_end_what_came_is_a_duplicate_and_what_is_new_is_refused() {
    let mut world = waiting(WITHIN);
    world.price("s", 2);
    world.cancel("s");
    let known = world.price("s", 2);
    let new = world.price("s", 1);
    world.settle();
    assert_eq!(world.answer(known), "recorded");
    assert_eq!(
        refusal_of(&world, new),
        "saga `s` has ended: it is Compensated"
    );
}
