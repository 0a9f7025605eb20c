//! Several runtimes share a log in PostgreSQL: each drives its part of the partitions.

mod double;

use std::{sync::Arc, time::Duration};

use sagalog::{CallError, Ended, EventLog, InProcess, Runtime, Transport};
use sagalog_eventlog::{PostgresLog, PostgresOptions, test_servers::PostgresServer, verify};
use sagalog_model::log::PartitionId;

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
