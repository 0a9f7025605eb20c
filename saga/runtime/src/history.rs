//! Reading what the log holds: sagas' histories, and the system's streams.

use std::{collections::BTreeMap, sync::Arc};

use sagalog_engine::partition::{Found, History, SystemHead, SystemHeads, Unreadable};
use sagalog_eventlog::{EventLog, ReadError, Row};
use sagalog_model::{
    Fingerprint, Graph, SagaEvent, SagaId,
    breaker::BreakerEvent,
    dead_letter::LetterEvent,
    event::UnreadableEvent,
    held_saga::HeldSagaEvent,
    log::{PartitionId, Position, StreamKey, StreamName, Time, Version},
    system::{
        LateSuccess, SystemEvent, breakers_stream, dead_letters_stream, definitions_stream,
        held_sagas_stream, late_stream, partition_stream,
    },
};
use sagalog_projections::{
    Breakers, DeadLetters, HeldSagas, IllegalEvent, SagaState, dead_letters::Totals,
};

use crate::driver::chain;

/// Rows of one read.
const PAGE: usize = 2_000;

/// Why a history could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An event at this position is not one that this release can read.
    #[error("{log}, partition {partition}, position {position}")]
    Unreadable {
        /// The log.
        log: String,
        /// The partition.
        partition: PartitionId,
        /// The event's position.
        position: Position,
        /// What is wrong with it.
        #[source]
        source: UnreadableEvent,
    },
    /// A stream that should be a saga's has another name.
    #[error("{log}, partition {partition}: stream {stream} has no saga's name")]
    NoSaga {
        /// The log.
        log: String,
        /// The partition.
        partition: PartitionId,
        /// The stream.
        stream: StreamKey,
    },
    /// A saga runs a definition whose graph the log does not hold.
    #[error("{log}: saga `{saga}` runs a definition whose graph is not recorded")]
    NoGraph {
        /// The log.
        log: String,
        /// The saga.
        saga: SagaId,
    },
    /// A saga's events do not follow one another.
    #[error(transparent)]
    Illegal(#[from] IllegalEvent),
}

/// What is on record beside the sagas.
pub(crate) struct SystemStreams {
    pub(crate) heads: SystemHeads,
    pub(crate) late: Vec<LateSuccess>,
    pub(crate) letters: Vec<(Version, Time, LetterEvent)>,
    pub(crate) held: Vec<(Version, Time, HeldSagaEvent)>,
    pub(crate) breakers: Vec<(Version, Time, BreakerEvent)>,
}

/// The sagas under way: those whose histories read, and the others.
#[derive(Default)]
pub(crate) struct Open {
    pub(crate) histories: Vec<(SagaId, History)>,
    pub(crate) unreadable: Vec<(SagaId, Unreadable)>,
}

/// A stream as it was read: its name, and its history unless an event of it does not read.
type Read = (Option<StreamName>, Result<History, HistoryError>);

/// Reads one partition of a log as sagas.
#[derive(Clone)]
pub struct Reader {
    log: Arc<dyn EventLog>,
    partition: PartitionId,
}

/// The graphs that a log holds, by saga name and version.
pub type Graphs = BTreeMap<(String, u32), (Fingerprint, Arc<Graph>)>;

impl Reader {
    /// Reads this partition.
    pub fn new(log: Arc<dyn EventLog>, partition: PartitionId) -> Self {
        Self { log, partition }
    }

    pub(crate) fn log(&self) -> &Arc<dyn EventLog> {
        &self.log
    }

    pub(crate) const fn partition(&self) -> PartitionId {
        self.partition
    }

