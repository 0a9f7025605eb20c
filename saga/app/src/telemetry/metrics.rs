//! The numbers of one process: noted by its drivers, shown by its endpoint.
//!
//! Whatever a driver notes is found without a lock, in tables that are made at the start: of the sagas and
//! participants of the program, and of the log's partitions. What is in none of them is counted as `other`, so
//! nothing that comes in makes the number of series grow.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::text,
    metrics::{counter::Counter, exemplar::HistogramWithExemplars, family::Family, gauge::Gauge},
    registry::Registry,
};
use sagalog::{
    AnyDefinition, AttemptNumber, Direction, Graph, Kind, Observe, Rules, SagaEvent, SagaState,
    Status,
    admission::Standing as Breaker,
    dead_letter::Cause,
    graph::participant,
    log::{PartitionId, Position, Time},
    observe::{Commit, Standing},
};

use super::{
    catalogue::{self as its, Kind as Shape, Metric},
    spread::{COUNTS, SECONDS, Spread},
    trace::trace_of,
};

/// Names and values of a series.
pub(super) type Labels = Vec<(&'static str, String)>;

/// The numbers of one process, and the registry that shows them.
pub(crate) struct Metrics {
    shown: Shown,
    sagas: HashMap<String, OfSaga>,
    other_sagas: OfSaga,
    participants: HashMap<String, OfParticipant>,
    other_participants: OfParticipant,
    partitions: Box<[OfPartition]>,
    died: HashMap<&'static str, Counter>,
    append_seconds: Spread,
    append_batches: Spread,
    send_seconds: Spread,
    spans_dropped: Counter,
    /// Whether sagas are traced, so that an exemplar names a trace.
    is_traced: bool,
    standings: Mutex<BTreeMap<PartitionId, Standing>>,
}

/// What is counted of the sagas of one definition.
struct OfSaga {
    started: Counter,
    ended: [Counter; 3],
    turned: [Counter; TURNED.len()],
    parked: [Counter; 3],
    held: Counter,
}

/// What is counted of a participant.
struct OfParticipant {
    asked: [Counter; 4],
    outcomes: [Counter; 5],
    retries: Counter,
    compensations: Counter,
    seconds: Spread,
}

/// What is counted of a partition.
struct OfPartition {
    events: Counter,
    messages: Counter,
    not_taken: Counter,
    disconnects: Counter,
    /// Up to where its log is published; 0 if it is not.
    published: AtomicU64,
}

const ENDED: [Status; 3] = [
    Status::Completed,
    Status::Compensated,
    Status::PartlyCompensated,
];
/// The words of `TurnCause`, in its order.
const TURNED: [&str; 7] = [
    "step_failed",
    "step_deadline",
    "check_failed",
    "fail",
    "cancelled",
    "operator",
    "deadline",
];
/// The words of `ParkCause`, in its order.
const PARKED: [&str; 3] = ["expression", "action", "compensation"];
/// How an attempt can end.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Outcome {
    Succeeded,
    Failed,
    Unknown,
    TimedOut,
    NotFound,
}

/// Their words, in order.
const OUTCOMES: [&str; 5] = ["succeeded", "failed", "unknown", "timed_out", "not_found"];

/// What is counted together because the program does not know it by name.
const OTHER: &str = "other";

impl Metrics {
    /// Of a process that drives these sagas on a log of so many partitions.
    pub(crate) fn new(definitions: &[AnyDefinition], partitions: u32, is_traced: bool) -> Self {
        let shown = Shown::all();
        let sagas = definitions.iter().map(|it| it.graph().saga.clone());
        let participants = definitions.iter().flat_map(|it| participants(it.graph()));
        let participants: BTreeSet<_> = participants.collect();
        let died = Cause::ALL.map(Cause::as_str);
        Self {
            sagas: sagas
                .map(|name| (name.clone(), OfSaga::new(&shown, &name)))
                .collect(),
            other_sagas: OfSaga::new(&shown, OTHER),
            participants: participants
                .into_iter()
                .map(|name| (name.clone(), OfParticipant::new(&shown, &name)))
                .collect(),
            other_participants: OfParticipant::new(&shown, OTHER),
            partitions: (0..partitions)
                .map(|number| OfPartition::new(&shown, number))
                .collect(),
            died: died
                .map(|cause| (cause, shown.counter(&its::DIED, [cause])))
                .into(),
            append_seconds: shown.spread(&its::APPEND_SECONDS, []),
            append_batches: shown.spread(&its::APPEND_BATCHES, []),
            send_seconds: shown.spread(&its::SEND_SECONDS, []),
            spans_dropped: shown.counter(&its::SPANS_DROPPED, []),
            is_traced,
            standings: Mutex::default(),
            shown,
        }
    }

