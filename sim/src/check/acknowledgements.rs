//! I8: an acknowledgement or an answer covers only what is durable.

use sagalog_engine::{Answer, Query};
use sagalog_model::{Outcome, Reply};

use super::Violation;
use crate::world::{ClientCall, World};

/// After the acknowledgement nobody will say again what the reply said.
pub(super) fn covers_what_is_durable(
    world: &World,
    reply: &Reply,
    answer: &Answer,
) -> Result<(), Violation> {
    if matches!(answer, Answer::Refused(_)) {
        return Ok(());
    }
    let Some(state) = world.shadow().of(&reply.saga) else {
        let what = format!(
            "the answer of {} was acknowledged, and the saga is not in the log",
            reply.node
        );
        return Err(Violation::of("I8", world, &reply.saga, what));
    };
    let open = state.graph().find(&reply.node).and_then(|index| {
        let (_, step) = state.step(index)?;
        Some(step.attempts(reply.direction).is_open(reply.attempt))
    });
    let settles = !matches!(reply.outcome, Outcome::NotDone) || !state.status().is_terminal();
    if open == Some(true) && settles && !state.status().is_terminal() {
        let what = format!(
            "the answer to {} {}#{} was acknowledged, and the log does not hold it",
            reply.node, reply.direction, reply.attempt
        );
        return Err(Violation::of("I8", world, &reply.saga, what));
    }
    Ok(())
}

/// A client was told that something is recorded.
pub(super) fn answers_what_is_durable(
    world: &World,
    call: &ClientCall,
    answer: &Answer,
) -> Result<(), Violation> {
    if !matches!(answer, Answer::Recorded) {
        return Ok(());
    }
    let state = world.shadow().of(&call.saga);
    let durable = match &call.query {
        Query::Start { .. } => state.is_some(),
        Query::Signal { id, .. } => state.is_some_and(|state| state.signals().contains(id)),
        Query::Request(request) => state.is_some_and(|state| {
            // A cancel of a saga that goes back already says nothing new.
            state.requests().contains(&request.id) || state.turn().is_some()
        }),
        Query::Reply(_) | Query::State | Query::End => true,
    };
    if durable {
        return Ok(());
    }
    Err(Violation::of(
        "I8",
        world,
        &call.saga,
        "a client was told of what is not durable".into(),
    ))
}
