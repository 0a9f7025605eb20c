//! Whatever the history, as long as it is one.

use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*, sample::select};
use sagalog_model::{
    AttemptNumber, Direction, FailureClass, Payload, SagaEvent, SagaId,
    event::*,
    log::{Time, Version},
};
use sagalog_projections::{SagaState, Status, timers, why::why};

use crate::{held::*, numbered::*, trip::*};

proptest! {
    #[test]
    fn the_fold_of_a_prefix_is_the_state_at_that_version(events in candidates()) {
        let history = legal(events);
        let mut live = begin();
        for (seen, (event, at)) in history.iter().enumerate() {
            live.apply(event, *at).expect("it is legal");
            prop_assert_eq!(fold(&history[..=seen]), live.clone());
            prop_assert_eq!(live.version(), Version::new(seen as u64 + 2));
            prop_assert_eq!(live.changed_at(), *at);
        }
    }

    #[test]
    fn what_is_read_back_from_the_log_folds_to_the_same_state(events in candidates()) {
        let history = legal(events);
        let read: Vec<_> = history
            .iter()
            .map(|(event, at)| {
                let written = event.encode();
                let read = SagaEvent::decode(&written.kind, written.schema, &written.control, &written.data);
                (read.expect("what was written is read"), *at)
            })
            .collect();
        prop_assert_eq!(fold(&read), fold(&history));
    }

    #[test]
    fn its_views_agree_with_every_state(events in candidates()) {
        let history = legal(events);
        for end in 0..=history.len() {
            let state = fold(&history[..end]);
            let mut all = Vec::new();
            timers::each(&state, |due, timer| all.push((due, timer)));
            prop_assert_eq!(timers::next(&state), all.iter().min().copied());
            let distinct: BTreeSet<_> = all.iter().map(|(_, timer)| *timer).collect();
            prop_assert_eq!(distinct.len(), all.len(), "each timer is there once");
            let why = why(&state);
            prop_assert_eq!(why.status, state.status().as_str());
            let ended = state.status().is_terminal();
            prop_assert!(!ended || (all.is_empty() && why.waiting.is_empty() && why.to_do.is_empty()));
            prop_assert_eq!(state.turn().is_some(), !matches!(state.status(), Status::Running | Status::Completed));
        }
    }
}

/// A legal history after its start: those of the candidates that can follow, each a second later.
pub(crate) fn legal(candidates: Vec<SagaEvent>) -> Vec<(SagaEvent, Time)> {
    let mut state = begin();
    let mut history = Vec::new();
    for candidate in candidates {
        let at = second(history.len() as u64 + 1);
        let mut next = state.clone();
        if next.apply(&candidate, at).is_ok() {
            state = next;
            history.push((candidate, at));
        }
    }
    history
}

fn begin() -> SagaState {
    let id = SagaId::new("t-1").expect("a good id");
    SagaState::start(id, trip().graph().clone(), &started(), second(0))
}

fn fold(history: &[(SagaEvent, Time)]) -> SagaState {
    let mut state = begin();
    for (event, at) in history {
        state.apply(event, *at).expect("it is legal");
    }
    state
}

pub(crate) fn candidates() -> impl Strategy<Value = Vec<SagaEvent>> {
    vec(candidate(), 0..120)
}

/// Any event of the trip. Those of its steps come most often, the ends seldom.
fn candidate() -> impl Strategy<Value = SagaEvent> {
    prop_oneof![
        8 => asked_any(),
        8 => answered_any(),
        6 => passed_any(),
        4 => entered_any(),
        2 => signalled_any(),
        3 => numbered_any(),
        3 => held_any(),
        2 => mended_any(),
        1 => turned_any(),
    ]
}

fn step() -> impl Strategy<Value = &'static str> {
    select(vec!["quote", "hotel", "flight", "charge", "tickets"])
}

fn node() -> impl Strategy<Value = &'static str> {
    select(vec![
        "quote", "hotel", "flight", "nap", "approved", "pay", "charge", "total", "same", "tickets",
    ])
}

fn direction() -> impl Strategy<Value = Direction> {
    select(vec![
        Direction::Action,
        Direction::Action,
        Direction::Probe,
        Direction::Compensation,
        Direction::Alternative,
    ])
}

fn asked_any() -> impl Strategy<Value = SagaEvent> {
    (step(), direction(), 1..4_u32, 1..200_u64).prop_map(|(node, direction, attempt, deadline)| {
        AttemptAsked {
            direction,
            ..asked(node, attempt, deadline)
        }
        .into()
    })
}

fn answered_any() -> impl Strategy<Value = SagaEvent> {
    (step(), direction(), 1..4_u32, 0..5_u8).prop_map(|(node, direction, attempt, how)| {
        let number = AttemptNumber(attempt);
        let class = FailureClass::Transient;
        match how {
            0 | 1 => AttemptSucceeded {
                output: Some(json("1")),
                ..did(direction, node, attempt)
            }
            .into(),
            2 => failed_to(direction, node, attempt, class).into(),
            3 => AttemptUnknown {
                node: node.into(),
                direction,
                attempt: number,
                reason: "who knows".into(),
            }
            .into(),
            _ => ActionNotFound {
                node: node.into(),
                attempt: number,
            }
            .into(),
        }
    })
}

