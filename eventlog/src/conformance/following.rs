//! Properties of subscriptions and checkpoints.

use sagalog_model::log::{PartitionId, Position};

use super::{Author, PARTITION, Subject, appending::all};
use crate::subscription::{Subscription, SubscriptionError};

/// A subscriber gets what was there and what comes in one sequence.
pub async fn a_subscription_sees_old_and_new_alike(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    author.stream("a").await;
    let mut subscription = Subscription::after(author.log.clone(), PARTITION, Position::new(0))
        .await
        .expect("readable");
    let mut rows = vec![subscription.next().await.expect("it is there")];
    for name in ["b", "c"] {
        author.stream(name).await;
        rows.extend(subscription.next_page().await.expect("it is there"));
    }
    assert_eq!(rows, all(&author).await);
    assert_eq!(subscription.position(), Position::new(6));
}

/// A subscriber that begins inside a batch gets the whole batch, and then goes on behind it.
pub async fn a_subscription_begins_inside_a_batch(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    author.stream("a").await;
    author.stream("b").await;
    let mut subscription = Subscription::after(author.log.clone(), PARTITION, Position::new(1))
        .await
        .expect("readable");
    assert_eq!(
        subscription.next().await.expect("it is there").position,
        Position::new(1)
    );
    assert_eq!(
        subscription.next().await.expect("it is there").position,
        Position::new(3)
    );
}

/// Readers on other handles never pass a position that was still on its way.
pub async fn a_subscription_never_skips_under_a_busy_writer(subject: &dyn Subject) {
    const ROWS: usize = 300;
    let mut author = Author::of(subject).await;
    let mut readers = Vec::new();
    for handle in [author.log.clone(), subject.open().await] {
        let mut subscription = Subscription::after(handle, PARTITION, Position::new(0))
            .await
            .expect("readable");
        readers.push(tokio::spawn(async move {
            let mut rows = Vec::new();
            while rows.len() < ROWS {
                rows.extend(subscription.next_page().await.expect("nothing is missing"));
            }
            rows
        }));
    }
    let mut drafted = 0;
    while drafted < ROWS {
        let size = 1 + drafted % 9;
        let batches: Vec<_> = (drafted..ROWS.min(drafted + size))
            .map(|n| author.begin(&format!("stream-{n}")))
            .collect();
        drafted += batches.len();
        author.store(batches).await;
        tokio::task::yield_now().await;
    }
    let expected = all(&author).await;
    for reader in readers {
        assert_eq!(reader.await.expect("it read everything"), expected);
    }
}

/// A checkpoint ahead of the log belongs to another log, or the log lost something.
pub async fn a_subscription_beyond_the_tail_is_refused(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    author.stream("a").await;
    match Subscription::after(author.log.clone(), PARTITION, Position::new(3)).await {
        Err(SubscriptionError::Ahead { position, tail, .. }) => {
            assert_eq!((position, tail), (Position::new(3), Position::new(2)));
        }
        other => panic!("ahead expected, got {:?}", other.map(|_| ())),
    }
}

/// The watch shows each tail that was answered, on the owner's handle at once, on others soon.
pub async fn a_watch_moves_with_the_tail(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    author.stream("a").await;
    let own = author.log.watch(PARTITION).await.expect("readable");
    let other = subject.open().await;
    let mut seen = other.watch(PARTITION).await.expect("readable");
    assert_eq!(
        (*own.borrow(), *seen.borrow()),
        (Position::new(2), Position::new(2))
    );
    author.stream("b").await;
    assert_eq!(*own.borrow(), Position::new(4));
    seen.wait_for(|tail| *tail == Position::new(4))
        .await
        .expect("the handle is open");
}

/// A checkpoint is there again when the store is opened again, per name and partition.
pub async fn checkpoints_survive_their_handle(subject: &dyn Subject) {
    let store = subject.checkpoints().await;
    let other = PartitionId::new(1);
    store
        .store("list", PARTITION, Position::new(7))
        .await
        .expect("writable");
    store
        .store("list", PARTITION, Position::new(9))
        .await
        .expect("writable");
    store
        .store("list", other, Position::new(3))
        .await
        .expect("writable");
    drop(store);
    let store = subject.checkpoints().await;
    assert_eq!(
        store.load("list", PARTITION).await.expect("readable"),
        Position::new(9)
    );
    assert_eq!(
        store.load("list", other).await.expect("readable"),
        Position::new(3)
    );
    assert_eq!(
        store.load("stats", PARTITION).await.expect("readable"),
        Position::new(0)
    );
}
