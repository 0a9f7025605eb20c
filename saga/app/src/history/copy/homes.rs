//! Where the rows of a log go in another, of as many or of other partitions.
//!
//! ```text
//!   a saga's stream     the partition that the hash of its id picks; nothing of it changes but positions
//!   $definitions        every partition, each definition once
//!   $late, $held-N      event by event, to the partition of its saga
//!   $breakers-N         every partition, each request once: what a person wants is wanted of all
//!   $dead-N             the same partition, or N modulo their count
//!   $partition-N        history: $owned-N, in the same partition, or N modulo their count
//! ```
//!
//! A stream of the system that is put together anew has versions of its own. What its events say about those,
//! which is where to begin to read, is said anew; nothing else is.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    num::NonZeroU32,
};

use sagalog_engine::partition::SystemHead;
use sagalog_eventlog::{Recorded, Row};
use sagalog_model::{
    SagaId,
    event::UnreadableEvent,
    log::{
        Batch, NewEvent, PartitionId, Position, StreamKey, StreamName, StreamState, Time, Version,
    },
    system::{
        SystemEvent, breakers_stream, dead_letters_stream, definitions_stream,
        former_partition_stream, held_sagas_stream, late_stream, partition_stream,
    },
};
use sagalog_projections::{Breakers, DeadLetters, HeldSagas};

/// The partitions of a log that is copied into.
pub(super) struct Homes {
    count: NonZeroU32,
    homes: Vec<Home>,
    /// The open sagas' streams and all of the system's, by where they come from.
    streams: HashMap<(PartitionId, StreamKey), Stream>,
}

/// Why a row has no place in the copy.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotPlaced {
    #[error("partition {partition}, position {position}: {source}")]
    Unreadable {
        partition: PartitionId,
        position: Position,
        #[source]
        source: UnreadableEvent,
    },
    #[error(
        "partition {partition}, position {position}: this release does not know what the stream {name} is for"
    )]
    UnknownStream {
        partition: PartitionId,
        position: Position,
        name: StreamName,
    },
    #[error("partition {partition}, position {position}: its stream has ended, or never began")]
    NoStream {
        partition: PartitionId,
        position: Position,
    },
}

#[derive(Clone)]
enum Stream {
    Saga(PartitionId, StreamKey),
    System(Kind),
}

/// What one of the system's streams is for.
#[derive(Clone, Copy)]
enum Kind {
    Definitions,
    Late,
    /// Of the partition with this number.
    Owners(PartitionId),
    Dead,
    Held,
    Breakers,
}

/// One partition.
struct Home {
    partition: PartitionId,
    tail: Position,
    heads: BTreeMap<StreamName, SystemHead>,
    definitions: BTreeSet<(String, u32)>,
    letters: DeadLetters,
    held: HeldSagas,
    breakers: Breakers,
}

impl Homes {
    /// So many partitions, each with the first events of its `$partition-N` in rows of their own.
    pub(super) fn new(count: NonZeroU32, first: u64) -> Self {
        let home = |number| {
            let partition = PartitionId::new(number);
            let head = SystemHead {
                name: partition_stream(partition),
                key: Some(StreamKey::new(1)),
                version: Version::new(first),
            };
            Home {
                partition,
                tail: Position::new(first),
                heads: BTreeMap::from([(head.name.clone(), head)]),
                definitions: BTreeSet::new(),
                letters: DeadLetters::default(),
                held: HeldSagas::default(),
                breakers: Breakers::default(),
            }
        };
        Self {
            count,
            homes: (0..count.get()).map(home).collect(),
            streams: HashMap::new(),
        }
    }

    /// The last position of each partition.
    pub(super) fn tails(&self) -> impl Iterator<Item = Position> {
        self.homes.iter().map(|home| home.tail)
    }

