//! One partition of the simulated log: who owns it, what is stored, and what an append comes to.

use std::{collections::BTreeMap, sync::Arc};

use sagalog_engine::partition::{History, SystemHeads};
use sagalog_eventlog::{AppendError, Appended, Conflict, Head, Ownership, Refusal, StreamHead};
use sagalog_model::{
    SagaEvent, SagaId,
    dead_letter::LetterEvent,
    held_saga::HeldSagaEvent,
    log::{
        Batch, Epoch, NewEvent, PartitionId, Position, StreamKey, StreamName, StreamState, Time,
        Version,
    },
    system::{LateSuccess, SystemEvent},
};

use super::{row::Row, storable::storable, system_event};

/// About as many rows as a small run stores: room for them is made at once.
const ROWS: usize = 16;

/// A partition. Nodes are known by their numbers.
#[derive(Clone)]
pub(crate) struct LogPartition {
    id: PartitionId,
    /// Where the system's streams are before they begin: their names, written once.
    begins: Arc<SystemHeads>,
    epoch: Epoch,
    owner: Option<u32>,
    rows: Vec<Stored>,
    events: u64,
    streams: BTreeMap<StreamKey, Stream>,
    keys: BTreeMap<StreamName, StreamKey>,
}

/// A row and the ownership under which it was stored.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) epoch: Epoch,
    pub(crate) row: Arc<Row>,
}

#[derive(Clone)]
struct Stream {
    saga: Option<SagaId>,
    /// Its rows, as indexes; at least one.
    rows: Vec<u32>,
}

/// Another node owns the partition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Held {
    /// Which.
    pub(crate) by: u32,
}

/// Owning.
impl LogPartition {
    pub(super) fn new(id: PartitionId) -> Self {
        Self {
            id,
            begins: Arc::new(SystemHeads::none(id)),
            epoch: Epoch::default(),
            owner: None,
            rows: Vec::new(),
            events: 0,
            streams: BTreeMap::new(),
            keys: BTreeMap::new(),
        }
    }

    /// Raises the epoch, for a node that owns the partition already or if nobody does.
    pub(crate) fn acquire(&mut self, node: u32) -> Result<Ownership, Held> {
        match self.owner {
            Some(by) if by != node => return Err(Held { by }),
            _ => self.owner = Some(node),
        }
        self.epoch = self.epoch.next();
        Ok(self.ownership())
    }

    /// Gives the partition up, or lets the lease of a node that is gone run out. Does nothing if
    /// another node owns it.
    pub(crate) fn release(&mut self, node: u32) {
        self.owner.take_if(|owner| *owner == node);
    }

    /// The partition as its owner finds it.
    pub(crate) fn ownership(&self) -> Ownership {
        let open = self.streams(StreamKey::default());
        let open = open.filter(|stream| stream.state == StreamState::Open);
        Ownership {
            epoch: self.epoch,
            tail: self.tail(),
            last_at: self.last_at(),
            open: open.map(|stream| stream.key).collect(),
        }
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }
}

/// Appending.
impl LogPartition {
    /// All rows, or none of them; those that are stored already are not stored again.
    pub(crate) fn append(
        &mut self,
        node: u32,
        epoch: Epoch,
        rows: &[Arc<Row>],
    ) -> Result<Appended, AppendError> {
        storable(rows)?;
        self.fence(node, epoch)?;
        if let Err(conflict) = self.follows(rows) {
            return self.settle(conflict, rows);
        }
        self.on_time(rows)?;
        for row in rows {
            self.store(epoch, row);
        }
        Ok(Appended {
            last: self.tail(),
            already: false,
        })
    }

    pub(super) fn fence(&self, node: u32, epoch: Epoch) -> Result<(), AppendError> {
        if self.owner == Some(node) && self.epoch == epoch {
            return Ok(());
        }
        let partition = self.id;
        if self.owner != Some(node) && self.epoch <= epoch {
            return Err(AppendError::NotOwned { partition });
        }
        Err(AppendError::Fenced {
            partition,
            epoch,
            current: self.epoch,
        })
    }

    /// Whether the rows go right behind what is there.
    fn follows(&self, rows: &[Arc<Row>]) -> Result<(), Conflict> {
        let (given, tail) = (rows[0].batch().position, self.tail());
        if given != tail.next() {
            return Err(Conflict::Position { given, tail });
        }
        for (at, row) in rows.iter().enumerate() {
            let Batch {
                stream, version, ..
            } = *row.batch();
            let before = rows[..at].iter().map(|row| row.batch());
            let moved = before.rev().find(|batch| batch.stream == stream);
            let last = match moved {
                Some(batch) => batch.last_version(),
                None => self.last_version(stream),
            };
            if version != last.next() {
                return Err(Conflict::Version {
                    stream,
                    given: version,
                    last,
                });
            }
        }
        let mut names = rows.iter().filter_map(|row| row.batch().name.as_ref());
        match names.find(|name| self.keys.contains_key(*name)) {
            Some(name) => Err(Conflict::Name { name: name.clone() }),
            None => Ok(()),
        }
    }

