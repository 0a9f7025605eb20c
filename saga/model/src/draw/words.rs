//! How single things of a graph are said.

use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::time::Duration;

use crate::{
    contract::{RecoveryClass, Step},
    graph::{Graph, Otherwise, Source, StepSpec, UndoPolicy},
    payload::Payload,
    policy::{Delays, GapEnd, Gaps, Retry},
};

/// The most letters of a constant that are shown.
const MAX_LETTERS: usize = 60;

pub(super) const fn class(class: RecoveryClass) -> &'static str {
    match class {
        RecoveryClass::ReadOnly => "read-only",
        RecoveryClass::Compensatable => "compensatable",
        RecoveryClass::Retryable => "retryable",
    }
}

/// Text on one line.
pub(super) fn plain(text: &str) -> String {
    let letters = text.chars().map(|letter| match letter {
        letter if letter.is_control() => letter.escape_debug().to_string(),
        letter => letter.to_string(),
    });
    letters.collect()
}

pub(super) fn source(graph: &Graph, source: &Source) -> String {
    match source {
        Source::Copy(node) => plain(&graph.node(*node).id),
        Source::Constant(payload) => constant(payload),
        Source::Computed { reads, constants } => {
            let reads = reads.iter().map(|node| plain(&graph.node(*node).id));
            let read: Vec<_> = reads.chain(constants.iter().map(constant)).collect();
            format!("f({})", read.join(", "))
        }
    }
}

/// A source that gives a span: a constant one is said in units.
pub(super) fn span_of(graph: &Graph, given: &Source) -> String {
    match given {
        Source::Constant(payload) => payload.read().map_or_else(|_| constant(payload), span),
        _ => source(graph, given),
    }
}

fn constant(payload: &Payload) -> String {
    let mut text = plain(payload.as_str());
    if let Some((cut, _)) = text.char_indices().nth(MAX_LETTERS) {
        text.truncate(cut);
        text.push_str("..");
    }
    text
}

/// A span in the largest unit that says it in full.
pub(super) fn span(span: Duration) -> String {
    let nanos = span.as_nanos();
    if nanos == 0 {
        return "0 s".into();
    }
    let exact = UNITS.iter().find(|(unit, _)| nanos.is_multiple_of(*unit));
    exact.map_or_else(
        || format!("{span:?}"),
        |(unit, name)| format!("{} {name}", nanos / unit),
    )
}

const UNITS: [(u128, &str); 6] = [
    (86_400_000_000_000, "d"),
    (3_600_000_000_000, "h"),
    (60_000_000_000, "min"),
    (1_000_000_000, "s"),
    (1_000_000, "ms"),
    (1_000, "us"),
];

/// What is done about missing numbers.
pub(super) fn about_gaps(gaps: &Gaps) -> String {
    let end = match gaps.then {
        GapEnd::Reject => "then rejects",
        GapEnd::Release => "then releases",
    };
    let asks = match gaps.asks {
        0 => String::new(),
        1 => "asks once, ".into(),
        asks => format!("asks {asks} times, "),
    };
    format!(
        "waits {} for missing numbers, {asks}{end}",
        span(gaps.within)
    )
}

/// The class, and the terms that are not the default of that class.
pub(super) fn terms(spec: &StepSpec) -> String {
    let usual = usual(spec.class);
    let mut terms = vec![class(spec.class).into()];
    if spec.probed {
        terms.push("probed".into());
    }
    if spec.timeout != usual.timeout {
        terms.push(format!("timeout {}", span(spec.timeout)));
    }
    if let Some(deadline) = spec.deadline {
        terms.push(format!("deadline {}", span(deadline)));
    }
    if let Some(silence) = spec.heartbeat {
        terms.push(format!("heartbeat {}", span(silence)));
    }
    terms.extend(retry(spec.retry, usual.retry));
    if let (Some(undo), Some(usual)) = (&spec.undo, &usual.undo) {
        terms.extend(
            undo_terms(undo, usual)
                .into_iter()
                .map(|term| format!("undo {term}")),
        );
    }
    terms.join(", ")
}

fn usual(class: RecoveryClass) -> StepSpec {
    let step = Step::<(), ()>::new("usual");
    match class {
        RecoveryClass::ReadOnly => step.read_only(),
        RecoveryClass::Compensatable => step.compensatable(),
        RecoveryClass::Retryable => step.retryable(),
    }
    .spec()
}

fn undo_terms(undo: &UndoPolicy, usual: &UndoPolicy) -> Vec<String> {
    let mut terms = vec![];
    if undo.timeout != usual.timeout {
        terms.push(format!("timeout {}", span(undo.timeout)));
    }
    terms.extend(retry(undo.retry, usual.retry));
    match &undo.otherwise {
        Otherwise::Park => {}
        Otherwise::Skip { reason } => terms.push(format!("or skip: {}", plain(reason))),
        Otherwise::Alternative { name, .. } => terms.push(format!("or {}", plain(name))),
    }
    terms
}

fn retry(retry: Retry, usual: Retry) -> Vec<String> {
    let mut terms = vec![];
    if retry.attempts != usual.attempts {
        terms.push(match retry.attempts {
            1 => "1 attempt".into(),
            attempts => format!("{attempts} attempts"),
        });
    }
    if retry.delays != usual.delays && retry.attempts > 1 {
        terms.push(format!("waits {}", delays(&retry.delays)));
    }
    if retry.jitter_percent != usual.jitter_percent && retry.attempts > 1 {
        terms.push(format!("jitter {} %", retry.jitter_percent));
    }
    terms
}

pub(super) fn delays(delays: &Delays) -> String {
    match delays {
        Delays::Exponential { first, cap } => {
            format!("{} doubling to {}", span(*first), span(*cap))
        }
        Delays::Fixed(wait) => span(*wait),
        Delays::Listed(waits) => {
            let waits: Vec<_> = waits.as_slice().iter().map(|wait| span(*wait)).collect();
            waits.join(" then ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_said_in_the_largest_unit_that_says_it_in_full() {
        let said = |micros| span(Duration::from_micros(micros));
        assert_eq!(said(172_800_000_000), "2 d");
        assert_eq!(said(5_400_000_000), "90 min");
        assert_eq!(said(1_500_000), "1500 ms");
        assert_eq!(said(7), "7 us");
        assert_eq!(span(Duration::from_nanos(1)), "1ns");
        assert_eq!(span(Duration::ZERO), "0 s");
    }

    #[test]
    fn text_stays_on_one_line() {
        assert_eq!(plain("one\ntwo\u{1b}[0m"), "one\\ntwo\\u{1b}[0m");
    }

    #[test]
    fn a_long_constant_is_cut() {
        let long = Payload::of(&"é".repeat(100)).expect("it is text");
        assert_eq!(constant(&long), alloc::format!("\"{}..", "é".repeat(59)));
    }
}
