//! I6, I12: a batch holds not only what came in, but all that follows from it.

use sagalog_model::Kind;
use sagalog_projections::{Phase, SagaState};

use super::{Violation, numbers};
use crate::world::World;

pub(super) fn are_drawn(world: &World) -> Result<(), Violation> {
    for state in world.sagas() {
        if !state.status().is_terminal() {
            numbers::nothing_is_kept_for_nothing(world, state)?;
        }
        if state.turn().is_some() || state.status().is_terminal() {
            continue;
        }
        // One that is paused goes on with it when it is resumed.
        if state.pause().is_none() {
            no_signal_waits_beside_its_wait(world, state)?;
        }
        if !state.pivot_passed() {
            no_deadline_is_passed_over(world, state)?;
        }
    }
    Ok(())
}

fn no_signal_waits_beside_its_wait(world: &World, state: &SagaState) -> Result<(), Violation> {
    for (index, node) in state.graph().iter() {
        if let Kind::Signal { signal, .. } = &node.kind
            && matches!(state.node(index).phase, Phase::Waiting { .. })
            && state.signals().oldest(signal).is_some()
        {
            let what = format!("{} waits for {signal}, which has come", node.id);
            return Err(Violation::of("I6", world, state.id(), what));
        }
    }
    Ok(())
}

fn no_deadline_is_passed_over(world: &World, state: &SagaState) -> Result<(), Violation> {
    let passed = state
        .steps()
        .find(|(index, _, step)| step.until_passed && state.node(*index).phase == Phase::Asking);
    let of = match passed {
        Some((index, _, _)) => &*state.graph().node(index).id,
        None if state.deadline_passed() => "the saga",
        None => return Ok(()),
    };
    let what = format!("the deadline of {of} has passed, and it goes on");
    Err(Violation::of("I12", world, state.id(), what))
}
