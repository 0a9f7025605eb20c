//! The simulated broker keeps the contract of every transport: its kit is run on the queues that the
//! worlds use. What is here only gives them the shape of the contract, and lets tasks wait.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sagalog_transport::{
    ConsumeError, Consumer, ConsumerError, DeadLetter, DeclareError, Delivery, Difference, Message,
    Nack, PublishError, Queue, Tag, Transport, Undelivered, WhyDead, WhyUndelivered, conformance,
    for_each_property,
};
use tokio::sync::Notify;

use super::{Broker, ConsumerId, NotTaken};

/// Far beyond what any of them needs: a property that does not hold often shows as waiting for ever.
const LIMIT: Duration = Duration::from_secs(60);

/// A simulated broker that tasks can wait for.
#[derive(Clone)]
pub(super) struct SimTransport(Arc<Shared>);

struct Shared {
    broker: Mutex<Broker<Queue, Arc<Message>>>,
    /// A world's broker is not closed; who waits for one that is must be told.
    closed: AtomicBool,
    changed: Notify,
}

impl SimTransport {
    pub(super) fn new() -> Self {
        let mut broker = Broker::new();
        broker.declare(&Queue::dead_letters(), usize::MAX);
        Self(Arc::new(Shared {
            broker: Mutex::new(broker),
            closed: AtomicBool::new(false),
            changed: Notify::new(),
        }))
    }

    fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::SeqCst)
    }

    /// Does something to the queues, and wakes those who wait for a change.
    fn change<T>(&self, what: impl FnOnce(&mut Broker<Queue, Arc<Message>>) -> T) -> T {
        let done = what(&mut self.broker());
        self.0.changed.notify_waiters();
        done
    }

    fn take(&self, message: &Message) -> Result<(), WhyUndelivered> {
        if self.is_closed() {
            return Err(WhyUndelivered::Closed);
        }
        let taken = self.change(|broker| broker.publish(&message.to, Arc::new(message.clone())));
        taken.map_err(|why| match why {
            NotTaken::Full => WhyUndelivered::Full,
            NotTaken::NoSuchQueue => WhyUndelivered::NoSuchQueue,
        })
    }

    fn broker(&self) -> MutexGuard<'_, Broker<Queue, Arc<Message>>> {
        let broker = self.0.broker.lock();
        broker.expect("nobody panics with it in hand")
    }

    /// Waits until something is given.
    async fn until<T>(&self, mut given: impl FnMut() -> Option<T>) -> T {
        loop {
            let mut changed = pin!(self.0.changed.notified());
            changed.as_mut().enable();
            if let Some(given) = given() {
                return given;
            }
            changed.await;
        }
    }
}

#[async_trait]
impl Transport for SimTransport {
    async fn declare(&self, queue: &Queue, capacity: usize) -> Result<(), DeclareError> {
        if self.is_closed() {
            return Err(DeclareError::Closed);
        }
        if self.change(|broker| broker.declare(queue, capacity)) {
            return Ok(());
        }
        Err(DeclareError::Different {
            queue: queue.clone(),
            difference: Difference {
                what: "capacity".into(),
                there: "another".into(),
                wanted: capacity.to_string(),
            },
        })
    }

    async fn publish(&self, messages: Vec<Message>) -> Result<(), PublishError> {
        let mut undelivered = Vec::new();
        for message in messages {
            if let Err(why) = self.take(&message) {
                undelivered.push(Undelivered { message, why });
            }
        }
        if undelivered.is_empty() {
            return Ok(());
        }
        Err(PublishError(undelivered))
    }

    async fn room(&self, queue: &Queue) {
        let room = || (self.is_closed() || self.broker().has_room(queue)).then_some(());
        self.until(room).await;
    }

    async fn consume(
        &self,
        queue: &Queue,
        prefetch: usize,
    ) -> Result<Box<dyn Consumer>, ConsumeError> {
        if self.is_closed() {
            return Err(ConsumeError::Closed);
        }
        let consumer = self.broker().consume(queue, prefetch);
        let id = consumer.ok_or_else(|| ConsumeError::NoSuchQueue(queue.clone()))?;
        Ok(Box::new(SimConsumer {
            transport: self.clone(),
            queue: queue.clone(),
            id,
        }))
    }

    async fn close(&self) {
        self.0.closed.store(true, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }
}

struct SimConsumer {
    transport: SimTransport,
    queue: Queue,
    id: ConsumerId,
}

impl SimConsumer {
    fn check_open(&self) -> Result<(), ConsumerError> {
        if self.transport.is_closed() {
            return Err(ConsumerError::Closed);
        }
        Ok(())
    }
}

#[async_trait]
impl Consumer for SimConsumer {
    async fn receive(&mut self, into: &mut Vec<Delivery>, max: usize) -> Result<(), ConsumerError> {
        let received = self.transport.until(|| {
            if let Err(closed) = self.check_open() {
                return Some(Err(closed));
            }
            let mut received = Vec::new();
            let mut broker = self.transport.broker();
            broker.receive(self.id, &mut received, max);
            (!received.is_empty()).then_some(Ok(received))
        });
        let received = received.await?;
        self.transport.change(|_| ());
        into.extend(received.into_iter().map(|delivery| Delivery {
            tag: Tag {
                number: delivery.tag.0,
                slot: 0,
            },
            redelivered: delivery.redelivered,
            message: delivery.message,
        }));
        Ok(())
    }

    async fn is_empty(&mut self) -> Result<bool, ConsumerError> {
        self.check_open()?;
        Ok(self.transport.broker().is_empty(&self.queue))
    }

    async fn ack(&mut self, tags: &[Tag]) -> Result<(), ConsumerError> {
        self.check_open()?;
        self.transport.change(|broker| {
            for tag in tags {
                broker.acknowledge(self.id, super::Tag(tag.number));
            }
        });
        Ok(())
    }

    async fn nack(&mut self, tag: Tag, reason: &str, then: Nack) -> Result<(), ConsumerError> {
        self.check_open()?;
        let tag = super::Tag(tag.number);
        self.transport.change(|broker| match then {
            Nack::Requeue => broker.give_back(self.id, tag),
            Nack::DeadLetter => {
                let Some(message) = broker.acknowledge(self.id, tag) else {
                    return;
                };
                let mut message = Arc::unwrap_or_clone(message);
                let details = message.details.get_or_insert_default();
                let letter = DeadLetter::new(self.queue.clone(), WhyDead::Refused, reason);
                details.dead_letter = Some(letter);
                let buried = broker.publish(&Queue::dead_letters(), Arc::new(message));
                buried.expect("it takes any number");
            }
        });
        Ok(())
    }
}

impl Drop for SimConsumer {
    fn drop(&mut self) {
        self.transport.change(|broker| broker.leave(self.id));
    }
}

macro_rules! run {
    ($($property:ident)+) => {$(
        #[tokio::test]
        async fn $property() {
            let transport = SimTransport::new();
            let property = conformance::$property(&transport);
            tokio::time::timeout(LIMIT, property).await.expect("it came to an end");
        }
    )+};
}

for_each_property!(run);
