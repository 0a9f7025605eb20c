//! A saga that somebody wants something of, as the log has it.

use std::sync::Arc;

use sagalog::{
    SagaState,
    history::{Graphs, Reader},
    request::{Preview, Request},
};
use sagalog_engine::WayBack;
use sagalog_eventlog::EventLog;
use sagalog_model::{AnyDefinition, SagaEvent, SagaId};
use sagalog_projections::timeline::{Place, Timeline};

use super::recorded::Recorded;
use crate::{App, error::CliError, log::partition_of, when};

/// A saga, with as much of its definition as there is.
pub(super) struct Subject {
    pub(super) recorded: Recorded,
    pub(super) state: SagaState,
    definition: AnyDefinition,
    /// Whether this program has the definition, and not only its graph from the log.
    pub(super) has_code: bool,
}

impl Subject {
    pub(super) async fn read(
        log: &Arc<dyn EventLog>,
        id: &SagaId,
        app: &App,
    ) -> Result<Self, CliError> {
        let partition = partition_of(&**log, id);
        let graphs = Reader::new(log.clone(), partition).graphs().await?;
        Self::of(log, id, &graphs, app).await
    }

    /// The same, in a log whose graphs are known.
    pub(super) async fn of(
        log: &Arc<dyn EventLog>,
        id: &SagaId,
        graphs: &Graphs,
        app: &App,
    ) -> Result<Self, CliError> {
        let recorded = Recorded::of(&**log, id, graphs).await?;
        let state = recorded.state()?;
        let graph = state.graph().clone();
        let recorded_as = graphs.get(&(graph.saga.clone(), graph.version.0));
        let is_it = |known: &&AnyDefinition| {
            recorded_as.is_some_and(|(fingerprint, _)| known.fingerprint() == *fingerprint)
        };
        let definition = app.definitions().iter().find(is_it).cloned();
        Ok(Self {
            has_code: definition.is_some(),
            definition: definition.unwrap_or_else(|| AnyDefinition::of_graph(graph)),
            recorded,
            state,
        })
    }

    /// What a request would come to.
    pub(super) fn preview(&self, request: &Request) -> Result<Preview, CliError> {
        Ok(request.preview(&self.state, &self.definition, when::now())?)
    }

    /// How it ends after that if whatever is asked is answered well; none if it does not go back.
    pub(super) fn way_back(&self, preview: &Preview) -> Option<WayBack> {
        preview.way_back(&self.definition)
    }

    /// What will have happened when these events have been recorded, too. Their positions in the partition are
    /// not known: they are counted on from the saga's last.
    pub(super) fn timeline_with(&self, events: &[SagaEvent]) -> Result<Timeline, CliError> {
        let at = when::now().max(self.state.changed_at());
        let mut recorded = self.recorded.clone();
        for event in events {
            let (last, _) = recorded
                .events
                .last()
                .expect("the first event was seen to be the start");
            let place = Place {
                position: last.position.next(),
                version: last.version.next(),
                at,
            };
            recorded.events.push((place, event.clone()));
        }
        recorded.timeline(None)
    }
}