    /// What the next row of this partition is in the copy.
    pub(super) fn place(
        &mut self,
        from: PartitionId,
        row: Row,
    ) -> Result<Vec<(PartitionId, Batch)>, NotPlaced> {
        let stream = (from, row.stream);
        if let Some(name) = &row.name {
            let begun = self.begin(from, name, row.position)?;
            self.streams.insert(stream, begun);
        }
        match self.streams.get(&stream).cloned() {
            None => Err(NotPlaced::NoStream {
                partition: from,
                position: row.position,
            }),
            Some(Stream::Saga(home, key)) => {
                if row.state == StreamState::Closed {
                    self.streams.remove(&stream);
                }
                Ok(vec![(home, self.homes[home.get() as usize].saga(key, row))])
            }
            Some(Stream::System(kind)) => self.system(kind, from, &row),
        }
    }

    fn begin(
        &self,
        from: PartitionId,
        name: &StreamName,
        position: Position,
    ) -> Result<Stream, NotPlaced> {
        let text = name.as_str();
        if !text.starts_with('$') {
            let home = PartitionId::of(text, self.count);
            let key = self.homes[home.get() as usize].tail.next();
            return Ok(Stream::Saga(home, StreamKey::new(key.get())));
        }
        let former = text.strip_prefix("$owned-").map(str::parse);
        Ok(Stream::System(match former {
            Some(Ok(number)) => Kind::Owners(PartitionId::new(number)),
            _ if *name == definitions_stream() => Kind::Definitions,
            _ if *name == late_stream() => Kind::Late,
            _ if *name == partition_stream(from) => Kind::Owners(from),
            _ if *name == dead_letters_stream(from) => Kind::Dead,
            _ if *name == held_sagas_stream(from) => Kind::Held,
            _ if *name == breakers_stream(from) => Kind::Breakers,
            _ => {
                return Err(NotPlaced::UnknownStream {
                    partition: from,
                    position,
                    name: name.clone(),
                });
            }
        }))
    }

    fn system(
        &mut self,
        kind: Kind,
        from: PartitionId,
        row: &Row,
    ) -> Result<Vec<(PartitionId, Batch)>, NotPlaced> {
        let mut parts: BTreeMap<PartitionId, Vec<(SystemEvent, NewEvent)>> = BTreeMap::new();
        for event in row.events() {
            let it = event.recorded;
            let decoded = SystemEvent::decode(&it.kind, it.schema, &it.control, &it.data);
            let decoded = decoded.map_err(|source| NotPlaced::Unreadable {
                partition: from,
                position: event.position,
                source,
            })?;
            for home in self.homes_of(kind, from, &decoded) {
                let event = (decoded.clone(), new_event(it));
                parts.entry(home).or_default().push(event);
            }
        }
        let parts = parts.into_iter().filter_map(|(partition, events)| {
            let home = &mut self.homes[partition.get() as usize];
            Some((partition, home.system(kind, row, events)?))
        });
        Ok(parts.collect())
    }

    fn homes_of(&self, kind: Kind, from: PartitionId, event: &SystemEvent) -> Vec<PartitionId> {
        let of = |saga: &SagaId| vec![PartitionId::of(saga.as_str(), self.count)];
        let same = |number: PartitionId| vec![PartitionId::new(number.get() % self.count)];
        match (kind, event) {
            (Kind::Definitions | Kind::Breakers, _) => {
                self.homes.iter().map(|home| home.partition).collect()
            }
            (_, SystemEvent::LateSuccess(late)) => of(&late.saga),
            (_, SystemEvent::HeldSaga(event)) => of(event.saga()),
            (Kind::Owners(number), _) => same(number),
            _ => same(from),
        }
    }
}

impl Home {
    fn saga(&mut self, stream: StreamKey, row: Row) -> Batch {
        let events: Vec<_> = row.events.iter().map(new_event).collect();
        Batch {
            stream,
            name: row.name,
            version: row.version,
            position: self.room_for(events.len()),
            at: row.at,
            id: row.id,
            input: row.input,
            digest: row.digest,
            state: row.state,
            events,
        }
    }

