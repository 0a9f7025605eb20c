//! The streams of a published log inside one process.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use sagalog_model::log::PartitionId;
use tokio::sync::watch;

use crate::{
    log_streams::{Closed, LogStreams, StreamError, StreamMessage, StreamReader, StreamStart},
    transport::DeclareError,
};

/// The streams of a published log inside one process, for followers in it. They end with the process.
///
/// Bound: a stream keeps as many messages as was said, and cuts off the oldest.
#[derive(Clone, Debug)]
pub struct InProcessStreams {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    keep: usize,
    streams: Mutex<HashMap<PartitionId, Stream>>,
    /// Counts what changed anywhere; `None` is closed.
    changes: watch::Sender<Option<u64>>,
}

#[derive(Debug, Default)]
struct Stream {
    /// The offset of the first message kept.
    first: u64,
    kept: VecDeque<Arc<str>>,
}

impl InProcessStreams {
    /// Streams that keep so many messages each; at least one.
    pub fn keeping(messages: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                keep: messages.max(1),
                streams: Mutex::default(),
                changes: watch::Sender::new(Some(0)),
            }),
        }
    }

    /// Deletes the stream of a partition, as somebody may do on a broker.
    pub fn delete(&self, partition: PartitionId) {
        self.shared.change(|streams| {
            streams.remove(&partition);
        });
    }
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut HashMap<PartitionId, Stream>)) {
        change(&mut self.streams.lock().unwrap_or_else(PoisonError::into_inner));
        self.changes
            .send_modify(|changes| *changes = changes.map(|count| count + 1));
    }

    fn check_open(&self) -> Result<(), Closed> {
        self.changes.borrow().map(|_| ()).ok_or(Closed)
    }
}

#[async_trait]
impl LogStreams for InProcessStreams {
    async fn declare(&self, partition: PartitionId) -> Result<(), DeclareError> {
        self.shared.check_open().map_err(|_| DeclareError::Closed)?;
        self.shared.change(|streams| {
            streams.entry(partition).or_default();
        });
        Ok(())
    }

    async fn last(&self, partition: PartitionId) -> Result<Option<StreamMessage>, StreamError> {
        self.shared.check_open()?;
        let streams = self.shared.streams.lock();
        let streams = streams.unwrap_or_else(PoisonError::into_inner);
        Ok(streams.get(&partition).and_then(Stream::last))
    }

    async fn publish(
        &self,
        partition: PartitionId,
        contents: Vec<String>,
    ) -> Result<(), StreamError> {
        self.shared.check_open()?;
        self.shared.change(|streams| {
            let stream = streams.entry(partition).or_default();
            stream.kept.extend(contents.into_iter().map(Arc::from));
            let over = stream.kept.len().saturating_sub(self.shared.keep);
            stream.kept.drain(..over);
            stream.first += over as u64;
        });
        Ok(())
    }

    fn read(&self, partition: PartitionId, from: StreamStart) -> Box<dyn StreamReader> {
        let next = match from {
            StreamStart::First => 0,
            StreamStart::At(offset) => offset,
        };
        Box::new(Reader {
            shared: self.shared.clone(),
            changes: self.shared.changes.subscribe(),
            partition,
            next,
            before: None,
        })
    }

    async fn close(&self) {
        self.shared.changes.send_replace(None);
    }
}

impl Stream {
    fn end(&self) -> u64 {
        self.first + self.kept.len() as u64
    }

    fn at(&self, offset: u64) -> Option<&Arc<str>> {
        let index = usize::try_from(offset.checked_sub(self.first)?).ok()?;
        self.kept.get(index)
    }

    fn last(&self) -> Option<StreamMessage> {
        let content = self.kept.back()?.to_string();
        let offset = self.end() - 1;
        Some(StreamMessage { offset, content })
    }
}

struct Reader {
    shared: Arc<Shared>,
    changes: watch::Receiver<Option<u64>>,
    partition: PartitionId,
    next: u64,
    /// The message that was read before, to see whether the stream is still the same.
    before: Option<Arc<str>>,
}

impl Reader {
    fn take(&mut self, into: &mut Vec<StreamMessage>, max: usize) {
        let streams = self.shared.streams.lock();
        let streams = streams.unwrap_or_else(PoisonError::into_inner);
        let Some(stream) = streams.get(&self.partition) else {
            return;
        };
        let there = self
            .next
            .checked_sub(1)
            .and_then(|before| stream.at(before));
        let is_same = match (&self.before, there) {
            (Some(known), Some(there)) => Arc::ptr_eq(known, there),
            // What was read last may have been cut off.
            (Some(_), None) => self.next < stream.first,
            // It begins with a message that was read before.
            (None, _) => self.next < stream.end(),
        };
        if !is_same {
            self.next = 0;
        }
        self.next = self.next.max(stream.first);
        for _ in 0..max.max(1) {
            let Some(content) = stream.at(self.next) else {
                break;
            };
            into.push(StreamMessage {
                offset: self.next,
                content: content.to_string(),
            });
            self.before = Some(content.clone());
            self.next += 1;
        }
    }
}

#[async_trait]
impl StreamReader for Reader {
    async fn next(&mut self, into: &mut Vec<StreamMessage>, max: usize) -> Result<(), Closed> {
        let received = into.len();
        loop {
            self.changes.borrow_and_update().ok_or(Closed)?;
            self.take(into, max);
            if into.len() > received {
                return Ok(());
            }
            self.changes.changed().await.map_err(|_| Closed)?;
        }
    }
}
