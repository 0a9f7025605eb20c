//! A broker that is killed and comes back, while messages are published and received.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sagalog_transport::{Consumer, ConsumerError, Delivery, RabbitMq, Transport as _};

use crate::{
    broker::{self, Broker},
    support::{consume, fresh, in_time, message, payments, receive},
};

/// What is asked of it, three times: the machine may be busy.
const BACK_TO_WORK: Duration = Duration::from_secs(3 * 10);

/// What is published together.
const BATCH: u64 = 20;

/// Messages that are received and not acknowledged when the broker is killed.
const HELD: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_under_traffic_loses_nothing_it_confirmed() {
    in_time(async {
        let broker = Broker::start(1);
        let transport = Arc::new(fresh(&broker, 1_000_000).await);
        tokio::task::block_in_place(|| broker.wait_until_written(payments().as_str()));
        let traffic = Arc::new(Traffic::default());
        let publishing = tokio::spawn(traffic.clone().publish(transport.clone()));
        let mut consumer = consume(&transport, &payments()).await;
        let mut seen = BTreeSet::new();

        for _ in 0..broker::kills() {
            let held = numbers(&receive(&transport, &mut consumer, HELD).await);
            tokio::task::block_in_place(|| {
                broker.kill();
                broker.start_again();
            });
            let (greeted, next) = (Instant::now(), traffic.next.load(Ordering::SeqCst));
            let mut again = BTreeSet::new();
            // All that was held comes again, and something that was published only now.
            while !held.is_subset(&again) || again.last() < Some(&next) {
                again.extend(receive_some(&transport, &mut consumer).await);
            }
            let took = greeted.elapsed();
            eprintln!("back to work {took:?} after the broker");
            assert!(took < BACK_TO_WORK, "it took {took:?}");
            seen.append(&mut again);
        }

        traffic.stop.store(true, Ordering::SeqCst);
        let confirmed = publishing.await.expect("it publishes till it is stopped");
        while !confirmed.is_subset(&seen) {
            seen.extend(receive_some(&transport, &mut consumer).await);
        }
    })
    .await;
}

/// What is published until it is stopped.
#[derive(Default)]
struct Traffic {
    next: AtomicU64,
    stop: AtomicBool,
}

impl Traffic {
    /// Publishes until it is stopped; the numbers of the messages that were confirmed.
    async fn publish(self: Arc<Self>, transport: Arc<RabbitMq>) -> BTreeSet<u64> {
        let mut confirmed = BTreeSet::new();
        while !self.stop.load(Ordering::SeqCst) {
            let first = self.next.fetch_add(BATCH, Ordering::SeqCst);
            let batch = first..first + BATCH;
            let published = transport.publish(batch.clone().map(message).collect());
            confirmed.extend(batch);
            if let Err(refused) = published.await {
                for undelivered in refused.0 {
                    confirmed.remove(&number(&undelivered.message));
                }
            }
        }
        confirmed
    }
}

/// Receives and acknowledges what there is, from a new consumer if the last one was lost.
async fn receive_some(transport: &RabbitMq, consumer: &mut Box<dyn Consumer>) -> BTreeSet<u64> {
    let mut some = Vec::new();
    let received = consumer.receive(&mut some, 500).await;
    let tags: Vec<_> = some.iter().map(|delivery| delivery.tag).collect();
    let acknowledged = match received {
        Ok(()) => consumer.ack(&tags).await,
        lost => lost,
    };
    match acknowledged {
        Ok(()) => {}
        Err(ConsumerError::Lost) => *consumer = consume(transport, &payments()).await,
        Err(other) => panic!("{other}"),
    }
    numbers(&some)
}

fn numbers(deliveries: &[Delivery]) -> BTreeSet<u64> {
    let messages = deliveries.iter().map(|delivery| number(&delivery.message));
    messages.collect()
}

fn number(message: &sagalog_transport::Message) -> u64 {
    message.content.parse().expect("it is a number")
}
