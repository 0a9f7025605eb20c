//! One process, and two of them with a broker that is killed between them.

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use sagalog::{Client, MemoryLog, Runtime};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    broker::{self, Broker},
    other::Other,
    trip::{PARTICIPANTS, in_time, transport, travel, trip, worker},
};

/// Names the broker to a child; without it the child below is no test.
const BROKER: &str = "SAGALOG_TEST_BROKER";

/// What is asked of it, three times: the machine may be busy.
const BACK_TO_WORK: Duration = Duration::from_secs(3 * 10);

/// Sagas between two deaths of the broker, in this many lines of customers.
const TRIPS: usize = 300;
const LINES: usize = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sagas_run_over_rabbitmq_as_they_do_in_one_process() {
    in_time(async {
        let broker = Broker::start(1);
        let runtime = Runtime::on(Arc::new(MemoryLog::new()))
            .transport(transport(&broker.url()).await)
            .definition(trip())
            .worker(worker())
            .start()
            .await
            .expect("it starts");
        for number in 0..6 {
            travel(&runtime.client(), number).await;
        }
        runtime.stop().await.expect("it stops in peace");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_saga_ends_rightly_though_the_broker_between_two_processes_is_killed() {
    in_time(async {
        let broker = Broker::start(1);
        let url = broker.url();
        let _worker = Other::running("processes::child_serves_until_it_is_killed", BROKER, &url);
        let mut runtime = Runtime::on(Arc::new(MemoryLog::new()))
            .transport(transport(&url).await)
            .definition(trip());
        for participant in PARTICIPANTS {
            runtime = runtime.elsewhere(participant);
        }
        let runtime = runtime.start().await.expect("it starts");
        tokio::task::block_in_place(|| {
            let commands = PARTICIPANTS.map(|participant| format!("cmd.{participant}"));
            for queue in commands.into_iter().chain(["inbox.0".to_owned()]) {
                broker.wait_until_written(&queue);
            }
        });

        for kill in 0..broker::kills() {
            let mut crowd = Crowd::leaving(&runtime.client(), kill * TRIPS);
            // In the middle: some have ended, most have not.
            crowd.wait_for(LINES).await;
            tokio::task::block_in_place(|| {
                broker.kill();
                broker.start_again();
            });
            let greeted = Instant::now();
            let before = *crowd.ended.borrow();
            assert!(before < TRIPS, "the broker died too late to matter");
            crowd.wait_for(before + 1).await;
            let took = greeted.elapsed();
            eprintln!("back to work {took:?} after the broker");
            assert!(took < BACK_TO_WORK, "it took {took:?}");
            crowd.all_home().await;
        }
        runtime.stop().await.expect("it stops in peace");
    })
    .await;
}

/// Customers whose trips all end rightly.
struct Crowd {
    lines: JoinSet<()>,
    ended: watch::Sender<usize>,
}

impl Crowd {
    fn leaving(client: &Client, first: usize) -> Self {
        let (mut lines, ended) = (JoinSet::new(), watch::Sender::default());
        for line in 0..LINES {
            let (client, ended): (_, watch::Sender<usize>) = (client.clone(), ended.clone());
            lines.spawn(async move {
                for number in (line..TRIPS).step_by(LINES) {
                    travel(&client, first + number).await;
                    ended.send_modify(|ended| *ended += 1);
                }
            });
        }
        Self { lines, ended }
    }

    async fn wait_for(&self, trips: usize) {
        let mut ended = self.ended.subscribe();
        let waited = ended.wait_for(|ended| *ended >= trips).await;
        waited.expect("its other end is here");
    }

    async fn all_home(&mut self) {
        while let Some(line) = self.lines.join_next().await {
            line.expect("its trips ended rightly");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_serves_until_it_is_killed() {
    let Ok(url) = env::var(BROKER) else {
        return;
    };
    let served = worker()
        .serve(transport(&url).await, std::future::pending())
        .await;
    panic!("it serves for ever: {served:?}");
}
