//! A dead letter as it is shown.

use sagalog_model::{
    dead_letter::{Body, Envelope},
    log::PartitionId,
};
use sagalog_projections::dead_letters::Letter;
use serde::Serialize;

/// A dead letter, as JSON. Times are microseconds since 1970.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    pub(super) id: String,
    partition: u32,
    pub(super) phase: &'static str,
    pub(super) cause: &'static str,
    pub(super) reason: &'a str,
    pub(super) queue: &'a str,
    from: &'a str,
    message: &'a str,
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) saga: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<u64>,
    size: u64,
    sha_256: &'a str,
    /// What else its sender said.
    #[serde(skip_serializing_if = "Option::is_none")]
    envelope: Option<&'a Envelope>,
    pub(super) deaths: u32,
    retries: u32,
    first_died_at: u64,
    died_at: u64,
    /// Whether the body is one that was given for a retry.
    edited: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a Body>,
}

impl<'a> Shown<'a> {
    pub(super) fn of(partition: PartitionId, letter: &'a Letter) -> Self {
        let died = &letter.died;
        Self {
            id: died.id.to_string(),
            partition: partition.get(),
            phase: letter.phase.as_str(),
            cause: died.cause.as_str(),
            reason: &died.reason,
            queue: &died.queue,
            from: &died.from,
            message: &died.message,
            kind: &died.kind,
            saga: died.saga.as_ref().map(|saga| saga.as_str()),
            deadline: died.deadline.map(|deadline| deadline.as_micros()),
            size: died.size,
            sha_256: &died.sha_256,
            envelope: died.envelope.as_deref(),
            deaths: letter.deaths,
            retries: letter.retries,
            first_died_at: letter.first_at.as_micros(),
            died_at: letter.at.as_micros(),
            edited: letter.is_edited,
            body: None,
        }
    }

    /// With what is kept of its bytes: `{"text": …}`, `{"base64": …}` or, of a large one, `{"head": …}` in
    /// base64.
    pub(super) fn with_body(partition: PartitionId, letter: &'a Letter) -> Self {
        Self {
            body: Some(&letter.body),
            ..Self::of(partition, letter)
        }
    }
}
