//! The lines of a document, and the sagas that they are about.

use serde::Serialize;

use super::{
    grouped,
    state::{Changed, NodeEnd},
};
use crate::world::Lane;

/// The most characters of one line: payloads may be far longer than anybody reads.
pub(super) const CHARS_MAX: usize = 2_000;

/// One thing that happened.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Happened {
    /// When, in milliseconds from the beginning.
    pub at_ms: u64,
    /// Where: `node`, `log`, or `world` for the transport and the participants.
    pub lane: Lane,
    /// The saga, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saga: Option<String>,
    /// What, in at most 2,000 characters; of a longer text it says how much is left out.
    pub what: String,
    /// Whether this is a fault of the plan.
    pub fault: bool,
    /// Whether this is the event after which what the run violates was inevitable.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub baked_in: bool,
    /// If this is an event of a saga: what it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<Changed>,
}

/// A saga as it ended, or as it stands if it did not.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct SagaEnd {
    /// Its id; in a simulated run `s1`, `s2` and so on.
    pub saga: String,
    /// Its definition's name.
    pub definition: String,
    /// Its definition's version.
    pub version: u32,
    /// Where it stands.
    pub status: &'static str,
    /// Its nodes, in the order of the definition.
    pub nodes: Vec<NodeEnd>,
}

/// A text as it goes into a line.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(CHARS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => {
            let left_out = text[end..].chars().count() as u64;
            format!(
                "{} … and {} more characters",
                &text[..end],
                grouped(left_out)
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_says_how_much_of_it_is_left_out() {
        let text = "ä".repeat(CHARS_MAX);
        assert_eq!(shortened(&text), text);
        let longer = format!("{text}{}", "x".repeat(1_234));
        assert_eq!(
            shortened(&longer),
            format!("{text} … and 1,234 more characters")
        );
    }
}
