//! Several runtimes share a log in PostgreSQL: each drives its part of the partitions.

mod double;

use std::{sync::Arc, time::Duration};

use sagalog::{CallError, Ended, EventLog, InProcess, Runtime, Transport};
use sagalog_eventlog::{PostgresLog, PostgresOptions, test_servers::PostgresServer, verify};
use sagalog_model::log::PartitionId;

use sqlx::{Connection as _, PgConnection, query_scalar, raw_sql};
use tokio::{select, task::JoinSet};

use double::{DOUBLE, id};

const PARTITIONS: u32 = 4;

/// A log that several handles share, and the queues between them.
struct Shared {
    url: String,
    transport: Arc<InProcess>,
}

impl Shared {
    fn new(database: &str) -> Self {
        Self {
            url: PostgresServer::shared().new_database(database),
            transport: Arc::new(InProcess::new()),
        }
    }

    async fn log(&self) -> Arc<PostgresLog> {
        let options = PostgresOptions {
            partitions: Some(PARTITIONS),
            lease: Duration::from_secs(1),
            ..PostgresOptions::default()
        };
        let log = PostgresLog::open_with(&self.url, options).await;
        Arc::new(log.expect("a log"))
    }

    async fn node(&self, name: &str) -> Runtime {
        let started = double::on(self.log().await)
            .transport(self.transport.clone() as Arc<dyn Transport>)
            .node(name)
            .start();
        started.await.expect("it starts")
    }
}

/// Asks one after the other until one of them has the saga's partition, and gives its number.
async fn run(nodes: &[&Runtime], number: u32) -> usize {
    loop {
        for (index, node) in nodes.iter().enumerate() {
            let client = node.client().only_here();
            match client.run(DOUBLE, &id(number), &number).await {
                Ok(ended) => {
                    assert_eq!(ended, Ended::Completed(2 * number));
                    return index;
                }
                Err(CallError::Elsewhere { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// The database says of each append that its disk is full, until told otherwise, and counts them.
async fn fill(database: &mut PgConnection) {
    let full = "create sequence refused; \
        create function refuse() returns trigger language plpgsql as $$ begin \
        perform nextval('refused'); \
        raise 'could not extend file: No space left on device' using errcode = 'disk_full'; end $$; \
        create trigger refuse before insert on sagalog.log for each row execute function refuse()";
    let filled = raw_sql(full).execute(database).await;
    filled.expect("this user may do that");
}

async fn refused(database: &mut PgConnection) -> i64 {
    let count = query_scalar("select coalesce(pg_sequence_last_value('refused'::regclass), 0)");
    count.fetch_one(database).await.expect("it is there")
}

/// Waits until so many more appends were refused.
async fn until_refused(database: &mut PgConnection, more: i64) {
    let before = refused(database).await;
    while refused(database).await < before + more {
        tokio::task::yield_now().await;
    }
}

async fn is_whole(log: &dyn EventLog) {
    for partition in (0..PARTITIONS).map(PartitionId::new) {
        verify(log, partition).await.expect("the log is whole");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_joins_gets_its_share_and_gives_it_back_when_it_leaves() {
    let shared = Shared::new("joining");
    let first = shared.node("first").await;
    for number in 0..8 {
        assert_eq!(run(&[&first], number).await, 0);
    }
    let second = shared.node("second").await;
    // Sagas run while partitions move; in the end each has some.
    let mut ran = [0, 0];
    let mut number = 8;
    while ran[1] < 16 {
        ran[run(&[&first, &second], number).await] += 1;
        number += 1;
    }
    second.stop().await.expect("it stops in peace");
    for again in number..number + 8 {
        run(&[&first], again).await;
    }
    first.stop().await.expect("it stops in peace");
    is_whole(&*shared.log().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_began_another_ends() {
    let shared = Shared::new("ending");
    let first = shared.node("first").await;
    for number in 0..16 {
        let started = first.client().start(DOUBLE, &id(number), &number).await;
        started.expect("it is started");
    }
    let second = shared.node("second").await;
    first.stop().await.expect("it stops in peace");
    for number in 0..16 {
        run(&[&second], number).await;
    }
    second.stop().await.expect("it stops in peace");
    is_whole(&*shared.log().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_one_node_reaches_what_another_drives() {
    let shared = Shared::new("reaching");
    let first = shared.node("first").await;
    let second = shared.node("second").await;
    let here = first.client().only_here();
    let mut number = 0;
    // Until the second has its share, all are started by the first.
    while here.start(DOUBLE, &id(number), &number).await.is_ok() {
        number += 1;
        tokio::task::yield_now().await;
    }
    let client = first.client();
    let ended = client.run(DOUBLE, &id(number), &number).await;
    assert_eq!(ended.expect("it runs"), Ended::Completed(2 * number));
    let [there, read] = [
        second.client().state(&id(number)).await,
        client.state(&id(number)).await,
    ];
    assert_eq!(there.expect("it is told"), read.expect("it is read"));
    first.stop().await.expect("it stops in peace");
    second.stop().await.expect("it stops in peace");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_room_is_waited_for_and_nothing_is_lost() {
    let shared = Shared::new("full");
    let mut node = shared.node("only").await;
    run(&[&node], 0).await;
    let mut database = PgConnection::connect(&shared.url)
        .await
        .expect("a database");
    fill(&mut database).await;
    let mut running = JoinSet::new();
    for number in 1..9 {
        let client = node.client();
        running.spawn(async move { client.run(DOUBLE, &id(number), &number).await });
    }
    // It tries again and again, and nobody is told that anything was begun.
    until_refused(&mut database, 8).await;
    assert!(running.try_join_next().is_none());
    select! {
        biased;
        failed = node.failed() => panic!("it should wait: {failed:?}"),
        () = std::future::ready(()) => {}
    }
    let free = raw_sql("drop trigger refuse on sagalog.log");
    free.execute(&mut database).await.expect("it is there");
    let mut ended = 0;
    while let Some(ran) = running.join_next().await {
        let ran = ran.expect("it does not panic").expect("it is recorded");
        assert!(matches!(ran, Ended::Completed(_)));
        ended += 1;
    }
    assert_eq!(ended, 8);
    node.stop().await.expect("it stops in peace");
    is_whole(&*shared.log().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_database_has_no_room_can_be_stopped() {
    let shared = Shared::new("stopping_full");
    let node = shared.node("only").await;
    run(&[&node], 0).await;
    let mut database = PgConnection::connect(&shared.url)
        .await
        .expect("a database");
    fill(&mut database).await;
    let client = node.client();
    let start = tokio::spawn(async move { client.start(DOUBLE, &id(1), &1).await });
    until_refused(&mut database, 1).await;
    node.stop().await.expect("it stops in peace");
    let told = start.await.expect("it does not panic");
    assert!(matches!(told, Err(CallError::Stopped { .. })), "{told:?}");
}