    /// Counts the spans that are lost.
    pub(crate) fn spans_dropped(&self) -> Counter {
        self.spans_dropped.clone()
    }

    /// All of it, as OpenMetrics text.
    pub(crate) fn to_text(&self) -> String {
        let participants = self.participants.values();
        let participants = participants.chain([&self.other_participants]);
        let spreads = participants.map(|participant| &participant.seconds);
        let of_all = [
            &self.append_seconds,
            &self.append_batches,
            &self.send_seconds,
        ];
        spreads.chain(of_all).for_each(Spread::show);
        let standings = self.standings();
        self.show_gauges(&standings);
        let mut shown = String::new();
        text::encode(&mut shown, &self.shown.registry).expect("a string takes what is written");
        shown
    }

    /// Where the partitions stood that this process owns, when their drivers took stock last.
    pub(crate) fn standings(&self) -> MutexGuard<'_, BTreeMap<PartitionId, Standing>> {
        self.standings
            .lock()
            .expect("nothing panics under this lock")
    }

    /// How many events the published log is behind, by partition, where it is published at all.
    pub(crate) fn behind(&self) -> BTreeMap<u32, u64> {
        let standings = self.standings();
        let behind = standings.iter().filter_map(|(partition, standing)| {
            let of = &self.partitions[partition.get() as usize];
            let published = of.published.load(Relaxed);
            let behind = standing.durable.get().saturating_sub(published);
            (published > 0).then_some((partition.get(), behind))
        });
        behind.collect()
    }

    /// Gauges show what is, so they are made anew: what was given up is not among them.
    fn show_gauges(&self, standings: &BTreeMap<PartitionId, Standing>) {
        self.shown.gauges.values().for_each(Family::clear);
        self.set(&its::PARTITIONS, [], self.partitions.len() as i64);
        let rules = Rules::VERSION.to_string();
        self.set(&its::BUILD, [env!("CARGO_PKG_VERSION"), &rules], 1);
        for (partition, standing) in standings {
            self.show_standing(&partition.to_string(), standing);
            let of = &self.partitions[partition.get() as usize];
            let published = of.published.load(Relaxed);
            if published > 0 {
                let number = partition.to_string();
                self.set(&its::PUBLISHED_POSITION, [&number], published as i64);
            }
        }
    }

    fn show_standing(&self, number: &str, standing: &Standing) {
        let set = |metric, value: u64| self.set(metric, [number], value as i64);
        set(&its::OWNED, 1);
        set(&its::EPOCH, standing.epoch.get());
        set(&its::LOG_POSITION, standing.durable.get());
        set(
            &its::LOG_PENDING,
            standing.tail.get() - standing.durable.get(),
        );
        set(&its::DEAD_LETTERS, standing.dead_letters as u64);
        set(&its::WINDOW_USED, standing.unanswered as u64);
        set(&its::WINDOW, standing.window as u64);
        for (state, count) in [
            ("running", standing.running),
            ("compensating", standing.compensating),
            ("parked", standing.parked),
            ("holding", standing.holding),
            ("held", standing.held),
        ] {
            self.set(&its::SAGAS, [number, state], count as i64);
        }
        for load in &standing.loads {
            let (participant, class) = (&*load.participant, load.class.as_str());
            let of = [number, participant, class];
            self.set(&its::BREAKER, of, standing_of(load.breaker));
            self.set(&its::BREAKER_OPENED, of, load.opened.into());
            self.set(&its::BULKHEAD_USED, of, load.under_way.into());
            self.set(&its::BULKHEAD_WAITING, of, load.waiting as i64);
            let of = [number, participant];
            self.set(&its::BULKHEAD_PERMITS, of, load.permits.into());
        }
    }

    fn of_saga(&self, state: &SagaState) -> &OfSaga {
        let known = self.sagas.get(&state.graph().saga);
        known.unwrap_or(&self.other_sagas)
    }

    /// Whom a node asks in a direction.
    fn asked(&self, state: &SagaState, node: &str, direction: Direction) -> Option<&OfParticipant> {
        let index = state.graph().find(node)?;
        let Kind::Step { spec, .. } = &state.graph().node(index).kind else {
            return None;
        };
        let known = self
            .participants
            .get(participant(spec.terms(direction)?.name));
        Some(known.unwrap_or(&self.other_participants))
    }

    fn answered(
        &self,
        state: &SagaState,
        node: &str,
        direction: Direction,
        attempt: AttemptNumber,
        outcome: Outcome,
        at: Time,
    ) {
        let Some(of) = self.asked(state, node, direction) else {
            return;
        };
        of.outcomes[outcome as usize].inc();
        let step = state.graph().find(node).and_then(|index| state.step(index));
        let open = step.and_then(|(_, step)| step.attempts(direction).open);
        // A late answer, and none, say nothing about how long an answer takes.
        if let Some(open) = open.filter(|open| open.number == attempt)
            && outcome != Outcome::TimedOut
        {
            let took = at.since(open.asked_at).as_secs_f64();
            let example = || {
                let trace = self.is_traced.then(|| trace_of(state).to_string());
                let trace = trace.map(|trace| ("trace_id", trace));
                let saga = ("saga_id", state.id().to_string());
                [saga].into_iter().chain(trace).collect()
            };
            of.seconds.note_with(took, example);
        }
    }

    fn set<const N: usize>(&self, metric: &Metric, values: [&str; N], value: i64) {
        let family = &self.shown.gauges[metric.name];
        family.get_or_create(&labels(metric, values)).set(value);
    }
}

