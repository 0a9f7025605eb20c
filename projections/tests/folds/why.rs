//! Why a saga waits, for each thing that it can wait for.

use std::fmt::Write as _;

use insta::assert_snapshot;
use sagalog_model::{
    Direction::{Action, Alternative, Compensation, Probe},
    FailureClass::{Permanent, Transient},
    event::*,
    log::Time,
};
use sagalog_projections::why::{WaitsFor, why};

use crate::trip::*;

/// The answer in words, times in seconds.
fn told(story: &Story) -> String {
    let why = why(&story.state);
    let mut text = why.status.to_owned();
    if let Some(turned) = &why.turned {
        let node = turned.node.as_deref().unwrap_or("nobody");
        write!(text, ", turned by {node}: {}", turned.reason).expect("a string takes all");
    }
    if why.pivot_passed {
        text.push_str(", past the pivot");
    }
    if why.deadline.is_some_and(|deadline| deadline.overdue) {
        text.push_str(", overdue");
    }
    if let Some(paused) = &why.paused {
        let (by, reason, next) = (&paused.by, &paused.reason, &paused.next);
        write!(text, ", paused by {by}: {reason}; {next}").expect("a string takes all");
    }
    for waiting in &why.waiting {
        let what = match &waiting.what {
            WaitsFor::Reply {
                step,
                direction,
                attempt,
                progress: _,
            } => format!("the answer of {step} to {direction} #{attempt}"),
            WaitsFor::Retry {
                direction,
                attempt,
                trouble,
            } => {
                let trouble = trouble.as_deref().unwrap_or("nothing");
                format!("{direction} #{attempt} after: {trouble}")
            }
            WaitsFor::Sleep => "its end".to_owned(),
            WaitsFor::Signal { signal } => format!("the signal {signal}"),
            WaitsFor::Person { cause, reason } => format!("a person, {cause:?}: {reason}"),
        };
        let until = waiting.until.map_or_else(
            || "for ever".to_owned(),
            |at| format!("until {}", seconds(at)),
        );
        let (node, who, next) = (&waiting.node, &waiting.who, &waiting.next);
        let since = seconds(waiting.since);
        write!(
            text,
            "\n{node} waits for {what}\n  since {since} {until}; {who}; {next}"
        )
        .expect("a string takes all");
    }
    text.push_str("\nto do:");
    for node in &why.to_do {
        text.push(' ');
        text.push_str(node);
    }
    if !why.left.is_empty() {
        write!(text, "\nleft: {}", why.left.join(", ")).expect("a string takes all");
    }
    text
}

fn seconds(at: Time) -> u64 {
    at.as_micros() / 1_000_000
}

