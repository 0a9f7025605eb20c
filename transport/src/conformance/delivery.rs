//! What is published is delivered until it is acknowledged.

use super::*;
use crate::{DeadLetter, Details, Nack, Priority, WhyDead};
use sagalog_model::log::Time;

/// Content and envelope arrive as they were sent.
pub async fn a_message_arrives_as_it_was_sent(transport: &dyn Transport) {
    let to = declared(transport, 10).await;
    let mut sent = message(&to, r#"{"cents":100,"card":"ä"}"#);
    sent.kind = Kind::Event;
    sent.correlation = Some(MessageId(7));
    sent.causation = Some(MessageId(u128::MAX));
    sent.deadline = Some(Time::from_micros(1_700_000_000_000_001));
    sent.priority = Priority::Critical;
    let details: &mut Details = sent.details.get_or_insert_default();
    details.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
    details.tracestate = Some("a=b".into());
    details.metadata.insert("colour".into(), "blue".into());
    let published = transport.publish(vec![sent.clone()]).await;
    published.expect("there is room");

    let mut consumer = consume(transport, &to).await;
    let received = receive(&mut *consumer, 1).await;
    assert_eq!(*received[0].message, sent);
    assert!(!received[0].redelivered, "it was never delivered before");
}

/// Messages may be there before their consumer.
pub async fn messages_wait_for_a_consumer(transport: &dyn Transport) {
    let queue = declared(transport, 10).await;
    publish(transport, &queue, &["a", "b"]).await;
    let mut consumer = consume(transport, &queue).await;
    assert_eq!(contents(&receive(&mut *consumer, 2).await), ["a", "b"]);
}

/// A consumer may be there before the messages.
pub async fn a_consumer_waits_for_messages(transport: &dyn Transport) {
    let queue = declared(transport, 10).await;
    let mut consumer = consume(transport, &queue).await;
    let mut into = Vec::new();
    let (received, ()) = tokio::join!(
        consumer.receive(&mut into, 10),
        publish(transport, &queue, &["a"])
    );
    received.expect("the queue is there");
    assert_eq!(contents(&into), ["a"]);
}

/// One call receives what is there, up to the number asked for.
pub async fn messages_are_received_in_batches(transport: &dyn Transport) {
    let queue = declared(transport, 10).await;
    publish(transport, &queue, &["a", "b", "c"]).await;
    let mut consumer = consume(transport, &queue).await;
    let mut into = Vec::new();
    let received = consumer.receive(&mut into, 2).await;
    received.expect("the queue is there");
    assert!((1..=2).contains(&into.len()), "received {}", into.len());
    into.extend(receive(&mut *consumer, 3 - into.len()).await);
    assert_eq!(contents(&into), ["a", "b", "c"]);
}

/// With one consumer and nothing redelivered, the order of publishing is the order of receiving.
pub async fn one_consumer_sees_the_order_of_publishing(transport: &dyn Transport) {
    let queue = declared(transport, 1000).await;
    let sent: Vec<_> = (0..300).map(|number| number.to_string()).collect();
    for part in sent.chunks(7) {
        let part: Vec<_> = part.iter().map(String::as_str).collect();
        publish(transport, &queue, &part).await;
    }
    let mut consumer = consume_up_to(transport, &queue, 1000).await;
    let received = receive(&mut *consumer, 300).await;
    assert_eq!(contents(&received), sent);
}

/// What was acknowledged does not come back, in whatever order it was.
pub async fn an_acknowledged_message_is_gone(transport: &dyn Transport) {
    let queue = declared(transport, 10).await;
    publish(transport, &queue, &["a", "b", "c"]).await;
    let mut consumer = consume(transport, &queue).await;
    let held = receive(&mut *consumer, 3).await;
    let acknowledged = consumer.ack(&[held[2].tag, held[0].tag]).await;
    acknowledged.expect("the queue is there");
    drop(consumer);

    publish(transport, &queue, &["d"]).await;
    let mut next = consume(transport, &queue).await;
    let mut received = receive(&mut *next, 2).await;
    received.sort_by(|one, other| one.message.content.cmp(&other.message.content));
    assert_eq!(contents(&received), ["b", "d"]);
}

/// A dropped consumer's unacknowledged deliveries are delivered again, and say so.
pub async fn a_dropped_consumer_returns_what_it_held(transport: &dyn Transport) {
    let queue = declared(transport, 10).await;
    publish(transport, &queue, &["a", "b"]).await;
    let mut consumer = consume(transport, &queue).await;
    receive(&mut *consumer, 2).await;
    drop(consumer);

    let mut next = consume(transport, &queue).await;
    let again = receive(&mut *next, 2).await;
    assert_eq!(contents(&again), ["a", "b"]);
    assert!(again.iter().all(|delivery| delivery.redelivered));
}

/// A requeued delivery comes again, and says so.
pub async fn a_requeued_message_is_delivered_again(transport: &dyn Transport) {
    let queue = declared(transport, 10).await;
    publish(transport, &queue, &["a"]).await;
    let mut consumer = consume(transport, &queue).await;
    let first = receive(&mut *consumer, 1).await;
    let given_back = consumer.nack(first[0].tag, "not now", Nack::Requeue).await;
    given_back.expect("the queue is there");
    let again = receive(&mut *consumer, 1).await;
    assert_eq!(contents(&again), ["a"]);
    assert!(again[0].redelivered);
}

/// A dead letter leaves its queue and says where it was and why it died.
pub async fn a_dead_letter_carries_its_origin_and_reason(transport: &dyn Transport) {
    let queue = declared(transport, 10).await;
    publish(transport, &queue, &["a"]).await;
    let mut consumer = consume(transport, &queue).await;
    let held = receive(&mut *consumer, 1).await;
    let buried = consumer
        .nack(held[0].tag, "not a command", Nack::DeadLetter)
        .await;
    buried.expect("the queue is there");

    let mut dead = consume(transport, &Queue::dead_letters()).await;
    let received = receive(&mut *dead, 1).await;
    assert_eq!(contents(&received), ["a"]);
    let expected = DeadLetter::new(queue.clone(), WhyDead::Refused, "not a command");
    assert_eq!(received[0].message.dead_letter(), Some(&expected));
    assert!(consumer.is_empty().await.expect("the queue is there"));
}

/// A receive that is given up half-way has received nothing.
pub async fn a_cancelled_receive_loses_nothing(transport: &dyn Transport) {
    let queue = declared(transport, 10).await;
    let mut consumer = consume(transport, &queue).await;
    let mut into = Vec::new();
    for content in ["a", "b", "c"] {
        {
            let mut receiving = pin!(consumer.receive(&mut into, 10));
            assert!(waits(receiving.as_mut()).await, "nothing was published yet");
            // It is woken by this and dropped before it can look.
            publish(transport, &queue, &[content]).await;
        }
        assert!(into.is_empty());
        let received = receive(&mut *consumer, 1).await;
        assert_eq!(contents(&received), [content]);
    }
}

/// The same message published twice is two deliveries under one id.
pub async fn a_message_sent_twice_arrives_twice(transport: &dyn Transport) {
    let queue = declared(transport, 10).await;
    publish(transport, &queue, &["a", "a"]).await;
    let mut consumer = consume(transport, &queue).await;
    let received = receive(&mut *consumer, 2).await;
    assert_eq!(received[0].message.id, received[1].message.id);
    assert_ne!(received[0].tag, received[1].tag);
}
