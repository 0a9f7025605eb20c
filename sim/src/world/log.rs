//! The log of a simulated world: rows in memory, fenced by epoch, checked as a real one checks.

use std::{collections::BTreeMap, sync::Arc};

use sagalog_engine::partition::{History, SystemHeads};
use sagalog_model::{
    SagaEvent, SagaId,
    log::{Batch, NewEvent, Position, StreamKey, StreamState, Time, Version},
    system::{LateSuccess, SystemEvent},
};

/// What is durable. Rows are shared between the forks of a world.
#[derive(Clone, Default)]
pub(crate) struct SimLog {
    rows: Vec<Arc<Row>>,
    epoch: u64,
    events: u64,
    streams: BTreeMap<StreamKey, Stream>,
    keys: BTreeMap<Arc<str>, StreamKey>,
}

/// A batch as it is appended, and its events as they are read back: once, for all who look.
#[derive(Debug)]
pub(crate) struct Row {
    batch: Batch,
    /// None for a stream of the system.
    events: Option<Vec<SagaEvent>>,
}

impl Row {
    /// Reads a batch back from its bytes, as a real log's reader would.
    pub(crate) fn read(batch: Batch) -> Result<Self, String> {
        let read = |event: &NewEvent| {
            SagaEvent::decode(&event.kind, event.schema, &event.control, &event.data)
        };
        let events = match batch.events.iter().map(read).collect() {
            Ok(events) => Some(events),
            Err(_) if batch.events.iter().all(is_of_the_system) => None,
            Err(why) => return Err(why.to_string()),
        };
        Ok(Self { batch, events })
    }

    pub(crate) fn batch(&self) -> &Batch {
        &self.batch
    }

    /// The events of a saga; none of the system's.
    pub(crate) fn events(&self) -> &[SagaEvent] {
        self.events.as_deref().unwrap_or_default()
    }
}

fn is_of_the_system(event: &NewEvent) -> bool {
    ["PartitionOwned", "DefinitionRecorded", "LateSuccess"].contains(&&*event.kind)
}

#[derive(Clone)]
struct Stream {
    version: u64,
    state: StreamState,
    saga: Option<SagaId>,
    rows: Vec<Arc<Row>>,
}

impl Stream {
    fn history(&self, key: StreamKey) -> History {
        let events = self.rows.iter().flat_map(|row| {
            let at = row.batch.at;
            row.events().iter().map(move |event| (at, event.clone()))
        });
        History {
            key,
            events: events.collect(),
        }
    }
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
            .map_or(Position::new(0), |row| row.batch.last_position())
    }

    pub(crate) fn last_at(&self) -> Time {
        self.rows
            .last()
            .map_or_else(Time::default, |row| row.batch.at)
    }

    /// All rows, or none of them.
    pub(crate) fn append(&mut self, epoch: u64, rows: &[Arc<Row>]) -> Result<(), Refused> {
        if epoch != self.epoch {
            return Err(Refused::Fenced);
        }
        rows.iter().try_for_each(|row| self.append_one(row))
    }

    fn append_one(&mut self, row: &Arc<Row>) -> Result<(), Refused> {
        let batch = &row.batch;
        if batch.position != self.tail().next() {
            let (given, tail) = (batch.position, self.tail());
            return Err(Refused::OutOfPlace(format!(
                "position {given} after {tail}"
            )));
        }
        if batch.at < self.last_at() {
            return Err(Refused::OutOfPlace("event time goes back".into()));
        }
        if batch.name.is_some() {
            self.begin(batch)?;
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
        if stream.saga.is_some() != row.events.is_some() {
            return Err(Refused::OutOfPlace(format!(
                "events of another kind in stream {}",
                batch.stream
            )));
        }
        stream.version = batch.last_version().get();
        stream.state = batch.state;
        stream.rows.push(row.clone());
        self.rows.push(row.clone());
        self.events += row.events().len() as u64;
        Ok(())
    }

    fn begin(&mut self, batch: &Batch) -> Result<(), Refused> {
        let name = batch.name.as_ref().expect("the caller has looked");
        if self
            .keys
            .insert(name.as_str().into(), batch.stream)
            .is_some()
        {
            return Err(Refused::OutOfPlace(format!("stream {name} begins twice")));
        }
        let stream = Stream {
            version: 0,
            state: batch.state,
            saga: SagaId::new(name.as_str()).ok(),
            rows: Vec::new(),
        };
        self.streams.insert(batch.stream, stream);
        Ok(())
    }

    /// All batches, in order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Batch> {
        self.rows.iter().map(|row| row.batch())
    }

    /// How many events of sagas there are.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// The name of a saga's stream.
    pub(crate) fn saga(&self, stream: StreamKey) -> Option<&SagaId> {
        self.streams.get(&stream)?.saga.as_ref()
    }

    pub(crate) fn history(&self, saga: &SagaId) -> Option<History> {
        let key = self.keys.get(saga.as_str())?;
        Some(self.streams.get(key)?.history(*key))
    }

    pub(crate) fn open(&self) -> Vec<(SagaId, History)> {
        let open = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.state == StreamState::Open);
        open.filter_map(|(key, stream)| Some((stream.saga.clone()?, stream.history(*key))))
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
                head.version = Version::new(self.streams[key].version);
            }
        }
        heads
    }

    /// What the system's streams hold.
    pub(crate) fn system(&self) -> impl Iterator<Item = &NewEvent> {
        let system = self.rows.iter().filter(|row| row.events.is_none());
        system.flat_map(|row| &row.batch.events)
    }

    /// The contradictions that are on record.
    pub(crate) fn late(&self) -> Vec<LateSuccess> {
        let late = self.system().filter(|event| event.kind == "LateSuccess");
        late.filter_map(|event| match system_event(event) {
            Some(SystemEvent::LateSuccess(late)) => Some(late),
            _ => None,
        })
        .collect()
    }
}

/// Reads an event of the system.
pub(crate) fn system_event(event: &NewEvent) -> Option<SystemEvent> {
    SystemEvent::decode(&event.kind, event.schema, &event.control, &event.data).ok()
}
