//! A log of several partitions: each saga lives in one, and whoever asks does not notice.

mod double;

use std::{num::NonZeroU32, sync::Arc};

use sagalog::{
    Ended, EventLog, MemoryLog, StartError,
    log::{PartitionId, Position, StreamName, Time},
    runtime::DriveError,
};
use sagalog_eventlog::{AcquireError, Owner};

use double::{DOUBLE, id, on};

const COUNT: NonZeroU32 = NonZeroU32::new(4).unwrap();

#[tokio::test]
async fn every_saga_runs_in_the_partition_of_its_id() {
    let log = Arc::new(MemoryLog::with_partitions(COUNT.get()));
    let runtime = on(log.clone()).start().await.expect("it starts");
    for number in 0..32 {
        let ended = runtime.client().run(DOUBLE, &id(number), &number).await;
        assert_eq!(ended.expect("it runs"), Ended::Completed(2 * number));
    }
    runtime.stop().await.expect("it stops in peace");
    for number in 0..32 {
        let name = StreamName::new(id(number)).expect("a good name");
        let partition = PartitionId::of(&id(number), COUNT);
        let heads = log.heads(partition, &[name]).await.expect("it reads");
        assert!(heads[0].is_some(), "{} is not in {partition}", id(number));
    }
}

#[tokio::test]
async fn what_ended_is_found_again_in_its_partition_after_a_restart() {
    let log = Arc::new(MemoryLog::with_partitions(COUNT.get()));
    let runtime = on(log.clone()).start().await.expect("it starts");
    for number in 0..8 {
        let started = runtime.client().start(DOUBLE, &id(number), &number).await;
        started.expect("it starts");
    }
    runtime.stop().await.expect("it stops in peace");
    let runtime = on(log).start().await.expect("it starts again");
    for number in 0..8 {
        let ended = runtime.client().result(DOUBLE, &id(number)).await;
        assert_eq!(ended.expect("it ends"), Ended::Completed(2 * number));
    }
    runtime.stop().await.expect("it stops in peace");
}

#[tokio::test]
async fn a_start_that_fails_gives_back_what_it_took() {
    let log = Arc::new(MemoryLog::with_partitions(COUNT.get()));
    let other = log.another();
    let last = PartitionId::new(COUNT.get() - 1);
    let owner = Owner::this_process("another program", Time::from_micros(1));
    other
        .acquire(last, owner.clone())
        .await
        .expect("it is free");

    let refused = on(log.clone()).start().await.map(drop);
    assert!(
        matches!(
            refused,
            Err(StartError::Drive(DriveError::Acquire(
                AcquireError::Held { .. }
            )))
        ),
        "{refused:?}"
    );
    let first = PartitionId::new(0);
    let owned = other
        .acquire(first, owner)
        .await
        .expect("it was given back");
    assert!(owned.tail > Position::new(0), "it had been taken");
}
