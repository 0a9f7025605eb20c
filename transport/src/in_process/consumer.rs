//! A consumer of one queue. What it holds unacknowledged is its own: acknowledging takes no lock.

use std::sync::Arc;

use async_trait::async_trait;

use super::shared_queue::{SharedQueue, Waiting};
use crate::consumer::{Consumer, ConsumerError, Delivery, Nack, Tag};

/// A consumer of one queue.
pub(super) struct QueueConsumer {
    queue: Arc<SharedQueue>,
    dead_letters: Arc<SharedQueue>,
    prefetch: usize,
    held: Held,
}

/// The unacknowledged deliveries: at most `prefetch` slots, each used again when it is free.
#[derive(Default)]
struct Held {
    slots: Vec<Option<(u64, Waiting)>>,
    free: Vec<u32>,
}

impl QueueConsumer {
    pub(super) fn new(
        queue: Arc<SharedQueue>,
        dead_letters: Arc<SharedQueue>,
        prefetch: usize,
    ) -> Self {
        Self {
            queue,
            dead_letters,
            prefetch,
            held: Held::default(),
        }
    }
}

#[async_trait]
impl Consumer for QueueConsumer {
    async fn receive(&mut self, into: &mut Vec<Delivery>, max: usize) -> Result<(), ConsumerError> {
        let max = max.max(1).min(self.prefetch - self.held.count());
        if max == 0 {
            // Only an acknowledgement helps, and that needs this consumer: the caller cancels.
            self.queue.ended().await;
            return Err(ConsumerError::Closed);
        }
        let held = &mut self.held;
        self.queue
            .take(max, |number, waiting| into.push(held.add(number, waiting)))
            .await
    }

    async fn is_empty(&mut self) -> Result<bool, ConsumerError> {
        self.queue.is_empty()
    }

    async fn ack(&mut self, tags: &[Tag]) -> Result<(), ConsumerError> {
        self.queue.check_open()?;
        for tag in tags {
            self.held.remove(*tag);
        }
        Ok(())
    }

    async fn nack(&mut self, tag: Tag, reason: &str, then: Nack) -> Result<(), ConsumerError> {
        self.queue.check_open()?;
        let Some(waiting) = self.held.remove(tag) else {
            return Ok(());
        };
        match then {
            Nack::Requeue => self.queue.put_back(vec![waiting]),
            Nack::DeadLetter => {
                let from = self.queue.name();
                self.dead_letters.bury(waiting.message, from, reason);
            }
        }
        Ok(())
    }
}

impl Drop for QueueConsumer {
    fn drop(&mut self) {
        let held = std::mem::take(&mut self.held.slots);
        let held = held.into_iter().flatten();
        self.queue
            .put_back(held.map(|(_, waiting)| waiting).collect());
    }
}

impl Held {
    fn count(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn add(&mut self, number: u64, waiting: Waiting) -> Delivery {
        let redelivered = waiting.redelivered;
        let message = waiting.message.clone();
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.slots[slot as usize] = Some((number, waiting));
        Delivery {
            tag: Tag { number, slot },
            redelivered,
            message,
        }
    }

    /// A tag that is not outstanding here finds another number in its slot, or none.
    fn remove(&mut self, tag: Tag) -> Option<Waiting> {
        let slot = self.slots.get_mut(tag.slot as usize)?;
        let (_, waiting) = slot.take_if(|(number, _)| *number == tag.number)?;
        self.free.push(tag.slot);
        Some(waiting)
    }
}
