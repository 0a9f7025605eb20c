//! I13: what the log says of an attempt is what its participant answered about that attempt.

use std::sync::Arc;

use sagalog_model::{AttemptNumber, Direction, Outcome, Reply, SagaEvent, SagaId, event::Origin};

use super::Violation;
use crate::world::World;

/// An answer is in the inbox until its event is durable, so whatever is recorded stands there.
pub(super) fn recorded_as_given(
    world: &World,
    saga: &SagaId,
    event: &SagaEvent,
) -> Result<(), Violation> {
    let (node, direction, attempt) = match event {
        SagaEvent::AttemptSucceeded(e) => (&e.node, e.direction, e.attempt),
        SagaEvent::AttemptFailed(e) => (&e.node, e.direction, e.attempt),
        SagaEvent::AttemptUnknown(e) => (&e.node, e.direction, e.attempt),
        SagaEvent::AttemptExtended(e) => (&e.node, Direction::Action, e.attempt),
        SagaEvent::ActionNotFound(e) => (&e.node, Direction::Probe, e.attempt),
        _ => return Ok(()),
    };
    let about_it = |reply: &&Reply| {
        reply.saga == *saga
            && reply.node == *node
            && reply.direction == direction
            && reply.attempt == attempt
    };
    let mut answers = world.inbox().filter(about_it);
    if answers.any(|reply| says(&reply.outcome, event))
        || was_held(world, saga, event)
        || has_waited(world, saga, (node, direction, attempt), event)
    {
        return Ok(());
    }
    let what = format!("{direction} {node}#{attempt} is recorded otherwise than it was answered");
    Err(Violation::of("I13", world, saga, what))
}

/// Whether it is what was held until now; that it is of the same attempt is looked at there.
fn was_held(world: &World, saga: &SagaId, event: &SagaEvent) -> bool {
    let taken = world.shadow().taken(saga);
    let outcome = taken.and_then(|held| held.content.read::<Outcome>().ok());
    outcome.is_some_and(|outcome| says(&outcome, event))
}

/// Whether it is what waited while the saga was held.
fn has_waited(
    world: &World,
    saga: &SagaId,
    (node, direction, attempt): (&Arc<str>, Direction, AttemptNumber),
    event: &SagaEvent,
) -> bool {
    let partition = world.setup().partition(saga);
    let undriven = world.shadow().undriven(partition);
    let held = undriven.and_then(|undriven| undriven.get(saga));
    let origin = Origin::Reply {
        node: node.clone(),
        direction,
        attempt,
    };
    held.into_iter()
        .flat_map(|held| held.inputs.iter())
        .filter(|input| input.input == origin)
        .filter_map(|input| input.content.read::<Outcome>().ok())
        .any(|outcome| says(&outcome, event))
}

fn says(outcome: &Outcome, event: &SagaEvent) -> bool {
    match (outcome, event) {
        (Outcome::Succeeded(output), SagaEvent::AttemptSucceeded(e)) => {
            e.output.as_ref().is_none_or(|recorded| recorded == output)
        }
        (Outcome::Failed { class, .. }, SagaEvent::AttemptFailed(e)) => *class == e.class,
        // An output that is too large is in doubt.
        (Outcome::Unknown { .. } | Outcome::Succeeded(_), SagaEvent::AttemptUnknown(_)) => true,
        (Outcome::NotDone, SagaEvent::ActionNotFound(_)) => true,
        (Outcome::Alive { progress }, SagaEvent::AttemptExtended(e)) => *progress == e.progress,
        _ => false,
    }
}
