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
    for waiting in &why.waiting {
        let what = match &waiting.what {
            WaitsFor::Reply {
                step,
                direction,
                attempt,
            } => format!("the answer of {step} to {direction} #{attempt}"),
            WaitsFor::Retry {
                direction,
                attempt,
                trouble,
            } => format!("{direction} #{attempt} after {trouble:?}"),
            WaitsFor::Sleep => "its end".to_owned(),
            WaitsFor::Signal { signal } => format!("the signal {signal}"),
            WaitsFor::Person { cause, reason } => format!("a person, {cause:?}: {reason}"),
        };
        let until = waiting.until.map_or("for ever".to_owned(), |at| {
            format!("until {}", seconds(at))
        });
        let (node, who, next) = (&waiting.node, &waiting.who, &waiting.next);
        let since = seconds(waiting.since);
        write!(
            text,
            "\n{node} waits for {what}\n  since {since} {until}; {who}; {next}"
        )
        .expect("a string takes all");
    }
    write!(text, "\nto do: {}", why.to_do.join(", ")).expect("a string takes all");
    if !why.left.is_empty() {
        write!(text, "\nleft: {}", why.left.join(", ")).expect("a string takes all");
    }
    text
}

fn seconds(at: Time) -> u64 {
    at.as_micros() / 1_000_000
}

#[test]
fn it_waits_for_answers() {
    assert_snapshot!(told(&Story::booking()), @"");
}

#[test]
fn it_waits_for_a_probe() {
    let probing = Story::booking()
        .then(gave("hotel", 1, "1"))
        .then(in_doubt("flight", 1))
        .then(asked_to(Probe, "flight", 1, 40));
    assert_snapshot!(told(&probing), @"");
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
    assert_snapshot!(told(&planned), @"");
    let planned = Story::begun()
        .then(asked("quote", 1, 30))
        .at(3)
        .then(failed("quote", 1, Transient))
        .then(retry_at(Action, "quote", 8));
    assert_snapshot!(told(&planned), @"");
}

#[test]
fn it_waits_for_the_end_of_a_sleep() {
    let asleep = Story::booked().then(SleepStarted {
        node: "nap".into(),
        until: second(10),
    });
    assert_snapshot!(told(&asleep), @"");
}

#[test]
fn it_waits_for_a_signal() {
    assert_snapshot!(told(&Story::waiting()), @"");
}

#[test]
fn it_waits_for_a_person_to_mend_an_expression() {
    let parked = Story::booked().then(parked("nap", ParkCause::Expression));
    assert_snapshot!(told(&parked), @"");
}

#[test]
fn after_the_pivot_it_waits_for_a_person_to_mend_a_step_and_may_be_overdue() {
    let parked = Story::past_the_pivot()
        .then(asked("tickets", 1, 50))
        .then(failed("tickets", 1, Permanent))
        .then(parked("tickets", ParkCause::Action))
        .at(1_000)
        .then(DeadlinePassed {});
    assert_snapshot!(told(&parked), @"");
}

#[test]
fn it_waits_for_compensations_then_alternatives_then_a_person() {
    let undoing = Story::turned().then(asked_to(Compensation, "hotel", 1, 50));
    assert_snapshot!(told(&undoing), @"");
    let instead = undoing
        .then(failed_to(Compensation, "hotel", 1, Permanent))
        .then(asked_to(Alternative, "hotel", 1, 55));
    assert_snapshot!(told(&instead), @"");
    let parked = instead
        .then(failed_to(Alternative, "hotel", 1, Permanent))
        .then(parked("hotel", ParkCause::Compensation));
    assert_snapshot!(told(&parked), @"");
}

#[test]
fn a_turned_saga_waits_for_what_is_on_its_way() {
    assert_snapshot!(told(&Story::booking().then(turned("hotel"))), @"");
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
    assert_snapshot!(told(&free), @"");
}

#[test]
fn an_end_waits_for_nothing() {
    assert_snapshot!(told(&Story::past_the_pivot().then(Completed { output: json("3") })), @"");
    assert_snapshot!(told(&Story::turned().then(Compensated {})), @"");
    let left = vec!["hotel".into()];
    assert_snapshot!(told(&Story::turned().then(PartlyCompensated { left })), @"");
}

/// What a program reads.
#[test]
fn its_json_has_stable_fields() {
    let json = serde_json::to_string_pretty(&why(&Story::turned().state)).expect("it is JSON");
    assert_snapshot!(json, @"");
    let planned = Story::begun()
        .then(asked("quote", 1, 30))
        .then(failed("quote", 1, Transient))
        .then(retry_at(Action, "quote", 8));
    let waiting = &why(&planned.state).waiting;
    let json = serde_json::to_string(waiting).expect("it is JSON");
    assert_snapshot!(json, @"");
}
