//! Parts: what a construct cannot do without.

use alloc::{format, vec::Vec};

use super::Fault;
use crate::{flow::Flow, graph::Kind};

pub(super) fn check(flow: &Flow, faults: &mut Vec<Fault>) {
    for (index, node) in flow.graph.iter() {
        let id = &node.id;
        let what = match &node.kind {
            Kind::All { branches } if branches.is_empty() => {
                format!("`{id}` has no branches; add `all.branch(..)` or `all.step(..)`")
            }
            Kind::Choose { arms, .. } if arms.is_empty() => {
                format!("`{id}` has no arms; add `case.arm(..)`")
            }
            Kind::Signal { .. } if flow.endless.contains(&index) => {
                format!("`{id}` waits for a signal without a deadline; add `.within(span)`")
            }
            Kind::Step { spec, .. } if spec.heartbeat.is_some() && spec.deadline.is_none() => {
                format!(
                    "`{id}` could be kept alive for ever; add `.deadline(span)` to `{}`, which has a heartbeat",
                    spec.name
                )
            }
            _ => continue,
        };
        faults.push(Fault::new(flow.place(index), what));
    }
}
