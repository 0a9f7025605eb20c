//! Measures the log alone: appends of synthetic three-step sagas, start-up, and verification.
//!
//! ```text
//! cargo run --release -p sagalog-eventlog --example append_bench -- append 30000
//! cargo run --release -p sagalog-eventlog --example append_bench -- start 100000
//! cargo run --release -p sagalog-eventlog --example append_bench -- hash 100000
//! ```
//!
//! A three-step saga is four rows (started, three replies), nine events, and about 1,200 bytes of
//! payload. Files go into the directory named by `SAGALOG_BENCH_DIR`, or the system's temporary one.

use std::{
    borrow::Cow,
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use sagalog_eventlog::{AcquireError, EventLog, MemoryLog, Owner, Ownership, SqliteLog, verify};
use sagalog_model::log::{
    Batch, BatchId, Data, Digest, InputId, NewEvent, PartitionId, Position, SchemaVersion,
    StreamKey, StreamName, StreamState, Time, Version,
};

const PARTITION: PartitionId = PartitionId::new(0);

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let sagas = arguments.get(1).map_or(Ok(20_000), |count| count.parse())?;
    match arguments.first().map(String::as_str) {
        None | Some("append") => append(sagas).await,
        Some("start") => start(sagas).await,
        Some("hash") => hash(sagas).await,
        Some(other) => Err(format!("`append`, `start` or `hash`, not `{other}`").into()),
    }
}

/// Appends the same sagas in groups of several sizes.
async fn append(sagas: u64) -> Result<(), Failure> {
    println!("group   sagas/s  commits/s   p50 us   p99 us   bytes/saga");
    for group in [1, 16, 64, 128, 256, 512, 1_024] {
        let file = fresh("append.db")?;
        let log = SqliteLog::open(&file).await?;
        let mut sagas = Sagas::new(if group < 64 {
            sagas.min(2_000 * group)
        } else {
            sagas
        });
        let epoch = log.acquire(PARTITION, owner()).await?.epoch;
        let (began, mut spans) = (Instant::now(), Vec::new());
        while let Some(batches) = sagas.next_group(group as usize) {
            let sent = Instant::now();
            log.append(PARTITION, epoch, batches).await?;
            spans.push(sent.elapsed().as_micros());
        }
        let seconds = (began.elapsed() - sagas.drafting).as_secs_f64();
        log.release(PARTITION).await?;
        drop(log);
        spans.sort_unstable();
        println!(
            "{group:>5} {:>9.0} {:>10.0} {:>8} {:>8} {:>12}",
            sagas.finished as f64 / seconds,
            spans.len() as f64 / seconds,
            spans[spans.len() / 2],
            spans[spans.len() * 99 / 100],
            settled_size(&file).await? / sagas.finished,
        );
        if group == 256 {
            read_back(&file).await?;
        }
    }
    Ok(())
}

/// Starts on a log of many finished and a thousand open streams, and verifies it.
async fn start(finished: u64) -> Result<(), Failure> {
    let file = fresh("start.db")?;
    let log = SqliteLog::open(&file).await?;
    let epoch = log.acquire(PARTITION, owner()).await?.epoch;
    let mut sagas = Sagas::new(finished + 1_000);
    sagas.stay_open = 1_000;
    while let Some(batches) = sagas.next_group(1_000) {
        log.append(PARTITION, epoch, batches).await?;
    }
    println!(
        "{finished} finished sagas, {} MB",
        fs::metadata(&file)?.len() >> 20
    );
    // As after a crash: nothing was given up, so no last snapshot was written.
    drop(log);
    for _ in 0..2 {
        let log = SqliteLog::open(&file).await?;
        let began = Instant::now();
        let owned = acquired(&log).await?;
        let acquire = began.elapsed();
        let (mut rows, mut after) = (0, None);
        loop {
            let page = log
                .read_streams(PARTITION, &owned.open, after, 10_000)
                .await?;
            let Some(last) = page.last() else { break };
            (rows, after) = (rows + page.len(), Some((last.stream, last.last_version())));
        }
        println!(
            "acquire {acquire:?}, then {rows} rows of {} open streams {:?}",
            owned.open.len(),
            began.elapsed() - acquire
        );
    }
    read_back(&file).await
}

/// Verifies a log in memory: hashing, and copying rows.
async fn hash(count: u64) -> Result<(), Failure> {
    let log = MemoryLog::new();
    let epoch = log.acquire(PARTITION, owner()).await?.epoch;
    let mut sagas = Sagas::new(count);
    while let Some(batches) = sagas.next_group(1_000) {
        log.append(PARTITION, epoch, batches).await?;
    }
    let began = Instant::now();
    let verified = verify(&log, PARTITION).await?;
    println!(
        "verified {:.0} events/s in memory",
        verified.events as f64 / began.elapsed().as_secs_f64()
    );
    Ok(())
}

async fn read_back(file: &Path) -> Result<(), Failure> {
    let log: Arc<dyn EventLog> = Arc::new(SqliteLog::read_only(file).await?);
    let began = Instant::now();
    let (mut events, mut from) = (0, Position::new(1));
    while let Some(last) = {
        let page = log.read(PARTITION, from, 2_000).await?;
        events += page.iter().map(|row| row.events.len()).sum::<usize>();
        page.last().map(|row| row.last_position())
    } {
        from = last.next();
    }
    let read = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let verified = verify(&*log, PARTITION).await?;
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "read {:.0} events/s, verified {:.0} events/s",
        events as f64 / read,
        verified.events as f64 / seconds
    );
    Ok(())
}

