//! An input that cannot be processed holds its saga, and nothing else.

#[path = "support/sagas.rs"]
mod sagas;
mod support;

use std::time::Duration;

use insta::assert_snapshot;
use sagalog_engine::input::Wish;
use sagalog_model::{Direction::*, Outcome, Payload};
use sagalog_projections::{Status, held::Held, timers, why::why};
use support::{Does, World, refusal_of};

/// A saga that waits for two approvals, while its step is answered when the test says so.
fn waiting() -> World {
    let mut world = World::new(sagas::two_approvals()).when("take", Action, 1, Does::IsLost);
    world.start("two-approvals", "s", "0");
    world.settle();
    world
}

fn taken(world: &mut World) -> u64 {
    let outcome = Outcome::Succeeded(Payload::parse("7").expect("good JSON"));
    world.reply("s", "take", Action, 1, outcome)
}

fn release(number: u64) -> Wish {
    Wish::Release {
        number,
        content: None,
    }
}

fn edit(number: u64, content: &str) -> Wish {
    Wish::Release {
        number,
        content: Some(Payload::parse(content).expect("good JSON")),
    }
}

fn drop(number: u64) -> Wish {
    Wish::Drop {
        number,
        reason: "a mistake".into(),
    }
}

#[test]
fn what_comes_behind_what_cannot_be_processed_is_held_in_order_and_released_in_order() {
    let mut world = waiting();
    let poison = world.signal("s", "approval", "mail-1", "\"yes\"");
    let behind = world.signal("s", "approval", "mail-2", "true");
    let answer = taken(&mut world);
    let again = world.signal("s", "approval", "mail-1", "\"yes\"");
    world.settle();
    for ticket in [poison, behind, answer, again] {
        assert_eq!(world.answer(ticket), "recorded");
    }
    assert_eq!(world.status("s"), Status::Running);
    world.request("s", "ticket-1", edit(1, "true"));
    world.settle();
    assert_eq!(world.status("s"), Status::Completed);
    assert_snapshot!(world.story("s"));
}

#[test]
fn an_attempt_whose_answer_is_held_is_neither_given_up_nor_asked_again() {
    let mut world = waiting();
    world.signal("s", "approval", "mail-1", "7");
    taken(&mut world);
    world.run_for(Duration::from_secs(60));
    world.die();
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.asked, ["s take action#1"]);
    world.request("s", "ticket-1", drop(1));
    world.settle();
    assert_snapshot!(world.story("s"));
}

#[test]
fn an_answer_that_is_given_up_is_waited_for_again() {
    let mut world = waiting();
    world.signal("s", "approval", "mail-1", "7");
    taken(&mut world);
    world.run_for(Duration::from_secs(30));
    world.request("s", "ticket-1", drop(2));
    world.settle();
    let state = world.fold("s").expect("it was started");
    assert_eq!(state.held().len(), 1);
    assert!(
        timers::next(&state).is_some(),
        "its attempt has timed out, and is asked again"
    );
    assert_snapshot!(world.story("s"));
}

#[test]
fn other_sagas_go_on() {
    let mut world = waiting();
    world.signal("s", "approval", "mail-1", "7");
    world = world.when("take", Action, 1, Does::Succeeds("7"));
    world.start("two-approvals", "other", "0");
    world.settle();
    for id in ["mail-1", "mail-2"] {
        world.signal("other", "approval", id, "true");
    }
    world.settle();
    assert_eq!(world.status("other"), Status::Completed);
    assert_eq!(world.status("s"), Status::Running);
}

#[test]
fn a_cancel_passes_and_the_way_back_takes_the_answers_that_are_held() {
    let mut world = waiting();
    world.signal("s", "approval", "mail-1", "7");
    world.signal("s", "approval", "mail-2", "true");
    taken(&mut world);
    world.cancel("s");
    world.run();
    assert_eq!(world.status("s"), Status::Compensated);
    let late = world.request("s", "ticket-1", release(1));
    world.settle();
    assert_eq!(
        refusal_of(&world, late),
        "saga `s` has ended: it is Compensated"
    );
    assert_snapshot!(world.story("s"));
}

