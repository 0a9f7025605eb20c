//! I5, I10: nothing is published before the event that asks it is durable, no action after the turn;
//! I6, I7, I9, I12, I19: and it is published as it was decided.

use sagalog_model::{Command, Direction, IdempotencyKey, Withdrawal};
use sagalog_projections::alive;

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

/// I6: what a later event has superseded is not published any more.
pub(super) fn what_is_waited_for(world: &World, command: &Command) -> Result<(), Violation> {
    let Some(state) = world.shadow().of(&command.saga) else {
        return Ok(());
    };
    let index = state.graph().find(&command.node);
    let Some((spec, step)) = index.and_then(|index| state.step(index)) else {
        return Ok(());
    };
    let (direction, node) = (command.direction, &command.node);
    if state.awaits(spec, step, direction) {
        return Ok(());
    }
    let what = format!("the {direction} of {node} is published, and nobody waits for it");
    Err(Violation::of("I6", world, &command.saga, what))
}

/// I5: a participant is told of a turn only when that is durable.
pub(super) fn withdrawn_after_the_turn(
    world: &World,
    withdrawal: &Withdrawal,
) -> Result<(), Violation> {
    let state = world.shadow().of(&withdrawal.saga);
    let turned = state.is_some_and(|state| state.turn().is_some());
    if turned {
        return Ok(());
    }
    let what = format!("{} is withdrawn before the turn", withdrawal.node);
    Err(Violation::of("I5", world, &withdrawal.saga, what))
}

/// Keys are those of the node and never of an attempt; contents are those that the log holds.
pub(super) fn what_was_decided(world: &World, command: &Command) -> Result<(), Violation> {
    let Some(state) = world.shadow().of(&command.saga) else {
        return Ok(());
    };
    let Some(index) = state.graph().find(&command.node) else {
        return Ok(());
    };
    let Some((spec, step)) = state.step(index) else {
        return Ok(());
    };
    let fails = |invariant, what: &str| {
        let what = format!("the {} of {} {what}", command.direction, command.node);
        Err(Violation::of(invariant, world, &command.saga, what))
    };
    let key = |direction| IdempotencyKey::of(&command.saga, &command.node, direction);
    let action = key(Direction::Action);
    let is_own = match command.direction {
        Direction::Action | Direction::Probe => command.key == action,
        back => command.key == key(back),
    };
    if !is_own || command.action_key != action {
        return fails("I7", "is published under another key than its own");
    }
    let open = step.attempts(command.direction).open;
    if open.is_some_and(|open| open.number == command.attempt && open.deadline != command.deadline)
    {
        return fails(
            "I12",
            "is published with another deadline than its recorded one",
        );
    }
    if command.direction == Direction::Action
        && open.is_some_and(|open| open.number == command.attempt)
        && command.heartbeat != alive::heartbeat(state, spec, step)
    {
        return fails("I12", "is published with another heartbeat than its own");
    }
    let input = match command.direction {
        Direction::Alternative => return Ok(()),
        Direction::Action | Direction::Probe | Direction::Compensation => &step.input,
    };
    if *input != command.input {
        return fails(
            "I19",
            "is published with another input than its recorded one",
        );
    }
    // I5: the output that was known when it was asked, and nothing that a later event says.
    if command.direction == Direction::Compensation && command.output != step.undone_with {
        return fails(
            "I9",
            "is published with another output than the one to undo",
        );
    }
    Ok(())
}
