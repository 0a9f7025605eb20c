//! A process that drives nothing, a broker that is killed, and owners that die and hand over: nothing
//! that was asked is lost, and every end is told.

use std::{env, sync::Arc, time::Duration};

use sagalog::{
    AnyDefinition, Client, Ended, PostgresLog, PostgresOptions, Runtime, Saga, Signal, Status,
};
use sagalog_eventlog::test_servers::PostgresServer;
use sagalog_projections::participants::Presence;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    broker::Broker,
    other::Other,
    trip::{PARTICIPANTS, in_time, transport, worker},
};

const LOAN: Saga<u32, bool> = Saga::new("loan");
const APPROVAL: Signal<bool> = Signal::new("approval");

/// Names broker and log to a child; without them the child below is no test.
const PLACE: &str = "SAGALOG_TEST_PLACE";

const LOANS: u32 = 24;
const PARTITIONS: u32 = 4;

fn loan() -> AnyDefinition {
    let (mut saga, _) = LOAN.define(1);
    let approved = saga
        .signal("approved", APPROVAL)
        .within(Duration::from_secs(3_600));
    let granted = saga.returns(approved.map(|approved| approved == Some(true)));
    granted.expect("a good definition").into()
}

fn id(number: u32) -> String {
    format!("loan-{number}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_without_a_part_of_the_log_outlive_its_owners_and_the_broker() {
    in_time(async {
        let broker = Broker::start(1);
        let url = broker.url();
        let database = PostgresServer::shared().new_database("callers");
        let place = format!("{url} {database}");
        let node = || Other::running("remote::child_drives_until_it_is_killed", PLACE, &place);
        let first = node();
        let bank = Client::connect(transport(&url).await).within(Duration::from_secs(300));

        let mut asking = JoinSet::new();
        for number in 0..LOANS {
            let bank = bank.clone();
            asking.spawn(async move { bank.start(LOAN, &id(number), &number).await });
        }
        all_done(asking).await;
        let mut ends = JoinSet::new();
        for number in 0..LOANS {
            let bank = bank.clone();
            ends.spawn(async move { (number, bank.result(LOAN, &id(number)).await) });
        }
        assert_eq!(
            bank.status(&id(0)).await.expect("it is known"),
            Status::Running
        );

        let serving = worker().serve(transport(&url).await, std::future::pending());
        let _serving = AbortOnDropHandle::new(tokio::spawn(serving));
        while alive(&bank).await < PARTICIPANTS.len() {}

        // The only owner dies with all the questions it was asked. The next one knows who is there before
        // they say so again.
        drop(first);
        let second = node();
        assert_eq!(alive(&bank).await, PARTICIPANTS.len());
        all_done(decide(&bank, 0..LOANS / 3)).await;

        tokio::task::block_in_place(|| {
            for partition in 0..PARTITIONS {
                broker.wait_until_written(&format!("inbox.{partition}"));
            }
            broker.kill();
        });
        // Asked while there is no broker.
        let asking = decide(&bank, LOANS / 3..2 * LOANS / 3);
        tokio::task::block_in_place(|| broker.start_again());
        all_done(asking).await;

        // Another takes its share from the one that is there, and is asked meanwhile.
        let _third = node();
        all_done(decide(&bank, 2 * LOANS / 3..LOANS)).await;
        drop(second);

        while let Some(ended) = ends.join_next().await {
            let (number, ended) = ended.expect("it does not panic");
            assert_eq!(ended.expect("it ends"), expected(number), "loan {number}");
        }
    })
    .await;
}

/// How many participants are there.
async fn alive(bank: &Client) -> usize {
    let there = bank.participants(None).await.expect("somebody knows");
    let alive = there.iter().filter(|seen| seen.presence == Presence::Alive);
    alive.count()
}

/// Each third one is cancelled, the others are approved; all of it twice.
fn decide(bank: &Client, numbers: std::ops::Range<u32>) -> JoinSet<Result<(), sagalog::CallError>> {
    let mut asking = JoinSet::new();
    for number in numbers {
        for _ in 0..2 {
            let bank = bank.acting_as("ann");
            asking.spawn(async move {
                let id = id(number);
                if number.is_multiple_of(3) {
                    bank.cancel(&id, "c", "no").await
                } else {
                    bank.signal(APPROVAL, &id, "s", &true).await
                }
            });
        }
    }
    asking
}

fn expected(number: u32) -> Ended<bool> {
    if number.is_multiple_of(3) {
        let reason = "no".to_owned();
        Ended::Compensated { reason }
    } else {
        Ended::Completed(true)
    }
}

async fn all_done(mut asking: JoinSet<Result<(), sagalog::CallError>>) {
    while let Some(done) = asking.join_next().await {
        done.expect("it does not panic").expect("it is recorded");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_drives_until_it_is_killed() {
    let Ok(place) = env::var(PLACE) else {
        return;
    };
    let (url, database) = place.split_once(' ').expect("a broker and a log");
    let options = PostgresOptions {
        partitions: Some(PARTITIONS),
        lease: Duration::from_secs(1),
        ..PostgresOptions::default()
    };
    let log = PostgresLog::open_with(database, options).await;
    let mut node = Runtime::on(Arc::new(log.expect("a log")))
        .transport(transport(url).await)
        .definition(loan())
        .start()
        .await
        .expect("it starts");
    let failed = node.failed().await;
    panic!("it drives for ever: {failed:?}");
}