#[test]
fn what_cannot_be_processed_is_refused_to_who_releases_it_and_says_why_when_it_comes_first() {
    let mut world = waiting();
    world.signal("s", "approval", "mail-1", "7");
    world.signal("s", "approval", "mail-2", "8");
    let refused = [
        world.request("s", "ticket-1", release(1)),
        world.request("s", "ticket-2", edit(1, "9")),
        world.request("s", "ticket-3", release(2)),
        world.request("s", "ticket-4", drop(3)),
    ];
    world.request("s", "ticket-5", edit(1, "true"));
    world.settle();
    let refused = refused.map(|ticket| refusal_of(&world, ticket));
    assert_snapshot!(refused.join("\n"));
    assert_snapshot!(world.story("s"));
}

#[test]
fn a_request_sent_twice_counts_once_and_means_one_thing() {
    let mut world = waiting();
    world.signal("s", "approval", "mail-1", "7");
    world.signal("s", "approval", "mail-2", "true");
    world.request("s", "ticket-1", drop(1));
    let again = world.request("s", "ticket-1", drop(1));
    let other = world.request("s", "ticket-1", drop(2));
    world.settle();
    assert_eq!(world.answer(again), "recorded");
    assert_eq!(
        refusal_of(&world, other),
        "the id `ticket-1` was used before for something else, or with another time; choose another id"
    );
}

#[test]
fn numbered_signals_are_held_and_taken_in_their_order() {
    let gaps = sagalog_model::Gaps::within(Duration::from_secs(10));
    let mut world = World::new(sagas::prices(gaps));
    world.start("prices", "s", "0");
    world.numbered("s", "prices", 1, "\"cheap\"");
    world.price("s", 3);
    world.price("s", 2);
    world.run_for(Duration::from_secs(30));
    world.request("s", "ticket-1", edit(1, "1"));
    world.settle();
    assert_eq!(world.status("s"), Status::Completed);
    assert_snapshot!(world.story("s"));
}

#[test]
fn beyond_what_may_be_held_the_newest_is_refused() {
    let mut world = waiting();
    for number in 0..Held::MAX {
        world.signal("s", "approval", &format!("mail-{number}"), "7");
    }
    let refused = world.signal("s", "approval", "one more", "true");
    world.settle();
    assert_snapshot!(refusal_of(&world, refused), @"256 inputs with 1048576 bytes of the saga are held, which is the limit; see `sagalog held list`");
}

#[test]
fn why_says_what_is_held_and_why() {
    let mut world = waiting();
    world.signal("s", "approval", "mail-1", "7");
    world.signal("s", "approval", "mail-2", "true");
    world.settle();
    let state = world.fold("s").expect("it was started");
    let held = serde_json::to_string_pretty(&why(&state).held).expect("plain data");
    assert_snapshot!(held);
}

#[test]
fn held_inputs_survive_a_crash() {
    let mut world = waiting();
    world.signal("s", "approval", "mail-1", "7");
    world.signal("s", "approval", "mail-2", "true");
    taken(&mut world);
    world.settle();
    let before = world.fold("s");
    world.die();
    world.settle();
    world.compare();
    assert_eq!(world.fold("s"), before);
    world.request("s", "ticket-1", edit(1, "true"));
    world.settle();
    assert_eq!(world.status("s"), Status::Completed);
}

#[test]
fn what_was_dropped_does_not_come_back() {
    let gaps = sagalog_model::Gaps::within(Duration::from_secs(10));
    let mut world = World::new(sagas::prices(gaps));
    world.start("prices", "s", "0");
    world.numbered("s", "prices", 1, "\"cheap\"");
    world.price("s", 2);
    world.settle();
    world.request("s", "ticket-1", drop(1));
    let again = world.numbered("s", "prices", 1, "\"cheap\"");
    world.settle();
    assert_eq!(
        refusal_of(&world, again),
        "number 1 of `prices` comes too late: the saga has gone on without it"
    );
    let mut other = waiting();
    other.signal("s", "approval", "mail-1", "7");
    other.request("s", "ticket-1", drop(1));
    let again = other.signal("s", "approval", "mail-1", "7");
    other.settle();
    assert_eq!(other.answer(again), "recorded");
    assert!(other.fold("s").expect("it was started").held().is_empty());
    assert_snapshot!(world.story("s"));
}
