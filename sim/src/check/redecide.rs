//! I19: what is on record decides itself again, to the byte: the state before a batch, its input and
//! its time are all that was decided with.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use sagalog_engine::{decide::Context, redecide};
use sagalog_model::SagaId;
use sagalog_projections::SagaState;

use super::Violation;
use crate::world::{Guard, Row, World};

/// Decides every batch of a run again.
pub(crate) fn redecided(world: &World) -> Result<(), Violation> {
    let mut states = BTreeMap::new();
    for (saga, row) in world.log().of_sagas() {
        let before = states.remove(saga);
        let decide = AssertUnwindSafe(|| redecided_one(world, saga, before, row));
        let state = catch_unwind(decide).unwrap_or_else(|_| Err("it panics".into()));
        let state = state.map_err(|what| {
            let fact = row.events().first().map_or("nothing", |event| event.kind());
            let what = format!("decided again, the batch that begins with {fact} differs: {what}");
            Violation::of("I19", world, saga, what)
        })?;
        states.insert(saga, state);
    }
    Ok(())
}

/// The state after a batch that comes out as it is on record.
fn redecided_one(
    world: &World,
    saga: &SagaId,
    before: Option<SagaState>,
    row: &Row,
) -> Result<SagaState, String> {
    let batch = row.batch();
    let context = Context {
        definition: &world.setup().definition,
        evaluate: &Guard,
        rules: &world.rules(),
        now: batch.at,
    };
    let fact = row.events().first().expect("the log takes no empty batch");
    let (state, events) = redecide(saga, before, fact, context).map_err(|why| why.to_string())?;
    let mut recorded = batch.events.iter();
    for event in &events {
        let now = event.encode();
        match recorded.next() {
            Some(then) if now == *then => {}
            Some(then) if then.kind == now.kind && then.control == now.control => {
                let (was, is) = (&then.data, &now.data);
                return Err(format!("{} was {was:?} and is {is:?}", now.kind));
            }
            Some(then) => {
                let (was, is) = ((&then.kind, &then.control), (&now.kind, &now.control));
                return Err(format!("{was:?} is {is:?}"));
            }
            None => return Err(format!("{} is not on record", now.kind)),
        }
    }
    match recorded.next() {
        Some(more) => Err(format!("{} is on record and not decided", more.kind)),
        None => Ok(state),
    }
}
