//! Measures the log alone: appends of synthetic three-step sagas, start-up, and verification.
//!
//! ```text
//! cargo run --release -p sagalog-eventlog --example append_bench -- append 30000
//! cargo run --release -p sagalog-eventlog --example append_bench -- start 100000
//! cargo run --release -p sagalog-eventlog --example append_bench -- hash 100000
//! cargo run --release -p sagalog-eventlog --example append_bench -- postgres 30000
//! ```
//!
//! A three-step saga is four rows (started, three replies), nine events, and about 1,200 bytes of
//! payload. Files go into the directory named by `SAGALOG_BENCH_DIR`, or the system's temporary one.

mod postgres;
mod sagas;

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Instant,
};

use sagalog_eventlog::{AcquireError, EventLog, MemoryLog, Owner, Ownership, SqliteLog, verify};
use sagalog_model::log::{PartitionId, Position, Time};

use self::sagas::Sagas;

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
        Some("postgres") => postgres::measure(sagas).await,
        Some(other) => {
            Err(format!("`append`, `start`, `hash` or `postgres`, not `{other}`").into())
        }
    }
}

/// Appends the same sagas in groups of several sizes.
async fn append(sagas: u64) -> Result<(), Failure> {
    println!("{HEAD}   bytes/saga");
    for group in [1, 16, 64, 128, 256, 512, 1_024] {
        let file = fresh("append.db")?;
        let log = SqliteLog::open(&file).await?;
        let (measured, finished) = appended(&log, group, sagas).await?;
        log.release(PARTITION).await?;
        drop(log);
        println!("{measured} {:>12}", settled_size(&file).await? / finished);
        if group == 256 {
            read_back(&SqliteLog::read_only(&file).await?).await?;
        }
    }
    Ok(())
}

const HEAD: &str = "group   sagas/s  commits/s   p50 us   p99 us";

/// Appends groups of a size to a new log; gives back a line of figures, and how many sagas finished.
async fn appended(log: &dyn EventLog, group: u64, sagas: u64) -> Result<(String, u64), Failure> {
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
    spans.sort_unstable();
    let line = format!(
        "{group:>5} {:>9.0} {:>10.0} {:>8} {:>8}",
        sagas.finished as f64 / seconds,
        spans.len() as f64 / seconds,
        spans[spans.len() / 2],
        spans[spans.len() * 99 / 100],
    );
    Ok((line, sagas.finished))
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
    read_back(&SqliteLog::read_only(&file).await?).await
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

async fn read_back(log: &dyn EventLog) -> Result<(), Failure> {
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
    let verified = verify(log, PARTITION).await?;
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