    /// What becomes of an append that conflicts: if all of it is stored already, it is answered
    /// with where it is.
    fn settle(&self, conflict: Conflict, rows: &[Arc<Row>]) -> Result<Appended, AppendError> {
        let mut last = Position::default();
        for row in rows {
            let new = row.batch();
            match self.occupant(new.stream, new.version) {
                Some(old) if old.id == new.id && old.digest != new.digest => {
                    return Err(Refusal::OtherContent { id: new.id }.into());
                }
                Some(old) if old.id == new.id => last = last.max(old.last_position()),
                _ => return Err(conflict.into()),
            }
        }
        Ok(Appended {
            last,
            already: true,
        })
    }

    fn on_time(&self, rows: &[Arc<Row>]) -> Result<(), Refusal> {
        let mut last = self.last_at();
        for row in rows {
            let Batch { position, at, .. } = *row.batch();
            if at < last {
                return Err(Refusal::TimeRunsBack { position, at, last });
            }
            last = at;
        }
        Ok(())
    }

    fn store(&mut self, epoch: Epoch, row: &Arc<Row>) {
        let batch = row.batch();
        if let Some(name) = &batch.name {
            self.keys.insert(name.clone(), batch.stream);
        }
        let stream = self.streams.entry(batch.stream).or_insert_with(|| Stream {
            saga: batch
                .name
                .as_ref()
                .and_then(|name| SagaId::new(name.clone()).ok()),
            rows: Vec::new(),
        });
        stream.rows.push(self.rows.len() as u32);
        self.events += row.events().len() as u64;
        if self.rows.is_empty() {
            self.rows.reserve(ROWS);
        }
        self.rows.push(Stored {
            epoch,
            row: row.clone(),
        });
    }

    fn occupant(&self, stream: StreamKey, version: Version) -> Option<&Batch> {
        let mut batches = self.stream(stream).map(|stored| stored.row.batch());
        batches.find(|batch| batch.version == version)
    }
}

/// Reading.
impl LogPartition {
    /// The last position stored.
    pub(crate) fn tail(&self) -> Position {
        let last = self.rows.last().map(|stored| stored.row.batch());
        last.map_or_else(Position::default, Batch::last_position)
    }

    fn last_at(&self) -> Time {
        let last = self.rows.last().map(|stored| stored.row.batch());
        last.map_or_else(Time::default, |batch| batch.at)
    }

    fn last_version(&self, stream: StreamKey) -> Version {
        let last = self.stream(stream).next_back();
        last.map_or_else(Version::default, |stored| stored.row.batch().last_version())
    }

    /// The rows from the one that covers a position on.
    pub(crate) fn read(&self, from: Position) -> &[Stored] {
        let before = |stored: &Stored| stored.row.batch().last_position() < from;
        &self.rows[self.rows.partition_point(before)..]
    }

    /// The rows of a stream from the one that covers a version on; none if there is no such stream.
    pub(crate) fn read_stream(
        &self,
        key: StreamKey,
        from: Version,
    ) -> impl Iterator<Item = &Stored> {
        let covered = move |stored: &&Stored| stored.row.batch().last_version() >= from;
        self.stream(key).filter(covered)
    }

    fn stream(&self, key: StreamKey) -> impl DoubleEndedIterator<Item = &Stored> {
        let rows = self.streams.get(&key).map(|stream| &stream.rows);
        rows.into_iter()
            .flatten()
            .map(|index| &self.rows[*index as usize])
    }

    /// The rows of many streams, stream after stream in the order of their keys, behind a place.
    pub(crate) fn read_streams(
        &self,
        streams: &[StreamKey],
        after: Option<(StreamKey, Version)>,
    ) -> impl Iterator<Item = &Stored> {
        let mut streams = streams.to_vec();
        streams.sort_unstable();
        streams.dedup();
        let rows = streams.into_iter().flat_map(|stream| self.stream(stream));
        rows.filter(move |stored| {
            let batch = stored.row.batch();
            Some((batch.stream, batch.version)) > after
        })
    }

    /// The name of a stream.
    pub(crate) fn name(&self, key: StreamKey) -> Option<&StreamName> {
        self.stream(key).next()?.row.batch().name.as_ref()
    }

    /// Where a stream stands.
    pub(crate) fn head(&self, name: &StreamName) -> Option<Head> {
        let stream = *self.keys.get(name)?;
        let last = self.stream(stream).next_back()?.row.batch();
        Some(Head {
            stream,
            version: last.last_version(),
            state: last.state,
        })
    }

