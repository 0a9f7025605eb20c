//! Whether a node works, and whether what it stands on does.
//!
//! Three questions, each wider than the one before. *Live*: does the process answer? If not, start it again.
//! *Ready*: does it do its work? What it stands on may be why not, and a restart would not help. *Deep*: what should
//! a person look at?

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use sagalog::{Probe, observe::TAKES_STOCK};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::{sync::Mutex, time::timeout};

use super::Metrics;
use crate::{error::chain, when::now};

/// For how long an answer stands: whoever asks more often gets the same.
const STANDS: Duration = Duration::from_secs(2);

/// How long something that the node stands on may take to answer.
const ANSWERS: Duration = Duration::from_secs(2);

/// How long a driver may take no stock before it counts as stuck.
const STUCK: Duration = Duration::from_secs(6 * TAKES_STOCK.as_secs());

/// So many events behind, whoever follows the published log sees old news.
const LAGS: u64 = 100_000;

/// Looks after a node.
pub(crate) struct Health {
    metrics: Arc<Metrics>,
    /// Set when the node has started.
    probe: OnceLock<Probe>,
    last: Mutex<Option<(Instant, Report)>>,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// Whether everything is up that the node needs for its work.
    pub(crate) status: Status,
    /// When it was found, in microseconds since 1970.
    at: u64,
    /// For how long the answer stands, in milliseconds.
    stands_ms: u64,
    checks: BTreeMap<&'static str, Check>,
}

/// What was found of one thing.
#[derive(Clone, Debug, Serialize)]
struct Check {
    status: Status,
    /// Why it is not up, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(flatten)]
    details: Map<String, Value>,
}

/// How something is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// As it should be.
    Up,
    /// It works, and a person should look.
    Degraded,
    /// It does not work.
    Down,
}