impl Observe for Metrics {
    fn decided(&self, state: &SagaState, event: &SagaEvent, at: Time) {
        use SagaEvent as E;
        match event {
            E::Started(_) => drop(self.of_saga(state).started.inc()),
            E::AttemptAsked(e) => {
                let Some(of) = self.asked(state, &e.node, e.direction) else {
                    return;
                };
                of.asked[e.direction as usize].inc();
                if e.attempt.0 > 1 {
                    of.retries.inc();
                } else if e.direction == Direction::Compensation {
                    of.compensations.inc();
                }
            }
            E::AttemptSucceeded(e) => {
                let (node, attempt) = (&e.node, e.attempt);
                self.answered(state, node, e.direction, attempt, Outcome::Succeeded, at);
            }
            E::AttemptFailed(e) => {
                let (node, attempt) = (&e.node, e.attempt);
                self.answered(state, node, e.direction, attempt, Outcome::Failed, at);
            }
            E::AttemptUnknown(e) => {
                let (node, attempt) = (&e.node, e.attempt);
                self.answered(state, node, e.direction, attempt, Outcome::Unknown, at);
            }
            E::AttemptTimedOut(e) => {
                let (node, attempt) = (&e.node, e.attempt);
                self.answered(state, node, e.direction, attempt, Outcome::TimedOut, at);
            }
            E::ActionNotFound(e) => {
                let (node, direction) = (&e.node, Direction::Probe);
                self.answered(state, node, direction, e.attempt, Outcome::NotFound, at);
            }
            E::Turned(e) => {
                self.of_saga(state).turned[e.cause as usize].inc();
            }
            E::Parked(e) => {
                self.of_saga(state).parked[e.cause as usize].inc();
            }
            E::InputHeld(_) => drop(self.of_saga(state).held.inc()),
            E::Completed(_) => drop(self.of_saga(state).ended[0].inc()),
            E::Compensated(_) => drop(self.of_saga(state).ended[1].inc()),
            E::PartlyCompensated(_) => drop(self.of_saga(state).ended[2].inc()),
            _ => {}
        }
    }