    /// The part of a row that goes here; none if it says nothing new.
    fn system(
        &mut self,
        kind: Kind,
        row: &Row,
        mut events: Vec<(SystemEvent, NewEvent)>,
    ) -> Option<Batch> {
        events.retain(|(event, _)| match event {
            SystemEvent::DefinitionRecorded(recorded, _) => {
                let key = (recorded.saga.to_string(), recorded.version.0);
                self.definitions.insert(key)
            }
            SystemEvent::Breaker(event) => !self.breakers.knows(event.id()),
            _ => true,
        });
        if events.is_empty() {
            return None;
        }
        let position = self.room_for(events.len());
        let name = kind.stream_in(self.partition);
        let head = self
            .heads
            .entry(name.clone())
            .or_insert_with(|| SystemHead {
                name,
                key: None,
                version: Version::default(),
            });
        let key = *head
            .key
            .get_or_insert_with(|| StreamKey::new(position.get()));
        let version = head.version.next();
        head.version = Version::new(head.version.get() + events.len() as u64);
        let name = (version == Version::new(1)).then(|| head.name.clone());
        let behind = head.version.next();
        self.fold(&mut events, version, behind, row.at);
        Some(Batch {
            stream: key,
            name,
            version,
            position,
            at: row.at,
            id: row.id,
            input: row.input,
            digest: row.digest,
            state: row.state,
            events: events.into_iter().map(|(_, event)| event).collect(),
        })
    }

    /// Says anew where to begin to read, as whoever records such events does.
    fn fold(
        &mut self,
        events: &mut [(SystemEvent, NewEvent)],
        first: Version,
        behind: Version,
        at: Time,
    ) {
        for (index, (event, _)) in events.iter().enumerate() {
            let place = first.plus(index as u64);
            match event {
                SystemEvent::Letter(event) => self.letters.apply(event, place, at),
                SystemEvent::HeldSaga(event) => self.held.apply(event, place, at),
                SystemEvent::Breaker(event) => self.breakers.apply(event, place, at),
                _ => {}
            }
        }
        for (event, stored) in events {
            match event {
                SystemEvent::Letter(event) => {
                    let oldest = self.letters.oldest().unwrap_or(behind);
                    *event.oldest_mut() = oldest;
                }
                SystemEvent::HeldSaga(event) => {
                    *event.oldest_mut() = self.held.oldest().unwrap_or(behind);
                }
                SystemEvent::Breaker(event) => {
                    *event.oldest_mut() = self.breakers.oldest().unwrap_or(behind);
                }
                _ => continue,
            }
            stored.control = event.encode().control;
        }
    }

    fn room_for(&mut self, events: usize) -> Position {
        let position = self.tail.next();
        self.tail = self.tail.plus(events as u64);
        position
    }
}

impl Kind {
    fn stream_in(self, partition: PartitionId) -> StreamName {
        match self {
            Self::Definitions => definitions_stream(),
            Self::Late => late_stream(),
            Self::Owners(of) => former_partition_stream(of),
            Self::Dead => dead_letters_stream(partition),
            Self::Held => held_sagas_stream(partition),
            Self::Breakers => breakers_stream(partition),
        }
    }
}

fn new_event(stored: &Recorded) -> NewEvent {
    NewEvent {
        kind: stored.kind.clone(),
        schema: stored.schema,
        control: stored.control.clone(),
        data: stored.data.clone(),
    }
}

#[cfg(test)]
mod tests {
    use sagalog_model::{
        dead_letter::{LetterEvent, Purged, WhyPurged},
        held_saga::{HeldSagaEvent, SagaHeld, SagaReleased},
        log::{BatchId, Digest, Epoch, InputId},
    };

    use super::*;

    /// A row of one of the system's streams.
    fn row(stream: (u64, &StreamName), version: u64, position: u64, event: SystemEvent) -> Row {
        let (key, name) = stream;
        let batch = Batch {
            stream: StreamKey::new(key),
            name: (version == 1).then(|| name.clone()),
            version: Version::new(version),
            position: Position::new(position),
            at: Time::from_micros(position),
            id: BatchId(u128::from(position)),
            input: InputId(0),
            digest: Digest::default(),
            state: StreamState::Closed,
            events: vec![event.encode()],
        };
        Row::new(batch, Epoch::new(1))
    }

