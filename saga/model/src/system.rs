//! What the runtime records about itself: streams whose names begin with `$`.
//!
//! `$partition-N` says who owned a partition, `$definitions` holds each definition's graph, `$late`
//! holds answers that came after the end of their saga and contradict it, `$dead-N` the dead letters,
//! `$held-N` the sagas that cannot be driven, `$breakers-N` the breakers that people open. In a log that was
//! copied, `$owned-N` says who owned partition N of the log that it was copied from.

use alloc::{borrow::Cow, format, string::String, sync::Arc, vec::Vec};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    breaker::BreakerEvent,
    dead_letter::{Body, LetterEvent},
    event::{NodeId, UnreadableEvent},
    fingerprint::Fingerprint,
    graph::{DefinitionVersion, Graph},
    held_saga::HeldSagaEvent,
    log::{Data, Digest, Epoch, NewEvent, PartitionId, Position, SchemaVersion, StreamName, Time},
    message::{AttemptNumber, Direction, SagaId},
    payload::Payload,
};

/// A fact about the runtime, not about a saga.
#[derive(Clone, Debug, PartialEq)]
pub enum SystemEvent {
    /// A node took a partition over. Nothing of that epoch is seen outside before this is durable.
    PartitionOwned(PartitionOwned),
    /// What follows was copied from another log. It is the first event of each partition of the copy.
    LogCopied(LogCopied),
    /// What is before this was restored from a backup: what happened outside after that was made is not known.
    LogRestored(LogRestored),
    /// A definition was first used with this log.
    DefinitionRecorded(DefinitionRecorded, Arc<Graph>),
    /// An action was reported as a success after its saga had ended without it.
    LateSuccess(LateSuccess),
    /// What becomes of a dead letter.
    Letter(LetterEvent),
    /// What becomes of a saga that cannot be driven.
    HeldSaga(HeldSagaEvent),
    /// What people do to breakers.
    Breaker(BreakerEvent),
}

impl From<BreakerEvent> for SystemEvent {
    fn from(event: BreakerEvent) -> Self {
        Self::Breaker(event)
    }
}

impl From<HeldSagaEvent> for SystemEvent {
    fn from(event: HeldSagaEvent) -> Self {
        Self::HeldSaga(event)
    }
}

impl From<LetterEvent> for SystemEvent {
    fn from(event: LetterEvent) -> Self {
        Self::Letter(event)
    }
}

/// Who owns a partition, and by which rules it decides.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct PartitionOwned {
    /// The ownership's number.
    pub epoch: Epoch,
    /// The node, for people.
    pub node: Arc<str>,
    /// The engine's release.
    pub engine: Arc<str>,
    /// The version of the rules by which it decides.
    pub rules: u32,
}

/// A log goes on with the sagas of another.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct LogCopied {
    /// What the other log is called, without a password.
    pub from: Arc<str>,
    /// Where the partitions of the other log ended, in order: this seals what was copied.
    pub sealed: Vec<Sealed>,
    /// When it was copied. The batch itself has the time of the oldest copied one, as times never go back.
    pub at: Time,
    /// Who copied it.
    pub by: Arc<str>,
}

/// A partition goes on from a backup.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct LogRestored {
    /// What the log was called that was backed up, without a password.
    pub from: Arc<str>,
    /// Where the partition ended in the backup.
    pub sealed: Sealed,
    /// When the backup was made.
    pub backed_up_at: Time,
    /// When it was restored.
    pub at: Time,
    /// Who restored it.
    pub by: Arc<str>,
}

/// Where a partition ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Sealed {
    /// Its last position.
    pub tail: Position,
    /// The chain value there, which stands for everything before it.
    pub chain: Digest,
}

/// Which definition a graph is of.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct DefinitionRecorded {
    /// The saga's name.
    pub saga: Arc<str>,
    /// The definition's version.
    pub version: DefinitionVersion,
    /// The graph's fingerprint.
    pub fingerprint: Fingerprint,
}

/// An answer that contradicts how its saga ended.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct LateSuccess {
    /// The saga.
    pub saga: SagaId,
    /// The node.
    pub node: NodeId,
    /// What was asked.
    pub direction: Direction,
    /// Which attempt.
    pub attempt: AttemptNumber,
}

