//! Handles: what is read must have been given by then, whichever way the saga went, and must say
//! what it means.

use alloc::{format, string::String, vec, vec::Vec};

use super::{Fault, Place};
use crate::{
    flow::Flow,
    graph::{BlockIndex, Graph, Kind, Node, NodeIndex, Source},
};

pub(super) fn check(flow: &Flow, faults: &mut Vec<Fault>) {
    for (index, node) in flow.graph.iter() {
        let source = node.kind.source();
        refuse(flow, source, node.block, flow.place(index), faults);
    }
    for (index, block) in flow.graph.blocks.iter().enumerate() {
        let place = flow.blocks[index].place;
        let block_index = BlockIndex(index as u32);
        refuse(flow, block.result.as_ref(), block_index, place, faults);
    }
}

/// Refuses what `source`, standing in the block `reader`, cannot read.
fn refuse(
    flow: &Flow,
    source: Option<&Source>,
    reader: BlockIndex,
    place: Place,
    faults: &mut Vec<Fault>,
) {
    let reads = source.into_iter().flat_map(Source::reads);
    let wrong = reads
        .filter_map(|node| why_not(&flow.graph, *node, reader).or_else(|| ambiguous(flow, *node)));
    faults.extend(wrong.map(|what| Fault::new(place, what)));
}

fn why_not(graph: &Graph, read: NodeIndex, reader: BlockIndex) -> Option<String> {
    let (theirs, ours) = (way_to(graph, graph.node(read).block), way_to(graph, reader));
    let shared = theirs
        .iter()
        .zip(&ours)
        .take_while(|(their, our)| their == our)
        .count();
    let id = &graph.node(read).id;
    if let (Some(their), Some(our)) = (theirs.get(shared), ours.get(shared))
        && their.node == our.node
    {
        return Some(siblings(graph, id, their.node));
    }
    let choice = theirs[shared..]
        .iter()
        .find(|turn| matches!(graph.node(turn.node).kind, Kind::Choose { .. }))?;
    let (construct, arm) = (
        &graph.node(choice.node).id,
        &graph.block(choice.block).label,
    );
    Some(format!(
        "`{id}` comes out of the arm `{arm}` of `{construct}`, which may not run; use what `{construct}` gives"
    ))
}

fn siblings(graph: &Graph, id: &str, construct: NodeIndex) -> String {
    let node = graph.node(construct);
    match node.kind {
        Kind::All { .. } => format!(
            "`{id}` belongs to another branch of `{}`, which runs beside this one; use it after `{0}`, or put both in one branch",
            node.id
        ),
        _ => format!(
            "`{id}` belongs to another arm of `{}`, and only one of them runs; use what is common to both",
            node.id
        ),
    }
}

/// JSON writes `None` and `Some(())` alike.
fn ambiguous(flow: &Flow, read: NodeIndex) -> Option<String> {
    if !flow.ambiguous.contains(&read) {
        return None;
    }
    let Node { id, kind, .. } = flow.graph.node(read);
    Some(match kind {
        Kind::Signal { signal, .. } => format!(
            "`{id}` gives `null` for a signal as well as for none, as the payload of `{signal}` can be `null`; give the signal another payload, such as `bool`"
        ),
        _ => format!(
            "`{id}` gives `null` whether its branch ran or not, as what the branch gives can be `null`; let it give something else, such as `just(true)`"
        ),
    })
}

/// One step of the way from the main line down to a block.
#[derive(PartialEq)]
struct Turn {
    node: NodeIndex,
    block: BlockIndex,
}

fn way_to(graph: &Graph, mut block: BlockIndex) -> Vec<Turn> {
    let mut way = vec![];
    while let Some(node) = graph.block(block).inside {
        way.push(Turn { node, block });
        block = graph.node(node).block;
    }
    way.reverse();
    way
}
