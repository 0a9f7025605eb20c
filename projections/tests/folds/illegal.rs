//! Events that cannot follow the ones before them, one family at a time.

use insta::assert_snapshot;
use sagalog_model::{
    Direction::{Action, Compensation, Probe},
    FailureClass::Transient,
    Payload, SagaEvent,
    event::*,
};

use crate::trip::*;

fn lines<const N: usize>(refusals: [String; N]) -> String {
    refusals.join("\n")
}

#[test]
fn an_error_names_the_saga_the_event_and_what_is_wrong() {
    let mut state = Story::begun().state;
    let illegal = state
        .apply(&asked("hotle", 1, 30).into(), second(0))
        .expect_err("there is no such node");
    assert_snapshot!(illegal, @"event 2 of saga `t-1`, AttemptAsked, cannot follow the ones before it: the definition has no node `hotle`");
}

#[test]
fn a_saga_starts_once() {
    assert_snapshot!(Story::begun().refuses(started()), @"Started: a saga starts once");
}

#[test]
fn nothing_follows_an_end() {
    let completed = Story::past_the_pivot().then(Completed { output: json("3") });
    let compensated = Story::turned().then(Compensated {});
    let partly = Story::turned().then(PartlyCompensated {
        left: vec!["hotel".into()],
    });
    for ended in [completed, compensated, partly] {
        for event in [
            SagaEvent::from(signal("mail-2")),
            DeadlinePassed {}.into(),
            Compensated {}.into(),
            gave("hotel", 1, "1").into(),
        ] {
            assert!(
                ended.refuses(event).ends_with("the saga has ended"),
                "{:?}",
                ended.state.status()
            );
        }
    }
}

