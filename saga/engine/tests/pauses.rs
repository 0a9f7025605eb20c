//! Sagas that somebody pauses and resumes, deadlines that somebody sets, and what an operator has undone.

#[path = "support/sagas.rs"]
mod sagas;
mod support;

use std::time::Duration;

use insta::assert_snapshot;
use sagalog_engine::{Rules, input::Wish};
use sagalog_model::{Direction::*, Payload};
use sagalog_projections::{Status, why::why};
use support::{Does, World, refusal_of, second};

const SECOND: Duration = Duration::from_secs(1);

/// Three steps; the first has been asked, and answers in half a second.
fn three_under_way() -> World {
    let half = Duration::from_millis(500);
    let mut world = World::new(sagas::three())
        .gives("b", "2")
        .gives("c", "3")
        .when("a", Action, 1, Does::IsLate(half, "1"));
    world.start("three", "s", "0");
    world.settle();
    world
}

/// Waits for an approval from the second second on, until the twelfth.
fn waiting_for_an_approval() -> World {
    let mut world = World::new(sagas::approval()).gives("book", "1");
    world.start("approval", "s", "0");
    world.run_for(3 * SECOND);
    world
}

#[test]
fn a_paused_saga_takes_what_comes_and_asks_nothing_until_it_is_resumed() {
    let mut world = three_under_way();
    world.pause("s");
    world.run_for(60 * SECOND);
    assert_eq!(world.asked, ["s a action#1"]);
    assert_eq!(world.status("s"), Status::Running);
    world.resume("s");
    world.run();
    assert_snapshot!(world.story("s"), @r"
    started 0
      ask a#1 0
    paused by ada: she looks into it
    succeeded a#1 1
    resumed by ada
      ask b#1 1
    succeeded b#1 2
      ask c#1 2
    succeeded c#1 3
      COMPLETED 3
    ");
}

#[test]
fn an_attempt_that_is_over_while_its_saga_is_paused_is_followed_by_the_next_when_it_is_resumed() {
    let mut world = World::new(sagas::three())
        .gives("b", "2")
        .gives("c", "3")
        .when("a", Action, 1, Does::IsLost)
        .gives("a", "1");
    world.start("three", "s", "0");
    world.settle();
    world.pause("s");
    world.run_for(60 * SECOND);
    world.resume("s");
    world.run();
    assert_snapshot!(world.timed_story("s"), @r"
        0 started 0
        0   ask a#1 0
        0 paused by ada: she looks into it
     1000 timed out a#1
    60000 resumed by ada
    60000   retry a later
    61000 retry due a
    61000   ask a#2
    61000 succeeded a#2 1
    61000   ask b#1 1
    61000 succeeded b#1 2
    61000   ask c#1 2
    61000 succeeded c#1 3
    61000   COMPLETED 3
    ");
}

#[test]
fn a_signal_that_came_before_its_wait_ended_is_taken_when_the_saga_is_resumed() {
    let mut world = waiting_for_an_approval();
    world.pause("s");
    world.signal("s", "approval", "mail-1", "true");
    world.run_for(60 * SECOND);
    world.resume("s");
    world.run();
    assert_snapshot!(world.story("s"), @r"
    started 0
      ask book#1 0
    succeeded book#1 1
      sleep cool-off
    woke cool-off
      wait approved
    paused by ada: she looks into it
    signal approval mail-1 true
    resumed by ada
      approved takes signal mail-1
      done is-approved null
      pivot
      ask confirm#1 1
    succeeded confirm#1 null
      COMPLETED true
    ");
}

#[test]
fn a_wait_ends_without_its_signal_while_the_saga_is_paused() {
    let mut world = waiting_for_an_approval();
    world.pause("s");
    world.run_for(60 * SECOND);
    world.signal("s", "approval", "mail-1", "true");
    world.settle();
    world.resume("s");
    world.run();
    assert_snapshot!(world.story("s"), @r"
    started 0
      ask book#1 0
    succeeded book#1 1
      sleep cool-off
    woke cool-off
      wait approved
    paused by ada: she looks into it
    waited in vain approved
    signal approval mail-1 true
      signal mail-1 is late
    resumed by ada
      TURN CheckFailed is-approved
      ask book compensation#1
    succeeded book compensation#1
      COMPENSATED
    ");
}

#[test]
fn deadlines_pass_while_a_saga_is_paused_and_what_is_to_be_undone_waits() {
    let mut world = World::new(sagas::hurried()).gives("first", "9");
    world.start("hurried", "s", "0");
    world.settle();
    world.pause("s");
    world.run_for(60 * SECOND);
    assert_eq!(world.status("s"), Status::Compensating);
    assert_eq!(world.asked, ["s first action#1"]);
    world.resume("s");
    world.run();
    assert_snapshot!(world.timed_story("s"), @r"
        0 started 0
        0   ask first#1 0
        0 succeeded first#1 9
        0   sleep nap
        0 paused by ada: she looks into it
     9000 woke nap
    20000 deadline
    20000   TURN Deadline -
    60000 resumed by ada
    60000   ask first compensation#1
    60000 succeeded first compensation#1
    60000   COMPENSATED
    ");
}

#[test]
fn a_steps_deadline_turns_a_paused_saga() {
    let mut world =
        World::new(sagas::hurried())
            .gives("first", "0")
            .when("slow", Action, 1, Does::IsLost);
    world.start("hurried", "s", "0");
    world.settle();
    world.pause("s");
    world.run_for(10 * SECOND);
    assert_snapshot!(world.timed_story("s"), @r"
       0 started 0
       0   ask first#1 0
       0 succeeded first#1 0
       0   sleep nap
       0 woke nap
       0   ask slow#1 0
       0 paused by ada: she looks into it
    1000 timed out slow#1
    5000 deadline of slow
    5000   TURN StepDeadline slow
    ");
}

#[test]
fn compensations_wait_too() {
    let half = Duration::from_millis(500);
    let mut world = World::new(sagas::three())
        .gives("a", "1")
        .gives("b", "2")
        .when("c", Action, 1, Does::Fails)
        .when("b", Compensation, 1, Does::IsLate(half, "null"));
    world.start("three", "s", "0");
    world.settle();
    world.pause("s");
    world.run_for(60 * SECOND);
    world.resume("s");
    world.run();
    assert_snapshot!(world.timed_story("s"), @r"
        0 started 0
        0   ask a#1 0
        0 succeeded a#1 1
        0   ask b#1 1
        0 succeeded b#1 2
        0   ask c#1 2
        0 failed c#1 (Permanent)
        0   TURN StepFailed c
        0   ask b compensation#1
        0 paused by ada: she looks into it
      500 succeeded b compensation#1
    60000 resumed by ada
    60000   ask a compensation#1
    60000 succeeded a compensation#1
    60000   COMPENSATED
    ");
}

#[test]
fn a_cancel_turns_a_paused_saga_which_goes_back_when_it_is_resumed() {
    let mut world = three_under_way();
    world.pause("s");
    world.cancel("s");
    world.run_for(60 * SECOND);
    assert_eq!(world.status("s"), Status::Compensating);
    world.resume("s");
    world.run();
    assert_snapshot!(world.story("s"), @r"
    started 0
      ask a#1 0
    paused by ada: she looks into it
    cancel by ada: changed her mind
      TURN Cancelled -
    succeeded a#1 1
    resumed by ada
      ask a compensation#1
    succeeded a compensation#1
      COMPENSATED
    ");
}

#[test]
fn an_operator_has_a_paused_saga_undone_at_once() {
    let mut world = three_under_way();
    world.pause("s");
    world.run_for(2 * SECOND);
    world.compensate("s");
    world.run();
    assert_snapshot!(world.story("s"), @r"
    started 0
      ask a#1 0
    paused by ada: she looks into it
    succeeded a#1 1
    compensate by ada: it was a mistake
      TURN Operator -
      ask a compensation#1
    succeeded a compensation#1
      COMPENSATED
    ");
}

#[test]
fn an_operator_has_a_saga_undone_that_is_parked_before_its_pivot() {
    let mut world = World::new(sagas::panicking()).gives("reserve", "13");
    world.start("panicking", "s", "0");
    world.run();
    assert_eq!(world.status("s"), Status::Running);
    world.compensate("s");
    world.run();
    assert_eq!(world.status("s"), Status::Compensated);
}

#[test]
fn what_has_not_left_when_the_saga_is_paused_leaves_with_its_whole_time_when_it_is_resumed() {
    let rules = Rules {
        window: 1,
        ..Rules::DEFAULT
    };
    let half = Duration::from_millis(500);
    let mut world = World::with(vec![sagas::fork()], rules)
        .gives("before", "1")
        .gives("left-2", "3")
        .gives("right", "4")
        .gives("last", "5")
        .when("left-1", Action, 1, Does::IsLate(half, "2"));
    world.start("fork", "s", "0");
    world.settle();
    world.pause("s");
    world.run_for(60 * SECOND);
    assert_eq!(world.asked, ["s before action#1", "s left-1 action#1"]);
    world.resume("s");
    world.run();
    assert_snapshot!(world.timed_story("s"), @r"
        0 started 0
        0   ask before#1 0
        0 succeeded before#1 1
        0   ask left-1#1 1
        0   ask right#1 1
        0 paused by ada: she looks into it
      500 succeeded left-1#1 2
     1000 delayed right#1
    60000 resumed by ada
    60000   ask left-2#1 2
    60000 admitted right#1
    60000 succeeded right#1 4
    60000 succeeded left-2#1 3
    60000   ask last#1 7
    60000 succeeded last#1 5
    60000   COMPLETED 5
    ");
}

#[test]
fn what_may_have_left_before_a_crash_does_not_leave_again_while_the_saga_is_paused() {
    let mut world = World::new(sagas::three())
        .gives("b", "2")
        .gives("c", "3")
        .gives("a", "1")
        .when("a", Action, 1, Does::IsLost);
    world.start("three", "s", "0");
    world.settle();
    world.pause("s");
    world.settle();
    world.die();
    world.run_for(60 * SECOND);
    assert_eq!(world.asked, ["s a action#1"]);
    world.resume("s");
    world.run_for(60 * SECOND);
    assert_snapshot!(world.timed_story("s"), @r"
        0 started 0
        0   ask a#1 0
        0 paused by ada: she looks into it
     1000 delayed a#1
    60000 resumed by ada
    60000 admitted a#1
    61000 timed out a#1
    61000   retry a later
    62000 retry due a
    62000   ask a#2
    62000 succeeded a#2 1
    62000   ask b#1 1
    62000 succeeded b#1 2
    62000   ask c#1 2
    62000 succeeded c#1 3
    62000   COMPLETED 3
    ");
}

#[test]
fn a_pause_survives_a_crash() {
    let mut world = three_under_way();
    world.pause("s");
    world.run_for(2 * SECOND);
    world.die();
    world.run_for(60 * SECOND);
    assert_eq!(world.asked, ["s a action#1"]);
    let state = world.fold("s").expect("it is there");
    let paused = why(&state).paused.expect("it says so");
    assert_eq!((&*paused.by, &*paused.reason), ("ada", "she looks into it"));
}

#[test]
fn what_cannot_be_wanted_now_is_refused() {
    let mut world = three_under_way();
    let not_paused = world.resume("s");
    let paused = world.pause("s");
    let the_same = world.pause("s");
    let again = world.request(
        "s",
        "pause-2",
        Wish::Pause {
            reason: "me too".into(),
        },
    );
    world.cancel("s");
    world.settle();
    let turned = world.set_deadline("s", Some(9));
    world.resume("s");
    world.run();
    let ended = world.request(
        "s",
        "pause-3",
        Wish::Pause {
            reason: "too late".into(),
        },
    );
    world.run();
    assert_eq!(
        (world.answer(paused), world.answer(the_same)),
        ("recorded", "recorded")
    );
    let refused = [not_paused, again, turned, ended].map(|ticket| refusal_of(&world, ticket));
    assert_snapshot!(refused.join("\n"), @r"
    saga `s` is not paused: only one that is paused is resumed
    saga `s` is paused already, by ada: it is to be resumed first
    saga `s` goes back already: no deadline counts any more
    saga `s` has ended: it is Compensated
    ");
}

#[test]
fn a_deadline_is_set_earlier_later_or_not_at_all() {
    let turned_at = |at: Option<u64>| {
        let mut world = World::new(sagas::hurried()).gives("first", "15").always(
            "slow",
            Action,
            Does::FailsForNow,
        );
        world.start("hurried", "s", "0");
        world.settle();
        world.set_deadline("s", at);
        world.run();
        let state = world.fold("s").expect("it is there");
        let turn = state.turn().expect("it went back");
        (turn.at.since(second(0)).as_secs(), turn.cause)
    };
    use sagalog_model::event::TurnCause::{Deadline, StepDeadline};
    assert_eq!(turned_at(Some(0)), (0, Deadline));
    assert_eq!(turned_at(Some(3)), (3, Deadline));
    assert_eq!(turned_at(Some(17)), (17, Deadline));
    assert_eq!(turned_at(Some(40)), (20, StepDeadline));
    assert_eq!(turned_at(None), (20, StepDeadline));
}

#[test]
fn after_the_pivot_a_deadline_that_is_set_only_alerts_and_a_later_one_ends_the_alert() {
    let mut world = World::new(sagas::order())
        .gives("quote", "5")
        .gives("charge", "77")
        .when("ship", Action, 1, Does::Fails);
    world.start("order", "s", "100");
    world.run();
    world.set_deadline("s", Some(0));
    world.run();
    let why_now = |world: &World| why(&world.fold("s").expect("it is there"));
    assert!(why_now(&world).deadline.expect("it has one").overdue);
    let (deadline, reason) = (Some(second(90)), "as agreed".into());
    world.request("s", "deadline-2", Wish::SetDeadline { deadline, reason });
    world.settle();
    assert!(!why_now(&world).deadline.expect("it has one").overdue);
    assert_eq!(world.status("s"), Status::Running);
    let refused = world.compensate("s");
    world.settle();
    assert_snapshot!(refusal_of(&world, refused), @"saga `s` has passed its pivot: from there on it only goes forward");
}

#[test]
fn a_parked_node_may_be_mended_while_its_saga_is_paused() {
    let mut world = World::new(sagas::order())
        .gives("quote", "5")
        .gives("charge", "77")
        .when("ship", Action, 1, Does::Fails);
    world.start("order", "s", "100");
    world.run();
    world.pause("s");
    let (node, output) = ("ship".into(), Payload::parse("9").expect("JSON"));
    world.request("s", "r-1", Wish::Resolve { node, output });
    world.run_for(10 * SECOND);
    assert_eq!(world.status("s"), Status::Running);
    world.resume("s");
    world.run();
    assert_eq!(world.status("s"), Status::Completed);
}
