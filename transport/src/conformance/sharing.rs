//! Several consumers of one queue.

use std::collections::BTreeSet;

use super::*;

/// Two consumers share a queue: each message goes to one of them.
pub async fn two_consumers_share_a_queue(transport: &dyn Transport) {
    let queue = declared(transport, 10).await;
    let mut one = consume_up_to(transport, &queue, 2).await;
    let mut other = consume_up_to(transport, &queue, 2).await;
    publish(transport, &queue, &["a", "b", "c", "d"]).await;
    let (mut received, more) = tokio::join!(receive(&mut *one, 2), receive(&mut *other, 2));
    received.extend(more);
    let distinct: BTreeSet<_> = contents(&received).into_iter().collect();
    assert_eq!(distinct, BTreeSet::from(["a", "b", "c", "d"]));
}

/// Both consumers are woken by one publish that has something for both.
pub async fn waiting_consumers_are_all_woken(transport: &dyn Transport) {
    let queue = declared(transport, 10).await;
    let mut one = consume_up_to(transport, &queue, 1).await;
    let mut other = consume_up_to(transport, &queue, 1).await;
    let (first, second, ()) = tokio::join!(
        receive(&mut *one, 1),
        receive(&mut *other, 1),
        publish(transport, &queue, &["a", "b"])
    );
    assert_ne!(contents(&first), contents(&second));
}

/// A consumer that waits gets what another one, dropped, returns.
pub async fn a_waiting_consumer_takes_over_what_another_returns(transport: &dyn Transport) {
    let queue = declared(transport, 10).await;
    let mut one = consume(transport, &queue).await;
    publish(transport, &queue, &["a"]).await;
    receive(&mut *one, 1).await;
    let mut other = consume(transport, &queue).await;
    let (received, ()) = tokio::join!(receive(&mut *other, 1), async { drop(one) });
    assert_eq!(contents(&received), ["a"]);
    assert!(received[0].redelivered);
}

/// A tag means nothing to another consumer, nor after it was used.
pub async fn a_tag_is_good_once_and_for_its_consumer(transport: &dyn Transport) {
    let queue = declared(transport, 10).await;
    let mut one = consume_up_to(transport, &queue, 1).await;
    let mut other = consume_up_to(transport, &queue, 1).await;
    publish(transport, &queue, &["a"]).await;
    let held = receive(&mut *one, 1).await;
    publish(transport, &queue, &["b"]).await;
    receive(&mut *other, 1).await;
    for _ in 0..2 {
        let acknowledged = one.ack(&tags(&held)).await;
        acknowledged.expect("the queue is there");
    }
    publish(transport, &queue, &["c"]).await;
    let next = receive(&mut *one, 1).await;
    assert_eq!(contents(&next), ["c"]);
    let stale = one.ack(&tags(&held)).await;
    stale.expect("a stale tag is ignored");
    drop((one, other));

    let mut last = consume(transport, &queue).await;
    let received = receive(&mut *last, 2).await;
    let received: BTreeSet<_> = contents(&received).into_iter().collect();
    assert_eq!(received, BTreeSet::from(["b", "c"]));
}

/// Many publishers and consumers at once: everything arrives, once.
pub async fn nothing_is_lost_among_many_tasks(transport: &dyn Transport) {
    let queue = declared(transport, 16).await;
    let publisher = async |name: &str| {
        for number in 0..200 {
            let mut messages = vec![message(&queue, &format!("{name}{number}"))];
            while let Err(full) = transport.publish(messages).await {
                messages = full.0.into_iter().map(|it| it.message).collect();
                transport.room(&queue).await;
            }
        }
    };
    let consumer = async || {
        let mut consumer = consume_up_to(transport, &queue, 5).await;
        let mut contents = Vec::new();
        while contents.len() < 200 {
            let mut deliveries = Vec::new();
            let received = consumer
                .receive(&mut deliveries, 200 - contents.len())
                .await;
            received.expect("the queue is there");
            let acknowledged = consumer.ack(&tags(&deliveries)).await;
            acknowledged.expect("the queue is there");
            contents.extend(deliveries.iter().map(|it| it.message.content.clone()));
            tokio::task::yield_now().await;
        }
        contents
    };
    let (_, _, mut received, more) =
        tokio::join!(publisher("a"), publisher("b"), consumer(), consumer());
    received.extend(more);
    let distinct: BTreeSet<_> = received.iter().collect();
    assert_eq!((received.len(), distinct.len()), (400, 400));
}
