//! The log of a simulated world: rows in memory, under the rules of every event log. The event
//! log's conformance kit is run on it. It keeps no hashes: nothing in a world could change a row.

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod conformance;
mod partition;
mod row;
mod storable;

use sagalog_engine::partition::History;
use sagalog_model::{
    SagaEvent, SagaId,
    log::{NewEvent, PartitionId, Position},
    system::{LateSuccess, SystemEvent},
};

pub(crate) use self::{
    partition::{LogPartition, Stored},
    row::Row,
};

/// What is durable. Rows are shared between the forks of a world.
#[derive(Clone)]
pub(crate) struct SimLog {
    partitions: Vec<LogPartition>,
}

impl SimLog {
    /// An empty log.
    pub(crate) fn with_partitions(count: u32) -> Self {
        let partitions = (0..count).map(PartitionId::new);
        Self {
            partitions: partitions.map(LogPartition::new).collect(),
        }
    }

    /// A partition that exists.
    pub(crate) fn partition(&self, id: PartitionId) -> &LogPartition {
        &self.partitions[id.get() as usize]
    }

    /// A partition that exists.
    pub(crate) fn partition_mut(&mut self, id: PartitionId) -> &mut LogPartition {
        &mut self.partitions[id.get() as usize]
    }

    /// All rows, partition after partition, in order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Stored> {
        let partitions = self.partitions.iter();
        partitions.flat_map(|partition| partition.read(Position::default()))
    }

    /// What happened to sagas, partition after partition, in order.
    pub(crate) fn of_sagas(&self) -> impl Iterator<Item = (&SagaId, &Row)> {
        self.partitions.iter().flat_map(LogPartition::of_sagas)
    }

    /// How many events of sagas there are.
    pub(crate) fn events(&self) -> u64 {
        self.partitions.iter().map(LogPartition::events).sum()
    }

    /// All events of sagas, partition after partition, in order.
    pub(crate) fn saga_events(&self) -> impl Iterator<Item = (&SagaId, &SagaEvent)> {
        self.of_sagas()
            .flat_map(|(saga, row)| row.events().iter().map(move |event| (saga, event)))
    }

    /// The events of a saga in order, in whichever partition it lives.
    pub(crate) fn events_of(&self, saga: &SagaId) -> impl Iterator<Item = &SagaEvent> {
        let partitions = self.partitions.iter();
        partitions.flat_map(|partition| partition.events_of(saga))
    }

    /// What happened to a saga, in whichever partition it lives.
    pub(crate) fn history(&self, saga: &SagaId) -> Option<History> {
        let mut partitions = self.partitions.iter();
        partitions.find_map(|partition| partition.history(saga))
    }

    /// The contradictions that are on record.
    pub(crate) fn late(&self) -> impl Iterator<Item = LateSuccess> {
        self.partitions.iter().flat_map(LogPartition::late)
    }
}

/// Reads an event of the system.
pub(crate) fn system_event(event: &NewEvent) -> Option<SystemEvent> {
    SystemEvent::decode(&event.kind, event.schema, &event.control, &event.data).ok()
}
