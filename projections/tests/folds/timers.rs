//! Which deadlines a state has.

use insta::assert_snapshot;
use sagalog_model::{
    Direction::{Action, Alternative, Compensation, Probe},
    FailureClass::{Permanent, Transient},
    NodeIndex,
    event::*,
};
use sagalog_projections::{SagaState, Timer, alive, timers};

use crate::trip::*;

/// All timers of a story, earliest first.
fn timers_of(story: &Story) -> String {
    let mut timers = Vec::new();
    timers::each(&story.state, |due, timer| timers.push((due, timer)));
    timers.sort_unstable();
    assert_eq!(timers::next(&story.state), timers.first().copied());
    let graph = story.state.graph();
    let id = |node: NodeIndex| &graph.node(node).id;
    let lines = timers.into_iter().map(|(due, timer)| {
        let timer = match timer {
            Timer::SagaDeadline => "the saga's deadline".to_owned(),
            Timer::StepDeadline { node } => format!("{}: deadline", id(node)),
            Timer::Attempt {
                node,
                direction,
                attempt,
            } => format!("{}: {direction} #{attempt}", id(node)),
            Timer::Wait { node } => format!("{}: wait", id(node)),
            Timer::Sleep { node } => format!("{}: sleep", id(node)),
            Timer::Gap { producer } => {
                let known = story.state.sequences().producer(producer);
                format!("{}: gap", known.name)
            }
            Timer::Retry { node, direction } => format!("{}: retry of the {direction}", id(node)),
        };
        format!("{:>4} {timer}", due.as_micros() / 1_000_000)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_saga_has_its_own_deadline_until_it_has_passed() {
    assert_snapshot!(timers_of(&Story::begun()), @"1000 the saga's deadline");
    assert_snapshot!(timers_of(&Story::begun().then(DeadlinePassed {})), @"");
    assert_snapshot!(timers_of(&Story::past_the_pivot()), @"1000 the saga's deadline");
}

#[test]
fn a_deadline_that_is_set_is_the_one_that_counts() {
    let set = |deadline| Story::begun().then(deadline_set("d-1", deadline));
    assert_snapshot!(timers_of(&set(Some(4_000))), @"4000 the saga's deadline");
    assert_snapshot!(timers_of(&set(None)), @"");
    let passed = Story::past_the_pivot().then(DeadlinePassed {});
    assert_snapshot!(timers_of(&passed.then(deadline_set("d-1", Some(2_000)))), @"2000 the saga's deadline");
}

#[test]
fn of_a_paused_saga_all_deadlines_count_but_that_of_a_wait_whose_signal_has_come() {
    let paused = Story::waiting().then(paused("p-1"));
    assert_snapshot!(timers_of(&paused), @r"
     110 approved: wait
    1000 the saga's deadline
    ");
    assert_snapshot!(timers_of(&paused.then(signal("mail-1"))), @"1000 the saga's deadline");
}

#[test]
fn the_time_of_an_attempt_stands_still_while_it_waits_and_that_of_an_action_until_the_turn() {
    let asking = Story::booking();
    let waiting = asking.clone().then(delayed(Action, "hotel", 1));
    let of_hotel = |story: &Story| -> String {
        let lines = timers_of(story);
        let line = lines.lines().find(|line| line.contains("hotel: action"));
        line.unwrap_or("none").trim().to_owned()
    };
    assert_snapshot!(of_hotel(&asking), @"30 hotel: action #1");
    assert_snapshot!(of_hotel(&waiting), @"none");
    assert_snapshot!(of_hotel(&waiting.clone().then(let_in(Action, "hotel", 1, 90))), @"90 hotel: action #1");
    assert_snapshot!(of_hotel(&waiting.then(turned("flight"))), @"30 hotel: action #1");
}

#[test]
fn a_heartbeat_moves_the_deadline_as_far_as_the_step_allows_and_not_after_the_turn() {
    let moved = |story: &Story, now| {
        let flight = story.state.graph().find("flight").expect("it is there");
        let (spec, step) = story.state.step(flight).expect("it was asked");
        let deadline = alive::extended(&story.state, spec, step, second(now));
        deadline.map(|deadline| deadline.as_micros() / 1_000_000)
    };
    let asking = Story::booking();
    assert_eq!(moved(&asking, 10), None, "it gives nothing");
    assert_eq!(moved(&asking, 14), None, "it gives less than a quarter");
    assert_eq!(moved(&asking, 15), Some(35));
    assert_eq!(moved(&asking, 55), Some(60), "not beyond the step");
    let nearly = asking.clone().then(extended("flight", 1, 58));
    assert_eq!(moved(&nearly, 57), Some(60), "little, but to the end");
    assert_eq!(moved(&nearly.then(extended("flight", 1, 60)), 59), None);
    assert_eq!(moved(&asking.clone().then(turned("hotel")), 25), None);
    assert_eq!(moved(&asking.then(in_doubt("flight", 1)), 25), None);
    assert_snapshot!(timers_of(&Story::booking().then(extended("flight", 1, 50))), @r"
      30 hotel: action #1
      50 flight: action #1
      60 flight: deadline
    1000 the saga's deadline
    ");
}

#[test]
fn an_attempt_and_its_step_have_deadlines() {
    assert_snapshot!(timers_of(&Story::booking()), @r"
      30 hotel: action #1
      30 flight: action #1
      60 flight: deadline
    1000 the saga's deadline
    ");
    let passed = StepDeadlinePassed {
        node: "flight".into(),
    };
    assert_snapshot!(timers_of(&Story::booking().then(passed)), @r"
      30 hotel: action #1
      30 flight: action #1
    1000 the saga's deadline
    ");
}

#[test]
fn a_renewed_attempt_has_its_new_deadline() {
    assert_snapshot!(timers_of(&Story::booking().then(renewed("hotel", 1, 45))), @r"
      30 flight: action #1
      45 hotel: action #1
      60 flight: deadline
    1000 the saga's deadline
    ");
}

#[test]
fn what_is_answered_has_no_deadline_any_more() {
    assert_snapshot!(timers_of(&Story::booked()), @"1000 the saga's deadline");
}

#[test]
fn a_planned_retry_is_due_at_its_time() {
    let failed = Story::booking().then(failed("hotel", 1, Transient));
    assert_snapshot!(timers_of(&failed.clone()), @r"
      30 flight: action #1
      60 flight: deadline
    1000 the saga's deadline
    ");
    let planned = failed.then(retry_at(Action, "hotel", 5));
    assert_snapshot!(timers_of(&planned), @r"
       5 hotel: retry of the action
      30 flight: action #1
      60 flight: deadline
    1000 the saga's deadline
    ");
    let due = RetryDue {
        node: "hotel".into(),
        direction: Action,
    };
    assert_snapshot!(timers_of(&planned.then(due)), @r"
      30 flight: action #1
      60 flight: deadline
    1000 the saga's deadline
    ");
}

#[test]
fn a_probe_has_a_deadline() {
    let probing = Story::booking()
        .then(in_doubt("flight", 1))
        .then(asked_to(Probe, "flight", 1, 40));
    assert_snapshot!(timers_of(&probing), @r"
      30 hotel: action #1
      40 flight: probe #1
      60 flight: deadline
    1000 the saga's deadline
    ");
}

#[test]
fn a_sleep_and_a_wait_end() {
    let asleep = Story::booked().then(SleepStarted {
        node: "nap".into(),
        until: second(10),
    });
    assert_snapshot!(timers_of(&asleep), @r"
      10 nap: sleep
    1000 the saga's deadline
    ");
    assert_snapshot!(timers_of(&Story::waiting()), @r"
     110 approved: wait
    1000 the saga's deadline
    ");
}

#[test]
fn the_turn_ends_sleeps_waits_retries_and_the_sagas_deadline() {
    assert_snapshot!(timers_of(&Story::waiting().then(turned("approved"))), @"");
    let planned = Story::booking()
        .then(failed("hotel", 1, Transient))
        .then(retry_at(Action, "hotel", 5));
    assert_snapshot!(timers_of(&planned.then(turned("hotel"))), @"  30 flight: action #1");
}

#[test]
fn after_the_turn_what_changes_nothing_is_not_waited_for() {
    let turned = Story::begun()
        .then(asked("quote", 1, 30))
        .then(turned("quote"));
    assert_snapshot!(timers_of(&turned), @"");
}

#[test]
fn on_the_way_back_compensations_and_alternatives_have_deadlines() {
    let undoing = Story::turned().then(asked_to(Compensation, "hotel", 1, 80));
    assert_snapshot!(timers_of(&undoing), @"  80 hotel: compensation #1");
    let planned = undoing
        .clone()
        .then(failed_to(Compensation, "hotel", 1, Transient))
        .then(retry_at(Compensation, "hotel", 85));
    assert_snapshot!(timers_of(&planned), @"  85 hotel: retry of the compensation");
    let instead = undoing
        .then(failed_to(Compensation, "hotel", 1, Permanent))
        .then(asked_to(Alternative, "hotel", 1, 90));
    assert_snapshot!(timers_of(&instead), @"  90 hotel: alternative #1");
    assert_snapshot!(timers_of(&instead.then(did(Alternative, "hotel", 1))), @"");
}

#[test]
fn an_end_has_no_timers() {
    for ended in [
        Story::completed(),
        Story::compensated(),
        Story::partly_compensated(),
    ] {
        assert_eq!(timers_of(&ended), "");
    }
}

#[test]
fn an_undoing_that_was_begun_is_waited_for_even_if_the_doubt_is_lifted() {
    let relieved = Story::quoted()
        .then(asked("hotel", 1, 30))
        .then(in_doubt("hotel", 1))
        .then(turned("hotel"))
        .then(asked_to(Compensation, "hotel", 1, 80))
        .then(failed("hotel", 1, Permanent));
    assert_ne!(timers_of(&relieved), "", "its answer is still outstanding");
}

#[test]
fn of_several_that_are_due_together_the_one_that_ends_more_comes_first() {
    let state: SagaState = Story::quoted()
        .then(AttemptAsked {
            until: Some(second(30)),
            ..asked("flight", 1, 30)
        })
        .then(asked("hotel", 1, 30))
        .state;
    let flight = state.graph().find("flight").expect("it is there");
    assert_eq!(
        timers::next(&state),
        Some((second(30), Timer::StepDeadline { node: flight }))
    );
}
