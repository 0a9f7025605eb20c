//! Whether what a capture is made of is what a log holds of a saga.

use sagalog_eventlog::{Chain, Row};
use sagalog_model::{
    Fingerprint, SagaEvent,
    log::{Data, Digest, PartitionId, Position, Time, Version},
};
use sagalog_projections::{IllegalEvent, SagaState, timeline::Place};

use super::{BadCapture, Capture, CapturedRow, Parts, named};

impl Capture {
    /// The capture, if it is one.
    pub(super) fn checked(parts: Parts) -> Result<Self, BadCapture> {
        let mut last = Last::default();
        for row in &parts.rows {
            last.follow(&parts, row)?;
        }
        let mut events = Vec::new();
        for row in &parts.rows {
            read(&row.row, &mut events)?;
        }
        let capture = Self { parts, events };
        capture.runs_its_graph()?;
        capture.fold(usize::MAX)?;
        Ok(capture)
    }

    fn runs_its_graph(&self) -> Result<(), BadCapture> {
        let graph = &self.parts.graph;
        let fingerprint = Fingerprint::of(graph);
        let started = match self.events.first() {
            Some((_, SagaEvent::Started(started))) => started,
            Some((_, other)) => {
                return Err(BadCapture::Altered {
                    version: Version::new(1),
                    what: format!("a saga begins with Started, not with {}", other.kind()),
                });
            }
            None => {
                return Err(BadCapture::Versions {
                    expected: Version::new(1),
                    found: Version::new(0),
                });
            }
        };
        let is_it = *started.definition == *graph.saga
            && started.version == graph.version
            && started.fingerprint == fingerprint;
        if is_it {
            return Ok(());
        }
        Err(BadCapture::OtherGraph {
            graph: named(&graph.saga, graph.version, fingerprint),
            started: named(&started.definition, started.version, started.fingerprint),
        })
    }

    /// Folds the first events; at least the start.
    pub(super) fn fold(&self, count: usize) -> Result<SagaState, IllegalEvent> {
        let mut events = self.events.iter();
        let Some((place, SagaEvent::Started(started))) = events.next() else {
            unreachable!("the first event was seen to be the start");
        };
        let (saga, graph) = (self.parts.saga.clone(), self.parts.graph.clone());
        let mut state = SagaState::start(saga, graph, started, place.at);
        for (place, event) in events.take(count.saturating_sub(1)) {
            state.apply(event, place.at)?;
        }
        Ok(state)
    }
}

/// The row before.
#[derive(Default)]
struct Last {
    version: Version,
    position: Position,
    at: Time,
    chain: Digest,
}

impl Last {
    fn follow(&mut self, parts: &Parts, captured: &CapturedRow) -> Result<(), BadCapture> {
        let row = &captured.row;
        let expected = self.version.next();
        if row.version != expected {
            return Err(BadCapture::Versions {
                expected,
                found: row.version,
            });
        }
        self.misfit(parts, captured).map_or(Ok(()), |what| {
            Err(BadCapture::Altered {
                version: row.version,
                what,
            })
        })?;
        *self = Self {
            version: row.last_version(),
            position: row.last_position(),
            at: row.at,
            chain: row.chain,
        };
        Ok(())
    }

    /// What does not fit.
    fn misfit(&self, parts: &Parts, captured: &CapturedRow) -> Option<String> {
        let row = &captured.row;
        let first = parts.rows.first().map(|first| first.row.position.get());
        if Some(row.stream.get()) != first {
            return Some("it is of another stream".into());
        }
        let named = row.name.as_ref().map(|name| name.as_str());
        let name = (row.version == Version::new(1)).then(|| parts.saga.as_str());
        if named != name {
            return Some(format!("it is not of the saga `{}`", parts.saga));
        }
        if row.position <= self.position {
            return Some(format!(
                "its position {} is not behind {}",
                row.position, self.position
            ));
        }
        if row.at < self.at {
            return Some("its time is before that of the batch before it".into());
        }
        if row.position == self.position.next() && captured.before != self.chain {
            return Some("it does not go on from the chain value before it".into());
        }
        let owner =
            |owner: &super::Owner| owner.owned.epoch == row.epoch && owner.position < row.position;
        if !parts.owners.iter().any(owner) {
            return Some(format!("nobody owned the partition in epoch {}", row.epoch));
        }
        let hashed = match as_it_was(captured) {
            Ok(hashed) => hashed,
            Err(what) => return Some(what),
        };
        let computed = chain(
            parts.partition,
            captured.before,
            hashed.as_ref().unwrap_or(row),
        );
        (computed != row.chain).then(|| {
            format!(
                "its chain value is {}, its content gives {computed}",
                row.chain
            )
        })
    }
}

fn chain(partition: PartitionId, before: Digest, row: &Row) -> Digest {
    Chain::after(partition, before).next(row)
}

/// The row with the hashes of what was redacted; none if nothing was.
fn as_it_was(captured: &CapturedRow) -> Result<Option<Row>, String> {
    if captured.redacted.is_empty() {
        return Ok(None);
    }
    let mut row = captured.row.clone();
    for redacted in &captured.redacted {
        match row
            .events
            .get_mut(redacted.event)
            .map(|event| &mut event.data)
        {
            Some(data @ Data::Inline(_)) => *data = Data::Erased(redacted.digest),
            _ => return Err(format!("its event {} has no redacted data", redacted.event)),
        }
    }
    Ok(Some(row))
}

fn read(row: &Row, events: &mut Vec<(Place, SagaEvent)>) -> Result<(), BadCapture> {
    for event in row.events() {
        let it = event.recorded;
        let read = SagaEvent::decode(&it.kind, it.schema, &it.control, &it.data);
        let read = read.map_err(|source| BadCapture::Event {
            version: event.version,
            source,
        })?;
        let place = Place {
            position: event.position,
            version: event.version,
            at: row.at,
        };
        events.push((place, read));
    }
    Ok(())
}