fn passed_any() -> impl Strategy<Value = SagaEvent> {
    (step(), direction(), 1..4_u32, 1..200_u64, 0..7_u8).prop_map(
        |(node, direction, attempt, due, what)| {
            let node_id = || NodeId::from(node);
            match what {
                0 => timed_out(direction, node, attempt).into(),
                1 => AttemptRenewed {
                    direction,
                    ..renewed(node, attempt, due)
                }
                .into(),
                2 => retry_at(direction, node, due).into(),
                3 => RetryDue {
                    node: node_id(),
                    direction,
                }
                .into(),
                4 => StepDeadlinePassed { node: node_id() }.into(),
                5 => extended(node, attempt, due).into(),
                _ => DeadlinePassed {}.into(),
            }
        },
    )
}

fn entered_any() -> impl Strategy<Value = SagaEvent> {
    let until = second(150);
    let node = NodeId::from;
    prop_oneof![
        Just(
            SleepStarted {
                node: node("nap"),
                until
            }
            .into()
        ),
        Just(SleepEnded { node: node("nap") }.into()),
        Just(
            WaitStarted {
                node: node("approved"),
                until
            }
            .into()
        ),
        Just(
            WaitTimedOut {
                node: node("approved")
            }
            .into()
        ),
        (0..3_u32).prop_map(|arm| {
            ArmChosen {
                node: "pay".into(),
                arm,
                payload: Payload::null(),
            }
            .into()
        }),
        Just(completed("pay", None).into()),
        Just(completed("total", Some("3")).into()),
        Just(completed("same", None).into()),
    ]
}

fn signalled_any() -> impl Strategy<Value = SagaEvent> {
    (0..4_u32, 0..5_u8).prop_map(|(number, what)| {
        let id = format!("mail-{number}");
        match what {
            0 => signal(&id).into(),
            3 => SignalReceived {
                until: Some(second(u64::from(number))),
                ..signal(&format!("timed-{number}"))
            }
            .into(),
            4 => IdsForgotten {
                of: IdKind::Signals,
                until: second(u64::from(number)),
            }
            .into(),
            1 => SignalConsumed {
                node: "approved".into(),
                id: id.into(),
            }
            .into(),
            _ => SignalLate { id: id.into() }.into(),
        }
    })
}

fn held_any() -> impl Strategy<Value = SagaEvent> {
    (1..5_u64, step(), 0..6_u8).prop_map(|(number, step, what)| match what {
        0 => held(number).into(),
        1 => answer_held(number, step).into(),
        2 => released(number, &format!("release-{number}")).into(),
        3 => HeldTaken { number }.into(),
        4 => StillHeld {
            number,
            reason: "no".into(),
        }
        .into(),
        _ => dropped(number, &format!("drop-{number}")).into(),
    })
}

fn numbered_any() -> impl Strategy<Value = SagaEvent> {
    (1..5_u64, 1..5_u64, 0..8_u8).prop_map(|(number, to, what)| match what {
        0 => came(number).into(),
        1 => ahead(number).into(),
        2 => gap(number, to).into(),
        3 => admitted(number).into(),
        4 => gap_timed_out().into(),
        5 => asked_for(number, to).into(),
        6 => abandoned(number, to).into(),
        _ => rejected(number, to, &[to + 1]).into(),
    })
}

fn mended_any() -> impl Strategy<Value = SagaEvent> {
    let cause = select(vec![
        ParkCause::Expression,
        ParkCause::Action,
        ParkCause::Compensation,
    ]);
    (node(), cause, 0..4_u8).prop_map(|(node, cause, what)| match what {
        0 => parked(node, cause).into(),
        1 => retried(node).into(),
        2 => resolved(node).into(),
        _ => skipped(node).into(),
    })
}

fn turned_any() -> impl Strategy<Value = SagaEvent> {
    prop_oneof![
        4 => Just(turned("charge").into()),
        2 => Just(PivotPassed { node: "pivot".into() }.into()),
        2 => Just(CancelRequested { id: "c-1".into(), by: "ada".into(), until: None, reason: "no".into() }.into()),
        2 => Just(CompensationSkipped { node: "charge".into(), reason: "no".into() }.into()),
        1 => Just(paused("p-1").into()),
        1 => Just(resumed("r-1").into()),
        1 => Just(deadline_set("d-1", Some(40)).into()),
        1 => Just(compensate("c-2").into()),
        1 => Just(Completed { output: json("3") }.into()),
        1 => Just(Compensated {}.into()),
        1 => Just(PartlyCompensated { left: vec!["charge".into()] }.into()),
    ]
}
