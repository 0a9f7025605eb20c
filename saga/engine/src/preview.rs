//! What would follow if a saga was told something, decided as its owner would, and recorded nowhere.

use alloc::vec::Vec;

use sagalog_model::SagaEvent;
use sagalog_projections::SagaState;

use crate::{
    decide::{Context, Refusal, decide},
    partition::Query,
};

/// What a saga in this state would record, and its state after that. No events for what says nothing new, and
/// for a question. The context's time is that of the input: not before the state's newest event.
///
/// # Errors
/// [`Refusal`], as the owner of its partition would answer.
pub fn preview(
    state: &SagaState,
    query: Query,
    context: Context<'_>,
) -> Result<(SagaState, Vec<SagaEvent>), Refusal> {
    let mut state = state.clone();
    let Ok(input) = query.told() else {
        return Ok((state, Vec::new()));
    };
    context.rules.within_bounds(&input)?;
    let events = decide(&mut state, &input, context)?;
    Ok((state, events))
}
