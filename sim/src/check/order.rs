//! I10: reverse order of dependence, and no compensation before what depends on it is undone.

use sagalog_model::{
    Command, Direction, Graph, IdempotencyKey, Kind, NodeIndex, graph::BlockIndex,
};
use sagalog_projections::step::UndoEnd;

use super::Violation;
use crate::world::World;

pub(super) fn undone_in_reverse(world: &World, command: &Command) -> Result<(), Violation> {
    if !matches!(
        command.direction,
        Direction::Compensation | Direction::Alternative
    ) {
        return Ok(());
    }
    let Some(state) = world.shadow().of(&command.saga) else {
        return Ok(());
    };
    let graph = state.graph();
    let Some(this) = graph.find(&command.node) else {
        return Ok(());
    };
    for (later, _) in graph.iter() {
        if !depends_on(graph, later, this) {
            continue;
        }
        let id = &graph.node(later).id;
        let key = IdempotencyKey::of(&command.saga, id, Direction::Action);
        let over = state.step(later).is_some_and(|(_, step)| match step.undo {
            UndoEnd::Open => false,
            UndoEnd::Left { .. } => true,
            // By its participant its effect is gone; by a person it may stand.
            UndoEnd::Undone => !step.compensation.succeeded && !step.alternative.succeeded,
        });
        let compensatable = matches!(
            &graph.node(later).kind,
            Kind::Step { spec, .. } if spec.undo.is_some()
        );
        if compensatable
            && !over
            && world
                .ledger()
                .account(&key)
                .is_some_and(|account| account.net() > 0)
        {
            let what = format!(
                "{} is undone while {id}, which depends on it, stands",
                command.node
            );
            return Err(Violation::of("I10", world, &command.saga, what));
        }
    }
    Ok(())
}

/// Whether `later` stands behind `earlier`: in its line or around it, but not in another branch of
/// one `all`.
fn depends_on(graph: &Graph, later: NodeIndex, earlier: NodeIndex) -> bool {
    if later == earlier {
        return false;
    }
    let (ours, theirs) = (path(graph, later), path(graph, earlier));
    let common = ours
        .iter()
        .zip(&theirs)
        .take_while(|(one, other)| one == other)
        .count();
    match (ours.get(common), theirs.get(common)) {
        // Both in one block: the order of its nodes decides.
        (Some((block, our_place)), Some((other, their_place))) => {
            block == other && our_place > their_place
        }
        _ => false,
    }
}

/// From the outside in: the block, and the place in it.
fn path(graph: &Graph, node: NodeIndex) -> Vec<(BlockIndex, usize)> {
    let mut path = Vec::new();
    let mut at = Some(node);
    while let Some(node) = at {
        let block = graph.node(node).block;
        let place = graph
            .block(block)
            .nodes
            .iter()
            .position(|other| *other == node);
        path.push((block, place.expect("a node stands in its block")));
        at = graph.block(block).inside;
    }
    path.reverse();
    path
}
