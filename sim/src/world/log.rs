//! The log of a simulated world: rows in memory, fenced by epoch, checked as a real one checks.

use std::{collections::BTreeMap, sync::Arc};

use sagalog_engine::partition::{History, SystemHeads};
use sagalog_model::{
    SagaEvent, SagaId,
    log::{Batch, Position, StreamKey, StreamState, Time},
    system::{LateSuccess, SystemEvent},
};

/// What is durable.
#[derive(Clone, Default)]
pub(crate) struct SimLog {
    rows: Vec<Arc<Batch>>,
    epoch: u64,
    streams: BTreeMap<StreamKey, Stream>,
    keys: BTreeMap<String, StreamKey>,
}

#[derive(Clone)]
struct Stream {
    version: u64,
    state: StreamState,
    saga: Option<SagaId>,
    history: History,
}

/// Why an append was refused.
#[derive(Debug)]
pub(crate) enum Refused {
    /// A higher epoch owns the partition.
    Fenced,
    /// A position or version is not the next one: I1 is broken.
    OutOfPlace(String),
}

impl SimLog {
    pub(crate) fn acquire(&mut self) -> u64 {
        self.epoch += 1;
        self.epoch
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn tail(&self) -> Position {
        self.rows
            .last()
            .map_or(Position::new(0), |row| row.last_position())
    }

    pub(crate) fn last_at(&self) -> Time {
        self.rows.last().map_or_else(Time::default, |row| row.at)
    }

    /// All batches, or none of them. Gives the events of sagas, for whoever checks.
    pub(crate) fn append(&mut self, epoch: u64, batches: &[Arc<Batch>]) -> Result<(), Refused> {
        if epoch != self.epoch {
            return Err(Refused::Fenced);
        }
        for batch in batches {
            self.append_one(batch)?;
        }
        Ok(())
    }

    fn append_one(&mut self, batch: &Arc<Batch>) -> Result<(), Refused> {
        if batch.position != self.tail().next() {
            let (given, tail) = (batch.position, self.tail());
            return Err(Refused::OutOfPlace(format!(
                "position {given} after {tail}"
            )));
        }
        if batch.at < self.last_at() {
            return Err(Refused::OutOfPlace("event time goes back".into()));
        }
        if let Some(name) = &batch.name {
            if self
                .keys
                .insert(name.as_str().to_owned(), batch.stream)
                .is_some()
            {
                return Err(Refused::OutOfPlace(format!("stream {name} begins twice")));
            }
            let history = History {
                key: batch.stream,
                events: Vec::new(),
            };
            let saga = SagaId::new(name.as_str()).ok();
            let stream = Stream {
                version: 0,
                state: batch.state,
                saga,
                history,
            };
            self.streams.insert(batch.stream, stream);
        }
        let Some(stream) = self.streams.get_mut(&batch.stream) else {
            return Err(Refused::OutOfPlace(format!(
                "stream {} has no beginning",
                batch.stream
            )));
        };
        if batch.version.get() != stream.version + 1 {
            let (given, last) = (batch.version, stream.version);
            return Err(Refused::OutOfPlace(format!(
                "version {given} after {last} of stream {}",
                batch.stream
            )));
        }
        stream.version = batch.last_version().get();
        stream.state = batch.state;
        if stream.saga.is_some() {
            for event in &batch.events {
                let read =
                    SagaEvent::decode(&event.kind, event.schema, &event.control, &event.data);
                let event = read.map_err(|why| Refused::OutOfPlace(why.to_string()))?;
                stream.history.events.push((batch.at, event));
            }
        }
        self.rows.push(batch.clone());
        Ok(())
    }

    /// The name of a saga's stream.
    pub(crate) fn saga(&self, stream: StreamKey) -> Option<&SagaId> {
        self.streams.get(&stream)?.saga.as_ref()
    }

    pub(crate) fn history(&self, saga: &SagaId) -> Option<&History> {
        let key = self.keys.get(saga.as_str())?;
        Some(&self.streams.get(key)?.history)
    }

    pub(crate) fn open(&self) -> Vec<(SagaId, History)> {
        let open = self
            .streams
            .values()
            .filter(|stream| stream.state == StreamState::Open);
        open.filter_map(|stream| Some((stream.saga.clone()?, stream.history.clone())))
            .collect()
    }

    pub(crate) fn heads(&self, mut heads: SystemHeads) -> SystemHeads {
        for head in [
            &mut heads.partition,
            &mut heads.definitions,
            &mut heads.late,
        ] {
            if let Some(key) = self.keys.get(head.name.as_str()) {
                head.key = Some(*key);
                head.version = sagalog_model::log::Version::new(self.streams[key].version);
            }
        }
        heads
    }

    /// What the system's streams say.
    pub(crate) fn system(&self) -> impl Iterator<Item = SystemEvent> {
        let rows = self
            .rows
            .iter()
            .filter(|row| self.saga(row.stream).is_none());
        rows.flat_map(|row| &row.events).filter_map(|event| {
            SystemEvent::decode(&event.kind, event.schema, &event.control, &event.data).ok()
        })
    }

    pub(crate) fn late(&self) -> Vec<LateSuccess> {
        let late = self.system().filter_map(|event| match event {
            SystemEvent::LateSuccess(late) => Some(late),
            SystemEvent::PartitionOwned(_) | SystemEvent::DefinitionRecorded(..) => None,
        });
        late.collect()
    }
}
