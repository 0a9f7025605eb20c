//! Captures: what is exported reads back and decides itself again, and what was tampered with is found out.

#[path = "../sagas/mod.rs"]
mod sagas;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use sagalog_model::{AnyDefinition, Retry, Saga, Step};
use sagalog_sim::{
    BadCapture, CannotRedact, CannotReplay, Capture, Decide, Explore, Mend, Plan, Redaction, Sim,
    World,
};
use serde::{Deserialize, Serialize};

/// Random plans for each saga.
const RANDOM: u64 = 12;

#[test]
fn every_history_exports_and_decides_itself_again() {
    for saga in sagas::all() {
        let captures = Arc::new(Mutex::new(BTreeSet::new()));
        let notes = captures.clone();
        let sim = saga.sim.clone().eventually("it is exported", move |world| {
            let mut notes = notes.lock().expect("nobody has panicked");
            for saga in world.sagas() {
                let capture = world.capture(saga.id().as_str()).expect("it has begun");
                notes.insert(capture.to_string());
            }
            true
        });
        let explored = sim.explore(Explore::exhaustive(1).and_swarm(RANDOM).at_most(120));
        assert!(
            explored.report().failure.is_none(),
            "{}",
            explored.document()
        );
        let captures = std::mem::take(&mut *captures.lock().expect("nobody has panicked"));
        assert!(captures.len() > 5, "{}: {}", saga.name, captures.len());
        for text in captures {
            let capture: Capture = text.parse().expect("it was exported");
            assert_eq!(capture.to_string(), text);
            let replayed = saga.sim.replay(&capture).expect("it is of this definition");
            replayed.check();
            assert_eq!(replayed.events, capture.events().len() as u64);
            assert_eq!(replayed.unclear, 0);
        }
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Order {
    item: String,
    cents: u64,
    card: Card,
}

#[derive(Clone, Serialize, Deserialize)]
struct Card {
    number: String,
    holder: String,
    debit: bool,
}

const ORDER: Saga<Order, String> = Saga::new("order");
const RESERVE: Step<String, String> = Step::new("stock.reserve").compensatable();
const CHARGE: Step<(u64, Card), String> = Step::new("money.charge")
    .compensatable()
    .retry(Retry::fixed(Duration::from_secs(1)).attempts(2));

fn definition(paid: fn(Order) -> (u64, Card)) -> AnyDefinition {
    let (mut saga, order) = ORDER.define(1);
    let reserved = saga.step("reserve", RESERVE, order.map(|order| order.item));
    let paid = saga.step("charge", CHARGE, order.map(paid));
    let receipt = reserved
        .and(paid)
        .map(|reserved, paid| format!("{reserved}, {paid}"));
    saga.returns(receipt).expect("it is sound").into()
}

fn order() -> AnyDefinition {
    definition(|order| (order.cents, order.card))
}

fn sim() -> Sim {
    let order = Order {
        item: "a book".into(),
        cents: 4_200,
        card: Card {
            number: "4111 1111".into(),
            holder: "Ada".into(),
            debit: true,
        },
    };
    Sim::of(self::order(), &order)
        .gives(RESERVE, |item| format!("{item} is reserved"))
        .answers(CHARGE, |(cents, card): (u64, Card)| match cents {
            4_200.. => Err(format!("the card of {} has expired", card.holder)),
            _ => Ok("paid".into()),
        })
}

fn captured() -> Capture {
    let plan: Plan = "reply s1 reserve#1: lost".parse().expect("a good plan");
    let run = sim().run(&plan).expect("the run comes there");
    run.capture("s1").expect("it has begun")
}

#[test]
fn a_capture_reads_as_json_line_by_line() {
    insta::assert_snapshot!(captured().to_string());
}

#[test]
fn what_was_cut_off_says_so() {
    let text = captured().to_string();
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    for count in 1..lines.len() {
        let whole = lines[..count].concat();
        let in_a_line = format!("{whole}{}", &lines[count][..lines[count].len() / 2]);
        for cut in [whole, in_a_line] {
            let bad = cut.parse::<Capture>().expect_err("its end is missing");
            assert!(
                matches!(bad, BadCapture::CutOff { line } if line == count),
                "{count}: {bad}"
            );
        }
    }
    let bad = "".parse::<Capture>().expect_err("it is empty");
    assert!(matches!(bad, BadCapture::NotACapture { .. }), "{bad}");
}

/// Whichever byte is changed, and whichever line is left out, put elsewhere or written twice.
#[test]
fn what_was_edited_is_found_out() {
    let text = captured().to_string();
    let refused = |edited: &str| {
        let read = edited.parse::<Capture>();
        assert!(read.is_err(), "it was edited:\n{edited}");
    };
    // Nothing follows the last line, whatever ends it.
    for at in 0..text.len() - 1 {
        let mut bytes = text.clone().into_bytes();
        bytes[at] = match bytes[at] {
            b'0' => b'1',
            b'\n' => b' ',
            byte => byte - 1,
        };
        refused(&String::from_utf8(bytes).expect("still ASCII"));
    }
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    for at in 0..lines.len() {
        let mut without = lines.clone();
        without.remove(at);
        refused(&without.concat());
        let mut twice = lines.clone();
        twice.insert(at, lines[at]);
        refused(&twice.concat());
        let mut swapped = lines.clone();
        swapped.swap(at, (at + 1) % lines.len());
        refused(&swapped.concat());
    }
}

#[test]
fn what_was_edited_says_where() {
    let text = captured().to_string();
    let say = |from: &str, to: &str| {
        assert!(text.contains(from), "{from} is not in\n{text}");
        let bad = text.replacen(from, to, 1).parse::<Capture>();
        bad.expect_err("it was edited").to_string()
    };
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    let without = |line: usize| {
        let mut lines = lines.clone();
        lines.remove(line);
        let bad = lines.concat().parse::<Capture>();
        bad.expect_err("a line is missing").to_string()
    };
    let says = [
        say("a book is reserved", "a bike is reserved"),
        say("\"cents\":4200", "\"cents\":1200"),
        say("money.charge", "money.change"),
        say("\"node\":\"node\"", "\"node\":\"other\""),
        say("\"sagalog_capture\":1", "\"sagalog_capture\":2"),
        say("\"sagalog_capture\"", "\"sagalog_picture\""),
        say("\"AttemptFailed\",1", "\"AttemptFaded\",1"),
        without(4),
        without(lines.len() - 2),
    ];
    insta::assert_snapshot!(says.join("\n"));
}

#[test]
fn a_capture_of_a_newer_release_says_so() {
    let text = captured().to_string();
    let newer = text.replacen("\"sagalog_capture\":1", "\"sagalog_capture\":2", 1);
    let bad = newer.parse::<Capture>().expect_err("it is newer");
    assert!(bad.is_newer(), "{bad}");
    let bad = "{}\n".parse::<Capture>().expect_err("it is none");
    assert!(!bad.is_newer(), "{bad}");
}

#[test]
fn a_text_that_is_too_long_is_not_looked_at() {
    let bytes = usize::try_from(Capture::BYTES_MAX).expect("it fits") + 1;
    let bad = " ".repeat(bytes).parse::<Capture>();
    assert!(matches!(bad, Err(BadCapture::TooLong { .. })));
}

#[test]
fn what_a_function_computes_otherwise_now_is_shown_with_both_sides() {
    let captured = captured();
    captured
        .replay(&order())
        .expect("it is of this definition")
        .check();
    let changed = definition(|order| (order.cents / 2, order.card));
    let replayed = captured.replay(&changed).expect("its graph is the same");
    assert!(!replayed.is_same());
    insta::assert_snapshot!(replayed);
}

#[test]
fn another_definition_is_refused() {
    let captured = captured();
    let other = sagas::lines::three();
    let why = captured
        .replay(other.definition())
        .expect_err("it is another");
    assert!(matches!(why, CannotReplay::OtherDefinition { .. }));
    let (mut saga, order) = ORDER.define(1);
    let reserved = saga.step("reserve", RESERVE, order.map(|order| order.item));
    let shorter: AnyDefinition = saga.returns(reserved).expect("it is sound").into();
    let why = captured.replay(&shorter).expect_err("it was changed");
    insta::assert_snapshot!(why);
}

#[test]
fn the_state_after_any_event_is_the_fold_of_those_before() {
    let captured = captured();
    let graph = captured.graph().clone();
    for (at, placed) in captured.events().enumerate() {
        let state = captured.state(at + 1);
        assert_eq!(state.graph(), &graph);
        assert_eq!(captured.timeline(at + 1).last, placed.place);
    }
}

fn redaction(pointers: &[&str]) -> Redaction {
    Redaction::of(pointers).expect("good pointers")
}

#[test]
fn what_is_redacted_is_hidden_and_the_chain_still_verifies() {
    let captured = captured();
    let hide = redaction(&["/card/*", "/1/number", "/1/holder", "/1/debit"]);
    let (redacted, leaks) = captured.redact(&hide).expect("all of it is there");
    let text = redacted.to_string();
    assert!(!text.contains("4111") && text.contains("4200"), "{text}");
    assert!(leaks.is_empty(), "{leaks:?}");
    let read: Capture = text.parse().expect("it verifies");
    assert_eq!(read, redacted);
    assert_eq!(read.redacted(), 2);
    let chains = |capture: &Capture| {
        capture
            .rows()
            .iter()
            .map(|row| row.row.chain)
            .collect::<Vec<_>>()
    };
    assert_eq!(chains(&read), chains(&captured));
    insta::assert_snapshot!(
        text.lines()
            .filter(|line| line.contains("redacted"))
            .collect::<Vec<_>>()
            .join("\n")
    );
    let replayed = read.replay(&order()).expect("it is of this definition");
    replayed.check();
    assert_eq!(replayed.events, captured.events().len() as u64);
}

/// The price is gone, so what it stands in and what was computed from it cannot be compared; all else is.
#[test]
fn what_depends_on_redacted_values_is_not_claimed_to_be_the_same() {
    let hide = redaction(&["/cents"]);
    let (redacted, _) = captured().redact(&hide).expect("it is there");
    let replayed = redacted.replay(&order()).expect("it is of this definition");
    replayed.check();
    assert_eq!(replayed.unclear, 2);
    insta::assert_snapshot!(replayed, @"s1: 6 inputs decided again, 13 events as they are on record, but for 2 payloads that were not compared: they depend on what is redacted or erased");
}

#[test]
fn a_redacted_payload_is_still_bound_to_its_hash() {
    let (redacted, _) = captured()
        .redact(&redaction(&["/card/*"]))
        .expect("it is there");
    let text = redacted.to_string();
    let at = text.find("\"sha256\":\"").expect("it is redacted") + 10;
    let mut edited = text.into_bytes();
    edited[at] = if edited[at] == b'0' { b'1' } else { b'0' };
    let edited = String::from_utf8(edited).expect("still ASCII");
    let bad = edited
        .parse::<Capture>()
        .expect_err("the hash is part of the chain");
    assert!(matches!(bad, BadCapture::Altered { .. }), "{bad}");
}

#[test]
fn a_text_that_is_hidden_in_one_place_and_stands_in_another_is_told() {
    let (_, leaks) = captured()
        .redact(&redaction(&["/item"]))
        .expect("it is there");
    let leaks: Vec<_> = leaks
        .iter()
        .map(|leak| (leak.version.get(), &*leak.kind))
        .collect();
    assert_eq!(leaks, [(2, "AttemptAsked"), (7, "AttemptSucceeded")]);
}

#[test]
fn a_pointer_that_names_nothing_is_refused() {
    let why = captured()
        .redact(&redaction(&["/crad"]))
        .expect_err("it is misspelt");
    assert!(matches!(why, CannotRedact::NothingThere(pointer) if pointer == "/crad"));
    for text in ["card", "/card~", "/card~2"] {
        assert!(Redaction::of(&[text]).is_err(), "{text}");
    }
}

#[test]
fn whole_payloads_are_redacted_by_the_empty_pointer() {
    let captured = captured();
    let (redacted, _) = captured
        .redact(&redaction(&[""]))
        .expect("there are payloads");
    let text = redacted.to_string();
    for word in ["4111", "4200", "book", "Ada", "expired"] {
        assert!(!text.contains(word), "{word} in\n{text}");
    }
    text.parse::<Capture>().expect("it verifies");
}
