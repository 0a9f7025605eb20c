//! I9, I20: what a saga says in the end is what took effect.

use sagalog_model::{Direction, IdempotencyKey, Kind, SagaEvent};
use sagalog_projections::{SagaState, Status, step::UndoEnd};

use super::Violation;
use crate::world::World;

pub(super) fn match_what_took_effect(world: &World) -> Result<(), Violation> {
    for state in world.sagas() {
        match state.status() {
            Status::Completed => completed(world, state)?,
            Status::Compensated | Status::PartlyCompensated => gone_back(world, state)?,
            Status::Running | Status::Compensating => {}
        }
    }
    Ok(())
}

/// Completed: all steps of the path once, none undone; never after an accepted cancel.
fn completed(world: &World, state: &SagaState) -> Result<(), Violation> {
    let mut events = world.log().events_of(state.id());
    let cancelled = events.any(|event| {
        matches!(
            event,
            SagaEvent::CancelRequested(_) | SagaEvent::CompensateRequested(_)
        )
    });
    if cancelled {
        return Err(Violation::of(
            "I20",
            world,
            state.id(),
            "it was cancelled and completed".into(),
        ));
    }
    for (index, _, step) in state.steps() {
        let node = &state.graph().node(index).id;
        if net(world, state, node) == 1 {
            continue;
        }
        // A person may have done its work, and an action may be refused for ever in the end.
        if step.has_succeeded() {
            let what = format!(
                "it is completed, and {node} nets {} effects",
                net(world, state, node)
            );
            return Err(Violation::of("I9", world, state.id(), what));
        }
    }
    Ok(())
}

/// Gone back: everything that ever took effect is undone, but for what is named.
fn gone_back(world: &World, state: &SagaState) -> Result<(), Violation> {
    for (index, node) in state.graph().iter() {
        let Kind::Step { spec, .. } = &node.kind else {
            continue;
        };
        let stands = spec.undo.is_some() && net(world, state, &node.id) > 0;
        let left = state.left().contains(&node.id);
        let by_hand = state.step(index).is_some_and(|(_, step)| {
            step.undo == UndoEnd::Undone
                && !step.compensation.succeeded
                && !step.alternative.succeeded
        });
        if stands && !left && !by_hand {
            let what = format!(
                "it is {}, and the effect of {} stands",
                state.status(),
                node.id
            );
            return Err(Violation::of("I9", world, state.id(), what));
        }
    }
    if state.left().is_empty() != (state.status() == Status::Compensated) {
        return Err(Violation::of(
            "I9",
            world,
            state.id(),
            "what is left is not what its end says".into(),
        ));
    }
    Ok(())
}

fn net(world: &World, state: &SagaState, node: &str) -> i64 {
    let key = IdempotencyKey::of(state.id(), node, Direction::Action);
    world
        .ledger()
        .account(&key)
        .map_or(0, |account| account.net())
}
