//! Rows as the database has them.

use sagalog_model::log::{PartitionId, Time};
use sagalog_projections::{
    dead_letters::Phase,
    views::{LetterRow, MessageRow, NodeRow, SagaRow, Tally},
};

/// What a column holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Value {
    Number(Option<i64>),
    Text(Option<String>),
}

impl Value {
    pub(super) fn text(text: impl AsRef<str>) -> Self {
        // PostgreSQL has no text with this character.
        Self::Text(Some(text.as_ref().replace('\0', "\u{fffd}")))
    }

    fn maybe_text(text: Option<impl AsRef<str>>) -> Self {
        text.map_or(Self::Text(None), Self::text)
    }

    pub(super) fn number(number: u64) -> Self {
        // Positions and microseconds stay far below; what does not fit is the largest that does.
        Self::Number(Some(i64::try_from(number).unwrap_or(i64::MAX)))
    }

    pub(super) fn partition(partition: PartitionId) -> Self {
        Self::number(partition.get().into())
    }

    fn time(time: Option<Time>) -> Self {
        time.map_or(Self::Number(None), |time| Self::number(time.as_micros()))
    }
}

pub(super) fn saga(partition: PartitionId, row: &SagaRow) -> Vec<Value> {
    vec![
        Value::partition(partition),
        Value::number(row.stream.get()),
        Value::text(row.saga.as_str()),
        Value::text(&row.definition),
        Value::number(row.version.0.into()),
        Value::text(row.standing.as_str()),
        Value::number(row.events.get()),
        Value::time(Some(row.started_at)),
        Value::time(Some(row.changed_at)),
        Value::time(row.deadline),
        Value::time(row.next_timer),
        Value::number(row.held),
        Value::time(row.paused_since),
        Value::maybe_text(row.fault.as_ref()),
    ]
}

pub(super) fn node(partition: PartitionId, row: &NodeRow) -> Vec<Value> {
    let wait = row.wait.as_ref();
    vec![
        Value::partition(partition),
        Value::number(row.stream.get()),
        Value::number(row.index.0.into()),
        Value::text(&row.node),
        Value::maybe_text(row.contract.as_ref()),
        Value::number(row.is_done.into()),
        Value::number(row.is_undone.into()),
        Value::number(row.attempts.into()),
        Value::number(row.undo_attempts.into()),
        Value::maybe_text(row.trouble.as_ref()),
        Value::maybe_text(wait.map(|wait| wait.kind.as_str())),
        Value::maybe_text(wait.and_then(|wait| wait.of.as_ref())),
        Value::time(wait.map(|wait| wait.since)),
        Value::time(wait.and_then(|wait| wait.until)),
        Value::maybe_text(row.awaited()),
    ]
}

pub(super) fn message(partition: PartitionId, row: &MessageRow) -> Vec<Value> {
    let about = row.about.as_ref();
    let attempt = about.map_or(Value::Number(None), |about| {
        Value::number(about.attempt.0.into())
    });
    vec![
        Value::partition(partition),
        Value::number(row.position.get()),
        Value::time(Some(row.at)),
        Value::number(row.stream.get()),
        Value::text(row.kind.as_str()),
        Value::text(&row.name),
        Value::maybe_text(row.party.as_ref()),
        Value::maybe_text(about.map(|about| &about.node)),
        Value::maybe_text(about.map(|about| about.direction.as_str())),
        attempt,
    ]
}

pub(super) fn letter(partition: PartitionId, row: &LetterRow) -> Vec<Value> {
    vec![
        Value::partition(partition),
        Value::text(row.id.to_string()),
        Value::text(Phase::Waiting.as_str()),
        Value::text(row.cause.as_str()),
        Value::text(&row.reason),
        Value::text(&row.queue),
        Value::text(&row.from),
        Value::maybe_text(row.saga.as_ref().map(|saga| saga.as_str())),
        Value::number(row.size),
        Value::number(row.deaths.into()),
        Value::time(Some(row.first_at)),
        Value::time(Some(row.at)),
    ]
}

pub(super) fn tally(partition: PartitionId, contract: &str, tally: &Tally) -> Vec<Value> {
    vec![
        Value::partition(partition),
        Value::text(contract),
        Value::number(tally.asked),
        Value::number(tally.succeeded),
        Value::number(tally.failed),
        Value::number(tally.unknown),
        Value::number(tally.timed_out),
        Value::number(tally.answered),
        Value::number(tally.micros),
        Value::number(tally.longest),
        Value::time(Some(tally.last_at)),
    ]
}
