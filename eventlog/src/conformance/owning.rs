//! Properties of ownership.

use std::{sync::Arc, time::Instant};

use sagalog_model::log::{PartitionId, Position, StreamKey, Version};

use super::{Author, PARTITION, Subject};
use crate::{
    contract::EventLog,
    error::{AcquireError, AppendError, ReadError, RenewError},
    owner::Holder,
    sharing::Sharer,
};

/// While one handle owns the partition no other can, and the refusal names the owner.
pub async fn a_partition_has_one_owner(subject: &dyn Subject) {
    let author = Author::of(subject).await;
    let other = subject.open().await;
    let acquired = other.acquire(PARTITION, Author::owner());
    match author.alive_during(acquired).await {
        Err(AcquireError::Held { by, .. }) => assert_eq!(by, Holder::Known(Author::owner())),
        other => panic!("held expected, got {other:?}"),
    }
    author
        .log
        .release(PARTITION)
        .await
        .expect("nothing is in the way");
    Author::on(other).await;
}

/// An owner that says nothing loses its partition after its lease to whoever asks for it, and is
/// told so; where there is no lease it keeps it.
pub async fn a_silent_owner_keeps_its_partition_for_its_lease(subject: &dyn Subject) {
    let mut silent = Author::of(subject).await;
    silent.stream("a").await;
    let other = subject.open().await;
    let asked = Instant::now();
    let acquired = other.acquire(PARTITION, Author::owner()).await;
    let Some(lease) = silent.log.lease() else {
        assert!(
            matches!(acquired, Err(AcquireError::Held { .. })),
            "{acquired:?}"
        );
        return;
    };
    let taken = acquired.expect("its owner is silent");
    assert!(asked.elapsed() >= lease, "it was watched for a lease");
    assert_eq!(taken.tail, Position::new(2));
    let late = silent.begin("b");
    let fenced = silent.append(vec![late]).await;
    assert!(
        matches!(fenced, Err(AppendError::Fenced { current, .. }) if current == taken.epoch),
        "{fenced:?}"
    );
    assert_eq!(
        other.tail(PARTITION).await.expect("readable"),
        Position::new(2)
    );
}

/// Renewing says whether the partition is still owned under that epoch.
pub async fn renewing_says_whether_it_is_still_owned(subject: &dyn Subject) {
    let old = Author::of(subject).await;
    old.log
        .renew(PARTITION, old.epoch())
        .await
        .expect("it owns the partition");
    let new = Author::on(old.log.clone()).await;
    let fenced = |renewed: Result<(), RenewError>, now| {
        assert!(
            matches!(renewed, Err(RenewError::Fenced { current, .. }) if current == now),
            "{renewed:?}"
        );
    };
    fenced(old.log.renew(PARTITION, old.epoch()).await, new.epoch());
    let stranger = subject.open().await;
    for (log, released) in [(&stranger, false), (&new.log, true)] {
        if released {
            log.release(PARTITION).await.expect("nothing is in the way");
        }
        let renewed = log.renew(PARTITION, new.epoch()).await;
        assert!(
            matches!(renewed, Err(RenewError::NotOwned { .. })),
            "{renewed:?}"
        );
    }
    let next = Author::on(stranger).await;
    fenced(new.log.renew(PARTITION, new.epoch()).await, next.epoch());
}

/// Where there is a lease, each handle that shares sees the others and who owns what, in one order, and
/// moves with each sign that it gives; whoever gave a sign is not forgotten.
pub async fn whoever_shares_sees_the_others(subject: &dyn Subject) {
    let author = Author::of(subject).await;
    let other = subject.open().await;
    let share = async |log: &Arc<dyn EventLog>, gone: &[Sharer]| {
        let sharers = log.share(&Author::owner(), gone).await;
        sharers.expect("the store can be reached")
    };
    let alone = share(&author.log, &[]).await;
    if author.log.lease().is_none() {
        assert_eq!(alone, []);
        return;
    }
    let first = share(&other, &[]).await;
    let second = share(&author.log, &[]).await;
    let ids =
        |sharers: &[Sharer]| -> Vec<_> { sharers.iter().map(|sharer| sharer.id.clone()).collect() };
    assert_eq!((first.len(), ids(&first)), (2, ids(&second)));
    for sharer in &second {
        assert_eq!(
            sharer.owns,
            if sharer.is_me {
                vec![PARTITION]
            } else {
                vec![]
            }
        );
        assert_eq!(sharer.holder, Holder::Known(Author::owner()));
    }
    let me = |sharers: &[Sharer]| sharers.iter().find(|sharer| sharer.is_me).cloned();
    let (old, new) = (
        me(&alone).expect("it is there"),
        me(&second).expect("it is there"),
    );
    assert!(old.sign < new.sign, "it gave a sign");
    assert_eq!(share(&other, &[old]).await.len(), 2, "it lives");
    assert_eq!(share(&other, &[new]).await.len(), 1, "it is forgotten");
    assert_eq!(share(&author.log, &[]).await.len(), 2, "it is back");
    author.log.leave().await.expect("the store can be reached");
    assert_eq!(share(&other, &[]).await.len(), 1, "it has left");
}

