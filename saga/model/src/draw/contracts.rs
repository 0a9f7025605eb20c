//! The contracts of a graph with all their terms.

use alloc::{collections::BTreeMap, format, string::String, vec, vec::Vec};
use core::fmt::{Display, Formatter, Result};

use super::words::{class, delays, plain, span};
use crate::{
    graph::{Graph, Kind, Otherwise, StepSpec, UndoPolicy},
    policy::Retry,
};

pub(super) struct Contracts<'graph>(pub(super) &'graph Graph);

impl Display for Contracts<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let specs = self.0.nodes.iter().filter_map(|node| match &node.kind {
            Kind::Step { spec, .. } => Some((&*spec.name, spec)),
            _ => None,
        });
        for (name, spec) in specs.collect::<BTreeMap<_, _>>() {
            writeln!(f, "{}: {}", plain(name), forward(spec))?;
            if let Some(undo) = &spec.undo {
                writeln!(f, "  undo: {}", back(undo))?;
            }
        }
        Ok(())
    }
}

fn forward(spec: &StepSpec) -> String {
    let mut terms: Vec<String> = vec![class(spec.class).into()];
    if spec.probed {
        terms.push("probed".into());
    }
    terms.push(format!("timeout {}", span(spec.timeout)));
    if let Some(deadline) = spec.deadline {
        terms.push(format!("deadline {}", span(deadline)));
    }
    if let Some(silence) = spec.heartbeat {
        terms.push(format!("heartbeat {}", span(silence)));
    }
    terms.push(again(spec.retry));
    terms.join(", ")
}

fn back(undo: &UndoPolicy) -> String {
    let timeout = format!("timeout {}", span(undo.timeout));
    let otherwise = match &undo.otherwise {
        Otherwise::Park => "then waits for a person".into(),
        Otherwise::Skip { reason } => format!("then is left: {}", plain(reason)),
        Otherwise::Alternative {
            name,
            timeout,
            retry,
        } => format!(
            "then {} instead, timeout {}, {}",
            plain(name),
            span(*timeout),
            again(*retry)
        ),
    };
    [timeout, again(undo.retry), otherwise].join(", ")
}

fn again(retry: Retry) -> String {
    match retry.attempts {
        0 | 1 => "1 attempt".into(),
        attempts => format!(
            "{attempts} attempts, waits {}, jitter {} %",
            delays(&retry.delays),
            retry.jitter_percent
        ),
    }
}
