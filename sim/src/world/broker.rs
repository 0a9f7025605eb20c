//! The broker of a simulated world: queues that deliver until they are acknowledged. The transport's
//! conformance kit is run on it. What is on its way to a queue is not here but in the agenda.

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod conformance;
mod station;

use std::collections::BTreeMap;

pub(super) use self::station::Station;

/// Queues, each named by a `K`.
#[derive(Clone)]
pub(crate) struct Broker<K, M> {
    queues: BTreeMap<K, Queue<M>>,
    consumers: BTreeMap<ConsumerId, Consumer<K, M>>,
    next: u64,
}

/// Bounded for publishers: what returns always finds room.
#[derive(Clone)]
struct Queue<M> {
    capacity: usize,
    /// By the place in the order of publishing, which a message keeps when it returns.
    waiting: BTreeMap<u64, Waiting<M>>,
}

#[derive(Clone)]
struct Waiting<M> {
    message: M,
    redelivered: bool,
}

#[derive(Clone)]
struct Consumer<K, M> {
    queue: K,
    prefetch: usize,
    /// What it received and has not acknowledged, with its place in the queue.
    held: BTreeMap<Tag, (u64, M)>,
}

/// Names a consumer of one broker.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct ConsumerId(u64);

/// Names a delivery to the consumer that received it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Tag(pub(crate) u64);

/// One message, received.
#[derive(Clone, Debug)]
pub(crate) struct Delivery<M> {
    pub(crate) tag: Tag,
    pub(crate) message: M,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "no receiver in a world looks at it")
    )]
    pub(crate) redelivered: bool,
}

/// Why a queue does not take a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NotTaken {
    Full,
    NoSuchQueue,
}

impl<K: Clone + Ord, M: Clone> Broker<K, M> {
    pub(crate) const fn new() -> Self {
        Self {
            queues: BTreeMap::new(),
            consumers: BTreeMap::new(),
            next: 1,
        }
    }

    /// Makes sure that a queue is there. False if it is there with another capacity.
    pub(crate) fn declare(&mut self, queue: &K, capacity: usize) -> bool {
        if let Some(there) = self.queues.get(queue) {
            return there.capacity == capacity;
        }
        let waiting = BTreeMap::new();
        self.queues
            .insert(queue.clone(), Queue { capacity, waiting });
        true
    }

    /// Hands a message over.
    pub(crate) fn publish(&mut self, to: &K, message: M) -> Result<(), NotTaken> {
        if !self.has_room(to) {
            return Err(NotTaken::Full);
        }
        let queue = self.queues.get_mut(to).ok_or(NotTaken::NoSuchQueue)?;
        let redelivered = false;
        let waiting = Waiting {
            message,
            redelivered,
        };
        queue.waiting.insert(self.next, waiting);
        self.next += 1;
        Ok(())
    }

    /// Whether a queue takes one more message, as far as its bound goes.
    pub(crate) fn has_room(&self, queue: &K) -> bool {
        let queue = self.queues.get(queue);
        queue.is_none_or(|queue| queue.waiting.len() < queue.capacity)
    }

    /// Begins to receive from a queue; none if there is no such queue.
    pub(crate) fn consume(&mut self, queue: &K, prefetch: usize) -> Option<ConsumerId> {
        if !self.queues.contains_key(queue) {
            return None;
        }
        let id = ConsumerId(self.next);
        self.next += 1;
        let consumer = Consumer {
            queue: queue.clone(),
            prefetch,
            held: BTreeMap::new(),
        };
        self.consumers.insert(id, consumer);
        Some(id)
    }

    /// What is there for a consumer, at most `max`.
    pub(crate) fn receive(&mut self, id: ConsumerId, max: usize) -> Vec<Delivery<M>> {
        let Some(consumer) = self.consumers.get_mut(&id) else {
            return Vec::new();
        };
        let queue = self
            .queues
            .get_mut(&consumer.queue)
            .expect("it consumes it");
        let room = consumer.prefetch - consumer.held.len();
        let mut deliveries = Vec::new();
        while deliveries.len() < max.min(room)
            && let Some((place, waiting)) = queue.waiting.pop_first()
        {
            let Waiting {
                message,
                redelivered,
            } = waiting;
            let tag = Tag(self.next);
            self.next += 1;
            consumer.held.insert(tag, (place, message.clone()));
            deliveries.push(Delivery {
                tag,
                message,
                redelivered,
            });
        }
        deliveries
    }

    /// Ends a delivery: it is not made again. None if it is not outstanding there.
    pub(crate) fn acknowledge(&mut self, id: ConsumerId, tag: Tag) -> Option<M> {
        let consumer = self.consumers.get_mut(&id)?;
        let (_, message) = consumer.held.remove(&tag)?;
        Some(message)
    }

    /// A consumer is gone: what it had not acknowledged is given back.
    pub(crate) fn leave(&mut self, id: ConsumerId) {
        let consumer = self.consumers.get(&id);
        let held = consumer
            .into_iter()
            .flat_map(|consumer| consumer.held.keys());
        for tag in held.copied().collect::<Vec<_>>() {
            self.give_back(id, tag);
        }
        self.consumers.remove(&id);
    }

    /// Returns a delivery to its place in the queue. Does nothing if it is not outstanding there.
    pub(crate) fn give_back(&mut self, id: ConsumerId, tag: Tag) {
        let Some(consumer) = self.consumers.get_mut(&id) else {
            return;
        };
        let queue = self
            .queues
            .get_mut(&consumer.queue)
            .expect("it consumes it");
        if let Some((place, message)) = consumer.held.remove(&tag) {
            let redelivered = true;
            let waiting = Waiting {
                message,
                redelivered,
            };
            queue.waiting.insert(place, waiting);
        }
    }

    /// Whether nothing waits in a queue, whatever its consumers still hold.
    pub(crate) fn is_empty(&self, queue: &K) -> bool {
        self.waiting(queue).next().is_none()
    }

    fn waiting(&self, queue: &K) -> impl Iterator<Item = &M> {
        let queue = self.queues.get(queue).into_iter();
        let waiting = queue.flat_map(|queue| queue.waiting.values());
        waiting.map(|waiting| &waiting.message)
    }

    /// All messages that are not acknowledged: those that wait, and those that are held.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &M> {
        let held = self.consumers.values();
        let held = held.flat_map(|consumer| consumer.held.values());
        let waiting = self.queues.keys().flat_map(|queue| self.waiting(queue));
        held.map(|(_, message)| message).chain(waiting)
    }
}
