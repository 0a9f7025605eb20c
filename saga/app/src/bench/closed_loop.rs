//! The measurement: so many callers, each starting its next saga when the last one has ended.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use sagalog::{Client, Ended, Runtime, Transport};
use serde::Serialize;
use tokio::task::JoinSet;

use super::{
    counted::{Appends, Counted, latencies},
    usage::{cpu_seconds, resident_mib, settled_bytes},
    workload::{BENCH, Ran, Variant, Work, definition, worker},
};
use crate::{CliError, Exit, log};

/// What a measurement says.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Measured {
    /// `happy` or `compensate`.
    pub(super) variant: &'static str,
    /// Callers.
    pub(super) concurrency: usize,
    /// Sagas that ended.
    pub(super) sagas: u64,
    /// Sagas that ended in a second.
    pub(super) sagas_per_s: f64,
    /// From start to known end, in ms, for half of the sagas.
    pub(super) p50_ms: f64,
    /// The same for 99 of 100.
    pub(super) p99_ms: f64,
    /// Durable commits for each saga.
    pub(super) commits_per_saga: f64,
    /// Inputs that shared a commit.
    pub(super) rows_per_commit: f64,
    /// CPU seconds for a thousand sagas: callers, engine, handlers and log together.
    pub(super) cpu_s_per_1000: Option<f64>,
    /// The most memory that was resident, in MiB.
    pub(super) resident_mib: Option<f64>,
    /// What a saga leaves in the log's file, in bytes.
    pub(super) disk_bytes_per_saga: f64,
    /// How many sagas a second the log alone takes, if that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) log_alone_sagas_per_s: Option<f64>,
}

/// How long it runs before it is measured, at most.
const WARM_UP: Duration = Duration::from_millis(500);

/// Runs a closed loop on a log and says what it took. Every outcome is checked, and that the
/// handlers ran exactly as often as they should.
pub(super) async fn run(
    place: &Path,
    transport: Option<Arc<dyn Transport>>,
    concurrency: usize,
    variant: Variant,
    span: Duration,
) -> Result<Measured, CliError> {
    let before = settled_bytes(place).await?;
    let (log, appends) = Counted::over(log::open(place).await?);
    let ran = Ran::default();
    let definition = definition().expect("a test shows that the graph is sound");
    let mut runtime = Runtime::on(log).definition(definition).worker(worker(&ran));
    if let Some(transport) = transport {
        runtime = runtime.transport(transport);
    }
    let runtime = runtime.start().await?;
    let loops = Loops {
        client: runtime.client(),
        variant,
        next: Arc::new(first_id().into()),
    };
    let warm = loops.run(concurrency, WARM_UP.min(span)).await?;
    let (sofar, cpu) = (appends.so_far(), cpu_seconds());
    let began = Instant::now();
    let measuring = loops.run(concurrency, span);
    let (latencies, resident) = peak_beside(measuring).await;
    let (latencies, seconds) = (latencies?, began.elapsed().as_secs_f64());
    let cpu = cpu_seconds().zip(cpu).map(|(now, before)| now - before);
    let commits = commits_since(sofar, &appends);
    runtime.stop().await?;
    let sagas = latencies.len();
    let all = sagas + warm.len();
    check_counts(ran.counts(), variant.runs().map(|runs| runs * all))?;
    // The drop of a log is not waited for, but folding the file waits for its locks.
    let grown = settled_bytes(place).await?.saturating_sub(before);
    let each = |what: f64| what / sagas.max(1) as f64;
    Ok(Measured {
        variant: variant.name(),
        concurrency,
        sagas,
        sagas_per_s: rounded(sagas as f64 / seconds, 0),
        p50_ms: rounded(latencies.value_at_quantile(0.50) as f64 / 1_000.0, 3),
        p99_ms: rounded(latencies.value_at_quantile(0.99) as f64 / 1_000.0, 3),
        commits_per_saga: rounded(each(commits[0]), 4),
        rows_per_commit: rounded(commits[1] / commits[0].max(1.0), 1),
        cpu_s_per_1000: cpu.map(|cpu| rounded(each(cpu) * 1_000.0, 4)),
        resident_mib: resident.map(|mib| rounded(mib, 1)),
        disk_bytes_per_saga: rounded(grown as f64 / all.max(1) as f64, 0),
        log_alone_sagas_per_s: None,
    })
}

/// The callers.
#[derive(Clone)]
struct Loops {
    client: Client,
    variant: Variant,
    next: Arc<AtomicU64>,
}

impl Loops {
    async fn run(&self, callers: usize, span: Duration) -> Result<Histogram<u64>, CliError> {
        let until = Instant::now() + span;
        // One for all callers: it is large, and the measurement should not be what is measured.
        let latencies = Arc::new(Mutex::new(latencies()));
        let mut running = JoinSet::new();
        for _ in 0..callers {
            running.spawn(self.clone().call(until, latencies.clone()));
        }
        while let Some(ended) = running.join_next().await {
            ended.expect("a caller is not aborted and does not panic")?;
        }
        let latencies = latencies.lock().expect("nothing panics under this lock");
        Ok(latencies.clone())
    }

    async fn call(
        self,
        until: Instant,
        latencies: Arc<Mutex<Histogram<u64>>>,
    ) -> Result<(), CliError> {
        while Instant::now() < until {
            let number = self.next.fetch_add(1, Relaxed);
            let (id, work) = (format!("b-{number:x}"), Work::new(self.variant, number));
            let began = Instant::now();
            let ended = self.client.run(BENCH, &id, &work).await?;
            let took = began.elapsed().as_micros() as u64;
            latencies
                .lock()
                .expect("nothing panics under this lock")
                .saturating_record(took);
            match (self.variant, ended) {
                (Variant::Happy, Ended::Completed(_))
                | (Variant::Compensate, Ended::Compensated { .. }) => {}
                (variant, ended) => {
                    return Err(wrong(format!(
                        "saga {id} of variant {} ended so: {ended:?}",
                        variant.name()
                    )));
                }
            }
        }
        Ok(())
    }
}

/// Runs something and watches the memory meanwhile.
pub(super) async fn peak_beside<T>(work: impl Future<Output = T>) -> (T, Option<f64>) {
    let mut peak = resident_mib();
    let mut look = tokio::time::interval(Duration::from_millis(200));
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return (done, peak),
            _ = look.tick() => peak = peak.zip(resident_mib()).map(|(peak, now)| peak.max(now)),
        }
    }
}

fn commits_since(before: [u64; 2], appends: &Appends) -> [f64; 2] {
    let now = appends.so_far();
    [0, 1].map(|index| (now[index] - before[index]) as f64)
}

pub(super) fn check_counts(ran: [u64; 6], wanted: [u64; 6]) -> Result<(), CliError> {
    if ran == wanted {
        return Ok(());
    }
    Err(wrong(format!(
        "the handlers ran {ran:?} times, they should have run {wanted:?} times"
    )))
}

pub(super) fn wrong(message: String) -> CliError {
    CliError::new("wrong_outcome", Exit::Failed, message)
}

/// Numbers of sagas begin with the time, so that a log can be measured again.
pub(super) fn first_id() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap_or_default().as_micros() as u64
}

/// A number with so many digits behind the point.
pub(super) fn rounded(number: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (number * scale).round() / scale
}
