//! Events that cannot follow the ones before them, one family at a time.

use insta::assert_snapshot;
use sagalog_model::{
    Direction::{Action, Alternative, Compensation, Probe},
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
    for ended in [
        Story::completed(),
        Story::compensated(),
        Story::partly_compensated(),
    ] {
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
fn only_an_open_attempt_waits_to_be_admitted_and_no_action_after_the_turn() {
    let asking = Story::booking();
    let turned = asking.clone().then(turned("hotel"));
    assert_snapshot!(lines([
        asking.refuses(delayed(Action, "hotel", 2)),
        asking.clone().then(delayed(Action, "hotel", 1)).refuses(delayed(Action, "hotel", 1)),
        asking.clone().then(in_doubt("hotel", 1)).refuses(let_in(Action, "hotel", 1, 90)),
        turned.refuses(delayed(Action, "hotel", 1)),
        turned.refuses(let_in(Action, "hotel", 1, 90)),
    ]), @r"
    AttemptDelayed: attempt 2 of the action of `hotel` was never asked
    AttemptDelayed: only an open attempt is delayed, and not twice
    AttemptAdmitted: only an open attempt is admitted
    AttemptDelayed: the saga has turned
    AttemptAdmitted: the saga has turned
    ");
}

#[test]
fn only_an_open_attempt_of_a_step_with_a_heartbeat_is_extended_and_to_a_later_time() {
    let asking = Story::booking();
    assert_snapshot!(lines([
        asking.refuses(extended("hotel", 1, 90)),
        asking.refuses(extended("flight", 2, 90)),
        asking.refuses(extended("flight", 1, 30)),
        asking.clone().then(extended("flight", 1, 50)).refuses(extended("flight", 1, 40)),
        asking.clone().then(in_doubt("flight", 1)).refuses(extended("flight", 1, 90)),
        asking.then(turned("hotel")).refuses(extended("flight", 1, 90)),
    ]), @r"
    AttemptExtended: the step has no heartbeat
    AttemptExtended: attempt 2 of the action of `flight` was never asked
    AttemptExtended: only an open attempt is extended, to a later time
    AttemptExtended: only an open attempt is extended, to a later time
    AttemptExtended: only an open attempt is extended, to a later time
    AttemptExtended: the saga has turned
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
        Story::waiting().refuses(completed("is-approved", None)),
    ]), @r"
    NodeCompleted: it brings no output, and the definition names none
    NodeCompleted: it brings no output, and the definition names none
    NodeCompleted: it brings no output, and the definition names none
    NodeCompleted: it brings no output, and the definition names none
    ");
}

#[test]
fn what_was_forgotten_does_not_come_again_and_the_watermark_only_moves_up() {
    let timed = |id: &str, until| SignalReceived {
        until: Some(second(until)),
        ..signal(id)
    };
    let forgotten = |until| IdsForgotten {
        of: IdKind::Signals,
        until: second(until),
    };
    let came = Story::waiting().then(timed("mail-1", 7));
    let over = came.clone().then(forgotten(7));
    assert_snapshot!(lines([
        came.refuses(timed("mail-1", 7)),
        over.refuses(timed("mail-1", 7)),
        over.refuses(timed("mail-2", 7)),
        over.refuses(forgotten(7)),
    ]), @r"
    SignalReceived: its id was used before
    SignalReceived: what could come until then is not remembered
    SignalReceived: what could come until then is not remembered
    IdsForgotten: the watermark does not move up
    ");
    over.then(timed("mail-2", 8)).then(signal("mail-3"));
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
    SignalReceived: its id was used before
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
    assert_snapshot!(lines([
        Story::booked().refuses(Compensated {}),
        Story::booked().refuses(left(&["hotel"])),
    ]), @r"
    Compensated: the saga has not turned
    PartlyCompensated: the saga has not turned
    ");
}

#[test]
fn only_what_was_asked_is_left_undone() {
    let skipped = compensation_skipped("charge");
    assert_snapshot!(Story::booked().then(turned("flight")).refuses(skipped), @"CompensationSkipped: `charge` was never asked");
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
        mended.refuses(RetryRequested { id: "r-2".into(), ..retried("nap") }),
    ]), @r"
    RetryRequested: the node is not parked
    ResolvedByHand: the node is not parked
    SkippedByHand: the node is not parked
    RetryRequested: the node is not parked
    ");
}

#[test]
fn undoing_is_asked_after_the_turn_and_where_there_is_something_to_undo() {
    assert_snapshot!(lines([
        Story::booked().refuses(asked_to(Compensation, "hotel", 1, 60)),
        Story::booked().refuses(asked_to(Alternative, "hotel", 1, 60)),
        Story::turned().refuses(asked_to(Compensation, "tickets", 1, 60)),
        Story::unbooking().refuses(asked_to(Compensation, "flight", 2, 60)),
    ]), @r"
    AttemptAsked: the saga has not turned
    AttemptAsked: the saga has not turned
    AttemptAsked: there is nothing to undo
    AttemptAsked: there is nothing to undo
    ");
}

#[test]
fn what_succeeded_is_not_asked_again() {
    let unprobed = Story::booking().then(in_doubt("flight", 1));
    let probed = unprobed
        .then(asked_to(Probe, "flight", 1, 60))
        .then(AttemptSucceeded {
            direction: Probe,
            ..gave("flight", 1, "2")
        });
    assert_snapshot!(lines([
        Story::booked().refuses(asked("hotel", 2, 60)),
        Story::booked().refuses(asked_to(Probe, "flight", 1, 60)),
        probed.refuses(asked("flight", 2, 60)),
    ]), @r"
    AttemptAsked: the action has succeeded
    AttemptAsked: the action has succeeded
    AttemptAsked: the action has succeeded
    ");
}

#[test]
fn only_steps_are_asked() {
    assert_snapshot!(Story::booked().refuses(asked("nap", 1, 60)), @"AttemptAsked: the node is of another kind");
}

#[test]
fn what_succeeded_does_not_succeed_again() {
    assert_snapshot!(lines([
        Story::booked().refuses(gave("hotel", 1, "1")),
        Story::unbooked().refuses(did(Compensation, "hotel", 1)),
    ]), @r"
    AttemptSucceeded: it was settled before
    AttemptSucceeded: it was settled before
    ");
}

#[test]
fn a_retry_is_scheduled_only_if_nothing_is_open_or_planned() {
    let failed = Story::booking().then(failed("hotel", 1, Transient));
    let planned = failed.then(retry_at(Action, "hotel", 5));
    assert_snapshot!(lines([
        Story::booking().refuses(retry_at(Action, "hotel", 5)),
        planned.refuses(retry_at(Action, "hotel", 6)),
        Story::turned().refuses(retry_at(Compensation, "hotel", 60)),
    ]), @r"
    RetryScheduled: an attempt is open or planned already, or none was asked
    RetryScheduled: an attempt is open or planned already, or none was asked
    RetryScheduled: an attempt is open or planned already, or none was asked
    ");
}

#[test]
fn only_values_checks_and_choices_are_completed_and_once() {
    assert_snapshot!(lines([
        Story::booking().refuses(completed("hotel", Some("1"))),
        Story::booked().refuses(completed("nap", None)),
        Story::past_the_pivot().refuses(completed("total", Some("3"))),
    ]), @r"
    NodeCompleted: the node is of another kind
    NodeCompleted: the node is of another kind
    NodeCompleted: it is done already
    ");
}

#[test]
fn the_pivot_is_passed_at_the_pivot_and_once() {
    let passed = |node: &str| PivotPassed { node: node.into() };
    assert_snapshot!(lines([
        Story::charging().refuses(passed("charge")),
        Story::past_the_pivot().refuses(passed("pivot")),
    ]), @r"
    PivotPassed: the node is of another kind
    PivotPassed: there is one pivot
    ");
}

#[test]
fn a_deadline_passes_once_and_only_if_there_is_one() {
    assert_snapshot!(lines([
        Story::without_deadline().refuses(DeadlinePassed {}),
        Story::begun().then(DeadlinePassed {}).refuses(DeadlinePassed {}),
    ]), @r"
    DeadlinePassed: the saga has no deadline ahead
    DeadlinePassed: the saga has no deadline ahead
    ");
}

#[test]
fn a_steps_deadline_passes_once_and_only_if_it_has_one() {
    let passed = |node: &str| StepDeadlinePassed { node: node.into() };
    assert_snapshot!(lines([
        Story::booking().refuses(passed("hotel")),
        Story::booking().then(passed("flight")).refuses(passed("flight")),
    ]), @r"
    StepDeadlinePassed: the step has no deadline ahead
    StepDeadlinePassed: the step has no deadline ahead
    ");
}

#[test]
fn a_node_is_parked_once_and_for_a_cause_of_its_direction() {
    let waiting = Story::booked().then(parked("nap", ParkCause::Expression));
    assert_snapshot!(lines([
        waiting.refuses(parked("nap", ParkCause::Expression)),
        Story::booked().refuses(parked("hotel", ParkCause::Compensation)),
        Story::turned().refuses(parked("hotel", ParkCause::Action)),
        Story::turned().refuses(parked("hotel", ParkCause::Expression)),
    ]), @r"
    Parked: it is parked already
    Parked: actions park before the turn, compensations after it
    Parked: actions park before the turn, compensations after it
    Parked: actions park before the turn, compensations after it
    ");
}

#[test]
fn a_compensation_is_skipped_after_the_turn_and_once() {
    assert_snapshot!(lines([
        Story::booked().refuses(compensation_skipped("hotel")),
        Story::unbooked().refuses(compensation_skipped("hotel")),
        Story::hotel_left().refuses(compensation_skipped("hotel")),
    ]), @r"
    CompensationSkipped: the saga has not turned
    CompensationSkipped: its undoing has ended
    CompensationSkipped: its undoing has ended
    ");
}

#[test]
fn a_saga_completes_only_once_everything_before_its_end_is_done() {
    let end = || Completed { output: json("3") };
    let asking = Story::past_the_pivot().then(asked("tickets", 1, 50));
    assert_snapshot!(lines([
        Story::begun().refuses(end()),
        Story::waiting().refuses(end()),
        Story::past_the_pivot().refuses(end()),
        asking.refuses(end()),
    ]), @r"
    Completed: not everything before the end is done
    Completed: not everything before the end is done
    Completed: not everything before the end is done
    Completed: not everything before the end is done
    ");
}

#[test]
fn a_saga_ends_compensated_only_once_all_is_settled_and_undone() {
    let unsettled = Story::booking().then(turned("hotel"));
    assert_snapshot!(lines([
        unsettled.refuses(Compensated {}),
        Story::turned().refuses(Compensated {}),
        Story::unbooking().refuses(Compensated {}),
        Story::unbooking().refuses(left(&["hotel"])),
    ]), @r"
    Compensated: not everything is settled and undone
    Compensated: not everything is settled and undone
    Compensated: not everything is settled and undone
    PartlyCompensated: not everything is settled and undone
    ");
}

#[test]
fn an_end_names_exactly_what_is_left() {
    assert_snapshot!(lines([
        Story::hotel_left().refuses(Compensated {}),
        Story::hotel_left().refuses(left(&[])),
        Story::hotel_left().refuses(left(&["flight"])),
        Story::hotel_left().refuses(left(&["hotel", "flight"])),
        Story::unbooked().refuses(left(&["hotel"])),
    ]), @r"
    Compensated: what is left is not what it names
    PartlyCompensated: what is left is not what it names
    PartlyCompensated: what is left is not what it names
    PartlyCompensated: what is left is not what it names
    PartlyCompensated: what is left is not what it names
    ");
}

#[test]
fn only_a_sleep_sleeps_and_only_a_signal_is_waited_for() {
    let until = second(90);
    let node = || NodeId::from("charge");
    assert_snapshot!(lines([
        Story::waiting().refuses(SleepStarted { node: node(), until }),
        Story::waiting().refuses(WaitStarted { node: node(), until }),
    ]), @r"
    SleepStarted: the node is of another kind
    WaitStarted: the node is of another kind
    ");
}

#[test]
fn only_signals_of_the_definition_are_received() {
    let unknown = SignalReceived {
        signal: "price".into(),
        ..signal("mail-1")
    };
    assert_snapshot!(Story::waiting().refuses(unknown), @"SignalReceived: the definition waits for no such signal");
}

#[test]
fn a_cancel_request_is_recorded_once() {
    let cancel = || CancelRequested {
        id: "c-1".into(),
        by: "ada".into(),
        until: None,
        reason: "rain".into(),
    };
    assert_snapshot!(Story::booked().then(cancel()).refuses(cancel()), @"CancelRequested: its id was used before");
}

#[test]
fn a_paused_saga_goes_on_with_nothing_and_takes_what_comes() {
    let booking = Story::booking().then(paused("p-1"));
    assert_snapshot!(lines([
        Story::quoted().then(paused("p-1")).refuses(asked("hotel", 1, 30)),
        Story::waiting().then(signal("mail-1")).then(paused("p-1")).refuses(SignalConsumed {
            node: "approved".into(),
            id: "mail-1".into(),
        }),
        booking.refuses(parked("hotel", ParkCause::Action)),
        booking.refuses(Completed { output: Payload::null() }),
        booking.refuses(paused("p-2")),
        booking.refuses(resumed("p-1")),
        Story::booking().refuses(resumed("p-1")),
        Story::unbooking().refuses(deadline_set("d-1", None)),
    ]), @r"
    AttemptAsked: the saga is paused
    SignalConsumed: the saga is paused
    Parked: the saga is paused
    Completed: the saga is paused
    Paused: the saga is paused already
    Resumed: its id was used before
    Resumed: the saga is not paused
    DeadlineSet: the saga has turned
    ");
    let taken = booking
        .then(gave("hotel", 1, "1"))
        .then(timed_out(Action, "flight", 1))
        .then(signal("mail-1"))
        .then(deadline_set("d-1", Some(9)))
        .then(DeadlinePassed {})
        .then(turned("flight"));
    assert!(taken.state.pause().is_some());
    assert!(taken.clone().then(resumed("r-1")).state.pause().is_none());
    assert!(taken.then(compensate("c-1")).state.pause().is_none());
}

#[test]
fn an_unknown_node_is_named_whatever_happens_at_it() {
    let node = || NodeId::from("hotle");
    for event in [
        SagaEvent::from(gave("hotle", 1, "1")),
        retry_at(Action, "hotle", 5).into(),
        StepDeadlinePassed { node: node() }.into(),
        completed("hotle", Some("1")).into(),
        PivotPassed { node: node() }.into(),
        parked("hotle", ParkCause::Action).into(),
        retried("hotle").into(),
    ] {
        let refusal = Story::booking().refuses(event);
        assert!(
            refusal.ends_with("the definition has no node `hotle`"),
            "{refusal}"
        );
    }
}
