//! The measurement at a fixed rate: sagas begin when their time has come, however long others take, so
//! that waiting is seen and not hidden.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use sagalog::{Client, Ended, LogStreams, Runtime, Transport};
use serde::Serialize;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use super::{
    closed_loop::{check_counts, first_id, peak_beside, rounded, wrong},
    counted::Counted,
    usage::cpu_seconds,
    workload::{BENCH, Ran, Variant, Work, definition, worker},
};
use crate::{CliError, Exit, log};

/// A saga has three steps, each with a command and a reply.
const MESSAGES_PER_SAGA: f64 = 6.0;

/// How often it is looked which sagas are due.
const TICK: Duration = Duration::from_millis(2);

/// How long it runs before it is measured, at most.
const WARM_UP: Duration = Duration::from_secs(2);

/// With so many sagas under way the rate is more than can be kept up.
const UNDER_WAY_MAX: usize = 8_000;

/// What a measurement says. Latencies are those of answers: from the moment in which it was durable
/// that a step is asked to that in which its answer was.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Measured {
    /// Commands and replies a second that were to be exchanged.
    pub(super) rate: f64,
    /// Commands and replies a second that were.
    pub(super) messages_per_s: f64,
    /// Sagas that ended, all of those that began.
    pub(super) sagas: u64,
    /// How long the answers took.
    #[serde(flatten)]
    pub(super) latencies: Latencies,
    /// Inputs that shared a commit.
    pub(super) rows_per_commit: f64,
    /// CPU seconds of the process for a second: callers, engine and handlers together.
    pub(super) cpu: Option<f64>,
    /// The most memory that was resident, in MiB.
    pub(super) resident_mib: Option<f64>,
    /// How long the broker alone took at the same rate, if that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) broker_alone: Option<Latencies>,
}

/// How long something took, in ms.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Latencies {
    /// Half of it took less.
    pub(super) p50_ms: f64,
    /// 95 of 100 did.
    pub(super) p95_ms: f64,
    /// 99 of 100 did.
    pub(super) p99_ms: f64,
    /// All of it did.
    pub(super) max_ms: f64,
}

impl Latencies {
    /// Of what was measured in µs.
    pub(super) fn of(took: &Histogram<u64>) -> Self {
        let ms = |quantile| rounded(took.value_at_quantile(quantile) as f64 / 1_000.0, 2);
        Self {
            p50_ms: ms(0.5),
            p95_ms: ms(0.95),
            p99_ms: ms(0.99),
            max_ms: ms(1.0),
        }
    }
}

/// Runs sagas at a rate of messages a second, and says how long their answers took. That every saga
/// completed, and that every handler ran once for each, is checked.
pub(super) async fn run(
    place: &Path,
    transport: Option<Arc<dyn Transport>>,
    streams: Option<Arc<dyn LogStreams>>,
    rate: f64,
    span: Duration,
) -> Result<Measured, CliError> {
    let (log, appends) = Counted::timed(log::open(place).await?);
    let ran = Ran::default();
    let definition = definition().expect("a test shows that the graph is sound");
    let mut runtime = Runtime::on(log).definition(definition).worker(worker(&ran));
    if let Some(transport) = transport {
        runtime = runtime.transport(transport);
    }
    if let Some(streams) = streams {
        runtime = runtime.publish_log(streams);
    }
    let runtime = runtime.start().await?;
    let mut callers = Callers {
        client: runtime.client(),
        rate: rate / MESSAGES_PER_SAGA,
        next: first_id(),
    };
    let warm = callers.run(WARM_UP.min(span)).await?;
    drop(appends.take_answers());
    let (before, cpu, began) = (appends.so_far(), cpu_seconds(), Instant::now());
    let (sagas, resident) = peak_beside(callers.run(span)).await;
    let (sagas, seconds) = (sagas?, began.elapsed().as_secs_f64());
    let cpu = cpu_seconds().zip(cpu).map(|(now, before)| now - before);
    let commits = appends.so_far();
    let commits = [0, 1].map(|index| (commits[index] - before[index]) as f64);
    let answers = appends.take_answers();
    runtime.stop().await?;
    check_counts(
        ran.counts(),
        Variant::Happy.runs().map(|runs| runs * (warm + sagas)),
    )?;
    Ok(Measured {
        rate,
        messages_per_s: rounded(sagas as f64 * MESSAGES_PER_SAGA / seconds, 0),
        sagas,
        latencies: Latencies::of(&answers),
        rows_per_commit: rounded(commits[1] / commits[0].max(1.0), 1),
        cpu: cpu.map(|cpu| rounded(cpu / seconds, 2)),
        resident_mib: resident.map(|mib| rounded(mib, 1)),
        broker_alone: None,
    })
}

/// Whoever starts sagas.
struct Callers {
    client: Client,
    /// Sagas a second.
    rate: f64,
    next: u64,
}

impl Callers {
    /// Starts sagas for so long, and waits for all of them; how many there were.
    async fn run(&mut self, span: Duration) -> Result<u64, CliError> {
        let (began, mut started, mut running) = (Instant::now(), 0, JoinSet::new());
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while began.elapsed() < span {
            tick.tick().await;
            let due = (began.elapsed().as_secs_f64() * self.rate) as u64;
            for _ in started..due {
                running.spawn(call(self.client.clone(), self.next));
                self.next += 1;
            }
            started = started.max(due);
            while let Some(ended) = running.try_join_next() {
                ended.expect("a caller is not aborted and does not panic")?;
            }
            if running.len() > UNDER_WAY_MAX {
                return Err(too_fast(self.rate));
            }
        }
        while let Some(ended) = running.join_next().await {
            ended.expect("a caller is not aborted and does not panic")?;
        }
        Ok(started)
    }
}

async fn call(client: Client, number: u64) -> Result<(), CliError> {
    let id = format!("b-{number:x}");
    let work = Work::new(Variant::Happy, number);
    match client.run(BENCH, &id, &work).await? {
        Ended::Completed(_) => Ok(()),
        ended => Err(wrong(format!("saga {id} ended so: {ended:?}"))),
    }
}

fn too_fast(rate: f64) -> CliError {
    let message = format!(
        "{UNDER_WAY_MAX} sagas are under way: {:.0} messages a second are more than can be kept up",
        rate * MESSAGES_PER_SAGA
    );
    CliError::new("too_fast", Exit::Failed, message).fix("measure at a lower --rate")
}
