//! I13: what is held is processed in its order, and what comes behind it waits.

use sagalog_model::{
    Outcome, Reply, SagaEvent,
    event::{HeldReleased, Origin},
};
use sagalog_projections::{SagaState, held::HeldInput};

use super::Broken;

/// What was taken off the held inputs by the event before, and what it carries.
pub(super) fn taken_by(state: &SagaState, event: &SagaEvent) -> Option<HeldInput> {
    match event {
        SagaEvent::HeldReleased(HeldReleased {
            number, content, ..
        }) => {
            let mut held = state.held().find(*number)?.clone();
            if let Some(content) = content {
                held.content = content.clone();
            }
            Some(held)
        }
        SagaEvent::HeldTaken(e) => state.held().find(e.number).cloned(),
        _ => None,
    }
}

/// Looks at an event before it is folded; `taken` is what the event before it took off.
pub(super) fn in_order(
    state: &SagaState,
    event: &SagaEvent,
    taken: Option<&HeldInput>,
) -> Result<(), Broken> {
    let Some(first) = state.held().first() else {
        return Ok(());
    };
    let Some(origin) = origin(event) else {
        return Ok(());
    };
    // What was taken may have said nothing new; then this is another input.
    if taken.is_some_and(|taken| taken.input == origin) || state.turn().is_some() {
        return Ok(());
    }
    let (kind, number) = (event.kind(), first.number);
    let what = format!("{kind} overtakes the held input {number}");
    Err(("I13", what))
}

/// The input that an event records.
pub(super) fn origin(event: &SagaEvent) -> Option<Origin> {
    let reply = |node: &std::sync::Arc<str>, direction, attempt| {
        let node = node.clone();
        Some(Origin::Reply {
            node,
            direction,
            attempt,
        })
    };
    match event {
        SagaEvent::SignalReceived(e) => {
            let (signal, id, until) = (e.signal.clone(), e.id.clone(), e.until);
            Some(Origin::Signal { signal, id, until })
        }
        SagaEvent::NumberedSignalReceived(e) => Some(Origin::Numbered {
            signal: e.signal.clone(),
            producer: e.producer.clone(),
            number: e.number,
        }),
        SagaEvent::SignalAhead(e) => Some(Origin::Numbered {
            signal: e.signal.clone(),
            producer: e.producer.clone(),
            number: e.number,
        }),
        SagaEvent::AttemptSucceeded(e) => reply(&e.node, e.direction, e.attempt),
        SagaEvent::AttemptFailed(e) => reply(&e.node, e.direction, e.attempt),
        SagaEvent::AttemptUnknown(e) => reply(&e.node, e.direction, e.attempt),
        _ => None,
    }
}

/// Whether an answer is on record as held.
pub(super) fn holds(state: &SagaState, reply: &Reply) -> bool {
    let mut held = state.held().answers_held();
    held.any(|held| is_answer(held, reply))
}

/// Whether a held input is this answer.
pub(super) fn is_answer(held: &HeldInput, reply: &Reply) -> bool {
    let origin = Origin::Reply {
        node: reply.node.clone(),
        direction: reply.direction,
        attempt: reply.attempt,
    };
    let outcome = held.content.read::<Outcome>().ok();
    held.input == origin && outcome.as_ref() == Some(&reply.outcome)
}
