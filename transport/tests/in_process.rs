//! The transport inside one process keeps the contract of transports.

use std::time::Duration;

use sagalog_transport::{
    InProcess, Kind, Message, MessageId, Nack, Queue, Transport, conformance,
    in_process::DEAD_LETTERS_MAX,
};

/// Far beyond what any of them needs: a property that does not hold often shows as waiting for ever.
const LIMIT: Duration = Duration::from_secs(60);

macro_rules! keeps {
    ($($property:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $property() {
                let transport = InProcess::new();
                let property = conformance::$property(&transport);
                tokio::time::timeout(LIMIT, property).await.expect("it came to an end");
            }
        )+
    };
}

keeps! {
    a_message_arrives_as_it_was_sent,
    messages_wait_for_a_consumer,
    a_consumer_waits_for_messages,
    messages_are_received_in_batches,
    one_consumer_sees_the_order_of_publishing,
    an_acknowledged_message_is_gone,
    a_dropped_consumer_returns_what_it_held,
    a_requeued_message_is_delivered_again,
    a_dead_letter_carries_its_origin_and_reason,
    a_cancelled_receive_loses_nothing,
    a_message_sent_twice_arrives_twice,
    a_full_queue_gives_messages_back,
    a_full_queue_holds_up_no_other,
    waiting_for_room_ends_when_there_is_some,
    the_prefetch_bounds_what_is_outstanding,
    what_returns_finds_room_in_a_full_queue,
    an_empty_queue_is_found_empty,
    two_consumers_share_a_queue,
    waiting_consumers_are_all_woken,
    a_waiting_consumer_takes_over_what_another_returns,
    a_tag_is_good_once_and_for_its_consumer,
    nothing_is_lost_among_many_tasks,
    a_message_to_no_queue_comes_back,
    an_undeclared_queue_cannot_be_consumed,
    declaring_again_keeps_the_messages,
    declaring_it_otherwise_is_refused,
    a_closed_transport_refuses_everything,
    closing_wakes_who_waits,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_on_several_threads() {
    let transport = InProcess::new();
    let property = conformance::nothing_is_lost_among_many_tasks(&transport);
    let ended = tokio::time::timeout(LIMIT, property).await;
    ended.expect("it came to an end");
}

#[tokio::test]
async fn the_oldest_dead_letter_gives_way() {
    let transport = InProcess::new();
    let queue = Queue::new("cmd.payments").expect("a good name");
    let declared = transport.declare(&queue, DEAD_LETTERS_MAX + 1).await;
    declared.expect("a new queue can be declared");
    let messages = (0..=DEAD_LETTERS_MAX).map(|number| {
        let id = MessageId(number as u128);
        Message::new(
            id,
            Kind::Request,
            Queue::inbox(0),
            queue.clone(),
            "null".into(),
        )
    });
    let published = transport.publish(messages.collect()).await;
    published.expect("there is room");

    let consumer = transport.consume(&queue, DEAD_LETTERS_MAX + 1).await;
    let mut consumer = consumer.expect("a declared queue");
    let mut deliveries = Vec::new();
    let received = consumer
        .receive(&mut deliveries, DEAD_LETTERS_MAX + 1)
        .await;
    received.expect("the queue is there");
    for delivery in deliveries {
        let buried = consumer
            .nack(delivery.tag, "unwanted", Nack::DeadLetter)
            .await;
        buried.expect("the queue is there");
    }

    let dead = transport.consume(&Queue::dead_letters(), 1).await;
    let mut first = Vec::new();
    let received = dead
        .expect("it is always there")
        .receive(&mut first, 1)
        .await;
    received.expect("the queue is there");
    assert_eq!(first[0].message.id, MessageId(1));
    assert_eq!(transport.dropped_dead_letters(), 1);
}
