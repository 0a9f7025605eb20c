//! Connections that are lost, and a broker that takes nothing.

use std::time::{Duration, Instant};

use sagalog_transport::{
    Consumer, ConsumerError, Kind, Message, MessageId, Queue, Transport as _, WhyUndelivered,
};

use crate::{
    broker::{Broker, proxy::Proxy},
    support::{connected, consume, fresh, in_time, message, payments, receive},
};

async fn publish_and_receive(
    transport: &sagalog_transport::RabbitMq,
    consumer: &mut Box<dyn Consumer>,
    count: u64,
) -> Vec<sagalog_transport::Delivery> {
    let published = transport.publish((0..count).map(message).collect()).await;
    published.expect("there is room");
    receive(transport, consumer, count as usize).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_wire_is_mended_and_the_tags_of_before_mean_nothing() {
    in_time(async {
        let broker = Broker::shared();
        let url = broker.url();
        let proxy = Proxy::to(broker.port()).await;
        let vhost = url.rsplit('/').next().expect("a vhost");
        let transport = connected(&broker.url_of(proxy.port(), vhost)).await;
        transport
            .declare(&payments(), 100)
            .await
            .expect("a new queue");
        let mut consumer = consume(&transport, &payments()).await;
        let held = publish_and_receive(&transport, &mut consumer, 3).await;

        proxy.cut();
        let lost = consumer.receive(&mut Vec::new(), 1).await;
        assert_eq!(lost, Err(ConsumerError::Lost));
        let mut next = consume(&transport, &payments()).await;
        let again = receive(&transport, &mut next, 3).await;
        assert!(again.iter().all(|delivery| delivery.redelivered));
        // They were the tags of the lost consumer, and of three that are outstanding here.
        let tags: Vec<_> = held.iter().map(|delivery| delivery.tag).collect();
        next.ack(&tags).await.expect("stale tags are ignored");
        drop(next);
        let mut last = consume(&transport, &payments()).await;
        receive(&transport, &mut last, 3).await;

        let published = transport.publish(vec![message(9)]).await;
        published.expect("it is connected again");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_frozen_consumer_holds_goes_to_another() {
    in_time(async {
        let broker = Broker::shared();
        let url = broker.url();
        let proxy = Proxy::to(broker.port()).await;
        let vhost = url.rsplit('/').next().expect("a vhost");
        let frozen = connected(&broker.url_of(proxy.port(), vhost)).await;
        frozen.declare(&payments(), 100).await.expect("a new queue");
        let mut consumer = consume(&frozen, &payments()).await;
        publish_and_receive(&frozen, &mut consumer, 3).await;

        proxy.freeze();
        let since = Instant::now();
        let other = connected(&url).await;
        let mut next = consume(&other, &payments()).await;
        let taken_over = receive(&other, &mut next, 3).await;
        let took = since.elapsed();
        eprintln!("taken over from a frozen consumer after {took:?}");
        assert!(taken_over.iter().all(|delivery| delivery.redelivered));
        // Two heartbeats are missed, and a third of that passes before it is noticed.
        assert!(took < Duration::from_secs(3 * 20), "it took {took:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inbox_of_which_another_may_hold_something_is_not_found_empty() {
    in_time(async {
        let broker = Broker::shared();
        let url = broker.url();
        let (frozen, transport) = (connected(&url).await, connected(&url).await);
        let inbox = Queue::inbox(0);
        transport.declare(&inbox, 100).await.expect("a new queue");
        let mut before = consume(&frozen, &inbox).await;
        let reply = Message::new(
            MessageId(1),
            Kind::Response,
            payments(),
            inbox.clone(),
            "1".into(),
        );
        let published = transport.publish(vec![reply]).await;
        published.expect("there is room");
        receive(&frozen, &mut before, 1).await;

        let mut successor = consume(&transport, &inbox).await;
        let empty = successor.is_empty().await;
        assert_eq!(empty, Ok(false), "a reply is held by the one before it");
        drop(before);
        let mut returned = Vec::new();
        successor
            .receive(&mut returned, 1)
            .await
            .expect("it is there");
        successor
            .ack(&[returned[0].tag])
            .await
            .expect("it is there");
        assert_eq!(successor.is_empty().await, Ok(true));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_short_of_memory_takes_nothing_and_acknowledgements_go_on() {
    in_time(async {
        let broker = Broker::start(1);
        let transport = fresh(&broker, 1000).await;
        let mut consumer = consume(&transport, &payments()).await;
        let held = publish_and_receive(&transport, &mut consumer, 2).await;

        tokio::task::block_in_place(|| broker.raise_memory_alarm());
        // The broker blocks a connection when it publishes next, so the first one is in doubt.
        let mut number = 10;
        let why = loop {
            number += 1;
            let refused = transport.publish(vec![message(number)]).await;
            let why = refused.expect_err("the broker takes nothing").0[0].why;
            if why != WhyUndelivered::Unconfirmed {
                break why;
            }
        };
        assert_eq!(why, WhyUndelivered::Full);
        let tags: Vec<_> = held.iter().map(|delivery| delivery.tag).collect();
        consumer.ack(&tags).await.expect("acknowledging goes on");
        assert!(consumer.is_empty().await.is_ok());

        tokio::task::block_in_place(|| broker.clear_memory_alarm());
        while transport.publish(vec![message(number)]).await.is_err() {}
        receive(&transport, &mut consumer, 1).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_somebody_deleted_is_declared_again() {
    in_time(async {
        let broker = Broker::shared();
        let url = broker.url();
        let transport = connected(&url).await;
        transport
            .declare(&payments(), 100)
            .await
            .expect("a new queue");
        let mut consumer = consume(&transport, &payments()).await;
        let stranger = crate::input::Stranger::at(&url).await;
        stranger.delete(&payments()).await;
        let lost = consumer.receive(&mut Vec::new(), 1).await;
        assert_eq!(lost, Err(ConsumerError::Lost));
        let mut next = consume(&transport, &payments()).await;
        publish_and_receive(&transport, &mut next, 1).await;
    })
    .await;
}