    /// The streams with keys above `after`, in the order in which they began.
    pub(crate) fn streams(&self, after: StreamKey) -> impl Iterator<Item = StreamHead> {
        let keys = self.streams.range(after.next()..).map(|(key, _)| *key);
        keys.filter_map(|key| {
            let first = self.stream(key).next()?.row.batch();
            let last = self.stream(key).next_back()?.row.batch();
            Some(StreamHead {
                name: self.name(key)?.clone(),
                key,
                version: last.last_version(),
                state: last.state,
                first_at: first.at,
                last_at: last.at,
            })
        })
    }
}

/// What the engine asks for.
impl LogPartition {
    /// How many events of sagas there are.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// The saga whose stream this is; none if it is the system's.
    pub(crate) fn saga(&self, stream: StreamKey) -> Option<&SagaId> {
        self.streams.get(&stream)?.saga.as_ref()
    }

    /// What happened to sagas, in order.
    pub(super) fn of_sagas(&self) -> impl Iterator<Item = (&SagaId, &Row)> {
        let rows = self.rows.iter().map(|stored| &*stored.row);
        rows.filter_map(|row| Some((self.saga(row.batch().stream)?, row)))
    }

    /// The events of a saga, in order; none if it is not here.
    pub(super) fn events_of(&self, saga: &SagaId) -> impl Iterator<Item = &SagaEvent> {
        let key = self.keys.get(saga.stream());
        let rows = key.into_iter().flat_map(|key| self.stream(*key));
        rows.flat_map(|stored| stored.row.events())
    }

    pub(crate) fn history(&self, saga: &SagaId) -> Option<History> {
        let key = *self.keys.get(saga.stream())?;
        Some(history(key, self.read_stream(key, Version::new(1))))
    }

    /// The histories of the sagas among these streams.
    pub(crate) fn histories(&self, streams: &[StreamKey]) -> Vec<(SagaId, History)> {
        let rows: Vec<_> = self.read_streams(streams, None).collect();
        let stream = |stored: &&Stored| stored.row.batch().stream;
        let streams = rows.chunk_by(|one, next| stream(one) == stream(next));
        streams
            .filter_map(|rows| {
                let key = stream(&rows[0]);
                Some((self.saga(key)?.clone(), history(key, rows.iter().copied())))
            })
            .collect()
    }

    pub(crate) fn heads(&self) -> SystemHeads {
        let mut heads = SystemHeads::clone(&self.begins);
        for head in [
            &mut heads.partition,
            &mut heads.definitions,
            &mut heads.late,
            &mut heads.letters,
            &mut heads.held,
            &mut heads.breakers,
        ] {
            if let Some(found) = self.head(&head.name) {
                head.key = Some(found.stream);
                head.version = found.version;
            }
        }
        heads
    }

    /// What there is to fold of the dead letters.
    pub(crate) fn letters(&self) -> Vec<(Version, Time, LetterEvent)> {
        self.since_the_oldest(&self.begins.letters.name, Row::letters, LetterEvent::oldest)
    }

    /// What there is to fold of the sagas that cannot be driven.
    pub(crate) fn held_sagas(&self) -> Vec<(Version, Time, HeldSagaEvent)> {
        let name = &self.begins.held.name;
        self.since_the_oldest(name, Row::held_sagas, HeldSagaEvent::oldest)
    }

    /// The events of a stream whose newest event says where they begin.
    fn since_the_oldest<T: Clone>(
        &self,
        name: &StreamName,
        of: impl Fn(&Row) -> &[T],
        oldest: impl Fn(&T) -> Version,
    ) -> Vec<(Version, Time, T)> {
        let Some(key) = self.keys.get(name) else {
            return Vec::new();
        };
        let newest = self.stream(*key).next_back();
        let newest = newest.and_then(|stored| of(&stored.row).last());
        let from = newest.map_or(Version::new(1), oldest);
        let rows = self.read_stream(*key, from);
        let events = rows.flat_map(|stored| {
            let batch = stored.row.batch();
            let events = (0..).zip(of(&stored.row));
            events.map(|(index, event)| (batch.version.plus(index), batch.at, event.clone()))
        });
        events.filter(|(version, ..)| *version >= from).collect()
    }

    /// What the system's streams hold.
    pub(crate) fn system(&self) -> impl Iterator<Item = &NewEvent> {
        let rows = self.rows.iter().map(|stored| &stored.row);
        let system = rows.filter(|row| row.is_of_the_system());
        system.flat_map(|row| &row.batch().events)
    }

    /// The contradictions that are on record.
    pub(crate) fn late(&self) -> impl Iterator<Item = LateSuccess> {
        let late = self.system().filter(|event| event.kind == "LateSuccess");
        late.filter_map(|event| match system_event(event) {
            Some(SystemEvent::LateSuccess(late)) => Some(late),
            _ => None,
        })
    }
}

fn history<'a>(key: StreamKey, rows: impl Iterator<Item = &'a Stored>) -> History {
    let events = rows.flat_map(|stored| {
        let at = stored.row.batch().at;
        let events = stored.row.events().iter();
        events.map(move |event| (at, event.clone()))
    });
    History {
        key,
        events: events.collect(),
    }
}
