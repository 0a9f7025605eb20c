//! A program that only follows: it keeps a table of all sagas with their status, in a PostgreSQL of its own or in that of
//! the log, and drives nothing.
//!
//! ```text
//! sagalog demo --log postgres://sagalog:sagalog@127.0.0.1/sagalog --broker amqp://sagalog:sagalog@127.0.0.1/sagalog
//! cargo run -p sagalog --example follower -- \
//!     postgres://sagalog:sagalog@127.0.0.1/sagalog amqp://sagalog:sagalog@127.0.0.1/sagalog
//! ```
//!
//! Look at `follow`: what is made of a page and how far that is are one transaction. So it may be killed at any moment and
//! started again, while the demo runs or after it, and no saga is missing or counted twice. The log is given as
//! the store, from which it reads what the broker has cut off; what it needs day by day comes from the broker alone.

#![allow(dead_code, reason = "a test runs it without its main function")]

use std::{collections::BTreeMap, error::Error, sync::Arc};

use sagalog::{
    PostgresLog, PostgresOptions, RabbitStreams, SagaEvent,
    follow::{Follower, Page},
    postgres::{
        Checkpoints,
        sqlx::{self, PgConnection, PgPool},
    },
};

/// Whose checkpoints they are.
const NAME: &str = "saga-status";

const TABLE: &str = "create table if not exists saga_status (
    saga       text primary key,
    definition text not null,
    status     text not null,
    since      timestamptz not null
)";

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(log), Some(broker)) = (args.next(), args.next()) else {
        return Err(
            "usage: follower LOG BROKER [DATABASE], as postgres://… amqp://… postgres://…".into(),
        );
    };
    let database = args.next().unwrap_or_else(|| log.clone());
    tokio::select! {
        ended = run(&log, &broker, &database) => ended,
        ended = tokio::signal::ctrl_c() => Ok(ended?),
    }
}

/// Follows until something goes wrong that a person must see to.
pub(crate) async fn run(log: &str, broker: &str, database: &str) -> Result<(), Box<dyn Error>> {
    let pool = PgPool::connect(database).await?;
    sqlx::query(TABLE).execute(&pool).await?;
    let streams = Arc::new(RabbitStreams::connect(broker).await?);
    let store = Arc::new(PostgresLog::read_only(log, PostgresOptions::default()).await?);
    let checkpoints = Checkpoints::open(database).await?;
    let follower = Follower::of(streams)
        .store(store)
        .from(checkpoints.load(NAME).await?)
        .start();
    println!("following; ctrl-c ends");
    follow(follower, &pool, &checkpoints).await
}

async fn follow(
    mut follower: Follower,
    pool: &PgPool,
    checkpoints: &Checkpoints,
) -> Result<(), Box<dyn Error>> {
    let mut told = BTreeMap::new();
    loop {
        let page = follower.next().await?;
        let mut transaction = pool.begin().await?;
        project(&mut transaction, &page).await?;
        checkpoints.store(&mut transaction, NAME, &page).await?;
        transaction.commit().await?;
        let counts = "select status, count(*) from saga_status group by status";
        let counts: Vec<(String, i64)> = sqlx::query_as(counts).fetch_all(pool).await?;
        let counts = BTreeMap::from_iter(counts);
        if counts != told {
            println!("{counts:?}");
            told = counts;
        }
    }
}

/// Keeps the table: what it says after a page depends on the pages before and on nothing else.
async fn project(table: &mut PgConnection, page: &Page) -> Result<(), Box<dyn Error>> {
    for named in &page.rows {
        // Streams of the system tell of owners and definitions, not of sagas.
        if named.name.as_str().starts_with('$') {
            continue;
        }
        let at = named.row.at.as_micros().cast_signed();
        for recorded in &named.row.events {
            let event = SagaEvent::decode(
                &recorded.kind,
                recorded.schema,
                &recorded.control,
                &recorded.data,
            )?;
            let status = match &event {
                SagaEvent::Started(started) => {
                    let insert = "insert into saga_status values ($1, $2, 'running', \
                                  to_timestamp($3 / 1000000.0))";
                    let insert = sqlx::query(insert).bind(named.name.as_str());
                    let insert = insert.bind(&*started.definition).bind(at);
                    insert.execute(&mut *table).await?;
                    continue;
                }
                SagaEvent::Turned(_) => "compensating",
                SagaEvent::Completed(_) => "completed",
                SagaEvent::Compensated(_) => "compensated",
                SagaEvent::PartlyCompensated(_) => "partly compensated",
                _ => continue,
            };
            let update = "update saga_status set status = $2, since = to_timestamp($3 / 1000000.0) \
                          where saga = $1";
            let update = sqlx::query(update).bind(named.name.as_str()).bind(status);
            update.bind(at).execute(&mut *table).await?;
        }
    }
    Ok(())
}
