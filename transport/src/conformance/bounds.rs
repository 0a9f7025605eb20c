//! Nothing grows without a bound, and no bound can block a publisher.

use std::collections::BTreeSet;

use super::*;
use crate::WhyUndelivered;

/// A full queue gives back what it cannot take, in order, and keeps what it has.
pub async fn a_full_queue_gives_messages_back(transport: &dyn Transport) {
    let queue = declared(transport, 2).await;
    publish(transport, &queue, &["a"]).await;
    publish(transport, &queue, &["b"]).await;
    let messages = ["c", "d"].map(|content| message(&queue, content));
    let published = transport.publish(messages.into()).await;
    let given_back = published.expect_err("there is no room").0;
    let told: Vec<_> = given_back
        .iter()
        .map(|it| (it.message.content.as_str(), it.why))
        .collect();
    assert_eq!(
        told,
        [("c", WhyUndelivered::Full), ("d", WhyUndelivered::Full)]
    );

    let mut consumer = consume(transport, &queue).await;
    assert_eq!(contents(&receive(&mut *consumer, 2).await), ["a", "b"]);
    publish(transport, &queue, &["e"]).await;
    assert_eq!(contents(&receive(&mut *consumer, 1).await), ["e"]);
}

/// Of more messages than there is room for each is taken or given back, and never both.
pub async fn what_is_given_back_was_not_taken(transport: &dyn Transport) {
    let queue = declared(transport, 10).await;
    let all: Vec<_> = (0..2000).map(|number| number.to_string()).collect();
    let messages = all.iter().map(|content| message(&queue, content));
    let published = transport.publish(messages.collect()).await;
    let given_back = published.expect_err("there is no room for all").0;
    let taken = all.len() - given_back.len();
    assert!(taken >= 10, "took {taken}");

    let mut consumer = consume_up_to(transport, &queue, all.len()).await;
    let received = receive(&mut *consumer, taken).await;
    assert!(consumer.is_empty().await.expect("the queue is there"));
    let given_back = given_back.iter().map(|it| it.message.content.as_str());
    let told: BTreeSet<_> = contents(&received).into_iter().chain(given_back).collect();
    assert_eq!(told.len(), all.len());
}

/// One full queue does not keep back the messages to another.
pub async fn a_full_queue_holds_up_no_other(transport: &dyn Transport) {
    let full = declared(transport, 1).await;
    let other = queue("cmd.shipping");
    let declared = transport.declare(&other, 10).await;
    declared.expect("a new queue can be declared");
    publish(transport, &full, &["a"]).await;
    let messages = vec![
        message(&other, "1"),
        message(&full, "b"),
        message(&other, "2"),
    ];
    let published = transport.publish(messages).await;
    assert_eq!(published.expect_err("one queue is full").0.len(), 1);
    let mut consumer = consume(transport, &other).await;
    assert_eq!(contents(&receive(&mut *consumer, 2).await), ["1", "2"]);
}

/// Whoever waits for room is woken when there is some, and not kept when there is.
pub async fn waiting_for_room_ends_when_there_is_some(transport: &dyn Transport) {
    let queue = declared(transport, 1).await;
    transport.room(&queue).await;
    publish(transport, &queue, &["a"]).await;
    let mut consumer = consume(transport, &queue).await;
    let ((), _) = tokio::join!(transport.room(&queue), receive(&mut *consumer, 1));
    publish(transport, &queue, &["b"]).await;
}

/// No more than the prefetch is outstanding; an acknowledgement makes room for the next.
pub async fn the_prefetch_bounds_what_is_outstanding(transport: &dyn Transport) {
    let queue = declared(transport, 10).await;
    publish(transport, &queue, &["a", "b", "c"]).await;
    let mut consumer = consume_up_to(transport, &queue, 2).await;
    let held = receive(&mut *consumer, 2).await;
    assert_eq!(contents(&held), ["a", "b"]);
    let mut into = Vec::new();
    assert!(waits(consumer.receive(&mut into, 10)).await);

    let acknowledged = consumer.ack(&tags(&held)[..1]).await;
    acknowledged.expect("the queue is there");
    assert_eq!(contents(&receive(&mut *consumer, 1).await), ["c"]);
}

/// What returns to a full queue is not lost, whatever was published in the meantime.
pub async fn what_returns_finds_room_in_a_full_queue(transport: &dyn Transport) {
    let queue = declared(transport, 2).await;
    publish(transport, &queue, &["a", "b"]).await;
    let mut consumer = consume(transport, &queue).await;
    receive(&mut *consumer, 2).await;
    publish(transport, &queue, &["c", "d"]).await;
    drop(consumer);

    let mut next = consume(transport, &queue).await;
    let received = receive(&mut *next, 4).await;
    let mut received = contents(&received);
    received.sort_unstable();
    assert_eq!(received, ["a", "b", "c", "d"]);
}

/// A queue is empty when nothing waits in it, whatever its consumer still holds.
pub async fn an_empty_queue_is_found_empty(transport: &dyn Transport) {
    let queue = declared(transport, 10).await;
    publish(transport, &queue, &["a", "b"]).await;
    let mut consumer = consume(transport, &queue).await;
    assert!(!consumer.is_empty().await.expect("the queue is there"));
    receive(&mut *consumer, 1).await;
    assert!(!consumer.is_empty().await.expect("the queue is there"));
    receive(&mut *consumer, 1).await;
    assert!(consumer.is_empty().await.expect("the queue is there"));
}
