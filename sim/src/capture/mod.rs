//! A saga's history cut out of a log: one file that says what it is, and that nobody can shorten or
//! change without being found out.

mod check;
mod of_world;
mod read;
mod redact;
mod write;

use std::sync::Arc;

use sagalog_eventlog::Row;
use sagalog_model::{
    Fingerprint, Graph, SagaEvent, SagaId,
    event::UnreadableEvent,
    graph::DefinitionVersion,
    log::{Digest, PartitionId, Position, Time, Version},
    system::PartitionOwned,
};
use sagalog_projections::{
    IllegalEvent, SagaState,
    timeline::{Place, Placed, Timeline},
};
use serde::{Deserialize, Serialize};

pub use redact::{BadPointer, CannotRedact, Leak, Redaction};

/// What a saga has done, as its log holds it: every batch of events with what is needed to check and to
/// re-decide it, the graph that it runs, and who owned its partition.
///
/// There is no capture that was not checked: it is whole, in order, hashed as in the log, and folds.
/// Its text is one JSON value a line; `docs/replay.md` describes it.
///
/// ```
/// # use sagalog_model::{Saga, Step};
/// # use sagalog_sim::{Capture, Plan, Sim};
/// # const TRIP: Saga<u32, u32> = Saga::new("trip");
/// # const ROOM: Step<u32, u32> = Step::new("hotel.room").compensatable();
/// # let (mut saga, cents) = TRIP.define(1);
/// # let room = saga.step("room", ROOM, cents);
/// # let trip: sagalog_model::AnyDefinition = saga.returns(room)?.into();
/// # let run = Sim::of(trip.clone(), &100).run(&Plan::healthy())?;
/// # let file = run.capture("s1").expect("it ran").to_string();
/// let capture: Capture = file.parse()?;
/// capture.replay(&trip)?.check();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Capture {
    parts: Parts,
    events: Vec<(Place, SagaEvent)>,
}

/// What a capture is made of.
#[derive(Clone, Debug, PartialEq)]
struct Parts {
    by: String,
    saga: SagaId,
    partition: PartitionId,
    graph: Arc<Graph>,
    owners: Vec<Owner>,
    rows: Vec<CapturedRow>,
    redaction: Redaction,
}

/// A batch of events as the log holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct CapturedRow {
    /// The row; data that was redacted stands in it as it is shown.
    pub row: Row,
    /// The chain value of the row before it in the partition, which may be another saga's.
    pub before: Digest,
    /// Which of its events have redacted data.
    pub redacted: Vec<Redacted>,
}

/// What redacted data was.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Redacted {
    /// The event's index in its row.
    pub event: usize,
    /// The hash of the data.
    pub digest: Digest,
    /// How many bytes it had.
    pub bytes: usize,
}

/// Somebody who owned the partition, from when on.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Owner {
    /// Where the take-over is in the partition.
    pub position: Position,
    /// When it was.
    pub at: Time,
    /// Who took over, and by which rules they decide.
    #[serde(flatten)]
    pub owned: PartitionOwned,
}

impl Capture {
    /// The format of the text that this release writes, and the newest that it reads.
    pub const FORMAT: u32 = 1;

    /// The longest text, in bytes.
    pub const BYTES_MAX: u64 = 64 << 20;

    /// A capture of these rows of a saga, from its first; each with the chain value before it.
    ///
    /// # Errors
    /// [`BadCapture`] if they are not what a log holds of a saga with this graph.
    pub fn of(
        saga: SagaId,
        partition: PartitionId,
        graph: Arc<Graph>,
        owners: Vec<Owner>,
        rows: impl IntoIterator<Item = (Digest, Row)>,
    ) -> Result<Self, BadCapture> {
        let rows = rows.into_iter().map(|(before, row)| CapturedRow {
            row,
            before,
            redacted: Vec::new(),
        });
        Self::checked(Parts {
            by: env!("CARGO_PKG_VERSION").to_owned(),
            saga,
            partition,
            graph,
            owners,
            rows: rows.collect(),
            redaction: Redaction::default(),
        })
    }

    /// The release that wrote it.
    pub fn by(&self) -> &str {
        &self.parts.by
    }

    /// The saga.
    pub fn saga(&self) -> &SagaId {
        &self.parts.saga
    }

