//! Which trace a saga is, and which span a part of it.
//!
//! Nothing is drawn: every owner of a saga derives the same ids, also after a restart, and a worker in another
//! process gets them with its command.

use opentelemetry::trace::{SpanId, TraceId};
use sagalog::{AttemptNumber, Direction, SagaState};
use sha2::{Digest as _, Sha256};

/// The trace of a saga: of its id and when it began, so that a saga of the same id in another log is another one.
pub(in crate::telemetry) fn trace_of(state: &SagaState) -> TraceId {
    let mut hash = Sha256::new_with_prefix("sagalog trace");
    hash.update(state.started_at().as_micros().to_be_bytes());
    hash.update(state.id().as_str());
    TraceId::from_bytes(first_of(hash))
}

/// The span of the saga itself.
pub(super) fn saga_of(trace: TraceId) -> SpanId {
    span(trace, "saga", "", 0)
}

/// The span of what is asked of a step in one direction.
pub(super) fn step_of(trace: TraceId, node: &str, direction: Direction) -> SpanId {
    span(trace, direction.as_str(), node, 0)
}

/// The span of one attempt.
pub(super) fn attempt_of(
    trace: TraceId,
    node: &str,
    direction: Direction,
    attempt: AttemptNumber,
) -> SpanId {
    span(trace, direction.as_str(), node, attempt.0)
}

fn span(trace: TraceId, what: &str, node: &str, number: u32) -> SpanId {
    let mut hash = Sha256::new_with_prefix(trace.to_bytes());
    hash.update(number.to_be_bytes());
    hash.update(what);
    hash.update([0xff]);
    hash.update(node);
    SpanId::from_bytes(first_of(hash))
}

/// A span of a trace of which nothing is known elsewhere.
pub(super) fn fresh(what: &str, number: u64) -> (TraceId, SpanId) {
    let mut hash = Sha256::new_with_prefix(what);
    hash.update(std::process::id().to_be_bytes());
    hash.update(crate::when::now().as_micros().to_be_bytes());
    hash.update(number.to_be_bytes());
    let trace = TraceId::from_bytes(first_of(hash));
    (trace, span(trace, what, "", 0))
}

fn first_of<const N: usize>(hash: Sha256) -> [u8; N] {
    let hash: [u8; 32] = hash.finalize().into();
    *hash.first_chunk().expect("a SHA-256 has more bytes")
}
