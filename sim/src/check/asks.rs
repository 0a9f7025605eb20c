//! I5, I10: nothing is published before the event that asks it is durable, no action after the turn.

use sagalog_model::{Command, Direction};

use super::Violation;
use crate::world::World;

pub(super) fn durable_before_published(world: &World, command: &Command) -> Result<(), Violation> {
    let asked = world.shadow().of(&command.saga).and_then(|state| {
        let index = state.graph().find(&command.node)?;
        let (_, step) = state.step(index)?;
        Some(step.attempts(command.direction).was_asked(command.attempt))
    });
    if asked == Some(true) {
        return Ok(());
    }
    let what = format!(
        "the {} of {} was published before its event was durable",
        command.direction, command.node
    );
    Err(Violation::of("I5", world, &command.saga, what))
}

pub(super) fn no_action_after_the_turn(world: &World, command: &Command) -> Result<(), Violation> {
    let Some(state) = world.shadow().of(&command.saga) else {
        return Ok(());
    };
    let asked_at = state.graph().find(&command.node).and_then(|index| {
        let (_, step) = state.step(index)?;
        step.action.open.map(|open| open.asked_at)
    });
    match (command.direction, state.turn(), asked_at) {
        (Direction::Action, Some(turn), Some(asked_at)) if asked_at > turn.at => {
            let what = format!("the action of {} was asked after the turn", command.node);
            Err(Violation::of("I10", world, &command.saga, what))
        }
        _ => Ok(()),
    }
}