    fn held(saga: &str, oldest: u64) -> SystemEvent {
        SystemEvent::HeldSaga(HeldSagaEvent::Held(SagaHeld {
            saga: SagaId::new(saga).expect("a good id"),
            reason: "no such definition".into(),
            oldest: Version::new(oldest),
        }))
    }

    fn released(saga: &str, oldest: u64) -> SystemEvent {
        SystemEvent::HeldSaga(HeldSagaEvent::Released(SagaReleased {
            saga: SagaId::new(saga).expect("a good id"),
            refused: Vec::new(),
            oldest: Version::new(oldest),
        }))
    }

    fn purged(letter: u128, oldest: u64) -> SystemEvent {
        SystemEvent::Letter(LetterEvent::Purged(Purged {
            letter: sagalog_model::dead_letter::LetterId(letter),
            why: WhyPurged::Expired,
            oldest: Version::new(oldest),
        }))
    }

    fn decoded(batch: &Batch) -> Vec<SystemEvent> {
        let decode = |it: &NewEvent| {
            SystemEvent::decode(&it.kind, it.schema, &it.control, &it.data).expect("it reads")
        };
        batch.events.iter().map(decode).collect()
    }

    #[test]
    fn what_is_held_goes_to_the_partition_of_its_saga_and_says_anew_where_to_begin() {
        let sixteen = NonZeroU32::new(16).expect("not zero");
        let mut homes = Homes::new(sixteen, FIRST);
        let name = held_sagas_stream(PartitionId::new(0));
        let of = |saga: &str| PartitionId::of(saga, sixteen);
        let ids = (0..).map(|number| format!("a{number}"));
        let alone = ids
            .into_iter()
            .find(|id| of(id) != of("b") && of(id) != of("c"));
        let alone = alone.expect("there are sixteen partitions");
        let events = [
            held(&alone, 1),
            held("b", 1),
            held("c", 1),
            released(&alone, 2),
        ];
        let mut placed = Vec::new();
        for (index, event) in events.into_iter().enumerate() {
            let number = index as u64 + 1;
            let row = row((1, &name), number, number, event);
            placed.extend(
                homes
                    .place(PartitionId::new(0), row)
                    .expect("it has a place"),
            );
        }
        for (partition, batch) in &placed {
            for event in decoded(batch) {
                let SystemEvent::HeldSaga(event) = event else {
                    panic!("another event: {event:?}");
                };
                assert_eq!(*partition, of(event.saga().as_str()));
            }
            if let Some(name) = &batch.name {
                assert_eq!(*name, held_sagas_stream(*partition));
            }
        }
        // Nothing is left to be read in the partition of the one that is alone there.
        let (_, last) = placed.last().expect("four rows");
        assert_eq!(last.version, Version::new(2));
        assert_eq!(decoded(last), [released(&alone, 3)]);
    }

    #[test]
    fn streams_of_partitions_that_are_no_more_follow_one_another_in_those_that_are() {
        let mut homes = Homes::new(NonZeroU32::MIN, FIRST);
        let mut versions = Vec::new();
        for partition in [PartitionId::new(0), PartitionId::new(1)] {
            let name = dead_letters_stream(partition);
            let row = row((1, &name), 1, 1, purged(7, 2));
            for (home, batch) in homes.place(partition, row).expect("it has a place") {
                assert_eq!(home, PartitionId::new(0));
                versions.push((batch.position.get(), batch.version.get(), batch.name));
            }
        }
        let name = dead_letters_stream(PartitionId::new(0));
        assert_eq!(versions, [(3, 1, Some(name)), (4, 2, None)]);
    }

    #[test]
    fn a_stream_of_a_later_release_has_no_place() {
        let mut homes = Homes::new(NonZeroU32::MIN, FIRST);
        let name = StreamName::new("$quotas").expect("a good name");
        let row = row((1, &name), 1, 1, purged(7, 1));
        let refused = homes.place(PartitionId::new(0), row);
        assert!(matches!(refused, Err(NotPlaced::UnknownStream { .. })));
    }

    const FIRST: u64 = 2;
}