    fn appended(&self, partition: PartitionId, commit: Commit) {
        let of = &self.partitions[partition.get() as usize];
        of.events.inc_by(commit.events);
        self.append_seconds.note(commit.took.as_secs_f64());
        self.append_batches.note(commit.batches as f64);
    }

    fn sent(&self, partition: PartitionId, messages: usize, not_taken: usize, took: Duration) {
        let of = &self.partitions[partition.get() as usize];
        of.messages.inc_by(messages as u64);
        of.not_taken.inc_by(not_taken as u64);
        self.send_seconds.note(took.as_secs_f64());
    }

    fn stands(&self, partition: PartitionId, standing: Standing) {
        self.standings().insert(partition, standing);
    }

    fn given_up(&self, partition: PartitionId) {
        self.standings().remove(&partition);
    }

    fn died(&self, cause: Cause) {
        self.died[cause.as_str()].inc();
    }

    fn disconnected(&self, partition: PartitionId) {
        self.partitions[partition.get() as usize].disconnects.inc();
    }

    fn published(&self, partition: PartitionId, through: Position) {
        let of = &self.partitions[partition.get() as usize];
        of.published.store(through.get(), Relaxed);
    }
}

/// The number that stands for where a breaker stands.
const fn standing_of(breaker: Breaker) -> i64 {
    match breaker {
        Breaker::Closed => 0,
        Breaker::HalfOpen => 1,
        Breaker::Open { .. } => 2,
        Breaker::OpenByHand => 3,
    }
}

/// Everybody whom a saga of this graph may ask.
fn participants(graph: &Graph) -> Vec<String> {
    let specs = graph.iter().filter_map(|(_, node)| match &node.kind {
        Kind::Step { spec, .. } => Some(spec),
        _ => None,
    });
    let terms = specs.flat_map(|spec| Direction::ALL.map(|direction| spec.terms(direction)));
    let names = terms.flatten().map(|terms| participant(terms.name));
    names.map(str::to_owned).collect()
}

impl OfSaga {
    fn new(shown: &Shown, saga: &str) -> Self {
        Self {
            started: shown.counter(&its::SAGAS_STARTED, [saga]),
            ended: ENDED.map(|status| shown.counter(&its::SAGAS_ENDED, [saga, status.as_str()])),
            turned: TURNED.map(|cause| shown.counter(&its::SAGAS_TURNED, [saga, cause])),
            parked: PARKED.map(|cause| shown.counter(&its::NODES_PARKED, [saga, cause])),
            held: shown.counter(&its::INPUTS_HELD, [saga]),
        }
    }
}

impl OfParticipant {
    fn new(shown: &Shown, name: &str) -> Self {
        let asked = Direction::ALL.map(Direction::as_str);
        Self {
            asked: asked.map(|direction| shown.counter(&its::ATTEMPTS_ASKED, [name, direction])),
            outcomes: OUTCOMES.map(|outcome| shown.counter(&its::ATTEMPTS, [name, outcome])),
            retries: shown.counter(&its::RETRIES, [name]),
            compensations: shown.counter(&its::COMPENSATIONS, [name]),
            seconds: shown.spread(&its::ATTEMPT_SECONDS, [name]),
        }
    }
}

impl OfPartition {
    fn new(shown: &Shown, number: u32) -> Self {
        let number = number.to_string();
        let counter = |metric| shown.counter(metric, [&number]);
        Self {
            events: counter(&its::APPENDED_EVENTS),
            messages: counter(&its::MESSAGES),
            not_taken: counter(&its::NOT_TAKEN),
            disconnects: counter(&its::DISCONNECTS),
            published: AtomicU64::new(0),
        }
    }
}

type Histogram = HistogramWithExemplars<Labels>;

/// The registry, and what is in it.
struct Shown {
    registry: Registry,
    counters: BTreeMap<&'static str, Family<Labels, Counter>>,
    gauges: BTreeMap<&'static str, Family<Labels, Gauge>>,
    histograms: BTreeMap<&'static str, Family<Labels, Histogram>>,
}

