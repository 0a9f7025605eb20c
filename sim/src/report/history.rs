//! What a log holds of some sagas, as a document with the lines of a simulated run.

use std::{collections::BTreeMap, sync::Arc};

use sagalog_model::{
    Graph, SagaEvent, SagaId,
    breaker::BreakerEvent,
    held_saga::HeldSagaEvent,
    log::{PartitionId, Position, Time},
    system::SystemEvent,
};
use sagalog_projections::IllegalEvent;
use serde::Serialize;

use super::{
    counted, event,
    lines::{Happened, SagaEnd, shortened},
    page,
    state::Fold,
};
use crate::world::Lane;

/// What a log holds of some sagas. Where a saga stands after each event is what the engine's own fold
/// says. There is no line of the transport: it is not in the log.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct HistoryDocument {
    /// The log's name.
    pub log: String,
    /// When the first of the events was decided: microseconds since 1970.
    pub began_at_us: u64,
    /// When the last of them was, in milliseconds from the first.
    pub ended_at_ms: u64,
    /// What to go on behind, if there are more sagas of the kind that was looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// The sagas, in the order in which they began.
    pub sagas: Vec<SagaEnd>,
    /// Their events and the take-overs among them, in the order of the log: by time, as each partition
    /// has positions of its own.
    pub lines: Vec<Happened>,
}

/// A saga of a log: its events, each with its place and its time.
#[derive(Clone, Debug)]
pub struct SagaHistory {
    /// The saga.
    pub id: SagaId,
    /// The graph it runs.
    pub graph: Arc<Graph>,
    /// Where it is.
    pub partition: PartitionId,
    /// Its events, from the first.
    pub events: Vec<(Position, Time, SagaEvent)>,
}

/// An event of a log.
enum Logged<'a> {
    Saga(&'a SagaId, &'a SagaEvent),
    System(&'a SystemEvent),
}

impl HistoryDocument {
    /// The document of these sagas of a log. Of the system's events it takes those that lie among them
    /// or are about one of them.
    ///
    /// # Errors
    /// [`IllegalEvent`] if a saga's events do not follow one another.
    pub fn of(
        log: &str,
        sagas: &[SagaHistory],
        system: &[(PartitionId, Position, Time, SystemEvent)],
    ) -> Result<Self, IllegalEvent> {
        let events = in_order(sagas, system);
        let began = events.first_key_value();
        let began = began.map_or_else(Time::default, |((at, ..), _)| *at);
        let millis = |at: Time| u64::try_from(at.since(began).as_millis()).unwrap_or(u64::MAX);
        let folds = sagas.iter().map(|saga| {
            let fold = Fold::of(saga.id.clone(), saga.graph.clone());
            (&saga.id, fold)
        });
        let mut folds: BTreeMap<_, _> = folds.collect();
        let mut began_in_order = Vec::new();
        let mut lines = Vec::new();
        for ((at, ..), logged) in events {
            let (lane, saga, what, changed) = match logged {
                Logged::Saga(id, recorded) => {
                    let fold = folds.get_mut(id).expect("its events are of these sagas");
                    if matches!(recorded, SagaEvent::Started(_)) {
                        began_in_order.push(id);
                    }
                    let changed = fold.apply(recorded, at)?;
                    (Lane::Log, Some(id), event(recorded), changed)
                }
                Logged::System(SystemEvent::PartitionOwned(owned)) => {
                    let what = format!("{} owns, epoch {}", owned.node, owned.epoch);
                    (Lane::Node, None, what, None)
                }
                Logged::System(SystemEvent::LateSuccess(late)) => {
                    let what = format!(
                        "{} {} #{} succeeded after the end, which contradicts it",
                        late.node, late.direction, late.attempt.0
                    );
                    (Lane::Log, Some(&late.saga), what, None)
                }
                Logged::System(SystemEvent::HeldSaga(HeldSagaEvent::Held(held))) => {
                    let what = format!("it cannot be driven: {}", held.reason);
                    (Lane::Log, Some(&held.saga), what, None)
                }
                Logged::System(SystemEvent::HeldSaga(HeldSagaEvent::Released(released))) => {
                    let what = "it is driven again".to_owned();
                    (Lane::Log, Some(&released.saga), what, None)
                }
                Logged::System(SystemEvent::Breaker(BreakerEvent::Opened(opened))) => {
                    let (by, reason) = (&opened.by, &opened.reason);
                    let what = format!(
                        "{by} keeps everything from {}: {reason}",
                        opened.participant
                    );
                    (Lane::Node, None, what, None)
                }
                Logged::System(SystemEvent::Breaker(BreakerEvent::Reset(reset))) => {
                    let what = format!("{} has {} asked again", reset.by, reset.participant);
                    (Lane::Node, None, what, None)
                }
                Logged::System(
                    SystemEvent::DefinitionRecorded(..)
                    | SystemEvent::LogCopied(_)
                    | SystemEvent::LogRestored(_)
                    | SystemEvent::Letter(_)
                    | SystemEvent::HeldSaga(
                        HeldSagaEvent::Waits(..)
                        | HeldSagaEvent::Edited(..)
                        | HeldSagaEvent::Dropped(_),
                    ),
                ) => continue,
            };
            lines.push(Happened {
                at_ms: millis(at),
                lane,
                saga: saga.map(ToString::to_string),
                what: shortened(&what),
                fault: false,
                baked_in: false,
                changed,
            });
        }
        let ends = began_in_order.into_iter();
        let ends = ends.filter_map(|id| folds[id].state().map(SagaEnd::of));
        Ok(Self {
            log: log.to_owned(),
            began_at_us: began.as_micros(),
            ended_at_ms: lines.last().map_or(0, |line| line.at_ms),
            next: None,
            sagas: ends.collect(),
            lines,
        })
    }

