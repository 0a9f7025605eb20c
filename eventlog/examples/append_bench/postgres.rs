//! The same appends to a PostgreSQL of their own, beside what single inserts cost there.

use std::time::Instant;

use sagalog_eventlog::{EventLog, PostgresLog, PostgresOptions, test_servers::PostgresServer};
use sagalog_model::log::PartitionId;
use sqlx::{Connection, PgConnection};

use super::{Failure, HEAD, appended, owner, read_back, sagas::Sagas};

/// Sagas that run at a time, over all partitions.
const AT_A_TIME: u64 = 128;

pub(super) async fn measure(sagas: u64) -> Result<(), Failure> {
    let server = PostgresServer::start();
    let url = server.url("postgres");
    println!("{HEAD}   inserts/s of one row each   p50 us");
    for group in [1, 16, 64, 128, 256, 512, 1_024] {
        let log = open(&url, &format!("of_{group}")).await?;
        let (measured, _) = appended(&log, group, sagas).await?;
        let (inserts, p50) = single_inserts(&url).await?;
        println!("{measured} {inserts:>27.0} {p50:>8}");
        if group == 256 {
            read_back(&log).await?;
        }
    }
    println!("partitions   sagas/s, {AT_A_TIME} at a time over all of them");
    for partitions in [1, 4, 16] {
        let log = open(&url, &format!("over_{partitions}")).await?;
        println!(
            "{partitions:>10} {:>9.0}",
            spread(&log, partitions, sagas).await?
        );
    }
    Ok(())
}

async fn open(url: &str, schema: &str) -> Result<PostgresLog, Failure> {
    let options = PostgresOptions {
        schema: schema.to_owned(),
        ..PostgresOptions::default()
    };
    Ok(PostgresLog::open_with(url, options).await?)
}

/// What the server and its disk do with one small row per commit on one connection, without a log.
async fn single_inserts(url: &str) -> Result<(f64, u128), Failure> {
    const COUNT: usize = 1_000;
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(
        "create table if not exists single (n bigint primary key, body text); truncate single",
    )
    .execute(&mut connection)
    .await?;
    let body = "x".repeat(400);
    let (began, mut spans) = (Instant::now(), Vec::new());
    for n in 0..COUNT {
        let sent = Instant::now();
        sqlx::query("insert into single (n, body) values ($1, $2)")
            .bind(n as i64)
            .bind(&body)
            .execute(&mut connection)
            .await?;
        spans.push(sent.elapsed().as_micros());
    }
    spans.sort_unstable();
    let rate = COUNT as f64 / began.elapsed().as_secs_f64();
    Ok((rate, spans[COUNT / 2]))
}

/// Appends to many partitions at once, as their drivers would.
async fn spread(log: &PostgresLog, partitions: u32, sagas: u64) -> Result<f64, Failure> {
    let began = Instant::now();
    let each = u64::from(partitions);
    let drivers = (0..partitions).map(|partition| async move {
        let partition = PartitionId::new(partition);
        let epoch = log.acquire(partition, owner()).await?.epoch;
        let mut sagas = Sagas::new(sagas / each);
        while let Some(batches) = sagas.next_group((AT_A_TIME / each) as usize) {
            log.append(partition, epoch, batches).await?;
        }
        Ok::<_, Failure>(sagas.finished)
    });
    let finished: u64 = futures_util::future::try_join_all(drivers)
        .await?
        .iter()
        .sum();
    Ok(finished as f64 / began.elapsed().as_secs_f64())
}
