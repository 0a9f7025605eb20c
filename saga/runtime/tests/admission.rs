//! A participant that fails is left alone for a while, and what waits for it loses nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use sagalog::{
    AnyDefinition, Attempt, Failure, MemoryLog, Retry, Runtime, Saga, Status, Step, Worker,
    admission::{BreakerPolicy, Class, Policies, Policy},
    clock::ManualClock,
    log::Time,
};

const ORDER: Saga<u64, u64> = Saga::new("order");
const CHARGE: Step<u64, u64> = Step::new("payments.charge")
    .compensatable()
    .timeout(Duration::from_secs(10))
    .retry(Retry::fixed(Duration::ZERO).attempts(3));

fn order() -> AnyDefinition {
    let (mut saga, cents) = ORDER.define(1);
    let paid = saga.step("charge", CHARGE, cents);
    saga.returns(paid).expect("a good definition").into()
}

#[derive(Clone, Default)]
struct Payments {
    works: Arc<AtomicBool>,
    asked: Arc<AtomicU32>,
}

async fn charge(at: Attempt<Payments>, cents: u64) -> Result<u64, Failure> {
    at.state.asked.fetch_add(1, Ordering::Relaxed);
    if at.state.works.load(Ordering::Relaxed) {
        Ok(cents)
    } else {
        Err(Failure::transient("out of order"))
    }
}

async fn refund(_: Attempt<Payments>, _: u64, _: Option<u64>) -> Result<(), Failure> {
    Ok(())
}

#[tokio::test]
async fn a_saga_outlives_an_outage_that_is_longer_than_its_retries() {
    let payments = Payments::default();
    let clock = ManualClock::at(Time::from_micros(1_000_000_000));
    let minute = Duration::from_secs(60);
    let breaker = BreakerPolicy::DEFAULT
        .opens_at(100, 2)
        .open_for(minute, minute)
        .trials(1);
    let policy = Policy::DEFAULT.breaker(Class::Begins, Some(breaker));
    let runtime = Runtime::on(Arc::new(MemoryLog::new()))
        .definition(order())
        .worker(
            Worker::with(payments.clone())
                .action(CHARGE, charge)
                .compensation(CHARGE, refund),
        )
        .admission(Policies::default().with("payments", policy))
        .clock(Arc::new(clock.clone()))
        .start()
        .await
        .expect("it starts");
    let client = runtime.client();
    client.start(ORDER, "o-1", &100).await.expect("it begins");
    let asked = || async {
        let state = client.state("o-1").await.expect("it is under way");
        let charge = state.graph().find("charge").expect("it is in the graph");
        state.step(charge).map_or(0, |(_, step)| step.action.asked)
    };
    // The third attempt is on record with the failure of the second, by which the breaker opens.
    while asked().await < 3 {
        tokio::task::yield_now().await;
    }
    payments.works.store(true, Ordering::Relaxed);
    clock.advance(minute);
    let ended = client.end("o-1").await.expect("it ends");
    assert_eq!(ended.status(), Status::Completed);
    assert_eq!(payments.asked.load(Ordering::Relaxed), 3);
    runtime.stop().await.expect("it stops in peace");
}
