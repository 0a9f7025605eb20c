//! A queue that has lost its leader, as the broker was killed within moments of its declaration.

use std::time::{Duration, Instant};

use sagalog_transport::{Kind, Message, MessageId, Queue, RabbitMq, Transport as _};

use crate::{
    broker::Broker,
    support::{fresh, in_time, message, payments},
};

/// Messages that are to be taken; each would cost ten seconds if it had to wait for the other queue.
const ROUNDS: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_without_a_leader_is_not_waited_for_by_the_others() {
    in_time(async {
        let broker = Broker::start(1);
        let transport = fresh(&broker, 100_000).await;
        tokio::task::block_in_place(|| broker.wait_until_written(payments().as_str()));
        let lost = without_leader(&broker, &transport).await;
        let began = Instant::now();
        let (mut published, mut taken) = (0, 0);
        while taken < ROUNDS {
            published += 1;
            let both = vec![to(&lost, published), message(published)];
            let refused = transport
                .publish(both)
                .await
                .expect_err("one has no leader");
            let refused: Vec<_> = refused.0.into_iter().map(|it| it.message.to).collect();
            assert_eq!(refused[0], lost, "it comes first");
            taken += u64::from(refused.len() == 1);
            transport.room(&lost).await;
        }
        let took = began.elapsed();
        println!("{ROUNDS} messages were taken beside a queue without a leader in {took:?}");
        assert!(
            took < Duration::from_secs(10) * (ROUNDS as u32 / 2),
            "{took:?}"
        );
    })
    .await;
}

/// A queue that the broker comes back with and without its leader. It may have been faster to write down
/// that there is one: then there is another.
async fn without_leader(broker: &Broker, transport: &RabbitMq) -> Queue {
    for number in 0.. {
        let queue = Queue::commands(&format!("lost{number}")).expect("a good name");
        let declared = transport.declare(&queue, 100_000).await;
        tokio::task::block_in_place(|| broker.kill());
        declared.expect("it is new");
        let was_written = broker.has_written(queue.as_str());
        tokio::task::block_in_place(|| broker.start_again());
        if !was_written {
            return queue;
        }
    }
    unreachable!("there are numbers enough")
}

fn to(queue: &Queue, number: u64) -> Message {
    let id = MessageId((1_000_000 + number).into());
    let content = number.to_string();
    Message::new(id, Kind::Request, Queue::inbox(0), queue.clone(), content)
}