async fn acquired(log: &SqliteLog) -> Result<Ownership, Failure> {
    loop {
        match log.acquire(PARTITION, owner()).await {
            // The handle before this one is still closing.
            Err(AcquireError::Held { .. }) => tokio::task::yield_now().await,
            acquired => return Ok(acquired?),
        }
    }
}

fn owner() -> Owner {
    Owner::this_process("append_bench", Time::from_micros(1_795_000_000_000_000))
}

fn fresh(name: &str) -> Result<PathBuf, Failure> {
    let directory = env::var_os("SAGALOG_BENCH_DIR")
        .map_or_else(|| env::temp_dir().join("sagalog-bench"), PathBuf::from);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory)?;
    Ok(directory.join(name))
}

/// The size once everything is folded into the file.
async fn settled_size(file: &Path) -> Result<u64, Failure> {
    use sqlx::{ConnectOptions, Connection};
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(file)
        .connect()
        .await?;
    sqlx::raw_sql("pragma wal_checkpoint(truncate)")
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    Ok(fs::metadata(file)?.len())
}

/// Drafts batches of many sagas that run at the same time.
struct Sagas {
    left: u64,
    live: Vec<Live>,
    stay_open: usize,
    finished: u64,
    position: u64,
    at: u64,
    drafting: std::time::Duration,
}

#[derive(Clone, Copy)]
struct Live {
    number: u64,
    stream: u64,
    version: u64,
    step: u64,
}

impl Sagas {
    fn new(count: u64) -> Self {
        Self {
            left: count,
            live: Vec::new(),
            stay_open: 0,
            finished: 0,
            position: 1,
            at: 1_795_000_000_000_000,
            drafting: std::time::Duration::ZERO,
        }
    }

    fn next_group(&mut self, count: usize) -> Option<Vec<Batch>> {
        let began = Instant::now();
        let mut batches = Vec::with_capacity(count);
        let mut waiting = Vec::new();
        while batches.len() < count {
            let ready = self
                .live
                .iter()
                .rposition(|saga| saga.number as usize >= self.stay_open || saga.step == 0);
            let mut saga = match ready {
                Some(index) => self.live.swap_remove(index),
                None if self.left > 0 => {
                    self.left -= 1;
                    Live {
                        number: self.left,
                        stream: self.position,
                        version: 1,
                        step: 0,
                    }
                }
                None => break,
            };
            batches.push(self.draft(&mut saga));
            match saga.step {
                4 => self.finished += 1,
                _ => waiting.push(saga),
            }
        }
        self.live.extend(waiting);
        self.live
            .retain(|saga| saga.step == 0 || saga.number as usize >= self.stay_open);
        self.drafting += began.elapsed();
        (!batches.is_empty()).then_some(batches)
    }

    fn draft(&mut self, saga: &mut Live) -> Batch {
        let Live {
            number,
            stream,
            version,
            step,
        } = *saga;
        self.at += 7;
        let id = u128::from(self.at / 1_000) << 80 | u128::from(stream) << 20 | u128::from(version);
        let events = events(number, step, self.at);
        let batch = Batch {
            stream: StreamKey::new(stream),
            name: (step == 0)
                .then(|| StreamName::new(format!("order-{number:010}")).expect("a fine name")),
            version: Version::new(version),
            position: Position::new(self.position),
            at: Time::from_micros(self.at),
            id: BatchId(id),
            input: InputId(id ^ 0x5555_5555_5555),
            digest: Digest([number as u8; 32]),
            state: if step == 3 {
                StreamState::Closed
            } else {
                StreamState::Open
            },
            events,
        };
        self.position += batch.events.len() as u64;
        saga.version += batch.events.len() as u64;
        saga.step += 1;
        batch
    }
}

fn events(number: u64, step: u64, at: u64) -> Vec<NewEvent> {
    let event = |kind: &'static str, control: String, data: Option<String>| NewEvent {
        kind: Cow::Borrowed(kind),
        schema: SchemaVersion::new(1),
        control,
        data: data.map_or(Data::None, |data| Data::Inline(data.into())),
    };
    let input = |step: u64| {
        format!(
            r#"{{"order":"order-{number:010}","sku":"SKU-{number:08}","cents":12999,"reference":"customer-{:010}","line":{step},"at":"2026-11-20T20:07:30Z"}}"#,
            number % 9_973,
        )
    };
    let asked = |step: u64| {
        let control = format!(
            r#"{{"node":{step},"attempt":1,"deadline":{}}}"#,
            at + 30_000_000
        );
        event("AttemptAsked", control, Some(input(step)))
    };
    let replied = |step: u64| {
        let control = format!(r#"{{"node":{},"attempt":1}}"#, step - 1);
        let data = format!(
            r#"{{"id":"customer-{number:010}","amount":12999,"note":"thank you for shopping with us, see you soon!","seal":"{number:024x}"}}"#
        );
        event("StepSucceeded", control, Some(data))
    };
    match step {
        0 => {
            let order = format!(
                r#"{{"sku":"SKU-{number:08}","quantity":2,"cents":12999,"customer":"customer-{:010}","address":"12 Long Street, 90210 Springfield","note":"please leave it with the neighbour, ring twice, thank you so much"}}"#,
                number % 9_973
            );
            let control = r#"{"saga":"order","version":1,"fingerprint":"5f2b8a1c"}"#.to_owned();
            vec![event("Started", control, Some(order)), asked(0)]
        }
        1 | 2 => vec![replied(step), asked(step)],
        _ => vec![
            replied(step),
            event("PivotPassed", r#"{"node":3}"#.to_owned(), None),
            event(
                "Completed",
                "{}".to_owned(),
                Some(format!(r#"{{"receipt":"customer-{number:010}"}}"#)),
            ),
        ],
    }
}
