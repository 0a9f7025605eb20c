//! The simulated broker and the transport inside one process come to the same, whatever is done with
//! them: redelivery after a receiver is gone or gave something back, and acknowledgements in any
//! order.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use proptest::{collection::vec, prelude::*};
use sagalog_transport::{
    Consumer, Delivery, InProcess, Kind, Message, MessageId, Nack, Queue, Tag, Transport,
};

use super::conformance::SimTransport;

/// Small enough that publishers come to it.
const CAPACITY: usize = 4;

/// What is done with a queue. Consumers and deliveries are named by numbers, taken modulo how many
/// there are.
#[derive(Clone, Debug)]
enum Step {
    Publish,
    Consume { prefetch: usize },
    Receive { consumer: usize, max: usize },
    Acknowledge { consumer: usize, delivery: usize },
    GiveBack { consumer: usize, delivery: usize },
    Leave { consumer: usize },
}

/// One of the two, and what its receivers hold.
struct Side {
    transport: Box<dyn Transport>,
    consumers: Vec<(Box<dyn Consumer>, Vec<Tag>)>,
}

impl Side {
    async fn new(transport: impl Transport) -> Self {
        let declared = transport.declare(&queue(), CAPACITY).await;
        declared.expect("a new queue");
        Self {
            transport: Box::new(transport),
            consumers: Vec::new(),
        }
    }

    /// Takes a step, and says what is seen of it.
    async fn take(&mut self, step: &Step, number: u128) -> String {
        let count = self.consumers.len();
        match step {
            Step::Publish => {
                let message = message(number);
                format!("{:?}", self.transport.publish(vec![message]).await)
            }
            Step::Consume { prefetch } => {
                let consumer = self.transport.consume(&queue(), *prefetch).await;
                let consumer = consumer.expect("a declared queue");
                self.consumers.push((consumer, Vec::new()));
                String::new()
            }
            _ if count == 0 => String::new(),
            Step::Receive { consumer, max } => {
                let (consumer, held) = &mut self.consumers[consumer % count];
                let received = received_at_once(&mut **consumer, *max);
                held.extend(received.iter().map(|delivery| delivery.tag));
                let seen = received.iter();
                let seen = seen.map(|one| (one.message.id.0, one.redelivered));
                format!("{:?}", seen.collect::<Vec<_>>())
            }
            Step::Acknowledge { consumer, delivery } => {
                let (consumer, held) = &mut self.consumers[consumer % count];
                if let Some(tag) = held.get(delivery % held.len().max(1)) {
                    consumer.ack(&[*tag]).await.expect("it is open");
                }
                String::new()
            }
            Step::GiveBack { consumer, delivery } => {
                let (consumer, held) = &mut self.consumers[consumer % count];
                if let Some(tag) = held.get(delivery % held.len().max(1)) {
                    let given_back = consumer.nack(*tag, "not now", Nack::Requeue).await;
                    given_back.expect("it is open");
                }
                String::new()
            }
            Step::Leave { consumer } => {
                drop(self.consumers.remove(consumer % count));
                String::new()
            }
        }
    }
}

/// What can be had without waiting.
fn received_at_once(consumer: &mut dyn Consumer, max: usize) -> Vec<Delivery> {
    let mut received = Vec::new();
    let mut now = Context::from_waker(Waker::noop());
    let polled = pin!(consumer.receive(&mut received, max)).poll(&mut now);
    if let Poll::Ready(ended) = polled {
        ended.expect("it is open");
    }
    received
}

fn queue() -> Queue {
    Queue::new("cmd.payments").expect("a good name")
}

fn message(number: u128) -> Message {
    let from = Queue::inbox(0);
    Message::new(MessageId(number), Kind::Request, from, queue(), "1".into())
}

fn step() -> impl Strategy<Value = Step> {
    let pair = || (0_usize..3, 0_usize..8);
    prop_oneof![
        6 => Just(Step::Publish),
        2 => (1_usize..4).prop_map(|prefetch| Step::Consume { prefetch }),
        6 => (0_usize..3, 1_usize..4).prop_map(|(consumer, max)| Step::Receive { consumer, max }),
        3 => pair().prop_map(|(consumer, delivery)| Step::Acknowledge { consumer, delivery }),
        2 => pair().prop_map(|(consumer, delivery)| Step::GiveBack { consumer, delivery }),
        1 => (0_usize..3).prop_map(|consumer| Step::Leave { consumer }),
    ]
}

proptest! {
    /// Tags that were used already are among those that are given back and acknowledged.
    #[test]
    fn deliveries_and_redeliveries_come_to_the_same(steps in vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a thread").block_on(async {
            let mut simulated = Side::new(SimTransport::new()).await;
            let mut in_process = Side::new(InProcess::new()).await;
            for (number, step) in steps.iter().enumerate() {
                let number = number as u128;
                let (one, other) = (simulated.take(step, number).await, in_process.take(step, number).await);
                assert_eq!(one, other, "{step:?}");
            }
        });
    }
}