/// Each acquisition has a higher epoch than all before it, on the same handle and on others.
pub async fn acquiring_again_raises_the_epoch(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    author.stream("a").await;
    let second = Author::on(author.log.clone()).await;
    assert!(second.epoch() > author.epoch());
    assert_eq!(second.ownership.tail, Position::new(2));
    author
        .log
        .release(PARTITION)
        .await
        .expect("nothing is in the way");
    let third = Author::of(subject).await;
    assert!(third.epoch() > second.epoch());
}

/// An append under an epoch from before the last acquisition writes nothing, even one that is
/// stored already: its owner must stop.
pub async fn an_older_epoch_writes_nothing(subject: &dyn Subject) {
    let mut old = Author::of(subject).await;
    let stored = old.begin("a");
    old.store(vec![stored.clone()]).await;
    let current = Author::on(old.log.clone()).await;
    for batch in [old.begin("b"), stored] {
        match old.append(vec![batch]).await {
            Err(AppendError::Fenced {
                epoch,
                current: now,
                ..
            }) => {
                assert_eq!((epoch, now), (old.epoch(), current.epoch()));
            }
            other => panic!("fenced expected, got {other:?}"),
        }
    }
    assert_eq!(
        current.log.tail(PARTITION).await.expect("readable"),
        Position::new(2)
    );
}

/// An owner that gave the partition up and was followed by another cannot write any more.
pub async fn an_owner_that_was_followed_is_fenced(subject: &dyn Subject) {
    let mut old = Author::of(subject).await;
    old.log
        .release(PARTITION)
        .await
        .expect("nothing is in the way");
    let new = Author::of(subject).await;
    let late = old.begin("a");
    let fenced = old.append(vec![late]).await;
    assert!(
        matches!(fenced, Err(AppendError::Fenced { current, .. }) if current == new.epoch()),
        "{fenced:?}"
    );
}

/// A handle that does not own the partition writes nothing.
pub async fn nobody_appends_without_owning(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    let (stranger, epoch) = (subject.open().await, author.epoch());
    let refused = stranger
        .append(PARTITION, epoch, vec![author.begin("a")])
        .await;
    assert!(
        matches!(refused, Err(AppendError::NotOwned { .. })),
        "{refused:?}"
    );
    author
        .log
        .release(PARTITION)
        .await
        .expect("nothing is in the way");
    let late = author.begin("b");
    let late = author.append(vec![late]).await;
    assert!(
        matches!(late, Err(AppendError::NotOwned { .. })),
        "{late:?}"
    );
    assert_eq!(
        author.log.tail(PARTITION).await.expect("readable"),
        Position::new(0)
    );
}

/// A new owner is told which streams are open, those that were closed and opened again included.
pub async fn open_streams_survive_the_owner(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    let mut streams = Vec::new();
    for index in 0..10 {
        streams.push(author.stream(&format!("stream-{index}")).await);
    }
    for stream in &streams[..6] {
        let closing = author.close(*stream);
        author.store(vec![closing]).await;
    }
    let again = author.more(streams[0], 1);
    author.store(vec![again]).await;
    let expected = [&streams[..1], &streams[6..]].concat();
    assert_eq!(
        Author::on(author.log.clone()).await.ownership.open,
        expected
    );
    author
        .log
        .release(PARTITION)
        .await
        .expect("nothing is in the way");

    let mut next = Author::of(subject).await;
    assert_eq!(next.ownership.open, expected);
    next.knows(streams[9], Version::new(2));
    let closing = next.close(streams[9]);
    next.store(vec![closing]).await;
    next.log
        .release(PARTITION)
        .await
        .expect("nothing is in the way");
    assert_eq!(Author::of(subject).await.ownership.open, expected[..4]);
}

/// A partition number beyond those of the log is an error, not an empty partition.
pub async fn partitions_that_do_not_exist_are_refused(subject: &dyn Subject) {
    let log: Arc<dyn EventLog> = subject.open().await;
    let beyond = PartitionId::new(log.partitions());
    assert!(matches!(
        log.acquire(beyond, Author::owner()).await,
        Err(AcquireError::NoPartition(_))
    ));
    assert!(matches!(
        log.tail(beyond).await,
        Err(ReadError::NoPartition(_))
    ));
    assert!(matches!(
        log.stream_name(beyond, StreamKey::new(1)).await,
        Err(ReadError::NoPartition(_))
    ));
}