    /// The partition that the saga lives in.
    pub fn partition(&self) -> PartitionId {
        self.parts.partition
    }

    /// The graph that the saga runs.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.parts.graph
    }

    /// The graph's fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.parts.graph)
    }

    /// Who owned the partition while the saga ran, in order.
    pub fn owners(&self) -> &[Owner] {
        &self.parts.owners
    }

    /// The batches, in order.
    pub fn rows(&self) -> &[CapturedRow] {
        &self.parts.rows
    }

    /// The events, in order.
    pub fn events(&self) -> impl ExactSizeIterator<Item = Placed<'_>> {
        let events = self.events.iter();
        events.map(|(place, event)| Placed {
            place: *place,
            event,
        })
    }

    /// What was redacted: nothing, unless it says something.
    pub fn redaction(&self) -> &Redaction {
        &self.parts.redaction
    }

    /// How many events have data that was redacted.
    pub fn redacted(&self) -> usize {
        self.parts.rows.iter().map(|row| row.redacted.len()).sum()
    }

    /// What has happened up to a version, of which there is one: 1 to the number of events.
    pub fn timeline(&self, at: usize) -> Timeline {
        let events = self.events().take(at.max(1));
        let timeline = Timeline::of(&self.parts.saga, &self.parts.graph, events);
        let timeline = timeline.expect("it was folded when it was read");
        timeline.expect("the first event was seen to be the start")
    }

    /// What the first events add up to; at least the start.
    pub fn state(&self, events: usize) -> SagaState {
        self.fold(events).expect("it was folded when it was read")
    }
}

/// Why a text or a history is no capture.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadCapture {
    /// It is longer than any capture.
    #[error("it has {bytes} bytes, a capture has at most {max}", max = Capture::BYTES_MAX)]
    TooLong {
        /// Its length.
        bytes: u64,
    },
    /// It does not begin as a capture does.
    #[error("line 1 is not the head of a capture: {why}")]
    NotACapture {
        /// What is wrong with it.
        why: String,
    },
    /// A newer release wrote it, in a format that this one does not know.
    #[error("it has format {format}, written by release {by}; this release reads up to {known}", known = Capture::FORMAT)]
    Newer {
        /// Its format.
        format: u32,
        /// The release that wrote it.
        by: String,
    },
    /// A line does not read.
    #[error("line {line}: {why}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// Its end is missing.
    #[error("it is cut off after line {line}")]
    CutOff {
        /// The last line that is whole.
        line: usize,
    },
    /// Events are missing, there twice, or in another order.
    #[error("version {expected} is expected, and version {found} is there")]
    Versions {
        /// What should be there.
        expected: Version,
        /// What is there.
        found: Version,
    },
    /// A batch is not what its log holds.
    #[error("the batch at version {version} is not what the log holds: {what}")]
    Altered {
        /// Its first version.
        version: Version,
        /// What does not fit.
        what: String,
    },
    /// The graph is not the one that the saga began with.
    #[error("its graph is {graph}, and the saga runs {started}")]
    OtherGraph {
        /// What the graph is: name, version and fingerprint.
        graph: String,
        /// What the saga runs.
        started: String,
    },
    /// An event does not read: a newer release wrote it, or it is damaged.
    #[error("version {version}: {source}")]
    Event {
        /// Its version.
        version: Version,
        /// What is wrong with it.
        source: UnreadableEvent,
    },
    /// Its events cannot follow one another.
    #[error(transparent)]
    Illegal(#[from] IllegalEvent),
    /// Something beside the batches is not what was written.
    #[error(
        "lines 1 to {line} are not what was written: their hash is {computed}, the end says {stored}"
    )]
    Sealed {
        /// The last line before the end.
        line: usize,
        /// What the end says.
        stored: String,
        /// What the lines give.
        computed: Digest,
    },
}

impl BadCapture {
    /// Whether a newer release wrote it, which reads it.
    pub const fn is_newer(&self) -> bool {
        matches!(
            self,
            Self::Newer { .. }
                | Self::Event {
                    source: UnreadableEvent::UnknownType { .. }
                        | UnreadableEvent::NewerSchema { .. },
                    ..
                }
        )
    }
}

/// A definition by its name, version and fingerprint.
fn named(saga: &str, version: DefinitionVersion, fingerprint: Fingerprint) -> String {
    format!("{saga} version {} ({fingerprint})", version.0)
}
