//! Seeing the tail move: told by the writer of this handle, or by looking at another's file.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sagalog_model::log::Position;
use tokio::sync::watch;

use super::reader::Reader;
use crate::error::ReadError;

/// How often another process's log is looked at: often while it moves, less often while it rests.
const FASTEST: Duration = Duration::from_millis(20);
const SLOWEST: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Follower {
    reader: Reader,
    tail: watch::Sender<Position>,
    /// Whether the writer of this handle owns the log and so tells the tail itself.
    owning: Arc<AtomicBool>,
    /// Whether somebody looks already.
    looking: Arc<Mutex<bool>>,
}

impl Follower {
    pub(super) fn new(reader: Reader) -> Self {
        let tail = watch::Sender::new(Position::default());
        Self {
            reader,
            tail,
            owning: Arc::default(),
            looking: Arc::default(),
        }
    }

    pub(super) fn beside_owner(self, owning: Arc<AtomicBool>) -> Self {
        Self { owning, ..self }
    }

    pub(super) fn tail(&self) -> watch::Sender<Position> {
        self.tail.clone()
    }

    pub(super) async fn watch(&self) -> Result<watch::Receiver<Position>, ReadError> {
        forward(&self.tail, self.reader.tail().await?);
        let mut looking = self.looking.lock().expect(NO_PANIC);
        let receiver = self.tail.subscribe();
        if !*looking {
            *looking = true;
            let (reader, tail) = (self.reader.clone(), self.tail.clone());
            tokio::spawn(look(
                reader,
                tail,
                self.owning.clone(),
                self.looking.clone(),
            ));
        }
        Ok(receiver)
    }
}

/// Looks until nobody watches.
async fn look(
    reader: Reader,
    tail: watch::Sender<Position>,
    owning: Arc<AtomicBool>,
    looking: Arc<Mutex<bool>>,
) {
    let mut pause = FASTEST;
    loop {
        tokio::time::sleep(pause).await;
        {
            let mut looking = looking.lock().expect(NO_PANIC);
            if tail.receiver_count() == 0 {
                *looking = false;
                return;
            }
        }
        // A log that cannot be read now is looked at again; readers get the error themselves.
        let moved = !owning.load(Ordering::Acquire)
            && reader
                .tail()
                .await
                .is_ok_and(|position| forward(&tail, position));
        pause = if moved {
            FASTEST
        } else {
            (pause * 2).min(SLOWEST)
        };
    }
}

/// Moves the tail forward, never back: a slow look may come after a faster word.
fn forward(tail: &watch::Sender<Position>, position: Position) -> bool {
    tail.send_if_modified(|known| {
        let moved = *known < position;
        *known = position.max(*known);
        moved
    })
}

const NO_PANIC: &str = "nothing panics while it holds this lock";
