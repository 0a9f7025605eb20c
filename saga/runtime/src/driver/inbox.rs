//! A queue that a partition receives from, again whenever the connection to it was lost.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use sagalog_model::log::PartitionId;
use sagalog_transport::{ConsumeError, Consumer, ConsumerError, Delivery, Queue, Tag, Transport};
use tracing::{info, warn};

use super::chain;
use crate::{clock::Clock, observe::Watch};

/// Replies taken and not yet durable.
pub(crate) const PREFETCH: usize = 4_096;

/// How long to wait before consuming again if that failed.
const CONSUME_AGAIN: Duration = Duration::from_secs(1);

/// The inbox of a partition, or the queue of the dead letters.
///
/// What is lost with a connection is delivered again; what the machine has of it already is then a
/// duplicate. Acknowledgements of what a lost connection delivered do nothing.
pub(super) struct Inbox {
    queue: Queue,
    prefetch: usize,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    consumer: Box<dyn Consumer>,
    watch: Watch,
    partition: PartitionId,
    /// Under way while the connection is lost.
    again: Option<Again>,
}

type Again = Pin<Box<dyn Future<Output = Option<Box<dyn Consumer>>> + Send>>;

impl Inbox {
    pub(super) fn new(
        queue: Queue,
        prefetch: usize,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        consumer: Box<dyn Consumer>,
        watch: Watch,
        partition: PartitionId,
    ) -> Self {
        Self {
            queue,
            prefetch,
            transport,
            clock,
            consumer,
            watch,
            partition,
            again: None,
        }
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Receives as a [`Consumer`] does, and fails only if the transport was closed.
    pub(super) async fn receive(
        &mut self,
        into: &mut Vec<Delivery>,
        max: usize,
    ) -> Result<(), ConsumerError> {
        loop {
            if let Some(again) = &mut self.again {
                let consumer = again.await;
                self.again = None;
                self.consumer = consumer.ok_or(ConsumerError::Closed)?;
                info!(queue = %self.queue, "a queue is received from again");
            }
            let received = self.consumer.receive(into, max).await;
            if !self.was_lost(&received) {
                return received;
            }
        }
    }

    /// Whether nothing waits in it, as far as that can be found out now.
    pub(super) async fn is_empty(&mut self) -> Result<bool, ConsumerError> {
        if self.again.is_some() {
            return Ok(false);
        }
        let empty = self.consumer.is_empty().await;
        if self.was_lost(&empty) {
            return Ok(false);
        }
        empty
    }

    pub(super) async fn ack(&mut self, tags: &[Tag]) -> Result<(), ConsumerError> {
        if self.again.is_some() {
            return Ok(());
        }
        let told = self.consumer.ack(tags).await;
        if self.was_lost(&told) {
            return Ok(());
        }
        told
    }

    /// Whether the connection was lost; then another one is begun.
    fn was_lost<T>(&mut self, told: &Result<T, ConsumerError>) -> bool {
        if !matches!(told, Err(ConsumerError::Lost)) {
            return false;
        }
        warn!(queue = %self.queue, "the connection to a queue was lost");
        self.watch.disconnected(self.partition);
        let (transport, queue, clock) = (
            self.transport.clone(),
            self.queue.clone(),
            self.clock.clone(),
        );
        let prefetch = self.prefetch;
        self.again = Some(Box::pin(async move {
            loop {
                match transport.consume(&queue, prefetch).await {
                    Ok(consumer) => return Some(consumer),
                    Err(ConsumeError::Closed) => return None,
                    Err(error) => {
                        let why = chain(&error);
                        warn!(%queue, why, "a queue cannot be received from yet");
                    }
                }
                clock.sleep_until(clock.now().after(CONSUME_AGAIN)).await;
            }
        }));
        true
    }
}
