//! I12, I13, I18: what a producer numbers is taken in the order of its numbers, each once; what is
//! missing is waited for and given up as agreed, on record.

use sagalog_model::{GapEnd, Gaps, Missing, SagaEvent, log::Time};
use sagalog_projections::{
    SagaState,
    held::Held,
    sequence::{Gap, Producer, Sequences},
};

use super::{Broken, Violation, attempts::not_before};
use crate::world::World;

/// Looks at an event before it is folded.
pub(super) fn as_agreed(state: &SagaState, event: &SagaEvent, at: Time) -> Result<(), Broken> {
    match event {
        SagaEvent::NumberedSignalReceived(e) => is_next(state, &e.producer, e.number),
        SagaEvent::SignalAdmitted(e) => is_next(state, &e.producer, e.number),
        SagaEvent::GapOpened(e) => {
            let (_, agreed) = gap_of(state, &e.producer);
            is_waited_for(agreed, e.until, at)
        }
        SagaEvent::GapTimedOut(e) => {
            let (gap, _) = gap_of(state, &e.producer);
            not_before(gap.and_then(|gap| gap.until), at, event)
        }
        SagaEvent::MissingAsked(e) => {
            let (gap, agreed) = gap_of(state, &e.producer);
            if gap.is_none_or(|gap| gap.asked >= agreed.asks) {
                let what = format!("{} is asked more often than agreed", e.producer);
                return Err(("I11", what));
            }
            is_waited_for(agreed, e.until, at)
        }
        SagaEvent::GapAbandoned(e) => is_over(state, &e.producer, GapEnd::Release),
        SagaEvent::GapRejected(e) => is_over(state, &e.producer, GapEnd::Reject),
        _ => Ok(()),
    }
}

fn is_next(state: &SagaState, producer: &str, number: u64) -> Result<(), Broken> {
    let known = state.sequences().find(producer);
    let watermark = known.map_or(0, |(_, known)| known.watermark);
    if number == watermark + 1 {
        return Ok(());
    }
    let what = format!("{producer}#{number} is taken after {producer}#{watermark}");
    Err(("I13", what))
}

fn is_waited_for(agreed: Gaps, until: Time, at: Time) -> Result<(), Broken> {
    if until == at.after(agreed.within) {
        return Ok(());
    }
    let what = "what is missing is waited for another span than agreed".to_owned();
    Err(("I12", what))
}

fn is_over(state: &SagaState, producer: &str, end: GapEnd) -> Result<(), Broken> {
    let (gap, agreed) = gap_of(state, producer);
    if agreed.then == end && gap.is_some_and(|gap| gap.asked == agreed.asks) {
        return Ok(());
    }
    let what = format!("the gap of {producer} ends otherwise than agreed");
    Err(("I12", what))
}

fn gap_of(state: &SagaState, producer: &str) -> (Option<Gap>, Gaps) {
    let known = state.sequences().find(producer);
    let known = known.map(|(_, known)| known);
    let first = known.and_then(|known| known.ahead().values().next());
    let agreed = first.map(|first| state.graph().gaps(&first.signal));
    (
        known.and_then(|known| known.gap),
        agreed.unwrap_or_default(),
    )
}

/// What is next is not kept, and what is missing is waited for.
pub(super) fn nothing_is_kept_for_nothing(
    world: &World,
    state: &SagaState,
) -> Result<(), Violation> {
    let sequences = state.sequences();
    for (_, producer) in sequences.producers() {
        if let Some(what) = is_stuck(producer) {
            return Err(Violation::of("I17", world, state.id(), what));
        }
    }
    if sequences.ahead() > Sequences::AHEAD_MAX || state.held().len() > Held::MAX {
        let (kept, held) = (sequences.ahead(), state.held().len());
        let what = format!("{kept} signals are kept, {held} inputs are held");
        return Err(Violation::of("I18", world, state.id(), what));
    }
    Ok(())
}

fn is_stuck(producer: &Producer) -> Option<String> {
    let (first, _) = producer.ahead().first_key_value()?;
    let waits = producer.gap.is_some_and(|gap| gap.until.is_some());
    let name = &producer.name;
    match producer.missing() {
        None => Some(format!("{name}#{first} is next, and kept")),
        Some(_) if !waits => Some(format!(
            "what is missing before {name}#{first} is not waited for"
        )),
        Some(_) => None,
    }
}

/// I5: a producer is asked only for what is on record as asked for.
pub(super) fn asked_on_record(world: &World, missing: &Missing) -> Result<(), Violation> {
    // The log says it, and not the state: some of it may have come while it was being asked.
    let asks = |event: &SagaEvent| {
        matches!(event, SagaEvent::MissingAsked(e)
            if e.producer == missing.producer && e.from <= missing.from && e.to >= missing.to)
    };
    if world.log().events_of(&missing.saga).any(asks) {
        return Ok(());
    }
    let what = format!("{} is asked before that is durable", missing.producer);
    Err(Violation::of("I5", world, &missing.saga, what))
}