impl Shown {
    /// Everything that is declared, without a series.
    fn all() -> Self {
        let mut shown = Self {
            registry: Registry::default(),
            counters: BTreeMap::new(),
            gauges: BTreeMap::new(),
            histograms: BTreeMap::new(),
        };
        for metric in its::ALL {
            let Metric { name, help, .. } = metric;
            let registry = &mut shown.registry;
            match metric.kind {
                Shape::Counter => {
                    let family = shown.counters.entry(name).or_default();
                    registry.register(*name, *help, family.clone());
                }
                Shape::Gauge => {
                    let family = shown.gauges.entry(name).or_default();
                    registry.register(*name, *help, family.clone());
                }
                Shape::Histogram => {
                    let make: fn() -> Histogram = match is_time(metric) {
                        true => || Histogram::new(SECONDS.iter().copied()),
                        false => || Histogram::new(COUNTS.iter().copied()),
                    };
                    let family = Family::new_with_constructor(make);
                    registry.register(*name, *help, family.clone());
                    shown.histograms.insert(name, family);
                }
            }
        }
        shown
    }

    fn counter<const N: usize>(&self, metric: &Metric, values: [&str; N]) -> Counter {
        self.counters[metric.name].get_or_create_owned(&labels(metric, values))
    }

    fn spread<const N: usize>(&self, metric: &Metric, values: [&str; N]) -> Spread {
        let shown = self.histograms[metric.name].get_or_create_owned(&labels(metric, values));
        Spread::shown_by(shown, if is_time(metric) { SECONDS } else { COUNTS })
    }
}

fn is_time(metric: &Metric) -> bool {
    metric.name.ends_with("_seconds")
}

/// The labels of a metric with these values, in the order in which it declares them.
fn labels<const N: usize>(metric: &Metric, values: [&str; N]) -> Labels {
    debug_assert_eq!(metric.labels.len(), N, "{}", metric.name);
    let values = values.map(str::to_owned);
    metric.labels.iter().copied().zip(values).collect()
}

#[cfg(test)]
mod tests {
    use sagalog::{
        admission::{Class, Load},
        log::Epoch,
    };

    use super::*;

    #[test]
    fn the_endpoint_shows_exactly_what_is_declared() {
        let metrics = Metrics::new(&[], 2, false);
        let partition = PartitionId::new(1);
        metrics.stands(partition, standing());
        metrics.published(partition, Position::new(1));
        let text = metrics.to_text();
        let shown = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let shown: BTreeSet<_> = shown.map(str::to_owned).collect();
        let declared = its::ALL.iter();
        let declared = declared.map(|it| format!("{} {}", it.name, it.kind.as_str()));
        assert_eq!(shown, declared.collect());
        assert!(text.ends_with("# EOF\n"));
        let owned = r#"sagalog_partition_owned{partition="1"} 1"#;
        assert!(text.contains(owned), "{text}");
        metrics.given_up(partition);
        assert!(
            !metrics.to_text().contains(owned),
            "it is not owned any more"
        );
    }

    fn standing() -> Standing {
        let load = Load {
            participant: "payments".into(),
            class: Class::Begins,
            breaker: Breaker::OpenByHand,
            opened: 0,
            under_way: 1,
            permits: 2,
            waiting: 0,
        };
        Standing {
            at: Time::default(),
            epoch: Epoch::new(1),
            running: 1,
            compensating: 0,
            parked: 0,
            holding: 0,
            held: 0,
            dead_letters: 0,
            tail: Position::new(2),
            durable: Position::new(1),
            unanswered: 1,
            window: 2,
            loads: vec![load],
        }
    }

    #[test]
    fn causes_have_one_place_each() {
        use sagalog::event::{ParkCause as P, TurnCause as T};
        let turned = [
            T::StepFailed,
            T::StepDeadline,
            T::CheckFailed,
            T::Fail,
            T::Cancelled,
            T::Operator,
            T::Deadline,
        ];
        for cause in turned {
            let word = serde_json::to_value(cause).expect("a word");
            assert_eq!(word, TURNED[cause as usize]);
        }
        for cause in [P::Expression, P::Action, P::Compensation] {
            let word = serde_json::to_value(cause).expect("a word");
            assert_eq!(word, PARKED[cause as usize]);
        }
    }
}
