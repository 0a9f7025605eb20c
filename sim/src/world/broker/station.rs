//! Queues as a world uses them: each with one receiver at a time, which takes what comes.

use std::collections::BTreeMap;

use super::{Broker, ConsumerId, Delivery, Tag};

/// Far more than ever waits in a world.
const CAPACITY: usize = 1 << 20;

/// Queues, each named by a `K`, with the receivers of now.
#[derive(Clone)]
pub(in crate::world) struct Station<K, M> {
    broker: Broker<K, M>,
    receivers: BTreeMap<K, ConsumerId>,
}

impl<K: Clone + Ord, M: Clone> Station<K, M> {
    pub(in crate::world) const fn new() -> Self {
        Self {
            broker: Broker::new(),
            receivers: BTreeMap::new(),
        }
    }

    /// A message comes to its queue.
    pub(in crate::world) fn arrives(&mut self, queue: &K, message: M) {
        self.broker.declare(queue, CAPACITY);
        let taken = self.broker.publish(queue, message);
        taken.expect("the queue is there and has room");
    }

    /// What waits in a queue goes to its receiver, to a new one if there is none.
    pub(in crate::world) fn receive(&mut self, queue: &K, into: &mut Vec<Delivery<M>>) {
        let known = self.receivers.get(queue).copied();
        // There is no queue before something comes to it.
        let Some(receiver) = known.or_else(|| self.broker.consume(queue, CAPACITY)) else {
            return;
        };
        if known.is_none() {
            self.receivers.insert(queue.clone(), receiver);
        }
        self.broker.receive(receiver, into, CAPACITY);
    }

    /// The receiver of a queue has done what a message asked for.
    pub(in crate::world) fn acknowledge(&mut self, queue: &K, tag: Tag) -> Option<M> {
        let receiver = *self.receivers.get(queue)?;
        self.broker.acknowledge(receiver, tag)
    }

    /// The receiver of a queue dies. Until the broker finds out, what it holds is its own.
    pub(in crate::world) fn dies(&mut self, queue: &K) -> Option<ConsumerId> {
        self.receivers.remove(queue)
    }

    /// The broker finds out that a receiver is dead: what it held comes again.
    pub(in crate::world) fn is_gone(&mut self, receiver: ConsumerId) {
        self.broker.leave(receiver);
    }

    /// Whether nothing waits in a queue.
    pub(in crate::world) fn is_empty(&self, queue: &K) -> bool {
        self.broker.is_empty(queue)
    }

    /// All messages that are not acknowledged.
    pub(in crate::world) fn messages(&self) -> impl Iterator<Item = &M> {
        self.broker.messages()
    }
}
