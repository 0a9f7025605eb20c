//! I7, I13: what comes under one id is taken once, also when that id is not remembered any more; and
//! nothing is refused for its age that may still come.

use sagalog_engine::{Answer, Query, Rules, decide::Refusal};
use sagalog_model::{SagaEvent, SagaId, event::IdKind, log::Time};

use super::{Broken, Violation};
use crate::world::{ClientCall, Wants, World};

/// A signal has become durable. Looks at the whole log, not at what is remembered.
pub(super) fn taken_once(world: &World, saga: &SagaId, event: &SagaEvent) -> Result<(), Violation> {
    let SagaEvent::SignalReceived(signal) = event else {
        return Ok(());
    };
    let is_it =
        |event: &&SagaEvent| matches!(event, SagaEvent::SignalReceived(e) if e.id == signal.id);
    if world.log().events_of(saga).filter(is_it).count() > 1 {
        let what = format!("the signal {} is taken twice", signal.id);
        return Err(Violation::of("I7", world, saga, what));
    }
    Ok(())
}

/// Looks at an event before it is folded: only what nobody sends any more is forgotten.
pub(super) fn forgotten_when_over(
    rules: &Rules,
    event: &SagaEvent,
    at: Time,
) -> Result<(), Broken> {
    match event {
        SagaEvent::IdsForgotten(e) if e.until.after(rules.clock_skew_max) >= at => {
            let what = format!("{} are forgotten that may still come", e.of);
            Err(("I13", what))
        }
        _ => Ok(()),
    }
}

/// A client is told that its call has expired only if the log says that it may have been forgotten.
pub(super) fn expired_on_record(
    world: &World,
    call: &ClientCall,
    answer: &Answer,
) -> Result<(), Violation> {
    let Answer::Refused(Refusal::Expired { .. }) = answer else {
        return Ok(());
    };
    let of = match call.wants {
        Wants::Saga(Query::Request(_)) => IdKind::Requests,
        _ => IdKind::Signals,
    };
    let forgotten = world.log().events_of(&call.saga).any(|event| {
        matches!(event, SagaEvent::IdsForgotten(e) if e.of == of && Some(e.until) >= call.until())
    });
    if forgotten {
        return Ok(());
    }
    let what = "a call is refused for its age, and its time is not over".to_owned();
    Err(Violation::of("I13", world, &call.saga, what))
}
