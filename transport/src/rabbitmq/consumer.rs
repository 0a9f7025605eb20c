//! A consumer of one queue, on a channel of its own.
//!
//! It lives as long as its channel. When that is lost it says so, and its tags mean nothing to the
//! consumer that comes after it.
//!
//! What it tells the broker is handed over in the first step of the client library's futures, so a
//! cancelled call has told it as well.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{FutureExt as _, StreamExt as _, future::join_all};
use lapin::{
    Channel, message,
    options::{BasicAckOptions, BasicNackOptions, BasicRejectOptions, QueueDeclareOptions},
    types::FieldTable,
};
use tokio::{
    select,
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    acknowledged::Acknowledged,
    envelope::{self, Outgoing, Unreadable},
    link::PATIENCE,
    publisher::Publisher,
};
use crate::{
    consumer::{Consumer, ConsumerError, Delivery, Nack, Tag},
    message::{DeadLetter, Message, WhyDead},
    queue::Queue,
};

/// How long to wait before a dead letter is published again that was not taken.
const BURY_AGAIN: Duration = Duration::from_secs(1);

/// A consumer of one queue.
pub(super) struct RabbitConsumer {
    queue: Queue,
    channel: Channel,
    /// Tells its tags from those of other consumers.
    generation: u32,
    arriving: lapin::Consumer,
    /// When it came, another was there, and the queue is delivered to one at a time. That one may be
    /// dead or frozen: it holds what it was sent until the broker finds that out.
    is_behind_another: bool,
    /// Arrived and looked at, not received.
    arrived: VecDeque<message::Delivery>,
    /// What was received and not settled, by the broker's tag; without its message if it is on its
    /// way to the dead letters. At most the prefetch.
    outstanding: BTreeMap<u64, Option<Arc<Message>>>,
    acknowledged: Acknowledged,
    publisher: Arc<Publisher>,
    /// The tags of those that have become dead letters.
    buried: (mpsc::UnboundedSender<u64>, mpsc::UnboundedReceiver<u64>),
    closed: CancellationToken,
}

/// A queue from which deliveries arrive.
pub(super) struct Subscription {
    pub(super) arriving: lapin::Consumer,
    pub(super) prefetch: usize,
    /// Another consumer was there before, and the queue is delivered to one at a time.
    pub(super) is_behind_another: bool,
}

impl RabbitConsumer {
    pub(super) fn new(
        queue: Queue,
        channel: Channel,
        generation: u32,
        subscription: Subscription,
        publisher: Arc<Publisher>,
        closed: CancellationToken,
    ) -> Self {
        let Subscription {
            arriving,
            prefetch,
            is_behind_another,
        } = subscription;
        Self {
            queue,
            channel,
            generation,
            arriving,
            is_behind_another,
            arrived: VecDeque::new(),
            outstanding: BTreeMap::new(),
            acknowledged: Acknowledged::of(prefetch),
            publisher,
            buried: mpsc::unbounded_channel(),
            closed,
        }
    }

    /// Waits for something to arrive. Cancelled, it has taken nothing.
    async fn arrival(&mut self) -> Result<message::Delivery, ConsumerError> {
        loop {
            if let Some(arrival) = self.arrived.pop_front() {
                return Ok(arrival);
            }
            select! {
                biased;
                () = self.closed.cancelled() => return Err(ConsumerError::Closed),
                Some(number) = self.buried.1.recv() => self.settle_buried(number),
                () = self.acknowledged.due() => self.tell_acknowledged().await?,
                arrival = self.arriving.next() => {
                    return arrival.and_then(Result::ok).ok_or(ConsumerError::Lost);
                }
            }
        }
    }

    fn arrival_now(&mut self) -> Option<message::Delivery> {
        let waiting = self.arrived.pop_front();
        waiting.or_else(|| self.arriving.next().now_or_never()??.ok())
    }

    /// Takes an arrival in; nothing if it cannot be read: then it is not for the caller.
    fn take(&mut self, arrival: message::Delivery) -> Option<Delivery> {
        self.is_behind_another = false;
        let number = arrival.delivery_tag;
        let read = if self.queue == Queue::dead_letters() {
            Ok(envelope::read_dead(&arrival))
        } else {
            envelope::read(&arrival, &self.queue)
        };
        match read {
            Ok(message) => {
                let message = Arc::new(message);
                self.outstanding.insert(number, Some(message.clone()));
                Some(Delivery {
                    tag: Tag {
                        number,
                        slot: self.generation,
                    },
                    redelivered: arrival.redelivered,
                    message,
                })
            }
            Err(unreadable) => {
                warn!(queue = %self.queue, %unreadable, "a message goes to the dead letters");
                self.bury_unreadable(&arrival, &unreadable);
                None
            }
        }
    }

    fn bury_unreadable(&mut self, arrival: &message::Delivery, unreadable: &Unreadable) {
        let number = arrival.delivery_tag;
        if let Unreadable::TooLarge(_) = unreadable {
            // The broker moves it: the bound is against sending so much back and forth.
            let reject = BasicRejectOptions { requeue: false };
            let rejected = self.channel.basic_reject(number, reject);
            // If the channel is lost, it comes again.
            _ = rejected.now_or_never();
            return;
        }
        let letter = DeadLetter::new(self.queue.clone(), unreadable.why(), unreadable.to_string());
        self.bury(number, envelope::write_unreadable(arrival, &letter));
    }

