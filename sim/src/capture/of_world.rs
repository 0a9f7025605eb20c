//! What a simulated log holds of a saga.

use sagalog_eventlog::{Row, seal};
use sagalog_model::{
    SagaId,
    log::{Digest, Position},
    system::SystemEvent,
};

use super::{Capture, Owner};
use crate::world::{Stored, World, system_event};

impl World {
    /// What the log holds of a saga; none if it has not begun.
    pub fn capture(&self, saga: &str) -> Option<Capture> {
        let saga = self.saga(saga)?.id().clone();
        let partition = self.setup().partition(&saga);
        let stored = self.log().partition(partition).read(Position::default());
        let mut rows: Vec<_> = stored.iter().map(row).collect();
        seal(partition, Digest::default(), &mut rows);
        let first = rows.iter().find(|row| is_named(row, &saga))?;
        let (stream, from) = (first.stream, first.position);
        let owners = stored.iter().filter_map(owner);
        let owners: Vec<_> = owners.collect();
        let since = owners.iter().rposition(|owner| owner.position < from);
        let last = rows.iter().rfind(|row| row.stream == stream)?.position;
        let owners = owners.into_iter().skip(since.unwrap_or(0));
        let owners = owners.take_while(|owner| owner.position < last).collect();
        let mut before = Digest::default();
        let of_saga = rows.into_iter().filter_map(|row| {
            let chained = std::mem::replace(&mut before, row.chain);
            (row.stream == stream).then_some((chained, row))
        });
        let graph = self.setup().definition.graph().clone();
        let capture = Capture::of(saga, partition, graph, owners, of_saga);
        Some(capture.expect("a simulated log holds what a log holds"))
    }
}

fn row(stored: &Stored) -> Row {
    Row::new(stored.row.batch().clone(), stored.epoch)
}

fn is_named(row: &Row, saga: &SagaId) -> bool {
    row.name.as_ref() == Some(saga.stream())
}

fn owner(stored: &Stored) -> Option<Owner> {
    let batch = stored.row.batch();
    let SystemEvent::PartitionOwned(owned) = system_event(batch.events.first()?)? else {
        return None;
    };
    Some(Owner {
        position: batch.position,
        at: batch.at,
        owned,
    })
}
