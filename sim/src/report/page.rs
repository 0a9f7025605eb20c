//! A run as one page that needs nothing else: no network, no library.

use std::fmt::Write as _;

use serde::Serialize;

use super::{ExplorationDocument, HistoryDocument, RunDocument};

/// The page, with `@DATA@` and `@TEXT@` where the run goes.
const PAGE: &str = include_str!("page.html");

/// What a page shows; it tells a run from a history by their fields, as it does with a file.
#[derive(Serialize)]
#[serde(untagged)]
enum Shown<'a> {
    Run {
        exploration: Option<&'a ExplorationDocument>,
        run: &'a RunDocument,
    },
    History(&'a HistoryDocument),
}

/// The page of a run, and of the exploration that came to it.
pub(crate) fn page(
    run: &RunDocument,
    exploration: Option<&ExplorationDocument>,
    text: &str,
) -> String {
    filled(&Shown::Run { exploration, run }, text)
}

/// The page of what a log holds.
pub(super) fn of_history(history: &HistoryDocument) -> String {
    filled(&Shown::History(history), &history.to_string())
}

fn filled(shown: &Shown<'_>, text: &str) -> String {
    let data = serde_json::to_string(shown).expect("it is plain data");
    let (head, rest) = PAGE.split_once("@TEXT@").expect("the page has a place");
    let (middle, tail) = rest.split_once("@DATA@").expect("the page has a place");
    [head, &escaped(text), middle, &inert(&data), tail].concat()
}

/// JSON that no parser of HTML takes for anything else.
fn inert(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                write!(text, "\\u{:04x}", c as u32).expect("a string takes everything");
            }
            c => text.push(c),
        }
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
