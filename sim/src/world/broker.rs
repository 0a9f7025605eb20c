//! The broker of a simulated world: queues that deliver until they are acknowledged. The transport's
//! conformance kit is run on it. What is on its way to a queue is not here but in the agenda.

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod conformance;
mod station;

use std::collections::{BTreeMap, VecDeque};

pub(super) use self::station::Station;

/// Queues, each named by a `K`.
#[derive(Clone)]
pub(crate) struct Broker<K, M> {
    queues: BTreeMap<K, Queue<M>>,
    /// In the order in which they came.
    consumers: Vec<Consumer<K, M>>,
    next: u64,
}

/// Bounded for publishers: what returns always finds room.
#[derive(Clone)]
struct Queue<M> {
    capacity: usize,
    /// In the order of publishing.
    waiting: VecDeque<Waiting<M>>,
}

#[derive(Clone)]
struct Waiting<M> {
    /// In the order of publishing; a message keeps it when it returns.
    place: u64,
    message: M,
    redelivered: bool,
}

#[derive(Clone)]
struct Consumer<K, M> {
    id: ConsumerId,
    queue: K,
    prefetch: usize,
    /// What it received and has not acknowledged, in that order.
    held: VecDeque<Held<M>>,
}

#[derive(Clone)]
struct Held<M> {
    tag: Tag,
    place: u64,
    message: M,
}

impl<M> Held<M> {
    fn returned(self) -> Waiting<M> {
        Waiting {
            place: self.place,
            message: self.message,
            redelivered: true,
        }
    }
}

impl<K, M> Consumer<K, M> {
    fn let_go(&mut self, tag: Tag) -> Option<Held<M>> {
        let at = self.held.binary_search_by_key(&tag, |held| held.tag).ok()?;
        self.held.remove(at)
    }
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
            consumers: Vec::new(),
            next: 1,
        }
    }

    /// Makes sure that a queue is there. False if it is there with another capacity.
    pub(crate) fn declare(&mut self, queue: &K, capacity: usize) -> bool {
        if let Some(there) = self.queues.get(queue) {
            return there.capacity == capacity;
        }
        let waiting = VecDeque::new();
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
        queue.waiting.push_back(Waiting {
            place: self.next,
            message,
            redelivered,
        });
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
        self.consumers.push(Consumer {
            id,
            queue: queue.clone(),
            prefetch,
            held: VecDeque::new(),
        });
        Some(id)
    }

    /// Adds what is there for a consumer, at most `max`.
    pub(crate) fn receive(&mut self, id: ConsumerId, into: &mut Vec<Delivery<M>>, max: usize) {
        let mut consumers = self.consumers.iter_mut();
        let Some(consumer) = consumers.find(|consumer| consumer.id == id) else {
            return;
        };
        let queue = self
            .queues
            .get_mut(&consumer.queue)
            .expect("it consumes it");
        let room = consumer.prefetch - consumer.held.len();
        let received = max.min(room).min(queue.waiting.len());
        for waiting in queue.waiting.drain(..received) {
            let Waiting {
                place,
                message,
                redelivered,
            } = waiting;
            let tag = Tag(self.next);
            self.next += 1;
            consumer.held.push_back(Held {
                tag,
                place,
                message: message.clone(),
            });
            into.push(Delivery {
                tag,
                message,
                redelivered,
            });
        }
    }

    /// Ends a delivery: it is not made again. None if it is not outstanding there.
    pub(crate) fn acknowledge(&mut self, id: ConsumerId, tag: Tag) -> Option<M> {
        let mut consumers = self.consumers.iter_mut();
        let consumer = consumers.find(|consumer| consumer.id == id)?;
        Some(consumer.let_go(tag)?.message)
    }

    /// A consumer is gone: what it had not acknowledged is given back.
    pub(crate) fn leave(&mut self, id: ConsumerId) {
        let consumer = self.consumers.iter().find(|consumer| consumer.id == id);
        let held = consumer.into_iter().flat_map(|consumer| &consumer.held);
        for tag in held.map(|held| held.tag).collect::<Vec<_>>() {
            self.give_back(id, tag);
        }
        self.consumers.retain(|consumer| consumer.id != id);
    }

    /// Returns a delivery to its place in the queue. Does nothing if it is not outstanding there.
    pub(crate) fn give_back(&mut self, id: ConsumerId, tag: Tag) {
        let mut consumers = self.consumers.iter_mut();
        let consumer = consumers.find(|consumer| consumer.id == id);
        if let Some(consumer) = consumer
            && let Some(held) = consumer.let_go(tag)
        {
            let queue = self.queues.get_mut(&consumer.queue);
            let waiting = &mut queue.expect("it consumes it").waiting;
            let at = waiting.partition_point(|other| other.place < held.place);
            waiting.insert(at, held.returned());
        }
    }

    /// Whether nothing waits in a queue, whatever its consumers still hold.
    pub(crate) fn is_empty(&self, queue: &K) -> bool {
        self.waiting(queue).next().is_none()
    }

    fn waiting(&self, queue: &K) -> impl Iterator<Item = &M> {
        let queue = self.queues.get(queue).into_iter();
        let waiting = queue.flat_map(|queue| &queue.waiting);
        waiting.map(|waiting| &waiting.message)
    }

    /// All messages that are not acknowledged: those that wait, and those that are held.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &M> {
        let held = self.consumers.iter().flat_map(|consumer| &consumer.held);
        let waiting = self.queues.values().flat_map(|queue| &queue.waiting);
        let waiting = waiting.map(|waiting| &waiting.message);
        held.map(|held| &held.message).chain(waiting)
    }
}
