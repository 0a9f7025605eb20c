//! Seeing the tail move: told by the writer of this handle, or by looking at what another wrote.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sagalog_model::log::Position;
use tokio::sync::watch;

use crate::error::ReadError;

/// How often another process's log is looked at: often while it moves, less often while it rests.
const FASTEST: Duration = Duration::from_millis(20);
const SLOWEST: Duration = Duration::from_millis(250);

/// Reads the tail.
type Look = Arc<
    dyn Fn() -> Pin<Box<dyn Future<Output = Result<Position, ReadError>> + Send>> + Send + Sync,
>;

pub(crate) struct Follower {
    look: Look,
    tail: watch::Sender<Position>,
    /// Whether the writer of this handle owns the partition and so tells the tail itself.
    owning: Arc<AtomicBool>,
    /// Whether somebody looks already.
    looking: Arc<Mutex<bool>>,
}

/// Where a writer tells the tail of a partition that it owns.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    tail: watch::Sender<Position>,
    owning: Arc<AtomicBool>,
}

impl Told {
    /// The writer owns the partition, which ends there.
    pub(crate) fn owns(&self, tail: Position) {
        self.tail.send_replace(tail);
        self.owning.store(true, Ordering::Release);
    }

    /// The partition ends there by now.
    pub(crate) fn moved(&self, tail: Position) {
        self.tail.send_replace(tail);
    }

    /// The writer does not own it any more.
    pub(crate) fn gave_up(&self) {
        self.owning.store(false, Ordering::Release);
    }
}

impl Follower {
    pub(crate) fn new<F>(look: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Position, ReadError>> + Send + 'static,
    {
        Self {
            look: Arc::new(move || Box::pin(look())),
            tail: watch::Sender::new(Position::default()),
            owning: Arc::default(),
            looking: Arc::default(),
        }
    }

    /// For the writer of the same handle.
    pub(crate) fn told(&self) -> Told {
        Told {
            tail: self.tail.clone(),
            owning: self.owning.clone(),
        }
    }

    pub(crate) async fn watch(&self) -> Result<watch::Receiver<Position>, ReadError> {
        forward(&self.tail, (self.look)().await?);
        let mut looking = self.looking.lock().expect(NO_PANIC);
        let receiver = self.tail.subscribe();
        if !*looking {
            *looking = true;
            let (tail_of, tail) = (self.look.clone(), self.tail.clone());
            tokio::spawn(look(
                tail_of,
                tail,
                self.owning.clone(),
                self.looking.clone(),
            ));
        }
        Ok(receiver)
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower")
            .field("tail", &self.tail)
            .finish_non_exhaustive()
    }
}

/// Looks until nobody watches.
async fn look(
    tail_of: Look,
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
            && tail_of()
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