#[test]
fn a_paused_saga_waits_for_who_resumes_it() {
    let paused = Story::booking().then(paused("p-1"));
    let kept_back = paused.clone().then(delayed(Action, "hotel", 1));
    assert_snapshot!(told(&paused), @r"
    Running, paused by ada: she looks into it; `saga resume`; until then nothing more is asked
    hotel waits for the answer of hotel.book to action #1
      since 0 until 30; participant hotel; without an answer it counts as unknown; 2 further attempts are left in its budget
    flight waits for the answer of air.book to action #1
      since 0 until 30; participant air; without an answer it counts as unknown; 2 further attempts are left in its budget
    to do: all nap approved pay charge total same is-approved pivot tickets return
    ");
    assert_snapshot!(told(&kept_back), @r"
    Running, paused by ada: she looks into it; `saga resume`; until then nothing more is asked
    hotel waits for the answer of hotel.book to action #1
      since 0 for ever; participant hotel; it is asked when the saga is resumed; its time stands still
    flight waits for the answer of air.book to action #1
      since 0 until 30; participant air; without an answer it counts as unknown; 2 further attempts are left in its budget
    to do: all nap approved pay charge total same is-approved pivot tickets return
    ");
}

#[test]
fn it_waits_for_answers() {
    assert_snapshot!(told(&Story::booking()), @r"
    Running
    hotel waits for the answer of hotel.book to action #1
      since 0 until 30; participant hotel; without an answer it counts as unknown; 2 further attempts are left in its budget
    flight waits for the answer of air.book to action #1
      since 0 until 30; participant air; without an answer it counts as unknown; 2 further attempts are left in its budget
    to do: all nap approved pay charge total same is-approved pivot tickets return
    ");
}

#[test]
fn it_waits_for_a_probe() {
    let probing = Story::booking()
        .then(gave("hotel", 1, "1"))
        .then(in_doubt("flight", 1))
        .then(asked_to(Probe, "flight", 1, 40));
    assert_snapshot!(told(&probing), @r"
    Running
    flight waits for the answer of air.book to probe #1
      since 0 until 40; participant air; without an answer it counts as unknown; then the action is asked again, if its budget allows
    to do: all nap approved pay charge total same is-approved pivot tickets return
    ");
}

#[test]
fn it_waits_for_the_next_attempt() {
    let planned = Story::booked()
        .then(SleepStarted {
            node: "nap".into(),
            until: second(10),
        })
        .then(turned("nap"))
        .at(12)
        .then(asked_to(Compensation, "hotel", 1, 42))
        .then(failed_to(Compensation, "hotel", 1, Transient))
        .then(retry_at(Compensation, "hotel", 17));
    assert_snapshot!(told(&planned), @r"
    Compensating, turned by nap: no
    hotel waits for compensation #2 after: no
      since 12 until 17; nobody: hotel is asked again by itself; 2 further attempts are left in its budget
    to do: flight
    ");
    let planned = Story::begun()
        .then(asked("quote", 1, 30))
        .at(3)
        .then(failed("quote", 1, Transient))
        .then(retry_at(Action, "quote", 8));
    assert_snapshot!(told(&planned), @r"
    Running
    quote waits for action #2 after: no
      since 3 until 8; nobody: agency is asked again by itself; 2 further attempts are left in its budget
    to do: all hotel flight nap approved pay charge total same is-approved pivot tickets return
    ");
}

#[test]
fn it_waits_for_the_end_of_a_sleep() {
    let asleep = Story::booked().then(SleepStarted {
        node: "nap".into(),
        until: second(10),
    });
    assert_snapshot!(told(&asleep), @r"
    Running
    nap waits for its end
      since 0 until 10; nobody: it ends by itself; then approved
    to do: approved pay charge total same is-approved pivot tickets return
    ");
}

#[test]
fn it_waits_for_a_signal() {
    assert_snapshot!(told(&Story::waiting()), @r"
    Running
    approved waits for the signal approval
      since 10 until 110; whoever sends the signal approval; then pay; without the signal the same, with none
    to do: pay charge total same is-approved pivot tickets return
    ");
}

#[test]
fn it_waits_for_a_person_to_mend_an_expression() {
    let parked = Story::booked().then(parked("nap", ParkCause::Expression));
    assert_snapshot!(told(&parked), @r"
    Running
    nap waits for a person, Expression: no
      since 0 for ever; an operator; `saga retry`, `saga resolve` or `saga skip` of node nap
    to do: approved pay charge total same is-approved pivot tickets return
    ");
}

#[test]
fn after_the_pivot_it_waits_for_a_person_to_mend_a_step_and_may_be_overdue() {
    let parked = Story::past_the_pivot()
        .then(asked("tickets", 1, 50))
        .then(failed("tickets", 1, Permanent))
        .then(parked("tickets", ParkCause::Action))
        .at(1_000)
        .then(DeadlinePassed {});
    assert_snapshot!(told(&parked), @r"
    Running, past the pivot, overdue
    tickets waits for a person, Action: no
      since 20 for ever; an operator; `saga retry`, `saga resolve` or `saga skip` of node tickets
    to do: return
    ");
}

#[test]
fn it_waits_for_compensations_then_alternatives_then_a_person() {
    let undoing = Story::turned().then(asked_to(Compensation, "hotel", 1, 50));
    assert_snapshot!(told(&undoing), @r"
    Compensating, turned by charge: no
    hotel waits for the answer of hotel.book to compensation #1
      since 20 until 50; participant hotel; without an answer it counts as unknown; 2 further attempts are left in its budget
    to do: flight
    ");
    let instead = undoing
        .then(failed_to(Compensation, "hotel", 1, Permanent))
        .then(asked_to(Alternative, "hotel", 1, 55));
    assert_snapshot!(told(&instead), @r"
    Compensating, turned by charge: no
    hotel waits for the answer of desk.voucher to alternative #1
      since 20 until 55; participant desk; without an answer it counts as unknown; 2 further attempts are left in its budget
    to do: flight
    ");
    let parked = instead
        .then(failed_to(Alternative, "hotel", 1, Permanent))
        .then(parked("hotel", ParkCause::Compensation));
    assert_snapshot!(told(&parked), @r"
    Compensating, turned by charge: no
    hotel waits for a person, Compensation: no
      since 20 for ever; an operator; `saga retry`, `saga resolve` or `saga skip` of node hotel
    to do: flight
    ");
}

#[test]
fn a_turned_saga_waits_for_what_is_on_its_way() {
    assert_snapshot!(told(&Story::booking().then(turned("hotel"))), @r"
    Compensating, turned by hotel: no
    hotel waits for the answer of hotel.book to action #1
      since 0 until 30; participant hotel; it is undone once this is settled
    flight waits for the answer of air.book to action #1
      since 0 until 30; participant air; it is undone once this is settled
    to do:
    ");
}

#[test]
fn an_arm_that_is_not_taken_is_not_to_be_done() {
    let free = Story::waiting()
        .then(WaitTimedOut {
            node: "approved".into(),
        })
        .then(ArmChosen {
            node: "pay".into(),
            arm: 1,
            payload: json("null"),
        })
        .then(parked("total", ParkCause::Expression));
    assert_snapshot!(told(&free), @r"
    Running
    total waits for a person, Expression: no
      since 10 for ever; an operator; `saga retry`, `saga resolve` or `saga skip` of node total
    to do: same is-approved pivot tickets return
    ");
}

#[test]
fn an_end_waits_for_nothing() {
    assert_snapshot!(told(&Story::completed()), @r"
    Completed, past the pivot
    to do:
    ");
    assert_snapshot!(told(&Story::compensated()), @r"
    Compensated, turned by charge: no
    to do:
    ");
    assert_snapshot!(told(&Story::partly_compensated()), @r"
    PartlyCompensated, turned by charge: no
    to do:
    left: hotel
    ");
}

/// What a program reads.
#[test]
fn its_json_has_stable_fields() {
    let json = serde_json::to_string_pretty(&why(&Story::turned().state)).expect("it is JSON");
    assert_snapshot!(json, @r#"
    {
      "status": "Compensating",
      "turned": {
        "cause": "step_failed",
        "node": "charge",
        "reason": "no",
        "at": 20000000
      },
      "waiting": [],
      "to_do": [
        "flight",
        "hotel"
      ],
      "pivot_passed": false,
      "deadline": {
        "at": 1000000000,
        "overdue": false
      }
    }
    "#);
    let planned = Story::begun()
        .then(asked("quote", 1, 30))
        .then(failed("quote", 1, Transient))
        .then(retry_at(Action, "quote", 8));
    let waiting = &why(&planned.state).waiting;
    let json = serde_json::to_string(waiting).expect("it is JSON");
    assert_snapshot!(json, @r#"[{"node":"quote","for":"retry","direction":"action","attempt":2,"trouble":"no","since":0,"until":8000000,"who":"nobody: agency is asked again by itself","next":"2 further attempts are left in its budget"}]"#);
}
