//! What every transport must show: one public function per property, named as a sentence.
//!
//! Each takes a transport on which nothing was declared yet and panics where the property does not
//! hold. An implementation runs them all from its tests, one line each, with a limit on the time;
//! see `tests/in_process.rs`.

mod bounds;
mod closing;
mod delivery;
mod refusal;
mod sharing;

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

pub use self::{bounds::*, closing::*, delivery::*, refusal::*, sharing::*};
use crate::{Consumer, Delivery, Kind, Message, MessageId, Queue, Tag, Transport};

/// A queue that has room for `capacity` messages.
async fn declared(transport: &dyn Transport, capacity: usize) -> Queue {
    let queue = queue("cmd.payments");
    let declared = transport.declare(&queue, capacity).await;
    declared.expect("a new queue can be declared");
    queue
}

fn queue(name: &str) -> Queue {
    Queue::new(name).expect("the kit's own names are good")
}

fn message(to: &Queue, content: &str) -> Message {
    // An id derived from the content, as a sender derives it from what the message says.
    let id = content
        .bytes()
        .fold(1, |id: u128, byte| id.wrapping_mul(257) + u128::from(byte));
    Message::new(
        MessageId(id),
        Kind::Request,
        Queue::inbox(0),
        to.clone(),
        content.into(),
    )
}

async fn publish(transport: &dyn Transport, to: &Queue, contents: &[&str]) {
    let messages = contents.iter().map(|content| message(to, content));
    let published = transport.publish(messages.collect()).await;
    published.expect("there is room");
}

async fn consume(transport: &dyn Transport, queue: &Queue) -> Box<dyn Consumer> {
    consume_up_to(transport, queue, 100).await
}

async fn consume_up_to(
    transport: &dyn Transport,
    queue: &Queue,
    prefetch: usize,
) -> Box<dyn Consumer> {
    let consumer = transport.consume(queue, prefetch).await;
    consumer.expect("a declared queue can be consumed")
}

/// Receives exactly `count` messages.
async fn receive(consumer: &mut dyn Consumer, count: usize) -> Vec<Delivery> {
    let mut into = Vec::new();
    while into.len() < count {
        let received = consumer.receive(&mut into, count).await;
        received.expect("the queue is there");
        assert!(into.len() <= count, "more was received than asked for");
    }
    into
}

fn contents(deliveries: &[Delivery]) -> Vec<&str> {
    let contents = deliveries.iter().map(|it| it.message.content.as_str());
    contents.collect()
}

fn tags(deliveries: &[Delivery]) -> Vec<Tag> {
    deliveries.iter().map(|delivery| delivery.tag).collect()
}

/// Polls once; whether it is not ready.
async fn waits(future: impl Future) -> bool {
    let mut future = pin!(future);
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await
}
