//! Many partitions, many owners.

use std::{collections::HashMap, sync::Arc};

use sagalog_eventlog::{
    AppendError, EventLog, OpenError, PostgresLog, PostgresOptions, conformance::Author, verify,
};
use sagalog_model::log::{
    Batch, BatchId, Data, Digest, Epoch, InputId, NewEvent, PartitionId, Position, SchemaVersion,
    StreamKey, StreamName, StreamState, Time, Version,
};

use crate::Schema;

fn partitions() -> impl Iterator<Item = PartitionId> {
    (0..PostgresOptions::PARTITIONS).map(PartitionId::new)
}

/// The first batch of a new stream, at a position.
fn begin(position: Position, name: &str) -> Batch {
    Batch {
        stream: StreamKey::new(position.get()),
        name: Some(StreamName::new(name).expect("a fine name")),
        version: Version::new(1),
        position,
        at: Time::from_micros(position.get()),
        id: BatchId(position.get().into()),
        input: InputId(7),
        digest: Digest::default(),
        state: StreamState::Open,
        events: vec![NewEvent {
            kind: "Started".into(),
            schema: SchemaVersion::new(1),
            control: "{}".to_owned(),
            data: Data::None,
        }],
    }
}

async fn acquire_all(log: &PostgresLog) -> HashMap<PartitionId, Epoch> {
    let mut epochs = HashMap::new();
    for partition in partitions() {
        let owned = log.acquire(partition, Author::owner());
        epochs.insert(partition, owned.await.expect("nobody has it").epoch);
    }
    epochs
}

#[tokio::test]
async fn a_new_log_has_sixteen_partitions_and_keeps_them() {
    let schema = Schema::new();
    assert_eq!(schema.log().await.partitions(), 16);
    let asking = |partitions| PostgresOptions {
        partitions,
        ..schema.options.clone()
    };
    let same = PostgresLog::open_with(&schema.url, asking(Some(16))).await;
    assert_eq!(same.expect("it has as many").partitions(), 16);
    let other = PostgresLog::open_with(&schema.url, asking(Some(4))).await;
    assert!(
        matches!(
            other,
            Err(OpenError::Partitions {
                partitions: 16,
                asked: 4,
                ..
            })
        ),
        "{other:?}"
    );
}

/// Appends of all partitions that queue together go into few commits, and the one whose lease was
/// lost does not cost the others theirs.
#[tokio::test]
async fn a_partition_that_was_lost_does_not_cost_the_others_their_appends() {
    let schema = Schema::new();
    let log = Arc::new(schema.log().await);
    let epochs = acquire_all(&log).await;
    let lost = PartitionId::new(5);
    // As another owner would, without waiting for the lease.
    let steal = "update lease set epoch = epoch + 1, holder = 'somebody' where partition = 5";
    let mut raw = schema.raw().await;
    sqlx::raw_sql(steal).execute(&mut raw).await.expect("a log");
    let appends = partitions().map(|partition| {
        let (log, epoch) = (log.clone(), epochs[&partition]);
        tokio::spawn(async move {
            let batch = begin(Position::new(1), "a");
            (partition, log.append(partition, epoch, vec![batch]).await)
        })
    });
    for append in appends.collect::<Vec<_>>() {
        let (partition, appended) = append.await.expect("it does not panic");
        if partition == lost {
            assert!(
                matches!(appended, Err(AppendError::Fenced { current, .. }) if current == epochs[&lost].next()),
                "{appended:?}"
            );
        } else {
            assert_eq!(appended.expect("it is owned").last, Position::new(1));
        }
    }
    for partition in partitions() {
        let verified = verify(&*log, partition).await.expect("it is whole");
        assert_eq!(verified.rows, u64::from(partition != lost));
    }
    // Commits can be told apart by the transaction that wrote them.
    let commits = "select count(distinct xmin::text) from log";
    let commits: i64 = sqlx::query_scalar(commits)
        .fetch_one(&mut raw)
        .await
        .expect("rows");
    assert!(commits < 15, "{commits} commits for 15 appends");
}

