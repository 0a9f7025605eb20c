//! I4, I16: one effective owner of a partition at each commit, and none that goes on beyond its lease.

use sagalog_model::log::PartitionId;

use super::Violation;
use crate::world::{NodeNumber, Ownership, World};

/// Whoever takes a partition over by its own judgement takes it from nobody: its last owner is dead,
/// paused, or has stopped.
pub(super) fn is_over(
    world: &World,
    partition: PartitionId,
    by: NodeNumber,
) -> Result<(), Violation> {
    let Some(owner) = world.share(partition).owner() else {
        return Ok(());
    };
    let node = owner.node();
    fails(
        "I16",
        world,
        format!("{by} takes partition {partition} over while {node} still drives it"),
    )
}

/// What is appended is appended by the last who took the partition over.
pub(super) fn is_the_only_one(world: &World, of: Ownership) -> Result<(), Violation> {
    let owner = world.share(of.partition).owner();
    match owner.map(|owner| owner.epoch()) {
        Some(epoch) if epoch > of.epoch => fails(
            "I4",
            world,
            format!("epoch {} appended after epoch {epoch} began", of.epoch),
        ),
        _ => Ok(()),
    }
}

/// An owner is fenced in the middle of its work only if its partition was taken from it while its
/// lease was good: else it had to stop before.
pub(super) fn could_not_know(world: &World, of: Ownership) -> Result<(), Violation> {
    if world.is_contested(of) {
        return Ok(());
    }
    let epoch = world.log().partition(of.partition).epoch();
    fails(
        "I16",
        world,
        format!("epoch {} appends while {epoch} owns", of.epoch),
    )
}

fn fails(invariant: &'static str, world: &World, what: String) -> Result<(), Violation> {
    Err(Violation {
        invariant,
        saga: None,
        what,
        at: world.now(),
    })
}
