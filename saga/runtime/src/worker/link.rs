//! What ties an attempt to the host that serves it: its signs of life go one way, the saga's turn the
//! other.

use std::sync::{Arc, Mutex, PoisonError};

use sagalog_model::{Command, log::PartitionId};
use sagalog_transport::Message;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

/// An attempt's tie to its host. Its copies are one tie.
#[derive(Clone, Debug, Default)]
pub(super) struct Link {
    pub(super) cancelled: CancellationToken,
    pub(super) partition: PartitionId,
    /// None where nobody takes signs of life: in a test of a handler, and if the step has none.
    heart: Option<Arc<Heart>>,
}

#[derive(Debug)]
struct Heart {
    call: u64,
    request: Arc<Message>,
    command: Command,
    beats: UnboundedSender<Beat>,
    /// What waits to be taken by the host: of several the last.
    waiting: Mutex<Option<String>>,
}

/// A sign of life waits to be taken. There is one at a time of each attempt.
pub(super) struct Beat(Arc<Heart>);

impl Link {
    pub(super) fn new(
        call: u64,
        request: &Arc<Message>,
        command: &Command,
        beats: &UnboundedSender<Beat>,
    ) -> Self {
        let heart = command.heartbeat.map(|_| {
            Arc::new(Heart {
                call,
                request: request.clone(),
                command: command.clone(),
                beats: beats.clone(),
                waiting: Mutex::default(),
            })
        });
        Self {
            cancelled: CancellationToken::new(),
            partition: partition_of(request),
            heart,
        }
    }

    /// Says that the attempt is under way. Never waits.
    pub(super) fn beat(&self, progress: String) {
        let Some(heart) = &self.heart else { return };
        let mut waiting = heart.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.replace(progress).is_none() {
            // Without a receiver the host is gone, and with it whoever would send it on.
            _ = heart.beats.send(Beat(heart.clone()));
        }
    }
}

impl Beat {
    /// The number of the call, which may have ended.
    pub(super) fn call(&self) -> u64 {
        self.0.call
    }

    pub(super) fn request(&self) -> &Message {
        &self.0.request
    }

    pub(super) fn command(&self) -> &Command {
        &self.0.command
    }

    /// What was said last.
    pub(super) fn take(&self) -> String {
        let waiting = self.0.waiting.lock();
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        waiting.take().unwrap_or_default()
    }
}

/// A command comes from the inbox of its partition.
fn partition_of(request: &Message) -> PartitionId {
    let number = request.from.as_str().strip_prefix("inbox.");
    let number = number.and_then(|number| number.parse().ok());
    PartitionId::new(number.unwrap_or_default())
}