#[test]
fn attempts_are_asked_in_order_and_one_at_a_time() {
    let asking = Story::booking();
    assert_snapshot!(lines([
        Story::begun().refuses(AttemptAsked { input: None, ..asked("quote", 1, 30) }),
        Story::begun().refuses(asked("quote", 2, 30)),
        asking.refuses(asked("hotel", 1, 30)),
        asking.refuses(asked("hotel", 2, 30)),
        asking.refuses(asked_to(Probe, "flight", 2, 30)),
        asking.refuses(asked_to(Probe, "charge", 1, 30)),
        asking.clone().then(in_doubt("hotel", 1)).refuses(asked("hotel", 3, 30)),
        asking.clone().then(turned("hotel")).refuses(asked("charge", 1, 30)),
        asking.then(in_doubt("hotel", 1)).then(turned("hotel")).refuses(asked("hotel", 2, 30)),
    ]), @r"
    AttemptAsked: a first attempt brings the input
    AttemptAsked: `quote` was never asked
    AttemptAsked: a node is entered once
    AttemptAsked: attempt 2 is not the next of action
    AttemptAsked: attempt 2 is not the next of probe
    AttemptAsked: `charge` was never asked
    AttemptAsked: attempt 3 is not the next of action
    AttemptAsked: the saga has turned
    AttemptAsked: the saga has turned
    ");
}

#[test]
fn only_what_was_asked_is_answered() {
    let asking = Story::booking();
    assert_snapshot!(lines([
        asking.refuses(gave("hotel", 2, "1")),
        asking.refuses(gave("hotel", 0, "1")),
        asking.refuses(gave("charge", 1, "1")),
        asking.refuses(did(Action, "hotel", 1)),
        asking.refuses(did(Compensation, "hotel", 1)),
        asking.refuses(failed("hotel", 2, Transient)),
        asking.refuses(in_doubt("hotel", 2)),
        asking.refuses(timed_out(Action, "hotel", 2)),
        asking.refuses(timed_out(Probe, "flight", 1)),
        asking.refuses(ActionNotFound { node: "flight".into(), attempt: sagalog_model::AttemptNumber(1) }),
        asking.then(in_doubt("hotel", 1)).refuses(timed_out(Action, "hotel", 1)),
    ]), @r"
    AttemptSucceeded: attempt 2 of the action of `hotel` was never asked
    AttemptSucceeded: attempt 0 of the action of `hotel` was never asked
    AttemptSucceeded: `charge` was never asked
    AttemptSucceeded: an action's success brings its output
    AttemptSucceeded: attempt 1 of the compensation of `hotel` was never asked
    AttemptFailed: attempt 2 of the action of `hotel` was never asked
    AttemptUnknown: attempt 2 of the action of `hotel` was never asked
    AttemptTimedOut: attempt 2 of the action of `hotel` was never asked
    AttemptTimedOut: attempt 1 of the probe of `flight` was never asked
    ActionNotFound: attempt 1 of the probe of `flight` was never asked
    AttemptTimedOut: no attempt is open
    ");
}

#[test]
fn only_an_open_attempt_is_renewed_and_once() {
    let asking = Story::booking();
    assert_snapshot!(lines([
        asking.refuses(renewed("hotel", 2, 90)),
        asking.clone().then(renewed("hotel", 1, 90)).refuses(renewed("hotel", 1, 99)),
        asking.then(in_doubt("hotel", 1)).refuses(renewed("hotel", 1, 90)),
    ]), @r"
    AttemptRenewed: attempt 2 of the action of `hotel` was never asked
    AttemptRenewed: only an open attempt is renewed, and once
    AttemptRenewed: only an open attempt is renewed, and once
    ");
}

#[test]
fn a_retry_is_due_only_if_it_was_scheduled() {
    let due = RetryDue {
        node: "hotel".into(),
        direction: Action,
    };
    let failed = Story::booking().then(failed("hotel", 1, Transient));
    let again = failed
        .clone()
        .then(retry_at(Action, "hotel", 5))
        .then(due.clone());
    assert_snapshot!(lines([
        Story::begun().refuses(retry_at(Action, "hotel", 5)),
        failed.refuses(due.clone()),
        again.refuses(due),
    ]), @r"
    RetryScheduled: `hotel` was never asked
    RetryDue: no retry was scheduled
    RetryDue: no retry was scheduled
    ");
}

#[test]
fn a_steps_deadline_passes_only_once_it_was_asked() {
    let passed = StepDeadlinePassed {
        node: "flight".into(),
    };
    assert_snapshot!(Story::quoted().refuses(passed), @"StepDeadlinePassed: `flight` was never asked");
}

#[test]
fn a_node_is_entered_once() {
    let sleep = |node: &str| SleepStarted {
        node: node.into(),
        until: second(10),
    };
    let wait = WaitStarted {
        node: "approved".into(),
        until: second(110),
    };
    let arm = ArmChosen {
        node: "pay".into(),
        arm: 0,
        payload: Payload::null(),
    };
    assert_snapshot!(lines([
        Story::booked().then(sleep("nap")).refuses(sleep("nap")),
        Story::waiting().refuses(sleep("nap")),
        Story::waiting().refuses(wait),
        Story::charging().refuses(arm.clone()),
        Story::booked().refuses(ArmChosen { node: "nap".into(), ..arm }),
    ]), @r"
    SleepStarted: a node is entered once
    SleepStarted: a node is entered once
    WaitStarted: a node is entered once
    ArmChosen: a node is entered once
    ArmChosen: the node is not a choice
    ");
}

#[test]
fn only_what_sleeps_or_waits_ends_to_do_so() {
    let node = || NodeId::from("approved");
    assert_snapshot!(lines([
        Story::booked().refuses(SleepEnded { node: "nap".into() }),
        Story::waiting().refuses(SleepEnded { node: "nap".into() }),
        Story::booked().refuses(WaitTimedOut { node: node() }),
        Story::charging().refuses(WaitTimedOut { node: node() }),
    ]), @r"
    SleepEnded: `nap` is Ahead
    SleepEnded: `nap` is Done
    WaitTimedOut: `approved` is Ahead
    WaitTimedOut: `approved` is Done
    ");
}

#[test]
fn an_output_is_left_out_only_where_the_definition_names_it() {
    assert_snapshot!(lines([
        Story::booked().refuses(completed("total", None)),
        Story::booked().refuses(completed("same", None)),
        Story::waiting().refuses(completed("pay", None)),
        Story::booked().refuses(completed("nap", None)),
    ]), @r"
    NodeCompleted: it brings no output, and the definition names none
    NodeCompleted: it brings no output, and the definition names none
    NodeCompleted: it brings no output, and the definition names none
    NodeCompleted: it brings no output, and the definition names none
    ");
}

#[test]
fn a_signal_is_one_signal_and_is_taken_once() {
    let taken = SignalConsumed {
        node: "approved".into(),
        id: "mail-1".into(),
    };
    let late = SignalLate {
        id: "mail-1".into(),
    };
    let came = Story::waiting().then(signal("mail-1"));
    assert_snapshot!(lines([
        came.refuses(signal("mail-1")),
        Story::waiting().refuses(taken.clone()),
        Story::waiting().refuses(late.clone()),
        Story::booked().then(signal("mail-1")).refuses(taken.clone()),
        came.clone().then(late.clone()).refuses(late.clone()),
        came.clone().then(late).refuses(taken.clone()),
        came.then(taken.clone()).refuses(taken),
    ]), @r"
    SignalReceived: a signal of this id came before
    SignalConsumed: no such signal waits
    SignalLate: no such signal waits
    SignalConsumed: `approved` is Ahead
    SignalLate: no such signal waits
    SignalConsumed: no such signal waits
    SignalConsumed: `approved` is Done
    ");
}

#[test]
fn a_saga_turns_once_and_never_after_its_pivot() {
    assert_snapshot!(lines([
        Story::turned().refuses(turned("charge")),
        Story::past_the_pivot().refuses(turned("tickets")),
    ]), @r"
    Turned: the saga has turned
    Turned: nothing turns after the pivot
    ");
}

#[test]
fn nothing_goes_forward_after_the_turn() {
    let turned = Story::booked().then(turned("flight"));
    let until = second(10);
    let node = NodeId::from("nap");
    let refusals = [
        turned.refuses(completed("total", Some("3"))),
        turned.refuses(SleepStarted { node, until }),
        turned.refuses(WaitStarted {
            node: "approved".into(),
            until,
        }),
        turned.refuses(ArmChosen {
            node: "pay".into(),
            arm: 1,
            payload: Payload::null(),
        }),
        turned.refuses(PivotPassed {
            node: "pivot".into(),
        }),
        turned.refuses(Completed { output: json("3") }),
    ];
    for refusal in refusals {
        assert!(refusal.ends_with("the saga has turned"), "{refusal}");
    }
}

#[test]
fn only_a_turned_saga_ends_compensated() {
    let left = vec!["hotel".into()];
    assert_snapshot!(lines([
        Story::booked().refuses(Compensated {}),
        Story::booked().refuses(PartlyCompensated { left }),
    ]), @r"
    Compensated: the saga has not turned
    PartlyCompensated: the saga has not turned
    ");
}

#[test]
fn only_what_was_asked_is_left_undone() {
    let skipped = CompensationSkipped {
        node: "charge".into(),
        reason: "no".into(),
    };
    assert_snapshot!(Story::booked().then(turned("flight")).refuses(skipped), @"CompensationSkipped: what was never asked is never undone");
}

#[test]
fn only_parked_nodes_are_mended() {
    let story = Story::booking();
    let mended = story
        .clone()
        .then(parked("nap", ParkCause::Expression))
        .then(retried("nap"));
    assert_snapshot!(lines([
        story.refuses(retried("hotel")),
        story.refuses(resolved("hotel")),
        story.refuses(skipped("hotel")),
        mended.refuses(retried("nap")),
    ]), @r"
    RetryRequested: the node is not parked
    ResolvedByHand: the node is not parked
    SkippedByHand: the node is not parked
    RetryRequested: the node is not parked
    ");
}
