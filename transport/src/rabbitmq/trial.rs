//! Queues that did not confirm what was published to them.
//!
//! The broker's side of a channel waits for a queue that has no leader, or whose leader hangs, and with it
//! waits everything that was published behind. So each such queue is tried alone, on a channel of its own and
//! beside what is published to others, with one message at a time, until it confirms again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    envelope::Outgoing,
    link::{Cause, Link, PATIENCE},
    publisher::{confirmed, confirming_channel},
};
use crate::{queue::Queue, transport::WhyUndelivered};

/// How long a queue is left alone that failed its trial.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// The queues on trial: at most as many as there are, as each leaves when it confirms.
#[derive(Clone)]
pub(super) struct Trials {
    link: Arc<Link>,
    queues: Arc<Mutex<HashMap<Queue, Next>>>,
    closed: CancellationToken,
}

/// What is next for a queue on trial.
enum Next {
    /// From then on it is tried.
    TryAt(Instant),
    /// It is being tried.
    Tried,
}

impl Trials {
    pub(super) fn new(link: Arc<Link>, closed: CancellationToken) -> Self {
        Self {
            link,
            queues: Arc::default(),
            closed,
        }
    }

    /// A queue has not confirmed in time, or was behind one that has not: it is tried with the next message.
    pub(super) fn begin(&self, queue: &Queue) {
        warn!(%queue, "a queue does not confirm; from now on others do not wait for it");
        self.next(queue, Some(Next::TryAt(Instant::now())));
    }

    /// What becomes of a message whose queue is on trial; nothing if it is not, and can be published to
    /// with others.
    pub(super) fn answer(&self, message: &Outgoing) -> Option<WhyUndelivered> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let next = queues.get_mut(&message.route)?;
        match next {
            Next::TryAt(at) if *at <= Instant::now() => {
                *next = Next::Tried;
                let trying = self.clone().try_with(message.clone());
                tokio::spawn(self.closed.clone().run_until_cancelled_owned(trying));
                // Whatever comes of it is known too late for whoever published it.
                Some(WhyUndelivered::Unconfirmed)
            }
            // It is not handed over.
            _ => Some(WhyUndelivered::Full),
        }
    }

    async fn try_with(self, message: Outgoing) {
        let queue = &message.route;
        match self.confirms(&message).await {
            Ok(true) => {
                info!(%queue, "a queue confirms again");
                self.next(queue, None);
            }
            Ok(false) => {
                warn!(%queue, "a queue still does not confirm");
                self.next(queue, Some(Next::TryAt(Instant::now() + TRY_AGAIN)));
            }
            // That is about the broker, which others find out as well.
            Err(_) => self.next(queue, Some(Next::TryAt(Instant::now()))),
        }
    }

    /// Whether the broker says something about this message, be it a refusal.
    async fn confirms(&self, message: &Outgoing) -> Result<bool, Cause> {
        let channel = confirming_channel(&self.link).await?;
        let said = confirmed(&channel, &[message], Instant::now() + PATIENCE).await;
        if said[0].is_none() && !channel.status().connected() {
            return Err("the connection was lost".into());
        }
        // The broker gets to it when it has done with the message. Nobody waits for that.
        _ = channel.close(200, "done".into()).now_or_never();
        Ok(said[0].is_some())
    }

    fn next(&self, queue: &Queue, next: Option<Next>) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        match next {
            Some(next) => queues.insert(queue.clone(), next),
            None => queues.remove(queue),
        };
    }
}