    /// What the log holds of these sagas, in their order.
    ///
    /// # Errors
    /// [`HistoryError`]
    pub async fn look_up(&self, sagas: &[SagaId]) -> Result<Vec<Found>, HistoryError> {
        let names: Vec<_> = sagas.iter().map(|saga| saga.stream().clone()).collect();
        let heads = self.log.heads(self.partition, &names).await?;
        let keys: Vec<_> = heads.iter().flatten().map(|head| head.stream).collect();
        let mut histories = if keys.is_empty() {
            BTreeMap::new()
        } else {
            self.read_histories(keys).await?
        };
        let found = heads.into_iter().map(|head| {
            match head.and_then(|head| histories.remove(&head.stream)) {
                Some((_, Ok(history))) => Found::History(history),
                Some((_, Err(why))) => Found::Unreadable(unreadable(&why)),
                None => Found::Nothing,
            }
        });
        Ok(found.collect())
    }

    /// The histories of these streams, each with the name in its first row, or why it does not read.
    ///
    /// # Errors
    /// [`HistoryError`] if the log cannot be read.
    pub async fn read_histories(
        &self,
        mut keys: Vec<StreamKey>,
    ) -> Result<BTreeMap<StreamKey, Read>, HistoryError> {
        keys.sort_unstable();
        let mut histories = BTreeMap::new();
        let mut after: Option<(StreamKey, Version)> = None;
        loop {
            let rows = self
                .log
                .read_streams(self.partition, &keys, after, PAGE)
                .await?;
            let Some(last) = rows.last() else {
                return Ok(histories);
            };
            after = Some((last.stream, last.last_version()));
            for row in rows {
                let (name, read) = histories.entry(row.stream).or_insert_with(|| {
                    let history = History {
                        key: row.stream,
                        events: Vec::new(),
                    };
                    (None, Ok(history))
                });
                if name.is_none() {
                    name.clone_from(&row.name);
                }
                for event in row.events() {
                    let Ok(history) = read else { break };
                    match self.decode(&row, event.position, SagaEvent::decode, event.recorded) {
                        Ok(decoded) => history.events.push((row.at, decoded)),
                        Err(why) => *read = Err(why),
                    }
                }
            }
        }
    }

    /// The histories of these open sagas, by id.
    ///
    /// # Errors
    /// [`HistoryError`] if the log cannot be read, or a stream is not a saga's.
    pub(crate) async fn open(&self, keys: Vec<StreamKey>) -> Result<Open, HistoryError> {
        let mut open = Open::default();
        for (stream, (name, read)) in self.read_histories(keys).await? {
            let id = name.and_then(|name| SagaId::new(name.as_str()).ok());
            let id = id.ok_or_else(|| HistoryError::NoSaga {
                log: self.log.name().to_owned(),
                partition: self.partition,
                stream,
            })?;
            match read {
                Ok(history) => open.histories.push((id, history)),
                Err(why) => open.unreadable.push((id, unreadable(&why))),
            }
        }
        Ok(open)
    }

    /// The state of a saga, as far as the log goes, or as of an earlier version of its stream.
    ///
    /// # Errors
    /// [`HistoryError`]
    pub async fn state(
        &self,
        saga: &SagaId,
        graphs: &Graphs,
        at: Option<Version>,
    ) -> Result<Option<SagaState>, HistoryError> {
        let found = self.look_up(std::slice::from_ref(saga)).await?.pop();
        let Some(Found::History(history)) = found else {
            return Ok(None);
        };
        self.fold(saga, &history, graphs, at).map(Some)
    }

    /// Folds a history, or the beginning of it.
    ///
    /// # Errors
    /// [`HistoryError`]
    pub fn fold(
        &self,
        saga: &SagaId,
        history: &History,
        graphs: &Graphs,
        at: Option<Version>,
    ) -> Result<SagaState, HistoryError> {
        let no_graph = || HistoryError::NoGraph {
            log: self.log.name().to_owned(),
            saga: saga.clone(),
        };
        let mut events = history.events.iter();
        let Some((time, SagaEvent::Started(started))) = events.next() else {
            return Err(no_graph());
        };
        let key = (started.definition.to_string(), started.version.0);
        let (_, graph) = graphs.get(&key).ok_or_else(no_graph)?;
        let mut state = SagaState::start(saga.clone(), graph.clone(), started, *time);
        let count = at.map_or(usize::MAX, |at| at.get().saturating_sub(1) as usize);
        for (time, event) in events.take(count) {
            state.apply(event, *time)?;
        }
        Ok(state)
    }