impl Health {
    pub(crate) fn of(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            probe: OnceLock::new(),
            last: Mutex::default(),
        }
    }

    /// The node has started, and stands on this.
    pub(crate) fn started(&self, probe: Probe) {
        let first = self.probe.set(probe);
        debug_assert!(first.is_ok(), "a node starts once");
    }

    /// Everything there is to say; at most as old as it says itself.
    pub(crate) async fn deep(&self) -> Report {
        let mut last = self.last.lock().await;
        if let Some((at, report)) = &*last
            && at.elapsed() < STANDS
        {
            return report.clone();
        }
        let report = self.look().await;
        *last = Some((Instant::now(), report.clone()));
        report
    }

    /// What the node needs for its work, and nothing else.
    pub(crate) async fn ready(&self) -> Report {
        let mut report = self.deep().await;
        report.checks.retain(|name, _| NEEDED.contains(name));
        report
    }

    async fn look(&self) -> Report {
        let mut checks = BTreeMap::new();
        match self.probe.get() {
            None => {
                let why = "it has not taken its partitions over yet".to_owned();
                checks.insert("started", Check::of(Status::Down).because(why));
            }
            Some(probe) => {
                checks.insert("started", Check::of(Status::Up));
                let broker = async { answers(async { probe.broker().await.transpose() }).await };
                let (log, broker) = tokio::join!(answers(probe.log()), broker);
                checks.insert("log", log);
                if probe.has_broker() {
                    checks.insert("broker", broker);
                }
                checks.insert("partitions", self.partitions(probe));
                checks.insert("published", self.published());
            }
        }
        checks.insert("sagas", self.sagas());
        checks.insert("participants", self.participants());
        let needed = checks.iter().filter(|(name, _)| NEEDED.contains(name));
        let status = needed.map(|(_, check)| check.status).max();
        Report {
            status: status.unwrap_or(Status::Up),
            at: now().as_micros(),
            stands_ms: STANDS.as_millis() as u64,
            checks,
        }
    }

    /// A partition whose driver is silent is not driven, whatever the lease says. None at all is a node that is
    /// not needed, if others share the log.
    fn partitions(&self, probe: &Probe) -> Check {
        let standings = self.metrics.standings();
        let now = now();
        let silent = standings.iter();
        let silent = silent.filter(|(_, standing)| now.since(standing.at) > STUCK);
        let silent: Vec<_> = silent.map(|(partition, _)| partition.get()).collect();
        let (owned, of) = (standings.len(), probe.partitions());
        let check = if !silent.is_empty() {
            Check::of(Status::Down).because(format!("nothing is heard of partitions {silent:?}"))
        } else if owned == 0 && !probe.is_shared() {
            Check::of(Status::Down).because("no partition is driven".to_owned())
        } else {
            Check::of(Status::Up)
        };
        let owned: Vec<_> = standings.keys().map(|partition| partition.get()).collect();
        check.with("owned", json!(owned)).with("of", json!(of))
    }

    fn published(&self) -> Check {
        let behind = self.metrics.behind();
        let check = match behind.values().max() {
            Some(most) if *most > LAGS => Check::of(Status::Degraded)
                .because(format!("the published log is {most} events behind")),
            _ => Check::of(Status::Up),
        };
        check.with("events_behind", json!(behind))
    }

    fn sagas(&self) -> Check {
        let standings = self.metrics.standings();
        let sum = |count: fn(&sagalog::observe::Standing) -> usize| -> usize {
            standings.values().map(count).sum()
        };
        let counts = [
            ("running", sum(|it| it.running)),
            ("compensating", sum(|it| it.compensating)),
            ("parked", sum(|it| it.parked)),
            ("holding", sum(|it| it.holding)),
            ("held", sum(|it| it.held)),
            ("dead_letters", sum(|it| it.dead_letters)),
        ];
        let waits = counts[2..].iter().filter(|(_, count)| *count > 0);
        let waits: Vec<_> = waits
            .map(|(what, count)| format!("{count} {what}"))
            .collect();
        let check = match waits.is_empty() {
            true => Check::of(Status::Up),
            false => Check::of(Status::Degraded)
                .because(format!("a person is waited for: {}", waits.join(", "))),
        };
        counts
            .into_iter()
            .fold(check, |check, (what, count)| check.with(what, json!(count)))
    }

    fn participants(&self) -> Check {
        use sagalog::admission::Standing as Breaker;
        let standings = self.metrics.standings();
        let loads = standings.values().flat_map(|it| &it.loads);
        let open =
            loads.filter(|load| matches!(load.breaker, Breaker::Open { .. } | Breaker::OpenByHand));
        let mut open: Vec<_> = open.map(|load| load.participant.to_string()).collect();
        open.sort_unstable();
        open.dedup();
        let check = match open.is_empty() {
            true => Check::of(Status::Up),
            false => Check::of(Status::Degraded)
                .because(format!("breakers are open: {}", open.join(", "))),
        };
        check.with("breakers_open", json!(open))
    }
}

/// What a node cannot work without.
const NEEDED: [&str; 4] = ["started", "log", "broker", "partitions"];

/// Whether something answers in time.
async fn answers<T, E: std::error::Error>(asked: impl Future<Output = Result<T, E>>) -> Check {
    let began = Instant::now();
    let check = match timeout(ANSWERS, asked).await {
        Ok(Ok(_)) => Check::of(Status::Up),
        Ok(Err(error)) => Check::of(Status::Down).because(chain(&error)),
        Err(_) => {
            Check::of(Status::Down).because(format!("no answer within {} s", ANSWERS.as_secs()))
        }
    };
    check.with("took_ms", json!(began.elapsed().as_millis() as u64))
}

impl Check {
    fn of(status: Status) -> Self {
        Self {
            status,
            why: None,
            details: Map::new(),
        }
    }

    fn because(mut self, why: String) -> Self {
        self.why = Some(why);
        self
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.details.insert(name.to_owned(), value);
        self
    }
}