/// Name of the stream that says who owned a partition.
pub fn partition_stream(partition: PartitionId) -> StreamName {
    name(format!("$partition-{partition}"))
}

/// Name of the stream that says, in a copy, who owned a partition of the log that it was copied from.
pub fn former_partition_stream(partition: PartitionId) -> StreamName {
    name(format!("$owned-{partition}"))
}

/// Name of the stream that holds the definitions' graphs.
pub fn definitions_stream() -> StreamName {
    name("$definitions".into())
}

/// Name of the stream of answers that came after the end.
pub fn late_stream() -> StreamName {
    name("$late".into())
}

/// Name of the stream of the dead letters that a partition has recorded.
pub fn dead_letters_stream(partition: PartitionId) -> StreamName {
    name(format!("$dead-{partition}"))
}

/// Name of the stream of the sagas of a partition that cannot be driven.
pub fn held_sagas_stream(partition: PartitionId) -> StreamName {
    name(format!("$held-{partition}"))
}

/// Name of the stream of the breakers of a partition that people open.
pub fn breakers_stream(partition: PartitionId) -> StreamName {
    name(format!("$breakers-{partition}"))
}

fn name(name: String) -> StreamName {
    StreamName::new(name).expect("the system's names are good names")
}

const SCHEMA: SchemaVersion = SchemaVersion::new(1);

impl SystemEvent {
    /// The event as it is appended.
    pub fn encode(&self) -> NewEvent {
        match self {
            Self::PartitionOwned(event) => new_event("PartitionOwned", event, Data::None),
            Self::LogCopied(event) => new_event("LogCopied", event, Data::None),
            Self::LogRestored(event) => new_event("LogRestored", event, Data::None),
            Self::DefinitionRecorded(event, graph) => new_event(
                "DefinitionRecorded",
                event,
                Data::Inline(json(&**graph).into()),
            ),
            Self::LateSuccess(event) => new_event("LateSuccess", event, Data::None),
            Self::Letter(LetterEvent::Died(event, body)) => {
                new_event("DeadLettered", event, Data::Inline(json(body).into()))
            }
            Self::Letter(LetterEvent::Retried(event, body)) => {
                let body = body.as_ref().map(|body| json(body).into());
                let data = body.map_or(Data::None, Data::Inline);
                new_event("DeadLetterRetried", event, data)
            }
            Self::Letter(LetterEvent::Sent(event)) => {
                new_event("DeadLetterSent", event, Data::None)
            }
            Self::Letter(LetterEvent::Purged(event)) => {
                new_event("DeadLetterPurged", event, Data::None)
            }
            Self::HeldSaga(HeldSagaEvent::Held(event)) => new_event("SagaHeld", event, Data::None),
            Self::HeldSaga(HeldSagaEvent::Waits(event, content)) => {
                new_event("InputWaits", event, Data::Inline(content.as_str().into()))
            }
            Self::HeldSaga(HeldSagaEvent::Edited(event, content)) => new_event(
                "WaitingEdited",
                event,
                Data::Inline(content.as_str().into()),
            ),
            Self::HeldSaga(HeldSagaEvent::Dropped(event)) => {
                new_event("WaitingDropped", event, Data::None)
            }
            Self::HeldSaga(HeldSagaEvent::Released(event)) => {
                new_event("SagaReleased", event, Data::None)
            }
            Self::Breaker(BreakerEvent::Opened(event)) => {
                new_event("BreakerOpened", event, Data::None)
            }
            Self::Breaker(BreakerEvent::Reset(event)) => {
                new_event("BreakerReset", event, Data::None)
            }
        }
    }

