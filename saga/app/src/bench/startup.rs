//! How long a start takes on a log of many sagas.
//!
//! The log is made from copies of one saga that really ran, some of them cut off in the middle, and
//! left as after a crash: nothing was given up in peace, so no last recovery snapshot was written.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use sagalog::{
    EventLog, Runtime, SagaId, SqliteLog, SqliteOptions, StartError,
    log::{
        Batch, BatchId, Epoch, InputId, NewEvent, Position, StreamKey, StreamState, Time, Version,
    },
    runtime::DriveError,
};
use sagalog_eventlog::{AcquireError, Durability, MAX_BATCHES, Owner, Row};
use serde::Serialize;

use super::{
    closed_loop::rounded,
    usage::{resident_mib, settled_bytes},
    workload::{BENCH, Ran, Variant, Work, definition, worker},
};
use crate::{CliError, Exit, Output, log::PARTITION};

/// What a start took.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Started {
    /// Finished sagas in the log.
    pub(super) finished: u64,
    /// Sagas that are under way in it, each in the middle.
    pub(super) live: u64,
    /// The size of its file.
    pub(super) file_mib: f64,
    /// How long it took to open the log.
    pub(super) open_ms: f64,
    /// How long it took to take it over and fold what is live.
    pub(super) start_ms: f64,
    /// How long it took from then on until all live sagas had ended.
    pub(super) live_ended_ms: f64,
    /// How much more memory was resident after the start than before, in MiB.
    pub(super) resident_mib: Option<f64>,
}

/// Makes the log and starts on it.
pub(super) async fn run(
    file: &Path,
    finished: u64,
    live: u64,
    output: Output,
) -> Result<Started, CliError> {
    if file.exists() {
        let message = format!(
            "{} exists, and a start is measured on a log made for it",
            file.display()
        );
        return Err(CliError::new("exists", Exit::Conflict, message)
            .fix("name a new file, or leave --log out"));
    }
    output.say(format_args!(
        "making a log of {finished} finished and {live} live sagas"
    ));
    make(file, finished, live).await?;
    let file_mib = rounded(settled_bytes(file).await? as f64 / f64::from(1 << 20), 1);
    let before = resident_mib();
    let (runtime, open, start) = started(file).await?;
    let resident_mib = resident_mib()
        .zip(before)
        .map(|(after, before)| rounded((after - before).max(0.0), 1));
    let (client, began) = (runtime.client(), Instant::now());
    for number in 0..live {
        client.result(BENCH, &live_id(number)).await?;
    }
    let live_ended = began.elapsed();
    runtime.stop().await?;
    let ms = |span: Duration| rounded(span.as_secs_f64() * 1_000.0, 1);
    let (open_ms, start_ms, live_ended_ms) = (ms(open), ms(start), ms(live_ended));
    Ok(Started {
        finished,
        live,
        file_mib,
        open_ms,
        start_ms,
        live_ended_ms,
        resident_mib,
    })
}

/// Opens the log and starts a runtime on it.
async fn started(file: &Path) -> Result<(Runtime, Duration, Duration), CliError> {
    // Who made the log gives it up when its tasks are dropped, which is soon.
    for _ in 0..1_000 {
        let began = Instant::now();
        let log = SqliteLog::open(file).await?;
        let open = began.elapsed();
        match start(Arc::new(log)).await {
            Err(StartError::Drive(DriveError::Acquire(AcquireError::Held { .. }))) => {
                tokio::task::yield_now().await
            }
            started => return Ok((started?, open, began.elapsed() - open)),
        }
    }
    Err(CliError::new(
        "log_in_use",
        Exit::Conflict,
        format!("{} is not given up", file.display()),
    ))
}

async fn start(log: Arc<dyn EventLog>) -> Result<Runtime, StartError> {
    let definition = definition().expect("a test shows that the graph is sound");
    Runtime::on(log)
        .definition(definition)
        .worker(worker(&Ran::default()))
        .start()
        .await
}

/// Makes the log: one saga is run, the others are copies of it.
async fn make(file: &Path, finished: u64, live: u64) -> Result<(), CliError> {
    // It is not this log's making that is measured.
    let options = SqliteOptions {
        durability: Durability::Normal,
        ..SqliteOptions::default()
    };
    let log: Arc<dyn EventLog> = Arc::new(SqliteLog::open_with(file, options).await?);
    let runtime = start(log.clone()).await?;
    let model = "model";
    runtime
        .client()
        .run(BENCH, model, &Work::new(Variant::Happy, 0))
        .await?;
    runtime.stop().await?;
    let name = SagaId::new(model)
        .expect("it is a sound id")
        .stream()
        .clone();
    let head = log
        .heads(PARTITION, &[name])
        .await?
        .pop()
        .flatten()
        .expect("it has just run");
    let rows = log
        .read_stream(
            PARTITION,
            head.stream,
            Version::new(1),
            usize::from(u16::MAX),
        )
        .await?;
    let owned = log
        .acquire(PARTITION, Owner::this_process("bench", Time::default()))
        .await
        .map_err(DriveError::from)?;
    let mut copies = Copies {
        log,
        epoch: owned.epoch,
        rows,
        next: owned.tail.next(),
        at: owned.last_at,
        batches: Vec::new(),
    };
    // The live ones are spread over the whole log: old ones, too, must be found.
    let every = (finished / live.max(1)).max(1);
    let mut live_made = 0;
    for number in 0..finished {
        copies.copy(&format!("f-{number}"), usize::MAX).await?;
        if number % every == 0 && live_made < live {
            copies.copy(&live_id(live_made), 2).await?;
            live_made += 1;
        }
    }
    for number in live_made..live {
        copies.copy(&live_id(number), 2).await?;
    }
    copies.append().await
}

fn live_id(number: u64) -> String {
    format!("l-{number}")
}

/// Copies of a saga on their way into the log.
struct Copies {
    log: Arc<dyn EventLog>,
    epoch: Epoch,
    rows: Vec<Row>,
    next: Position,
    at: Time,
    batches: Vec<Batch>,
}

impl Copies {
    /// Copies the first rows of the model under another id.
    async fn copy(&mut self, id: &str, rows: usize) -> Result<(), CliError> {
        let name = SagaId::new(id).expect("it is a sound id").stream().clone();
        let stream = StreamKey::new(self.next.get());
        for row in self.rows.iter().take(rows) {
            let unique = u128::from(self.next.get());
            let events = row.events.iter().map(|event| NewEvent {
                kind: event.kind.clone(),
                schema: event.schema,
                control: event.control.clone(),
                data: event.data.clone(),
            });
            self.batches.push(Batch {
                stream,
                name: (row.version.get() == 1).then(|| name.clone()),
                version: row.version,
                position: self.next,
                at: self.at,
                id: BatchId(unique),
                input: InputId(unique),
                digest: row.digest,
                state: if rows < self.rows.len() {
                    StreamState::Open
                } else {
                    row.state
                },
                events: events.collect(),
            });
            self.next = self.next.plus(row.events.len() as u64);
        }
        if self.batches.len() + self.rows.len() > MAX_BATCHES {
            self.append().await?;
        }
        Ok(())
    }

    async fn append(&mut self) -> Result<(), CliError> {
        let batches = std::mem::take(&mut self.batches);
        if !batches.is_empty() {
            self.log
                .append(PARTITION, self.epoch, batches)
                .await
                .map_err(DriveError::Append)?;
        }
        Ok(())
    }
}