    /// Makes a dead letter of a delivery, which stays unacknowledged until the broker has the letter.
    fn bury(&mut self, number: u64, letter: Outgoing) {
        self.outstanding.insert(number, None);
        let (publisher, buried) = (self.publisher.clone(), self.buried.0.clone());
        let closed = self.closed.clone();
        tokio::spawn(closed.run_until_cancelled_owned(async move {
            // Without its consumer it comes again, to another.
            while !buried.is_closed() {
                match publisher.publish(vec![letter.clone()]).await[..] {
                    [Err(why)] => warn!(%why, "a dead letter waits"),
                    _ => {
                        // Whoever would want to know may have gone.
                        _ = buried.send(number);
                        return;
                    }
                }
                sleep(BURY_AGAIN).await;
            }
        }));
    }

    /// Acknowledges those that have become dead letters.
    fn settle_all_buried(&mut self) {
        while let Ok(number) = self.buried.1.try_recv() {
            self.settle_buried(number);
        }
    }

    fn settle_buried(&mut self, number: u64) {
        if self.outstanding.remove(&number).is_some() {
            let acknowledged = self.channel.basic_ack(number, BasicAckOptions::default());
            // If the channel is lost, it comes again and is buried twice.
            _ = acknowledged.now_or_never();
        }
    }

    /// The tags among these that are outstanding here, removed.
    fn settle(&mut self, tags: &[Tag]) -> Vec<u64> {
        let ours = tags.iter().filter(|tag| tag.slot == self.generation);
        let outstanding = &mut self.outstanding;
        ours.map(|tag| tag.number)
            .filter(|number| outstanding.remove(number).is_some())
            .collect()
    }

    async fn tell_acknowledged(&mut self) -> Result<(), ConsumerError> {
        let numbers = self.acknowledged.take();
        let first_left = self.outstanding.keys().next();
        let below = numbers.partition_point(|number| first_left.is_none_or(|left| number < left));
        let (below, above) = numbers.split_at(below);
        // Everything up to the last of these is settled, so one word is enough for them.
        let together = below.last().map(|last| (*last, true));
        let told = together
            .into_iter()
            .chain(above.iter().map(|number| (*number, false)))
            .map(|(number, multiple)| self.channel.basic_ack(number, BasicAckOptions { multiple }));
        match timeout(PATIENCE, join_all(told)).await {
            Ok(told) if told.iter().all(Result::is_ok) => Ok(()),
            _ => Err(ConsumerError::Lost),
        }
    }

    fn check_open(&self) -> Result<(), ConsumerError> {
        if self.closed.is_cancelled() {
            Err(ConsumerError::Closed)
        } else if self.channel.status().connected() {
            Ok(())
        } else {
            Err(ConsumerError::Lost)
        }
    }

    /// How many messages the queue holds that were delivered to nobody.
    async fn waiting(&self) -> Result<u32, ConsumerError> {
        match timeout(PATIENCE, look_at(&self.channel, &self.queue)).await {
            Ok(Ok(queue)) => Ok(queue.message_count()),
            _ => Err(ConsumerError::Lost),
        }
    }
}

/// What the broker says of a queue that is there.
pub(super) async fn look_at(channel: &Channel, queue: &Queue) -> lapin::Result<lapin::Queue> {
    let passive = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::durable()
    };
    let name = queue.as_str().into();
    channel
        .queue_declare(name, passive, FieldTable::default())
        .await
}

#[async_trait]
impl Consumer for RabbitConsumer {
    async fn receive(&mut self, into: &mut Vec<Delivery>, max: usize) -> Result<(), ConsumerError> {
        let enough = into.len() + max.max(1);
        let received = into.len();
        while into.len() == received {
            let arrival = self.arrival().await?;
            into.extend(self.take(arrival));
        }
        while into.len() < enough
            && let Some(arrival) = self.arrival_now()
        {
            into.extend(self.take(arrival));
        }
        Ok(())
    }

    async fn is_empty(&mut self) -> Result<bool, ConsumerError> {
        self.check_open()?;
        self.settle_all_buried();
        // What the broker had delivered when it answered may be on its way behind the answer; it is
        // here before the second one.
        for _ in 0..2 {
            if self.is_behind_another || self.waiting().await? > 0 {
                return Ok(false);
            }
        }
        let arrival = self.arrival_now();
        self.arrived.extend(arrival);
        Ok(self.arrived.is_empty())
    }

    async fn ack(&mut self, tags: &[Tag]) -> Result<(), ConsumerError> {
        self.check_open()?;
        let settled = self.settle(tags);
        self.acknowledged.extend(settled);
        if self.acknowledged.is_due(self.outstanding.len()) {
            self.tell_acknowledged().await?;
        }
        Ok(())
    }

    async fn nack(&mut self, tag: Tag, reason: &str, then: Nack) -> Result<(), ConsumerError> {
        self.check_open()?;
        let held = self.outstanding.get(&tag.number);
        let held = held.filter(|_| tag.slot == self.generation);
        let Some(Some(message)) = held.cloned() else {
            return Ok(());
        };
        let letter = DeadLetter::new(self.queue.clone(), WhyDead::Refused, reason);
        match (then, envelope::write_dead(&message, &letter)) {
            (Nack::DeadLetter, Ok(letter)) => {
                self.bury(tag.number, letter);
                Ok(())
            }
            (then, _) => {
                self.outstanding.remove(&tag.number);
                let requeue = BasicNackOptions {
                    multiple: false,
                    // A letter that cannot be written goes as it is, with the broker's reason.
                    requeue: then == Nack::Requeue,
                };
                let told = self.channel.basic_nack(tag.number, requeue).await;
                told.map_err(|_| ConsumerError::Lost)
            }
        }
    }
}

impl Drop for RabbitConsumer {
    fn drop(&mut self) {
        self.settle_all_buried();
        // If it cannot be told, what was acknowledged comes again.
        _ = self.tell_acknowledged().now_or_never();
        // Before the client library cancels: that would activate a standby consumer while this one
        // holds deliveries, and theirs would be out of order.
        _ = self.channel.close(200, "done".into()).now_or_never();
    }
}