    /// Reads an event back.
    ///
    /// # Errors
    /// [`UnreadableEvent`], as for a saga's events.
    pub fn decode(
        kind: &str,
        schema: SchemaVersion,
        control: &str,
        data: &Data,
    ) -> Result<Self, UnreadableEvent> {
        if !KINDS.contains(&kind) {
            return Err(UnreadableEvent::UnknownType { kind: kind.into() });
        }
        if schema != SCHEMA {
            return Err(UnreadableEvent::NewerSchema {
                kind: kind.into(),
                found: schema,
                known: SCHEMA,
            });
        }
        match kind {
            "PartitionOwned" => read(kind, control).map(Self::PartitionOwned),
            "LogCopied" => read(kind, control).map(Self::LogCopied),
            "LogRestored" => read(kind, control).map(Self::LogRestored),
            "LateSuccess" => read(kind, control).map(Self::LateSuccess),
            "DefinitionRecorded" => {
                let graph = inline(kind, "graph", data)?;
                Ok(Self::DefinitionRecorded(
                    read(kind, control)?,
                    Arc::new(read(kind, graph)?),
                ))
            }
            "SagaHeld" | "InputWaits" | "WaitingEdited" | "WaitingDropped" | "SagaReleased" => {
                held_saga(kind, control, data).map(Self::HeldSaga)
            }
            "BreakerOpened" => {
                read(kind, control).map(|event| Self::Breaker(BreakerEvent::Opened(event)))
            }
            "BreakerReset" => {
                read(kind, control).map(|event| Self::Breaker(BreakerEvent::Reset(event)))
            }
            _ => letter(kind, control, data).map(Self::Letter),
        }
    }
}

/// The types of all of them.
const KINDS: [&str; 16] = [
    "PartitionOwned",
    "LogCopied",
    "LogRestored",
    "DefinitionRecorded",
    "LateSuccess",
    "DeadLettered",
    "DeadLetterRetried",
    "DeadLetterSent",
    "DeadLetterPurged",
    "SagaHeld",
    "InputWaits",
    "WaitingEdited",
    "WaitingDropped",
    "SagaReleased",
    "BreakerOpened",
    "BreakerReset",
];

fn held_saga(kind: &str, control: &str, data: &Data) -> Result<HeldSagaEvent, UnreadableEvent> {
    let content = || {
        // What was erased for good is nothing any more.
        let content = match data {
            Data::Erased(_) => "null",
            data => inline(kind, "content", data)?,
        };
        Ok(Payload::from_json_text(content))
    };
    Ok(match kind {
        "SagaHeld" => HeldSagaEvent::Held(read(kind, control)?),
        "InputWaits" => HeldSagaEvent::Waits(read(kind, control)?, content()?),
        "WaitingEdited" => HeldSagaEvent::Edited(read(kind, control)?, content()?),
        "WaitingDropped" => HeldSagaEvent::Dropped(read(kind, control)?),
        _ => HeldSagaEvent::Released(read(kind, control)?),
    })
}

fn letter(kind: &str, control: &str, data: &Data) -> Result<LetterEvent, UnreadableEvent> {
    Ok(match kind {
        "DeadLettered" => LetterEvent::Died(read(kind, control)?, body(kind, data)?),
        "DeadLetterRetried" => {
            let edited = match data {
                Data::None => None,
                data => Some(body(kind, data)?),
            };
            LetterEvent::Retried(read(kind, control)?, edited)
        }
        "DeadLetterSent" => LetterEvent::Sent(read(kind, control)?),
        _ => LetterEvent::Purged(read(kind, control)?),
    })
}

/// What was erased for good is an empty head: the letter can be looked at and purged, no more.
fn body(kind: &str, data: &Data) -> Result<Body, UnreadableEvent> {
    match data {
        Data::Erased(_) => Ok(Body::Head("".into())),
        data => read(kind, inline(kind, "body", data)?),
    }
}

fn inline<'a>(kind: &str, what: &str, data: &'a Data) -> Result<&'a str, UnreadableEvent> {
    match data {
        Data::Inline(text) => Ok(text),
        Data::None | Data::Erased(_) => Err(UnreadableEvent::Damaged {
            kind: kind.into(),
            what: format!("its {what} is missing"),
        }),
    }
}

fn new_event(kind: &'static str, control: &impl Serialize, data: Data) -> NewEvent {
    NewEvent {
        kind: Cow::Borrowed(kind),
        schema: SCHEMA,
        control: json(control),
        data,
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value)
        .expect("the system's facts are plain data, which always writes as JSON")
}

fn read<T: DeserializeOwned>(kind: &str, text: &str) -> Result<T, UnreadableEvent> {
    serde_json::from_str(text).map_err(|cause| UnreadableEvent::Damaged {
        kind: kind.into(),
        what: format!("it does not read: {cause}"),
    })
}
