//! Ids and names: well formed, and each used for one thing.

use alloc::{collections::BTreeMap, format, string::String, vec::Vec};
use core::time::Duration;

use super::{Fault, Place};
use crate::{
    flow::Flow,
    graph::{Kind, Node, NodeIndex, Otherwise, StepSpec},
    policy::Retry,
};

/// The most bytes of an id or a name.
const MAX_BYTES: usize = 100;

/// What is wrong with the form of an id or a name, if anything; `what` says which it is.
pub(crate) fn malformed(place: Place, what: &str, name: &str) -> Option<Fault> {
    let wrong = if name.is_empty() {
        "is empty".into()
    } else if name.len() > MAX_BYTES {
        format!("has {} bytes", name.len())
    } else if name.contains('/') {
        "contains `/`".into()
    } else if name.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
        "contains a space or a control character".into()
    } else {
        return None;
    };
    let name = shortened(name);
    Some(Fault::new(
        place,
        format!(
            "the {what} `{name}` {wrong}; take 1 to {MAX_BYTES} bytes without `/`, spaces and control characters"
        ),
    ))
}

fn shortened(name: &str) -> String {
    let shown: String = name.chars().take(30).flat_map(char::escape_debug).collect();
    if name.chars().nth(30).is_some() {
        shown + ".."
    } else {
        shown
    }
}

pub(super) fn check(flow: &Flow, faults: &mut Vec<Fault>) {
    let start = flow.nodes[0].place;
    faults.extend(malformed(start, "saga name", &flow.graph.saga));
    if flow.graph.version.0 == 0 {
        faults.push(Fault::new(start, "the version is 0; versions count from 1"));
    }
    ids(flow, faults);
    contracts(flow, faults);
}

fn ids(flow: &Flow, faults: &mut Vec<Fault>) {
    let mut taken = BTreeMap::new();
    for (index, node) in flow.graph.iter() {
        if let Some(first) = taken.insert(&*node.id, index) {
            faults.extend(same_id(flow, first, index));
            taken.insert(&*node.id, first);
        }
    }
}

fn same_id(flow: &Flow, first: NodeIndex, second: NodeIndex) -> Option<Fault> {
    let (before, here) = (flow.place(first), flow.place(second));
    let Node { id, block, kind } = flow.graph.node(second);
    let what = match kind {
        // Two choices of one id have arms of one id too; that they have one id was said of them.
        Kind::Entry if flow.graph.parent(first) != flow.graph.parent(second) => return None,
        Kind::Entry => format!(
            "there is an arm `{}` already, at {}",
            flow.graph.block(*block).label,
            at(before, here)
        ),
        Kind::All { .. } | Kind::Pivot | Kind::Return { .. } => format!(
            "the id `{id}` belongs to what stands here; give another one to {}",
            at(before, here)
        ),
        _ if before == here => {
            format!("this line gives the id `{id}` twice; let its caller choose the id")
        }
        _ => format!("the id `{id}` is taken, at {}", at(before, here)),
    };
    Some(Fault::new(here, what))
}

/// Where something is, told to somebody who looks at `here`.
fn at(place: Place, here: Place) -> String {
    if place.file() == here.file() {
        format!("line {}", place.line())
    } else {
        format!("{}:{}", place.file(), place.line())
    }
}

fn contracts(flow: &Flow, faults: &mut Vec<Fault>) {
    let mut known = BTreeMap::new();
    let mut signals = BTreeMap::new();
    for (index, node) in flow.graph.iter() {
        let place = flow.place(index);
        match &node.kind {
            Kind::Step { spec, .. } => {
                faults.extend(malformed(place, "step name", &spec.name));
                for asked in asked(spec) {
                    let (first, terms) = known.entry(asked.name()).or_insert((index, asked));
                    if !terms.agrees(asked) {
                        faults.push(two_contracts(flow, asked.name(), *first, index));
                    }
                }
            }
            Kind::Signal { signal, gaps, .. } => {
                faults.extend(malformed(place, "signal name", signal));
                let (first, agreed) = *signals.entry(&**signal).or_insert((index, *gaps));
                if agreed != *gaps {
                    faults.push(two_contracts(flow, signal, first, index));
                }
            }
            _ => {}
        }
    }
}

fn two_contracts(flow: &Flow, name: &str, first: NodeIndex, second: NodeIndex) -> Fault {
    let (before, here) = (flow.place(first), flow.place(second));
    Fault::new(
        here,
        format!(
            "`{name}` is another contract here than at {}; share one constant, or give one of them another name",
            at(before, here)
        ),
    )
}

/// One name that a step asks for: its own, or that of what makes up for its compensation.
#[derive(Clone, Copy)]
enum Asked<'graph> {
    Step(&'graph StepSpec),
    Alternative {
        name: &'graph str,
        timeout: Duration,
        retry: Retry,
    },
}

fn asked(spec: &StepSpec) -> impl Iterator<Item = Asked<'_>> {
    let alternative = spec.undo.as_ref().and_then(|undo| match &undo.otherwise {
        Otherwise::Alternative {
            name,
            timeout,
            retry,
        } => Some(Asked::Alternative {
            name,
            timeout: *timeout,
            retry: *retry,
        }),
        _ => None,
    });
    core::iter::once(Asked::Step(spec)).chain(alternative)
}

impl<'graph> Asked<'graph> {
    fn name(self) -> &'graph str {
        match self {
            Self::Step(spec) => &spec.name,
            Self::Alternative { name, .. } => name,
        }
    }

    fn agrees(self, other: Self) -> bool {
        match (self, other) {
            (Self::Step(one), Self::Step(other)) => one == other,
            // Of an alternative only this is known.
            _ => self.budget() == other.budget(),
        }
    }

    fn budget(self) -> (Duration, Retry) {
        match self {
            Self::Step(spec) => (spec.timeout, spec.retry),
            Self::Alternative { timeout, retry, .. } => (timeout, retry),
        }
    }
}
