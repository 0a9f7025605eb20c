//! A saga's events as they are in the log.

use std::sync::Arc;

use sagalog::{
    SagaState,
    history::{Graphs, HistoryError, Reader},
};
use sagalog_eventlog::EventLog;
use sagalog_model::{
    Graph, SagaEvent, SagaId,
    event::UnreadableEvent,
    log::{Data, PartitionId, SchemaVersion, StreamName, Version},
};
use sagalog_projections::timeline::{Place, Placed, Timeline};

use crate::{
    error::{CliError, Exit},
    log::{LogArg, partition_of},
};

/// Rows of one read.
const PAGE: usize = 500;

/// A saga's history, and the graph it runs.
#[derive(Clone)]
pub(super) struct Recorded {
    pub(super) id: SagaId,
    pub(super) graph: Arc<Graph>,
    pub(super) events: Vec<(Place, SagaEvent)>,
}

/// Takes a saga's id from the command line.
pub(crate) fn saga_id(id: &str) -> Result<SagaId, CliError> {
    SagaId::new(id).map_err(|why| {
        CliError::new(
            "bad_id",
            Exit::Usage,
            format!("{id:?} cannot be a saga's id: {why}"),
        )
    })
}

impl Recorded {
    /// Reads a saga's history; nothing of the user's code is needed.
    pub(super) async fn read(log: &LogArg, id: &str) -> Result<Self, CliError> {
        let (id, log) = (saga_id(id)?, log.read().await?);
        let partition = partition_of(&*log, &id);
        let graphs = Reader::new(log.clone(), partition).graphs().await?;
        Self::of(&*log, &id, &graphs).await
    }

    /// The history of a saga in a log that is open.
    pub(super) async fn of(
        log: &dyn EventLog,
        id: &SagaId,
        graphs: &Graphs,
    ) -> Result<Self, CliError> {
        let partition = partition_of(log, id);
        let events = events(log, partition, id.stream(), SagaEvent::decode).await?;
        let Some((_, SagaEvent::Started(started))) = events.first() else {
            return Err(CliError::new(
                "no_such_saga",
                Exit::NotFound,
                format!("{} has no saga `{id}`", log.name()),
            )
            .fix("`saga list` shows those it has"));
        };
        let graph = graphs.get(&(started.definition.to_string(), started.version.0));
        let Some((_, graph)) = graph else {
            return Err(HistoryError::NoGraph {
                log: log.name().to_owned(),
                saga: id.clone(),
            }
            .into());
        };
        Ok(Self {
            id: id.clone(),
            graph: graph.clone(),
            events,
        })
    }

    /// What all of it adds up to.
    pub(super) fn state(&self) -> Result<SagaState, CliError> {
        let mut events = self.events.iter();
        let Some((place, SagaEvent::Started(started))) = events.next() else {
            unreachable!("the first event was seen to be the start");
        };
        let mut state = SagaState::start(self.id.clone(), self.graph.clone(), started, place.at);
        for (place, event) in events {
            state.apply(event, place.at).map_err(HistoryError::from)?;
        }
        Ok(state)
    }

    /// What has happened, up to this version of the stream.
    pub(super) fn timeline(&self, at: Option<u64>) -> Result<Timeline, CliError> {
        let last = self.events.len() as u64;
        if let Some(at) = at.filter(|at| !(1..=last).contains(at)) {
            let message = format!(
                "saga `{}` has versions 1 to {last}, there is no version {at}",
                self.id
            );
            return Err(CliError::new("no_such_version", Exit::NotFound, message));
        }
        let events = self.events.iter().map(|(place, event)| Placed {
            place: *place,
            event,
        });
        let events = events.take(at.unwrap_or(last) as usize);
        let timeline = Timeline::of(&self.id, &self.graph, events).map_err(HistoryError::from)?;
        Ok(timeline.expect("the first event was seen to be the start"))
    }
}

/// The events of a stream, none if the log does not have it.
pub(crate) async fn events<T>(
    log: &dyn EventLog,
    partition: PartitionId,
    stream: &StreamName,
    decode: impl Fn(&str, SchemaVersion, &str, &Data) -> Result<T, UnreadableEvent>,
) -> Result<Vec<(Place, T)>, CliError> {
    let head = log
        .heads(partition, std::slice::from_ref(stream))
        .await?
        .pop()
        .flatten();
    let Some(head) = head else {
        return Ok(Vec::new());
    };
    let mut events = Vec::new();
    let mut from = Version::new(1);
    loop {
        let rows = log.read_stream(partition, head.stream, from, PAGE).await?;
        let Some(last) = rows.last() else {
            return Ok(events);
        };
        from = last.last_version().next();
        for row in &rows {
            for event in row.events() {
                let place = Place {
                    position: event.position,
                    version: event.version,
                    at: row.at,
                };
                let it = event.recorded;
                let decoded = decode(&it.kind, it.schema, &it.control, &it.data);
                let decoded = decoded.map_err(|source| HistoryError::Unreadable {
                    log: log.name().to_owned(),
                    partition,
                    position: event.position,
                    source,
                })?;
                events.push((place, decoded));
            }
        }
    }
}
