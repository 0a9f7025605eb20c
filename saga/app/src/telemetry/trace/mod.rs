//! Traces: a saga is one, its steps and their attempts are spans of it, and what workers do with a command is a
//! span below its attempt. Commits and publishing are traces of their own, as they are of many sagas.
//!
//! A span is made when it has ended, of what the saga's state says about its beginning. So nothing is kept for it
//! meanwhile, and an owner that takes a saga over ends the spans that another began.

mod export;
mod ids;
mod sampling;

use std::{
    borrow::Cow,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{
        Link, SpanContext, SpanId, SpanKind, Status as SpanStatus, TraceFlags, TraceId, TraceState,
    },
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use prometheus_client::metrics::counter::Counter;
use sagalog::{
    AttemptNumber, Command, Direction, Observe, Outcome, SagaEvent, SagaState,
    log::{PartitionId, Time},
    observe::{Called, Commit},
};

use self::{export::Outbox, sampling::Sampling};
use crate::error::CliError;

pub(crate) use export::Exporting;
pub(super) use ids::trace_of;

/// Where traces go, and of which sagas.
#[derive(Debug, clap::Args)]
pub(crate) struct OtlpArg {
    /// Sends traces to this collector, as http://HOST:4318: OTLP over HTTP, which Jaeger takes too
    #[arg(long, value_name = "URL", env = "SAGALOG_OTLP")]
    otlp: Option<String>,
    /// Of how many sagas a trace is kept: a part of all, and others for some definitions, as 0.01,order=1.
    /// What goes wrong is kept of all
    #[arg(long, value_name = "RATES", default_value = "0.1")]
    otlp_sample: Sampling,
}

impl OtlpArg {
    /// Whether they are wanted.
    pub(crate) const fn is_given(&self) -> bool {
        self.otlp.is_some()
    }

    /// Begins to send traces, if they are wanted.
    ///
    /// # Errors
    /// If the collector's URL is none.
    pub(crate) fn begin(
        &self,
        service: &str,
        dropped: Counter,
    ) -> Result<Option<(Tracer, Exporting)>, CliError> {
        let Some(url) = &self.otlp else {
            return Ok(None);
        };
        let (outbox, exporting) = export::begin(url, service, dropped)?;
        let tracer = Tracer {
            outbox,
            sampling: self.otlp_sample.clone(),
            scope: InstrumentationScope::builder("sagalog")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
            number: AtomicU64::new(0),
        };
        Ok(Some((tracer, exporting)))
    }
}

/// Makes spans of what happens.
pub(crate) struct Tracer {
    outbox: Outbox,
    sampling: Sampling,
    scope: InstrumentationScope,
    /// Numbers what has no saga.
    number: AtomicU64,
}

/// A commit or a publish that takes longer is kept in any case.
const SLOW: Duration = Duration::from_secs(1);

/// A span that is being made.
struct Span {
    trace: TraceId,
    id: SpanId,
    parent: SpanId,
    name: Cow<'static, str>,
    kind: SpanKind,
    from: SystemTime,
    to: SystemTime,
    status: SpanStatus,
    links: Vec<Link>,
    attributes: Vec<KeyValue>,
}

impl Tracer {
    /// Whether everything of a saga is kept: it is one of those that are, or it goes back.
    fn keeps(&self, state: &SagaState, trace: TraceId) -> bool {
        state.turn().is_some() || self.sampling.keeps(&state.graph().saga, trace)
    }

    fn put(&self, span: Span) {
        self.outbox.put(SpanData {
            span_context: context(span.trace, span.id),
            parent_span_id: span.parent,
            parent_span_is_remote: span.kind == SpanKind::Consumer,
            span_kind: span.kind,
            name: span.name,
            start_time: span.from,
            end_time: span.to,
            attributes: span.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: links(span.links),
            status: span.status,
            instrumentation_scope: self.scope.clone(),
        });
    }

    fn attempt_ended(
        &self,
        state: &SagaState,
        (node, direction, attempt): (&str, Direction, AttemptNumber),
        at: Time,
        trouble: Option<&str>,
    ) {
        let trace = trace_of(state);
        if trouble.is_none() && !self.keeps(state, trace) {
            return;
        }
        let Some((_, step)) = state.graph().find(node).and_then(|index| state.step(index)) else {
            return;
        };
        // One that is late is told of with its own end, when that is over.
        let open = step.attempts(direction).open;
        let Some(open) = open.filter(|open| open.number == attempt) else {
            return;
        };
        let before = attempt.0.checked_sub(1).filter(|before| *before > 0);
        let before = before.map(|number| {
            let id = ids::attempt_of(trace, node, direction, AttemptNumber(number));
            let why = vec![KeyValue::new("sagalog.link", "retry_of")];
            Link::new(context(trace, id), why, 0)
        });
        let mut attributes = about(state);
        attributes.push(KeyValue::new("sagalog.node", node.to_owned()));
        attributes.push(KeyValue::new("sagalog.attempt", i64::from(attempt.0)));
        self.put(Span {
            trace,
            id: ids::attempt_of(trace, node, direction, attempt),
            parent: ids::step_of(trace, node, settled_by(direction)),
            name: format!("attempt {node} {direction}").into(),
            kind: SpanKind::Producer,
            from: moment(open.asked_at),
            to: moment(at),
            status: status(trouble),
            links: before.into_iter().collect(),
            attributes,
        });
    }

    /// All that was asked of a step in one direction is over.
    fn step_ended(
        &self,
        state: &SagaState,
        (node, direction): (&str, Direction),
        at: Time,
        trouble: Option<&str>,
    ) {
        let trace = trace_of(state);
        if trouble.is_none() && !self.keeps(state, trace) {
            return;
        }
        let Some(index) = state.graph().find(node) else {
            return;
        };
        // Undoing begins with the turn at the soonest; the node has been what it is for longer.
        let turned = state.turn().map(|turn| turn.at);
        let turned = turned.filter(|_| !direction.is_forward());
        let begun = state.node(index).since.max(turned.unwrap_or_default());
        let mut attributes = about(state);
        attributes.push(KeyValue::new("sagalog.node", node.to_owned()));
        if let Some((spec, _)) = state.step(index) {
            attributes.push(KeyValue::new("sagalog.step", spec.name.to_string()));
        }
        self.put(Span {
            trace,
            id: ids::step_of(trace, node, direction),
            parent: ids::saga_of(trace),
            name: format!("{direction} {node}").into(),
            kind: SpanKind::Internal,
            from: moment(begun),
            to: moment(at),
            status: status(trouble),
            links: Vec::new(),
            attributes,
        });
    }

    fn saga_ended(&self, state: &SagaState, how: &'static str, at: Time) {
        let trace = trace_of(state);
        if !self.keeps(state, trace) {
            return;
        }
        let turn = state.turn().map(|turn| &*turn.reason);
        let mut attributes = about(state);
        attributes.push(KeyValue::new("sagalog.status", how));
        let version = i64::from(state.graph().version.0);
        attributes.push(KeyValue::new("sagalog.version", version));
        self.put(Span {
            trace,
            id: ids::saga_of(trace),
            parent: SpanId::INVALID,
            name: format!("saga {}", state.graph().saga).into(),
            kind: SpanKind::Internal,
            from: moment(state.started_at()),
            to: moment(at),
            status: status(turn),
            links: Vec::new(),
            attributes,
        });
    }

    /// Something that is of many sagas at once.
    fn shared(
        &self,
        what: &'static str,
        partition: PartitionId,
        took: Duration,
        trouble: Option<&str>,
        counts: [(&'static str, u64); 2],
    ) {
        let number = self.number.fetch_add(1, Relaxed);
        if trouble.is_none() && took < SLOW && !self.sampling.keeps_number(number) {
            return;
        }
        let (trace, id) = ids::fresh(what, number);
        let to = SystemTime::now();
        let counts = counts.map(|(name, count)| KeyValue::new(name, count as i64));
        let mut attributes = vec![KeyValue::new(
            "sagalog.partition",
            i64::from(partition.get()),
        )];
        attributes.extend(counts);
        self.put(Span {
            trace,
            id,
            parent: SpanId::INVALID,
            name: what.into(),
            kind: SpanKind::Client,
            from: to.checked_sub(took).unwrap_or(to),
            to,
            status: status(trouble),
            links: Vec::new(),
            attributes,
        });
    }
}

impl Observe for Tracer {
    fn decided(&self, state: &SagaState, event: &SagaEvent, at: Time) {
        use SagaEvent as E;
        match event {
            E::AttemptSucceeded(e) => {
                self.attempt_ended(state, (&e.node, e.direction, e.attempt), at, None);
                self.step_ended(state, (&e.node, settled_by(e.direction)), at, None);
            }
            E::AttemptFailed(e) => {
                let what = (&*e.node, e.direction, e.attempt);
                self.attempt_ended(state, what, at, Some(&e.reason));
            }
            E::AttemptUnknown(e) => {
                let what = (&*e.node, e.direction, e.attempt);
                self.attempt_ended(state, what, at, Some(&e.reason));
            }
            E::AttemptTimedOut(e) => {
                let what = (&*e.node, e.direction, e.attempt);
                self.attempt_ended(state, what, at, Some("no answer in time"));
            }
            E::ActionNotFound(e) => {
                let what = (&*e.node, Direction::Probe, e.attempt);
                self.attempt_ended(state, what, at, None);
            }
            E::Turned(e) => {
                if let Some(node) = &e.node {
                    self.step_ended(state, (node, Direction::Action), at, Some(&e.reason));
                }
            }
            E::Parked(e) => {
                let direction = match state.turn() {
                    Some(_) => Direction::Compensation,
                    None => Direction::Action,
                };
                self.step_ended(state, (&e.node, direction), at, Some(&e.reason));
            }
            E::Completed(_) => self.saga_ended(state, "Completed", at),
            E::Compensated(_) => self.saga_ended(state, "Compensated", at),
            E::PartlyCompensated(_) => self.saga_ended(state, "PartlyCompensated", at),
            _ => {}
        }
    }

    fn appended(&self, partition: PartitionId, commit: Commit) {
        let counts = [
            ("sagalog.batches", commit.batches as u64),
            ("sagalog.events", commit.events),
        ];
        self.shared("append", partition, commit.took, None, counts);
    }

    fn sent(&self, partition: PartitionId, messages: usize, not_taken: usize, took: Duration) {
        let trouble = (not_taken > 0).then_some("not all messages were taken");
        let counts = [
            ("sagalog.messages", messages as u64),
            ("sagalog.not_taken", not_taken as u64),
        ];
        self.shared("publish", partition, took, trouble, counts);
    }

    fn traceparent(&self, state: &SagaState, command: &Command) -> Option<String> {
        let trace = trace_of(state);
        let Command {
            node,
            direction,
            attempt,
            ..
        } = command;
        let span = ids::attempt_of(trace, node, *direction, *attempt);
        let flags = u8::from(self.keeps(state, trace));
        Some(format!("00-{trace}-{span}-{flags:02x}"))
    }

    fn called(&self, called: &Called<'_>) {
        let trouble = match called.outcome {
            Outcome::Failed { reason, .. } | Outcome::Unknown { reason } => Some(reason.as_str()),
            Outcome::Succeeded(_) | Outcome::NotDone | Outcome::Alive { .. } => None,
        };
        let Some((trace, parent, is_kept)) = called.traceparent.and_then(parsed) else {
            return;
        };
        if trouble.is_none() && !is_kept {
            return;
        }
        let number = self.number.fetch_add(1, Relaxed);
        let (_, id) = ids::fresh("call", number);
        let Command {
            saga,
            node,
            step,
            direction,
            attempt,
            ..
        } = called.command;
        let to = SystemTime::now();
        self.put(Span {
            trace,
            id,
            parent,
            name: format!("{step} {direction}").into(),
            kind: SpanKind::Consumer,
            from: to.checked_sub(called.took).unwrap_or(to),
            to,
            status: status(trouble),
            links: Vec::new(),
            attributes: vec![
                KeyValue::new("sagalog.saga", saga.to_string()),
                KeyValue::new("sagalog.node", node.to_string()),
                KeyValue::new("sagalog.attempt", i64::from(attempt.0)),
                KeyValue::new("messaging.message.id", called.message.to_string()),
            ],
        });
    }
}

/// What an answer settles: a probe asks about the action.
const fn settled_by(direction: Direction) -> Direction {
    match direction {
        Direction::Probe => Direction::Action,
        direction => direction,
    }
}

/// The trace context of a message: trace, span, and whether the trace is kept.
fn parsed(text: &str) -> Option<(TraceId, SpanId, bool)> {
    let mut parts = text.split('-');
    let (_version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    let flags = u8::from_str_radix(parts.next()?, 16).ok()?;
    let trace = TraceId::from_hex(trace).ok()?;
    let span = SpanId::from_hex(span).ok()?;
    Some((trace, span, flags & 1 == 1))
}

fn about(state: &SagaState) -> Vec<KeyValue> {
    vec![
        KeyValue::new("sagalog.saga", state.id().to_string()),
        KeyValue::new("sagalog.definition", state.graph().saga.clone()),
    ]
}

fn context(trace: TraceId, span: SpanId) -> SpanContext {
    SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::NONE)
}

fn links(links: Vec<Link>) -> SpanLinks {
    let mut all = SpanLinks::default();
    all.links = links;
    all
}

fn status(trouble: Option<&str>) -> SpanStatus {
    match trouble {
        Some(why) => SpanStatus::error(why.to_owned()),
        None => SpanStatus::Ok,
    }
}

fn moment(at: Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(at.as_micros())
}
