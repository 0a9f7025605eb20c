//! I19: what is on record decides itself again, to the byte: the state before a batch, its input and
//! its time are all that was decided with.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::Violation;
use crate::{
    replay::{Replay, Stored},
    world::{Guard, World},
};

/// Decides every batch of a run again.
pub(crate) fn redecided(world: &World) -> Result<(), Violation> {
    let mut replays = BTreeMap::new();
    let mut stored = Vec::new();
    for (saga, row) in world.log().of_sagas() {
        let replay = replays.entry(saga).or_insert_with(|| {
            let definition = &world.setup().definition;
            Replay::with(saga.clone(), definition, &Guard).rules(world.rules())
        });
        let batch = row.batch();
        stored.clear();
        stored.extend(batch.events.iter().map(Stored::from));
        let decide = AssertUnwindSafe(|| {
            let fact = row.events().first().expect("the log takes no empty batch");
            replay.batch_decided_on(fact, batch.at, batch.version, &stored)
        });
        let decided = catch_unwind(decide).map_err(|_| "it panics".to_owned());
        let decided = decided.and_then(|decided| decided.map_err(|other| other.to_string()));
        decided.map_err(|what| {
            let fact = row.events().first().map_or("nothing", |event| event.kind());
            let what = format!("decided again, the batch that begins with {fact} differs: {what}");
            Violation::of("I19", world, saga, what)
        })?;
    }
    Ok(())
}