    /// The graphs that the log holds.
    ///
    /// # Errors
    /// [`HistoryError`]
    pub async fn graphs(&self) -> Result<Graphs, HistoryError> {
        let mut graphs = Graphs::new();
        for event in self.system(definitions_stream()).await?.1 {
            if let SystemEvent::DefinitionRecorded(recorded, graph) = event {
                let key = (recorded.saga.to_string(), recorded.version.0);
                graphs.insert(key, (recorded.fingerprint, graph));
            }
        }
        Ok(graphs)
    }

    /// What is on record beside the sagas, and where the system's streams are.
    pub(crate) async fn system_streams(&self) -> Result<SystemStreams, HistoryError> {
        let (partition, _) = self.system(partition_stream(self.partition)).await?;
        let (definitions, _) = self.system(definitions_stream()).await?;
        let (late, events) = self.system(late_stream()).await?;
        let (letters, letter_events) = self.letters().await?;
        let (held, held_events) = self.held().await?;
        let (breakers, breaker_events) = self.breaker_events().await?;
        let events = events.into_iter().filter_map(|event| match event {
            SystemEvent::LateSuccess(late) => Some(late),
            _ => None,
        });
        Ok(SystemStreams {
            heads: SystemHeads {
                partition,
                definitions,
                late,
                letters,
                held,
                breakers,
            },
            late: events.collect(),
            letters: letter_events,
            held: held_events,
            breakers: breaker_events,
        })
    }

    /// The dead letters that are on record and not given up.
    ///
    /// # Errors
    /// [`HistoryError`]
    pub async fn dead_letters(&self) -> Result<DeadLetters, HistoryError> {
        let mut letters = DeadLetters::default();
        for (version, at, event) in self.letters().await?.1 {
            letters.apply(&event, version, at);
        }
        Ok(letters)
    }

    /// The sagas that cannot be driven, with what waits for them.
    ///
    /// # Errors
    /// [`HistoryError`]
    pub async fn held_sagas(&self) -> Result<HeldSagas, HistoryError> {
        let mut held = HeldSagas::default();
        for (version, at, event) in self.held().await?.1 {
            held.apply(&event, version, at);
        }
        Ok(held)
    }

    /// The breakers that people keep open.
    ///
    /// # Errors
    /// [`HistoryError`]
    pub async fn breakers(&self) -> Result<Breakers, HistoryError> {
        let mut breakers = Breakers::default();
        for (version, at, event) in self.breaker_events().await?.1 {
            breakers.apply(&event, version, at);
        }
        Ok(breakers)
    }

    /// How often what happened to dead letters. It reads all that is on record of them.
    ///
    /// # Errors
    /// [`HistoryError`]
    pub async fn dead_letter_totals(&self) -> Result<Totals, HistoryError> {
        let mut totals = Totals::default();
        let head = self.head(dead_letters_stream(self.partition)).await?;
        self.read_system(&head, Version::new(1), |_, _, event| {
            if let SystemEvent::Letter(event) = event {
                totals.apply(&event);
            }
        })
        .await?;
        Ok(totals)
    }

    /// What there is to fold of the dead letters.
    async fn letters(
        &self,
    ) -> Result<(SystemHead, Vec<(Version, Time, LetterEvent)>), HistoryError> {
        let letter = |event| match event {
            SystemEvent::Letter(event) => Some(event),
            _ => None,
        };
        let stream = dead_letters_stream(self.partition);
        self.newest_of(stream, letter, LetterEvent::oldest).await
    }

    /// What there is to fold of the sagas that cannot be driven.
    async fn held(
        &self,
    ) -> Result<(SystemHead, Vec<(Version, Time, HeldSagaEvent)>), HistoryError> {
        let held = |event| match event {
            SystemEvent::HeldSaga(event) => Some(event),
            _ => None,
        };
        let stream = held_sagas_stream(self.partition);
        self.newest_of(stream, held, HeldSagaEvent::oldest).await
    }

