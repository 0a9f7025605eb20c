//! What a producer numbers.

use insta::assert_snapshot;
use proptest::{collection::vec, prelude::*};
use sagalog_model::{SagaEvent, event::*};
use sagalog_projections::{SagaState, sequence::Sequences, timers};

use crate::trip::*;

pub(crate) fn came(number: u64) -> NumberedSignalReceived {
    NumberedSignalReceived {
        signal: "approval".into(),
        producer: "office".into(),
        number,
        payload: json("true"),
    }
}

pub(crate) fn ahead(number: u64) -> SignalAhead {
    SignalAhead {
        signal: "approval".into(),
        producer: "office".into(),
        number,
        payload: json("true"),
    }
}

pub(crate) fn gap(from: u64, to: u64) -> GapOpened {
    GapOpened {
        producer: "office".into(),
        from,
        to,
        until: second(90),
    }
}

pub(crate) fn admitted(number: u64) -> SignalAdmitted {
    SignalAdmitted {
        producer: "office".into(),
        number,
    }
}

pub(crate) fn gap_timed_out() -> GapTimedOut {
    GapTimedOut {
        producer: "office".into(),
    }
}

pub(crate) fn abandoned(from: u64, to: u64) -> GapAbandoned {
    GapAbandoned {
        producer: "office".into(),
        from,
        to,
    }
}

pub(crate) fn rejected(from: u64, to: u64, rejected: &[u64]) -> GapRejected {
    GapRejected {
        producer: "office".into(),
        from,
        to,
        rejected: rejected.to_vec(),
    }
}

pub(crate) fn asked_for(from: u64, to: u64) -> MissingAsked {
    MissingAsked {
        producer: "office".into(),
        from,
        to,
        until: second(95),
    }
}

#[test]
fn what_is_numbered_is_taken_in_order_and_what_is_missing_is_named() {
    let waiting = Story::waiting();
    let kept = waiting.clone().then(ahead(3));
    let open = kept.clone().then(gap(1, 2));
    let over = open.clone().then(gap_timed_out());
    assert_snapshot!([
        waiting.refuses(came(2)),
        waiting.refuses(ahead(1)),
        waiting.refuses(admitted(1)),
        waiting.refuses(gap(1, 1)),
        waiting.refuses(gap_timed_out()),
        kept.refuses(ahead(3)),
        kept.refuses(admitted(3)),
        kept.refuses(gap(1, 1)),
        kept.refuses(gap_timed_out()),
        open.refuses(gap(1, 2)),
        open.refuses(abandoned(1, 2)),
        open.refuses(asked_for(1, 2)),
        over.refuses(gap_timed_out()),
        over.refuses(abandoned(1, 1)),
        over.refuses(asked_for(2, 2)),
        over.refuses(rejected(1, 2, &[])),
        over.clone().then(abandoned(1, 2)).refuses(came(2)),
        over.clone().then(abandoned(1, 2)).refuses(came(3)),
        over.then(rejected(1, 2, &[3])).refuses(admitted(3)),
    ].join("\n"), @r"
    NumberedSignalReceived: its number is not the next one
    SignalAhead: nothing is missing before it
    SignalAdmitted: it is not kept, or not next
    GapOpened: what is missing is not what it names
    GapTimedOut: the producer has numbered nothing
    SignalAhead: nothing is missing before it
    SignalAdmitted: it is not kept, or not next
    GapOpened: what is missing is not what it names
    GapTimedOut: no gap of it is waited for
    GapOpened: a gap of it is open already
    GapAbandoned: no gap of it has timed out
    MissingAsked: no gap of it has timed out
    GapTimedOut: no gap of it is waited for
    GapAbandoned: what is missing is not what it names
    MissingAsked: what is missing is not what it names
    GapRejected: what is kept is not what it names
    NumberedSignalReceived: its number is not the next one
    NumberedSignalReceived: its number is not the next one
    SignalAdmitted: it is not kept, or not next
    ");
}

#[test]
fn what_is_missing_has_a_deadline_until_it_came_or_is_given_up() {
    let of = |story: &Story| {
        let mut due = Vec::new();
        timers::each(&story.state, |at, timer| due.push((at, timer)));
        due.iter()
            .any(|(_, timer)| matches!(timer, timers::Timer::Gap { .. }))
    };
    let open = Story::waiting().then(ahead(2)).then(gap(1, 1));
    assert!(of(&open));
    assert!(!of(&open.clone().then(came(1))), "it came");
    let over = open.then(gap_timed_out());
    assert!(!of(&over), "it is over");
    assert!(of(&over.clone().then(asked_for(1, 1))), "asked for again");
    assert!(!of(&over.clone().then(abandoned(1, 1))));
    assert!(!of(&over.then(rejected(1, 1, &[2]))));
}

proptest! {
    /// Whatever comes in whatever order: each number is taken once, in order, and the bounds hold.
    #[test]
    fn each_number_is_taken_once_in_order_or_given_up_on_record(numbers in vec((1..12_u64, 0..4_u8), 0..60)) {
        let mut story = Story::waiting();
        let mut taken = Vec::new();
        for (number, then) in numbers {
            let from = story.state.version();
            story = hear(story, number, &mut taken);
            if then == 0 && let Some((_, missing)) = missing(&story.state) {
                story = story.then(gap_timed_out()).then(abandoned(missing.0, missing.1));
                story = admit(story, &mut taken);
            }
            prop_assert!(story.state.version() >= from);
            prop_assert!(story.state.sequences().ahead() <= Sequences::AHEAD_MAX);
        }
        prop_assert!(taken.is_sorted_by(|one, other| one < other), "{taken:?}");
    }
}

/// What an engine does with a number, without its waits.
fn hear(story: Story, number: u64, taken: &mut Vec<u64>) -> Story {
    let next: SagaEvent = came(number).into();
    if story.follows(next.clone()) {
        taken.push(number);
        return admit(story.then(next), taken);
    }
    let kept: SagaEvent = ahead(number).into();
    if !story.follows(kept.clone()) {
        return story;
    }
    open_gap(story.then(kept))
}

fn admit(mut story: Story, taken: &mut Vec<u64>) -> Story {
    while let Some(number) = (1..12).find(|number| story.follows(admitted(*number))) {
        taken.push(number);
        story = story.then(admitted(number));
    }
    open_gap(story)
}

fn open_gap(story: Story) -> Story {
    match missing(&story.state) {
        Some((false, (from, to))) => story.then(gap(from, to)),
        _ => story,
    }
}

/// What is missing, and whether that is waited for.
fn missing(state: &SagaState) -> Option<(bool, (u64, u64))> {
    let (_, office) = state.sequences().find("office")?;
    let missing = office.missing()?.into_inner();
    Some((office.gap.is_some(), missing))
}
