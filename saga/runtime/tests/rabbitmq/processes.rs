//! One process, and two of them.

use std::{
    env,
    process::{Child, Command},
    sync::Arc,
};

use sagalog::{MemoryLog, Runtime};
use tokio::task::JoinSet;

use crate::{
    broker::Broker,
    trip::{PARTICIPANTS, in_time, transport, travel, trip, worker},
};

/// Names the broker to a child; without it the child below is no test.
const BROKER: &str = "SAGALOG_TEST_BROKER";

/// Sagas of one test, in this many lines of customers.
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
async fn every_saga_ends_rightly_with_its_workers_in_another_process() {
    in_time(async {
        let broker = Broker::start(1);
        let url = broker.url();
        let _worker = Other::serving(&url);
        let mut runtime = Runtime::on(Arc::new(MemoryLog::new()))
            .transport(transport(&url).await)
            .definition(trip());
        for participant in PARTICIPANTS {
            runtime = runtime.elsewhere(participant);
        }
        let runtime = runtime.start().await.expect("it starts");

        let mut lines = JoinSet::new();
        for line in 0..LINES {
            let client = runtime.client();
            lines.spawn(async move {
                for number in (line..TRIPS).step_by(LINES) {
                    travel(&client, number).await;
                }
            });
        }
        while let Some(line) = lines.join_next().await {
            line.expect("its trips ended rightly");
        }
        runtime.stop().await.expect("it stops in peace");
    })
    .await;
}

/// The other process: this test program again, as a worker.
struct Other(Child);

impl Other {
    fn serving(url: &str) -> Self {
        let program = env::current_exe().expect("this program");
        let child = Command::new(program)
            .args([
                "--exact",
                "processes::child_serves_until_it_is_killed",
                "--nocapture",
            ])
            .env(BROKER, url)
            .spawn();
        Self(child.expect("a child"))
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.0.kill().expect("it is there until it is waited for");
        self.0.wait().expect("it was killed");
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