    /// The document as one page of HTML that needs nothing else.
    pub fn html(&self) -> String {
        page::of_history(self)
    }

    /// How many sagas and lines it has, in words.
    pub fn size(&self) -> String {
        let (sagas, lines) = (self.sagas.len() as u64, self.lines.len() as u64);
        format!("{}, {}", counted(sagas, "saga"), counted(lines, "line"))
    }
}

fn in_order<'a>(
    sagas: &'a [SagaHistory],
    system: &'a [(PartitionId, Position, Time, SystemEvent)],
) -> BTreeMap<(Time, PartitionId, Position), Logged<'a>> {
    let mut events = BTreeMap::new();
    for saga in sagas {
        for (position, at, event) in &saga.events {
            let place = (*at, saga.partition, *position);
            events.insert(place, Logged::Saga(&saga.id, event));
        }
    }
    let (Some(first), Some(last)) = (events.keys().next(), events.keys().next_back()) else {
        return events;
    };
    let among = *first..=*last;
    for (partition, position, at, event) in system {
        let place = (*at, *partition, *position);
        let is_of = |id: &SagaId| sagas.iter().any(|saga| saga.id == *id);
        let belongs = match event {
            SystemEvent::LateSuccess(late) => is_of(&late.saga),
            SystemEvent::HeldSaga(HeldSagaEvent::Held(held)) => is_of(&held.saga),
            SystemEvent::HeldSaga(HeldSagaEvent::Released(released)) => is_of(&released.saga),
            SystemEvent::HeldSaga(
                HeldSagaEvent::Waits(..) | HeldSagaEvent::Edited(..) | HeldSagaEvent::Dropped(_),
            ) => false,
            SystemEvent::PartitionOwned(_)
            | SystemEvent::LogCopied(_)
            | SystemEvent::Breaker(_)
            | SystemEvent::LogRestored(_)
            | SystemEvent::DefinitionRecorded(..)
            | SystemEvent::Letter(_) => among.contains(&place),
        };
        if belongs {
            events.insert(place, Logged::System(event));
        }
    }
    events
}
