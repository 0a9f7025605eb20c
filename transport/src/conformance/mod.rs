//! What every transport must show: one public function per property, named as a sentence.
//!
//! Each takes a transport on which nothing was declared yet and panics where the property does not
//! hold. An implementation runs them all from its tests, with a limit on the time: see
//! `tests/in_process.rs` and `tests/rabbitmq.rs`. [`for_each_property!`](crate::for_each_property) keeps their list.

mod bounds;
mod closing;
mod delivery;
mod refusal;
mod sharing;
pub mod streams;

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

pub use self::{bounds::*, closing::*, delivery::*, refusal::*, sharing::*};
use crate::{Consumer, Delivery, Kind, Message, MessageId, Queue, Tag, Transport};

/// Calls a macro once with the names of all properties.
#[macro_export]
macro_rules! for_each_property {
    ($run:ident) => {
        $run! {
            a_message_arrives_as_it_was_sent
            messages_wait_for_a_consumer
            a_consumer_waits_for_messages
            messages_are_received_in_batches
            one_consumer_sees_the_order_of_publishing
            an_acknowledged_message_is_gone
            a_dropped_consumer_returns_what_it_held
            a_requeued_message_is_delivered_again
            a_dead_letter_carries_its_origin_and_reason
            a_cancelled_receive_loses_nothing
            a_message_sent_twice_arrives_twice
            a_full_queue_gives_messages_back
            what_is_given_back_was_not_taken
            a_full_queue_holds_up_no_other
            waiting_for_room_ends_when_there_is_some
            the_prefetch_bounds_what_is_outstanding
            what_returns_finds_room_in_a_full_queue
            an_empty_queue_is_found_empty
            two_consumers_share_a_queue
            waiting_consumers_are_all_woken
            a_waiting_consumer_takes_over_what_another_returns
            a_tag_is_good_once_and_for_its_consumer
            nothing_is_lost_among_many_tasks
            a_message_to_no_queue_comes_back
            an_undeclared_queue_cannot_be_consumed
            declaring_again_keeps_the_messages
            declaring_it_otherwise_is_refused
            a_closed_transport_refuses_everything
            closing_wakes_who_waits
        }
    };
}

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
