//! The transport inside one process keeps the contract of transports.

use std::time::Duration;

use sagalog_transport::{
    InProcess, Kind, Message, MessageId, Nack, Queue, Transport, conformance, for_each_property,
    in_process::DEAD_LETTERS_MAX,
};

/// Far beyond what any of them needs: a property that does not hold often shows as waiting for ever.
const LIMIT: Duration = Duration::from_secs(60);

macro_rules! keeps {
    ($($property:ident)+) => {
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

for_each_property!(keeps);

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

#[tokio::test]
async fn a_queue_takes_what_it_was_declared_with_and_not_one_more() {
    let transport = InProcess::new();
    let queue = Queue::new("cmd.payments").expect("a good name");
    let declared = transport.declare(&queue, 2).await;
    declared.expect("a new queue can be declared");
    let messages = (0..4).map(|number| {
        let id = MessageId(number);
        let (from, to) = (Queue::inbox(0), queue.clone());
        Message::new(id, Kind::Request, from, to, "null".into())
    });
    let published = transport.publish(messages.collect()).await;
    let given_back = published.expect_err("two are too many").0;
    let ids: Vec<_> = given_back.iter().map(|it| it.message.id.0).collect();
    assert_eq!(ids, [2, 3]);
}
