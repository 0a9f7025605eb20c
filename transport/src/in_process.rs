//! The transport inside one process: bounded queues in memory.
//!
//! Nothing survives the process, and nothing needs to: what a saga is waiting for is asked again
//! from its log. Messages are handed over without being written or parsed, in the order of
//! publishing; what returns to a queue takes its old place.
//!
//! Bounds: a queue takes as many waiting messages as it was declared with, then answers
//! [`Full`](crate::WhyUndelivered::Full). The dead letters keep the last [`DEAD_LETTERS_MAX`]; the
//! oldest gives way, counted by [`InProcess::dropped_dead_letters`].

mod consumer;
mod shared_queue;
mod streams;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;

pub use self::streams::InProcessStreams;
use self::{consumer::QueueConsumer, shared_queue::SharedQueue};
use crate::{
    consumer::Consumer,
    message::Message,
    queue::Queue,
    transport::{
        ConsumeError, DeclareError, Difference, PublishError, Transport, Undelivered,
        WhyUndelivered,
    },
};

/// How many dead letters are kept.
pub const DEAD_LETTERS_MAX: usize = 10_000;

/// The transport inside one process.
pub struct InProcess {
    queues: RwLock<Queues>,
    dead_letters: Arc<SharedQueue>,
}

struct Queues {
    by_name: HashMap<Queue, Arc<SharedQueue>>,
    closed: bool,
}

impl InProcess {
    /// A transport with no queue but the dead letters'.
    pub fn new() -> Self {
        let name = Queue::dead_letters();
        let dead_letters = Arc::new(SharedQueue::new(name.clone(), DEAD_LETTERS_MAX));
        Self {
            queues: RwLock::new(Queues {
                by_name: HashMap::from([(name, dead_letters.clone())]),
                closed: false,
            }),
            dead_letters,
        }
    }

    /// How many dead letters gave way to later ones.
    pub fn dropped_dead_letters(&self) -> u64 {
        self.dead_letters.dropped()
    }

    fn find(&self, queue: &Queue) -> Result<Arc<SharedQueue>, WhyUndelivered> {
        // A panic elsewhere cannot leave the map half changed, so a poisoned lock is still good.
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        if queues.closed {
            return Err(WhyUndelivered::Closed);
        }
        let found = queues.by_name.get(queue);
        found.cloned().ok_or(WhyUndelivered::NoSuchQueue)
    }
}

impl Default for InProcess {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Transport for InProcess {
    async fn declare(&self, queue: &Queue, capacity: usize) -> Result<(), DeclareError> {
        let capacity = capacity.max(1);
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        if queues.closed {
            return Err(DeclareError::Closed);
        }
        let there = queues
            .by_name
            .entry(queue.clone())
            .or_insert_with(|| Arc::new(SharedQueue::new(queue.clone(), capacity)));
        if there.capacity() == capacity {
            Ok(())
        } else {
            Err(DeclareError::Different {
                queue: queue.clone(),
                difference: Difference {
                    what: "capacity".into(),
                    there: there.capacity().to_string(),
                    wanted: capacity.to_string(),
                },
            })
        }
    }

    async fn publish(&self, messages: Vec<Message>) -> Result<(), PublishError> {
        let mut undelivered = Vec::new();
        let mut messages = messages.into_iter().peekable();
        // Neighbours for the same queue go in under one lock and one wake-up.
        while let Some(first) = messages.peek() {
            let to = first.to.clone();
            let run = std::iter::from_fn(|| messages.next_if(|next| next.to == to));
            match self.find(&to) {
                Ok(queue) => queue.push(run, &mut undelivered),
                Err(why) => undelivered.extend(run.map(|message| Undelivered { message, why })),
            }
        }
        if undelivered.is_empty() {
            Ok(())
        } else {
            Err(PublishError(undelivered))
        }
    }

    async fn room(&self, queue: &Queue) {
        if let Ok(queue) = self.find(queue) {
            queue.room().await;
        }
    }

    async fn consume(
        &self,
        queue: &Queue,
        prefetch: usize,
    ) -> Result<Box<dyn Consumer>, ConsumeError> {
        let queue = self.find(queue).map_err(|why| match why {
            WhyUndelivered::Closed => ConsumeError::Closed,
            _ => ConsumeError::NoSuchQueue(queue.clone()),
        })?;
        let dead_letters = self.dead_letters.clone();
        Ok(Box::new(QueueConsumer::new(
            queue,
            dead_letters,
            prefetch.max(1),
        )))
    }

    async fn close(&self) {
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        queues.closed = true;
        for queue in queues.by_name.values() {
            queue.close();
        }
    }
}
