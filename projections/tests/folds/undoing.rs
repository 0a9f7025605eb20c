//! What is left to do for each step of a turned saga.

use insta::assert_snapshot;
use sagalog_model::{
    Direction::{Action, Alternative, Compensation, Probe},
    FailureClass::{Permanent, Transient},
    event::*,
};
use sagalog_projections::{undoing, undoing::Undoing};

use crate::trip::*;

#[track_caller]
fn of(story: &Story, node: &str) -> Undoing {
    let index = story.state.graph().find(node).expect("it is there");
    let (spec, step) = story.state.step(index).expect("it was asked");
    undoing::of(spec, step)
}

fn what_is_left(story: &Story) -> String {
    let left: Vec<_> = undoing::left(&story.state)
        .into_iter()
        .map(|node| story.state.graph().node(node).id.to_string())
        .collect();
    left.join(", ")
}

#[test]
fn what_took_effect_is_due() {
    assert_eq!(of(&Story::turned(), "hotel"), Undoing::Due);
    assert_eq!(of(&Story::turned(), "flight"), Undoing::Due);
}

#[test]
fn what_changes_nothing_is_never_undone() {
    assert_eq!(of(&Story::turned(), "quote"), Undoing::Nothing);
    let asking = Story::begun().then(asked("quote", 1, 30));
    assert_eq!(of(&asking, "quote"), Undoing::Nothing);
}

#[test]
fn what_failed_in_every_attempt_is_not_undone() {
    assert_eq!(of(&Story::turned(), "charge"), Undoing::Nothing);
}

#[test]
fn one_attempt_in_doubt_is_enough_to_undo_it() {
    let story = Story::booking()
        .then(in_doubt("hotel", 1))
        .then(asked("hotel", 2, 60))
        .then(failed("hotel", 2, Permanent));
    assert_eq!(of(&story, "hotel"), Undoing::Due);
}

#[test]
fn a_late_failure_lifts_the_doubt() {
    let story = Story::booking()
        .then(timed_out(Action, "hotel", 1))
        .then(asked("hotel", 2, 60))
        .then(failed("hotel", 2, Permanent))
        .then(failed("hotel", 1, Transient));
    assert_eq!(of(&story, "hotel"), Undoing::Nothing);
}

#[test]
fn an_unanswered_attempt_is_waited_for() {
    let story = Story::booking().then(turned("hotel"));
    assert_eq!(of(&story, "flight"), Undoing::Settling);
}

#[test]
fn the_newest_doubt_is_probed_once() {
    let doubt = Story::booking()
        .then(turned("hotel"))
        .then(timed_out(Action, "flight", 1));
    assert_eq!(of(&doubt, "flight"), Undoing::CanProbe);
    let probing = doubt.then(asked_to(Probe, "flight", 1, 60));
    assert_eq!(of(&probing, "flight"), Undoing::Settling);
    let not_found = probing.clone().then(ActionNotFound {
        node: "flight".into(),
        attempt: sagalog_model::AttemptNumber(1),
    });
    assert_eq!(
        of(&not_found, "flight"),
        Undoing::Due,
        "it may still arrive"
    );
    let unanswered = probing.then(timed_out(Probe, "flight", 1));
    assert_eq!(of(&unanswered, "flight"), Undoing::Due);
}

#[test]
fn without_a_probe_a_doubt_is_due_at_once() {
    let doubt = Story::booking()
        .then(turned("flight"))
        .then(timed_out(Action, "hotel", 1));
    assert_eq!(of(&doubt, "hotel"), Undoing::Due);
}

#[test]
fn it_is_over_once_it_is_undone_or_left() {
    let asked = Story::turned().then(asked_to(Compensation, "hotel", 1, 80));
    assert_eq!(of(&asked, "hotel"), Undoing::Due);
    let undone = asked.clone().then(did(Compensation, "hotel", 1));
    assert_eq!(of(&undone, "hotel"), Undoing::Over);
    let instead = asked
        .clone()
        .then(failed_to(Compensation, "hotel", 1, Permanent))
        .then(asked_to(Alternative, "hotel", 1, 90))
        .then(did(Alternative, "hotel", 1));
    assert_eq!(of(&instead, "hotel"), Undoing::Over);
    let by_hand = asked
        .clone()
        .then(parked("hotel", ParkCause::Compensation))
        .then(resolved("hotel"));
    assert_eq!(of(&by_hand, "hotel"), Undoing::Over);
    let given_up = asked
        .then(parked("hotel", ParkCause::Compensation))
        .then(skipped("hotel"));
    assert_eq!(of(&given_up, "hotel"), Undoing::Over);
}

#[test]
fn what_was_left_may_turn_out_to_be_undone() {
    let undone = Story::hotel_left().then(did(Compensation, "hotel", 1));
    assert_eq!(of(&undone, "hotel"), Undoing::Over);
    assert_eq!(what_is_left(&undone), "");
    assert_snapshot!(undone.refuses(did(Compensation, "hotel", 1)), @"AttemptSucceeded: it was settled before");
}

#[test]
fn what_is_left_is_named_in_the_order_of_the_definition() {
    let story = Story::turned()
        .then(compensation_skipped("flight"))
        .then(asked_to(Compensation, "hotel", 1, 80))
        .then(parked("hotel", ParkCause::Compensation))
        .then(skipped("hotel"));
    assert_snapshot!(what_is_left(&story), @"hotel, flight");
}

#[test]
fn what_a_person_did_in_place_of_a_step_that_was_never_asked_is_left() {
    let unclear = Story::quoted().then(parked("flight", ParkCause::Expression));
    let by_hand = unclear
        .clone()
        .then(resolved("flight"))
        .then(turned("hotel"));
    assert_eq!(what_is_left(&by_hand), "flight");
    assert_snapshot!(by_hand.refuses(Compensated {}), @"Compensated: what is left is not what it names");
    let ended = by_hand.then(left(&["flight"]));
    assert_eq!(ended.state.left(), [NodeId::from("flight")]);
    let given_up = unclear.then(skipped("flight")).then(turned("hotel"));
    assert_eq!(what_is_left(&given_up), "", "a person did nothing");
}
