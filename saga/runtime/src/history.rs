//! Reading what the log holds: sagas' histories, and the system's streams.

use std::{collections::BTreeMap, sync::Arc};

use sagalog_engine::partition::{Found, History, SystemHead, SystemHeads};
use sagalog_eventlog::{EventLog, ReadError, Row};
use sagalog_model::{
    Fingerprint, Graph, SagaEvent, SagaId,
    event::UnreadableEvent,
    log::{PartitionId, Position, StreamKey, StreamName, Version},
    system::{LateSuccess, SystemEvent, definitions_stream, late_stream, partition_stream},
};
use sagalog_projections::{IllegalEvent, SagaState};

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
            self.histories(keys).await?
        };
        let found = heads.into_iter().map(|head| {
            match head.and_then(|head| histories.remove(&head.stream)) {
                Some((_, history)) => Found::History(history),
                None => Found::Nothing,
            }
        });
        Ok(found.collect())
    }

    /// The histories of these streams, each with the name in its first row.
    ///
    /// # Errors
    /// [`HistoryError`]
    pub async fn histories(
        &self,
        mut keys: Vec<StreamKey>,
    ) -> Result<BTreeMap<StreamKey, (Option<StreamName>, History)>, HistoryError> {
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
                let (name, history) = histories.entry(row.stream).or_insert_with(|| {
                    (
                        None,
                        History {
                            key: row.stream,
                            events: Vec::new(),
                        },
                    )
                });
                if name.is_none() {
                    name.clone_from(&row.name);
                }
                for event in row.events() {
                    let decoded =
                        self.decode(&row, event.position, SagaEvent::decode, event.recorded)?;
                    history.events.push((row.at, decoded));
                }
            }
        }
    }

    /// The histories of these open sagas, by id.
    ///
    /// # Errors
    /// [`HistoryError`]
    pub async fn open(&self, keys: Vec<StreamKey>) -> Result<Vec<(SagaId, History)>, HistoryError> {
        let histories = self.histories(keys).await?;
        let named = histories.into_iter().map(|(stream, (name, history))| {
            let id = name.and_then(|name| SagaId::new(name.as_str()).ok());
            id.map(|id| (id, history))
                .ok_or_else(|| HistoryError::NoSaga {
                    log: self.log.name().to_owned(),
                    partition: self.partition,
                    stream,
                })
        });
        named.collect()
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

    /// The contradictions on record, and where the system's streams are.
    pub(crate) async fn system_streams(
        &self,
    ) -> Result<(SystemHeads, Vec<LateSuccess>), HistoryError> {
        let (partition, _) = self.system(partition_stream(self.partition)).await?;
        let (definitions, _) = self.system(definitions_stream()).await?;
        let (late, events) = self.system(late_stream()).await?;
        let events = events.into_iter().filter_map(|event| match event {
            SystemEvent::LateSuccess(late) => Some(late),
            SystemEvent::PartitionOwned(_) | SystemEvent::DefinitionRecorded(..) => None,
        });
        Ok((
            SystemHeads {
                partition,
                definitions,
                late,
            },
            events.collect(),
        ))
    }

    async fn system(
        &self,
        name: StreamName,
    ) -> Result<(SystemHead, Vec<SystemEvent>), HistoryError> {
        let head = self
            .log
            .heads(self.partition, std::slice::from_ref(&name))
            .await?
            .pop()
            .flatten();
        let Some(head) = head else {
            return Ok((
                SystemHead {
                    name,
                    key: None,
                    version: Version::new(0),
                },
                Vec::new(),
            ));
        };
        let mut events = Vec::new();
        let mut from = Version::new(1);
        loop {
            let rows = self
                .log
                .read_stream(self.partition, head.stream, from, PAGE)
                .await?;
            let Some(last) = rows.last() else { break };
            from = last.last_version().next();
            for row in &rows {
                for event in row.events() {
                    events.push(self.decode(
                        row,
                        event.position,
                        SystemEvent::decode,
                        event.recorded,
                    )?);
                }
            }
        }
        Ok((
            SystemHead {
                name,
                key: Some(head.stream),
                version: head.version,
            },
            events,
        ))
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
