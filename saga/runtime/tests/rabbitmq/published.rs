//! The log is published to streams of RabbitMQ: it is there as it is stored, whoever dies, and a follower has each
//! row once in a table of its own.

use std::{env, sync::Arc, time::Duration};

use sagalog::{
    EventLog, LogStreams, MemoryLog, PostgresLog, PostgresOptions, RabbitStreams, Runtime,
    RuntimeBuilder,
    follow::{Compared, Follower, compare},
    log::PartitionId,
    postgres::{
        Checkpoints,
        sqlx::{self, PgPool, Row as _},
    },
};
use sagalog_eventlog::test_servers::PostgresServer;

use crate::{
    broker::{self, Broker},
    follower,
    other::Other,
    trip::{in_time, transport, travel, trip, worker},
};

/// Names broker and database to a child; without it the child below is no test.
const FOLLOWED: &str = "SAGALOG_TEST_FOLLOWED";

const PARTITIONS: u32 = 4;

/// How often the follower is killed.
const FOLLOWERS: usize = 4;

async fn streams(url: &str) -> Arc<dyn LogStreams> {
    let streams = RabbitStreams::connect(url).await;
    Arc::new(streams.expect("the broker is there"))
}

async fn node(log: Arc<dyn EventLog>, url: &str) -> RuntimeBuilder {
    Runtime::on(log)
        .transport(transport(url).await)
        .publish_log(streams(url).await)
        .definition(trip())
        .worker(worker())
}

async fn start(log: Arc<dyn EventLog>, url: &str, name: &str) -> Runtime {
    let started = node(log, url).await.node(name).start();
    started.await.expect("it starts")
}

/// The published log is the stored one, from its first position to its last.
async fn is_published(log: &dyn EventLog, url: &str) {
    let streams = streams(url).await;
    for partition in (0..log.partitions()).map(PartitionId::new) {
        let compared = compare(&*streams, log, partition).await;
        let compared = compared.expect("both can be read");
        assert!(compared.is_equal(), "partition {partition}: {compared:?}");
        eprintln!(
            "partition {partition}: {} rows, {} again",
            compared.rows, compared.again
        );
    }
}

/// What the first partition's stream has, once it can be read.
async fn compared(log: &dyn EventLog, url: &str) -> Compared {
    let streams = streams(url).await;
    loop {
        if let Ok(compared) = compare(&*streams, log, PartitionId::new(0)).await {
            return compared;
        }
    }
}

