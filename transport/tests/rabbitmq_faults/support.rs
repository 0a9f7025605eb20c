//! What the tests share.

use std::time::Duration;

use sagalog_transport::{
    Consumer, ConsumerError, Delivery, Kind, Message, MessageId, Queue, RabbitMq, Transport,
};

use crate::broker::Broker;

/// A queue of payments, and whom it is sent from.
pub(crate) fn payments() -> Queue {
    Queue::commands("payments").expect("a good name")
}

pub(crate) async fn connected(url: &str) -> RabbitMq {
    RabbitMq::connect(url).await.expect("the broker is there")
}

/// A transport in a vhost of its own, with room for so many payments.
pub(crate) async fn fresh(broker: &Broker, capacity: usize) -> RabbitMq {
    let transport = connected(&broker.url()).await;
    let declared = transport.declare(&payments(), capacity).await;
    declared.expect("a new queue can be declared");
    transport
}

pub(crate) fn message(number: u64) -> Message {
    let id = MessageId(number.into());
    Message::new(
        id,
        Kind::Request,
        Queue::inbox(0),
        payments(),
        number.to_string(),
    )
}

/// Receives exactly so many, from a new consumer whenever the last one was lost.
pub(crate) async fn receive(
    transport: &RabbitMq,
    consumer: &mut Box<dyn Consumer>,
    count: usize,
) -> Vec<Delivery> {
    let mut received = Vec::new();
    while received.len() < count {
        let left = count - received.len();
        match consumer.receive(&mut received, left).await {
            Ok(()) => {}
            Err(ConsumerError::Lost) => *consumer = consume(transport, &payments()).await,
            Err(other) => panic!("{other}"),
        }
    }
    received
}

/// A consumer, as soon as the broker is there.
pub(crate) async fn consume(transport: &RabbitMq, queue: &Queue) -> Box<dyn Consumer> {
    loop {
        match transport.consume(queue, 1000).await {
            Ok(consumer) => return consumer,
            Err(sagalog_transport::ConsumeError::Unavailable(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

/// Far beyond what any of them needs.
pub(crate) async fn in_time<T>(work: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(Duration::from_secs(600), work).await;
    ended.expect("it came to an end")
}