/// A name that is taken in one partition sends the others' appends on their own way.
#[tokio::test]
async fn a_key_that_is_taken_in_one_partition_stops_that_append_only() {
    let schema = Schema::new();
    let log = Arc::new(schema.log().await);
    let epochs = acquire_all(&log).await;
    let taken = PartitionId::new(3);
    for partition in partitions() {
        let batch = begin(Position::new(1), &format!("of-{partition}"));
        let stored = log.append(partition, epochs[&partition], vec![batch]).await;
        stored.expect("it is owned");
    }
    let appends: Vec<_> = partitions()
        .map(|partition| {
            let (log, epoch) = (log.clone(), epochs[&partition]);
            tokio::spawn(async move {
                // In every other partition this name is new.
                let batch = begin(Position::new(2), "of-3");
                (partition, log.append(partition, epoch, vec![batch]).await)
            })
        })
        .collect();
    for append in appends {
        let (partition, appended) = append.await.expect("it does not panic");
        if partition == taken {
            assert!(
                matches!(appended, Err(AppendError::Conflict(_))),
                "{appended:?}"
            );
        } else {
            assert_eq!(appended.expect("it is owned").last, Position::new(2));
        }
    }
    for partition in partitions() {
        let verified = verify(&*log, partition).await.expect("it is whole");
        assert_eq!(verified.rows, 1 + u64::from(partition != taken));
    }
}

#[tokio::test]
async fn partitions_do_not_see_each_other() {
    let schema = Schema::new();
    let log = schema.log().await;
    let (one, two) = (PartitionId::new(1), PartitionId::new(2));
    let epochs = acquire_all(&log).await;
    for (partition, name) in [(one, "a"), (two, "b")] {
        let batch = begin(Position::new(1), name);
        let stored = log.append(partition, epochs[&partition], vec![batch]).await;
        stored.expect("it is owned");
    }
    let names = ["a", "b"].map(|name| StreamName::new(name).expect("a fine name"));
    let heads = log.heads(two, &names).await.expect("readable");
    assert_eq!((heads[0].is_some(), heads[1].is_some()), (false, true));
    let listed = log
        .streams(one, StreamKey::new(0), 10)
        .await
        .expect("readable");
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].name, names[0]);
    let one = verify(&log, one).await.expect("it is whole").chain;
    let two = verify(&log, two).await.expect("it is whole").chain;
    assert_ne!(one, two);
}

/// Names are looked up for all partitions together, so whoever asks must get their own, whatever the
/// others do meanwhile.
#[tokio::test]
async fn each_who_looks_names_up_at_the_same_time_is_told_of_their_own() {
    let schema = Schema::new();
    let log = Arc::new(schema.log().await);
    let epochs = acquire_all(&log).await;
    for partition in partitions() {
        let batch = begin(Position::new(1), &format!("of-{}", partition.get()));
        let stored = log.append(partition, epochs[&partition], vec![batch]).await;
        stored.expect("it is owned");
    }
    let asked: Vec<_> = (0..200)
        .map(|asker| {
            let partition = PartitionId::new(asker % PostgresOptions::PARTITIONS);
            let log = log.clone();
            let asking = tokio::spawn(async move {
                let named = |partition| StreamName::new(format!("of-{partition}"));
                let names = [partition.get() + 1, partition.get()].map(named);
                let names = names.map(|name| name.expect("a fine name"));
                log.heads(partition, &names).await
            });
            (asker, asking)
        })
        .collect();
    // Some go away before they are answered, also while they look for others.
    for (_, asking) in asked.iter().filter(|(asker, _)| asker % 3 == 0) {
        tokio::task::yield_now().await;
        asking.abort();
    }
    for (asker, asking) in asked {
        let Ok(heads) = asking.await else {
            assert_eq!(asker % 3, 0, "only those that were aborted go away");
            continue;
        };
        let heads = heads.expect("readable");
        assert_eq!((heads[0].is_some(), heads[1].is_some()), (false, true));
    }
}

/// A driver leaves its look-up where it is while it takes a partition over, and looks others up for that.
#[tokio::test]
async fn a_look_up_that_is_left_half_way_holds_nobody_up() {
    let schema = Schema::new();
    let log = schema.log().await;
    let name = [StreamName::new("a").expect("a fine name")];
    let partition = PartitionId::new(1);
    let mut left = Vec::new();
    for _ in 0..30 {
        let mut looking = Box::pin(log.heads(partition, &name));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(looking.as_mut().poll(&mut context).is_pending());
        left.push(looking);
        let heads = log.heads(partition, &name).await.expect("readable");
        assert!(heads[0].is_none());
    }
}