async fn log_in(database: &str) -> Arc<dyn EventLog> {
    let options = PostgresOptions {
        partitions: Some(PARTITIONS),
        lease: Duration::from_secs(1),
        ..PostgresOptions::default()
    };
    let log = PostgresLog::open_with(database, options).await;
    Arc::new(log.expect("a log"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_published_log_is_the_stored_one_though_the_broker_is_killed_in_the_middle() {
    in_time(async {
        let broker = Broker::start(1);
        let url = broker.url();
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new());
        let runtime = start(log.clone(), &url, "node").await;
        let client = runtime.client();
        for number in 0..20 {
            travel(&client, number).await;
        }
        tokio::task::block_in_place(|| {
            for queue in ["cmd.hotel", "cmd.flight", "cmd.mail", "inbox.0"] {
                broker.wait_until_written(queue);
            }
            broker.wait_until_streams_are_written();
        });
        for kill in 1..=broker::kills() {
            // Some trips are under way when it dies.
            let (travelling, number) = (client.clone(), 100 * kill);
            let trips = tokio::spawn(async move {
                for number in number..number + 40 {
                    travel(&travelling, number).await;
                }
            });
            travel(&client, number + 50).await;
            tokio::task::block_in_place(|| {
                broker.kill();
                broker.start_again();
            });
            trips.await.expect("all of them end rightly");
        }
        // A broker that has just started may take its time with its streams.
        while !compared(&*log, &url).await.is_equal() {}
        runtime.stop().await.expect("it stops in peace");
        is_published(&*log, &url).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_published_log_is_the_stored_one_though_its_owners_change() {
    in_time(async {
        let broker = Broker::start(1);
        let url = broker.url();
        let database = PostgresServer::shared().new_database("published");
        let mut older = start(log_in(&database).await, &url, "node-0").await;
        for round in 1..4 {
            let newer = start(log_in(&database).await, &url, &format!("node-{round}")).await;
            for number in 0..30 {
                travel(&older.client(), 100 * round + number).await;
            }
            // One leaves in peace, one at once.
            if round % 2 == 0 {
                drop(older);
            } else {
                older.stop().await.expect("it stops in peace");
            }
            for number in 30..60 {
                travel(&newer.client(), 100 * round + number).await;
            }
            older = newer;
        }
        older.stop().await.expect("it stops in peace");
        is_published(&*log_in(&database).await, &url).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_is_killed_again_and_again_has_each_row_once_in_its_table() {
    in_time(async {
        let broker = Broker::start(1);
        let url = broker.url();
        let database = PostgresServer::shared().new_database("followed");
        let log = log_in(&database).await;
        let table = Table::make(&database).await;
        let runtime = start(log.clone(), &url, "node").await;
        for round in 0..FOLLOWERS {
            let follower = following(&url, &database);
            let before = table.rows().await;
            for number in 0..30 {
                travel(&runtime.client(), 100 * round + number).await;
            }
            // It has some of what came, and dies while it may have more under way.
            table.wait_for(before + 20).await;
            drop(follower);
        }
        runtime.stop().await.expect("it stops in peace");
        let _follower = following(&url, &database);
        table.is_the_log(&*log).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_keeps_a_table_of_the_sagas_that_ran() {
    in_time(async {
        let broker = Broker::start(1);
        let url = broker.url();
        let database = PostgresServer::shared().new_database("example");
        let pool = PgPool::connect(&database).await.expect("it is there");
        let log = log_in(&database).await;
        let drove = drive(log, &url);
        let followed = async {
            let counted = async {
                // It makes the table when it starts.
                let count = "select count(*) filter (where status = 'completed'), \
                             count(*) filter (where status = 'compensated') from saga_status";
                loop {
                    let counts = sqlx::query_as(count).fetch_one(&pool).await;
                    if counts.is_ok_and(|counts: (i64, i64)| counts == (20, 10)) {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                ended = follower::run(&database, &url, &database) => panic!("it follows on: {ended:?}"),
                () = counted => {}
            }
        };
        let (drove, ()) = tokio::join!(drove, followed);
        drove.expect("it stops in peace");
    })
    .await;
}

/// The guide's runtime that publishes.
async fn drive(log: Arc<dyn EventLog>, url: &str) -> Result<(), Box<dyn std::error::Error>> {
    let streams = Arc::new(RabbitStreams::connect(url).await?);
    let runtime = Runtime::on(log)
        .publish_log(streams)
        .definition(trip())
        .worker(worker())
        .start()
        .await?;
    for number in 0..30 {
        travel(&runtime.client(), number).await;
    }
    runtime.stop().await?;
    Ok(())
}

/// What the follower of the test makes of the log: its rows, in the order in which it had them.
struct Table(PgPool);

impl Table {
    async fn make(database: &str) -> Self {
        let pool = PgPool::connect(database).await.expect("it is there");
        let table = "create table seen (number bigserial primary key, partition int not null, \
                     position bigint not null, name text not null, events bigint not null)";
        sqlx::raw_sql(table)
            .execute(&pool)
            .await
            .expect("it is new");
        Self(pool)
    }

    async fn rows(&self) -> i64 {
        let count = sqlx::query_scalar("select count(*) from seen");
        count.fetch_one(&self.0).await.expect("it is there")
    }

    async fn wait_for(&self, rows: i64) {
        while self.rows().await < rows {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until it has the whole log, and looks whether each row is there once and in its order.
    async fn is_the_log(&self, log: &dyn EventLog) {
        for partition in (0..log.partitions()).map(PartitionId::new) {
            let tail = log.tail(partition).await.expect("it is there").get() as i64;
            let number = partition.get() as i32;
            let seen = loop {
                let seen = sqlx::query(
                    "select position, events from seen where partition = $1 order by number",
                );
                let seen = seen.bind(number).fetch_all(&self.0).await;
                let seen: Vec<(i64, i64)> = seen
                    .expect("it is there")
                    .iter()
                    .map(|row| (row.get(0), row.get(1)))
                    .collect();
                if seen
                    .last()
                    .is_some_and(|(position, events)| position + events > tail)
                {
                    break seen;
                }
                tokio::task::yield_now().await;
            };
            let mut next = 1;
            for (position, events) in seen {
                assert_eq!(position, next, "partition {partition}");
                next = position + events;
            }
            assert_eq!(next, tail + 1);
        }
    }
}

/// Another process that follows.
fn following(broker: &str, database: &str) -> Other {
    let test = "published::child_follows_until_it_is_killed";
    Other::running(test, FOLLOWED, &format!("{broker} {database}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_follows_until_it_is_killed() {
    let Ok(followed) = env::var(FOLLOWED) else {
        return;
    };
    let (url, database) = followed.split_once(' ').expect("two URLs");
    let pool = PgPool::connect(database).await.expect("it is there");
    let checkpoints = Checkpoints::on(pool.clone(), "sagalog_followers").await;
    let checkpoints = checkpoints.expect("they can be made");
    let from = checkpoints.load("seen").await.expect("they can be read");
    let mut follower = Follower::of(streams(url).await)
        .partitions((0..PARTITIONS).map(PartitionId::new))
        .from(from)
        .start();
    loop {
        let page = follower.next().await.expect("the stream has everything");
        let mut transaction = pool.begin().await.expect("the database is there");
        for named in &page.rows {
            let insert =
                "insert into seen (partition, position, name, events) values ($1, $2, $3, $4)";
            let inserted = sqlx::query(insert)
                .bind(page.partition.get() as i32)
                .bind(named.row.position.get() as i64)
                .bind(named.name.as_str())
                .bind(named.row.events.len() as i64)
                .execute(&mut *transaction);
            inserted.await.expect("it is there");
        }
        let stored = checkpoints.store(&mut transaction, "seen", &page).await;
        stored.expect("no other has this name");
        transaction.commit().await.expect("the database is there");
    }
}