    /// What there is to fold of the breakers that people open.
    async fn breaker_events(
        &self,
    ) -> Result<(SystemHead, Vec<(Version, Time, BreakerEvent)>), HistoryError> {
        let breaker = |event| match event {
            SystemEvent::Breaker(event) => Some(event),
            _ => None,
        };
        let stream = breakers_stream(self.partition);
        self.newest_of(stream, breaker, BreakerEvent::oldest).await
    }

    /// What there is to fold of a stream whose newest event says where that begins.
    async fn newest_of<T>(
        &self,
        stream: StreamName,
        event_of: impl Fn(SystemEvent) -> Option<T>,
        oldest_of: impl Fn(&T) -> Version,
    ) -> Result<(SystemHead, Vec<(Version, Time, T)>), HistoryError> {
        let head = self.head(stream).await?;
        let mut oldest = Version::new(1);
        self.read_system(&head, head.version, |_, _, event| {
            if let Some(event) = event_of(event) {
                oldest = oldest_of(&event);
            }
        })
        .await?;
        let mut events = Vec::new();
        self.read_system(&head, oldest, |version, at, event| {
            if let Some(event) = event_of(event) {
                events.push((version, at, event));
            }
        })
        .await?;
        Ok((head, events))
    }

    async fn system(
        &self,
        name: StreamName,
    ) -> Result<(SystemHead, Vec<SystemEvent>), HistoryError> {
        let head = self.head(name).await?;
        let mut events = Vec::new();
        self.read_system(&head, Version::new(1), |_, _, event| events.push(event))
            .await?;
        Ok((head, events))
    }

    async fn head(&self, name: StreamName) -> Result<SystemHead, HistoryError> {
        let found = self
            .log
            .heads(self.partition, std::slice::from_ref(&name))
            .await?
            .pop()
            .flatten();
        Ok(SystemHead {
            name,
            key: found.as_ref().map(|head| head.stream),
            version: found.map_or(Version::new(0), |head| head.version),
        })
    }

    /// The events of one of the system's streams, from this version on.
    async fn read_system(
        &self,
        head: &SystemHead,
        mut from: Version,
        mut take: impl FnMut(Version, Time, SystemEvent),
    ) -> Result<(), HistoryError> {
        let Some(key) = head.key else { return Ok(()) };
        loop {
            let rows = self
                .log
                .read_stream(self.partition, key, from, PAGE)
                .await?;
            let Some(last) = rows.last() else {
                return Ok(());
            };
            from = last.last_version().next();
            for row in &rows {
                for event in row.events() {
                    let (place, at) = (event.version, event.position);
                    let event = self.decode(row, at, SystemEvent::decode, event.recorded)?;
                    take(place, row.at, event);
                }
            }
        }
    }

    fn decode<T>(
        &self,
        _row: &Row,
        position: Position,
        decode: impl FnOnce(
            &str,
            sagalog_model::log::SchemaVersion,
            &str,
            &sagalog_model::log::Data,
        ) -> Result<T, UnreadableEvent>,
        recorded: &sagalog_eventlog::Recorded,
    ) -> Result<T, HistoryError> {
        decode(
            &recorded.kind,
            recorded.schema,
            &recorded.control,
            &recorded.data,
        )
        .map_err(|source| HistoryError::Unreadable {
            log: self.log.name().to_owned(),
            partition: self.partition,
            position,
            source,
        })
    }
}

fn unreadable(why: &HistoryError) -> Unreadable {
    let is_newer = match why {
        HistoryError::Unreadable { source, .. } => matches!(
            source,
            UnreadableEvent::UnknownType { .. } | UnreadableEvent::NewerSchema { .. }
        ),
        _ => false,
    };
    Unreadable {
        why: chain(why),
        is_newer,
    }
}
