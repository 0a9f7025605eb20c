//! Inputs that wait for a person.

use insta::assert_snapshot;
use sagalog_model::{AttemptNumber, Direction, event::*};
use sagalog_projections::timers;

use crate::trip::*;

pub(crate) fn held(number: u64) -> InputHeld {
    InputHeld {
        number,
        input: Origin::Signal {
            signal: "approval".into(),
            id: format!("mail-{number}").into(),
            until: None,
        },
        held: HeldContent {
            reason: Some("it cannot be read".into()),
            content: json("7"),
        },
    }
}

pub(crate) fn answer_held(number: u64, node: &str) -> InputHeld {
    InputHeld {
        number,
        input: Origin::Reply {
            node: node.into(),
            direction: Direction::Action,
            attempt: AttemptNumber(1),
        },
        held: HeldContent {
            reason: None,
            content: json(r#"{"succeeded":7}"#),
        },
    }
}

pub(crate) fn released(number: u64, id: &str) -> HeldReleased {
    HeldReleased {
        number,
        id: id.into(),
        by: "ada".into(),
        until: None,
        content: None,
    }
}

pub(crate) fn dropped(number: u64, id: &str) -> HeldDropped {
    HeldDropped {
        number,
        id: id.into(),
        by: "ada".into(),
        until: None,
        reason: "a mistake".into(),
    }
}

#[test]
fn what_is_held_goes_in_its_order() {
    let story = Story::booking();
    let two = story.clone().then(held(1)).then(answer_held(2, "hotel"));
    let still = |number| StillHeld {
        number,
        reason: "no".into(),
    };
    let refusals = [
        story.refuses(held(2)),
        story.refuses(released(1, "r-1")),
        two.refuses(held(2)),
        two.refuses(released(2, "r-1")),
        two.refuses(HeldTaken { number: 2 }),
        two.refuses(still(2)),
        two.refuses(dropped(3, "r-1")),
        two.clone()
            .then(dropped(1, "r-1"))
            .refuses(released(2, "r-1")),
        two.clone()
            .then(turned("hotel"))
            .refuses(HeldTaken { number: 1 }),
    ];
    assert_snapshot!(refusals.join("\n"), @r"
    InputHeld: its number is not the next one
    HeldReleased: it is not the first held
    InputHeld: its number is not the next one
    HeldReleased: it is not the first held
    HeldTaken: it is not the first held
    StillHeld: it is not the first held
    HeldDropped: it is not held
    HeldReleased: its id was used before
    HeldTaken: after the turn only held answers are taken
    ");
    let gone = two.then(turned("hotel")).then(HeldTaken { number: 2 });
    assert_eq!(gone.state.held().len(), 1);
}

#[test]
fn an_attempt_whose_answer_is_held_has_no_timer() {
    let has_timer = |story: &Story| {
        let hotel = story.state.graph().find("hotel").expect("it is there");
        let mut found = false;
        timers::each(&story.state, |_, timer| {
            found |= matches!(timer, timers::Timer::Attempt { node, .. } if node == hotel);
        });
        found
    };
    let asking = Story::booking();
    assert!(has_timer(&asking));
    let answered = asking.then(held(1)).then(answer_held(2, "hotel"));
    assert!(!has_timer(&answered));
    assert!(has_timer(&answered.then(dropped(2, "r-1"))));
}

#[test]
fn what_was_dropped_is_known_if_it_comes_again() {
    let story = Story::booking().then(held(1)).then(dropped(1, "r-1"));
    assert!(story.state.signals().ids().contains("mail-1"));
    assert_eq!(story.state.signals().waiting(), 0);
}
