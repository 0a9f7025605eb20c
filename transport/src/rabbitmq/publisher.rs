//! Publishing: some tasks, each with a channel, and windows of messages that are confirmed together.
//!
//! A window is ended before the next begins on its channel. The client library may tell that one message of
//! it was returned on the confirmation of another, so returns are matched by message id among all of a
//! window's; see `docs/decisions.md`. What one caller hands over at once stays in order, as it goes to one task.
//!
//! A queue that does not confirm holds up whatever comes behind it on the same channel. It costs a window
//! its patience; from then on it is [`on trial`](super::trial), and the others do not wait for it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use lapin::{
    Channel, Confirmation, Connection,
    message::BasicReturnMessage,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    envelope::Outgoing,
    link::{Cause, Link, PATIENCE},
    trial::Trials,
};
use crate::transport::WhyUndelivered;

/// Messages that are confirmed together, and their bytes unless one is larger. Larger windows are slower, as the client
/// library looks at all that is unconfirmed for each confirmation.
const WINDOW: usize = 256;
const WINDOW_BYTES: usize = 4 * 1024 * 1024;

/// Callers that wait for a task; further ones wait for a place.
const JOBS: usize = 64;

/// How long the broker may take to confirm a window.
const CONFIRMING: Duration = Duration::from_secs(10);

/// How often to look whether a blocked connection is free again. The client library has no signal
/// that several can wait for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What became of a message.
pub(super) type Taken = Result<(), WhyUndelivered>;

/// Hands messages to the tasks that publish them.
pub(super) struct Publisher {
    jobs: mpsc::Sender<Job>,
}

struct Job {
    messages: Vec<Outgoing>,
    answer: oneshot::Sender<Vec<Taken>>,
}

impl Publisher {
    /// Starts so many tasks, and as many windows may be on their way at a time; they end when the transport is
    /// closed or this is dropped.
    pub(super) fn start(link: &Arc<Link>, tasks: usize, closed: &CancellationToken) -> Self {
        let (jobs, received) = mpsc::channel(JOBS);
        let received = Arc::new(Mutex::new(received));
        let trials = Trials::new(link.clone(), closed.clone());
        for _ in 0..tasks {
            let task = Task {
                link: link.clone(),
                channel: None,
                trials: trials.clone(),
            };
            let (received, closed) = (received.clone(), closed.clone());
            tokio::spawn(async move {
                // Dropped in the middle, it may have handed over any of them, as the contract says.
                _ = closed.run_until_cancelled(task.run(received)).await;
            });
        }
        Self { jobs }
    }

    /// What became of each message, in their order.
    pub(super) async fn publish(&self, messages: Vec<Outgoing>) -> Vec<Taken> {
        let count = messages.len();
        let (answer, answered) = oneshot::channel();
        let sent = self.jobs.send(Job { messages, answer }).await;
        let answered = match sent {
            Ok(()) => answered.await.ok(),
            Err(_) => None,
        };
        answered.unwrap_or_else(|| vec![Err(WhyUndelivered::Closed); count])
    }
}

struct Task {
    link: Arc<Link>,
    channel: Option<Channel>,
    trials: Trials,
}

impl Task {
    async fn run(mut self, jobs: Arc<Mutex<mpsc::Receiver<Job>>>) {
        let mut round = Vec::new();
        while take(&jobs, &mut round).await > 0 {
            let counts: Vec<_> = round.iter().map(|job| job.messages.len()).collect();
            let messages = round.iter_mut().flat_map(|job| job.messages.drain(..));
            let mut taken = self.publish(messages.collect()).await.into_iter();
            for (job, count) in round.drain(..).zip(counts) {
                // Whoever asked may have gone.
                _ = job.answer.send(taken.by_ref().take(count).collect());
            }
        }
    }

    async fn publish(&mut self, messages: Vec<Outgoing>) -> Vec<Taken> {
        let mut taken = Vec::with_capacity(messages.len());
        let mut sound = Vec::with_capacity(messages.len());
        for message in &messages {
            let on_trial = self.trials.answer(message);
            taken.push(on_trial.map_or(Ok(()), Err));
            sound.extend(on_trial.is_none().then_some(message));
        }
        let mut answers = Vec::with_capacity(sound.len());
        let mut rest = &sound[..];
        while !rest.is_empty() {
            let (window, others) = rest.split_at(window(rest));
            rest = others;
            answers.extend(self.publish_window(window).await);
        }
        let published = taken.iter_mut().filter(|taken| taken.is_ok());
        for (taken, answer) in published.zip(answers) {
            *taken = answer;
        }
        taken
    }

    async fn publish_window(&mut self, window: &[&Outgoing]) -> Vec<Taken> {
        let all = |why| vec![Err(why); window.len()];
        let (connection, channel) = match self.open().await {
            Ok(Some(open)) => open,
            Ok(None) => {
                warn!(
                    count = window.len(),
                    "the broker takes no messages: it is short of memory or disk"
                );
                // Nothing was handed over, so this is certain.
                return all(WhyUndelivered::Full);
            }
            Err(error) => {
                warn!(
                    error,
                    count = window.len(),
                    "messages cannot be published now"
                );
                return all(WhyUndelivered::Unconfirmed);
            }
        };
        let end = Instant::now() + CONFIRMING;
        let confirmed = confirmed(&channel, window, end).await;
        let is_alive = connection.status().connected() && !connection.status().blocked();
        if is_alive && Instant::now() >= end {
            self.put_silent_ones_on_trial(window, &confirmed);
        }
        if confirmed.iter().any(Option::is_none) {
            // What is still on its way there would come between later windows.
            self.channel = None;
            // One that is blocked stays: another would be blocked too, and so they would pile up.
            if !connection.status().blocked() {
                self.link.drop_connection(&connection).await;
            }
        }
        match_returns(window, confirmed)
    }

    /// One of the queues that confirmed nothing of this window holds the others up.
    fn put_silent_ones_on_trial(&self, window: &[&Outgoing], confirmed: &[Option<Confirmation>]) {
        let mut spoke = HashMap::new();
        for (message, confirmation) in window.iter().zip(confirmed) {
            *spoke.entry(&message.route).or_insert(false) |= confirmation.is_some();
        }
        for (queue, _) in spoke.into_iter().filter(|(_, spoke)| !spoke) {
            self.trials.begin(queue);
        }
    }

    /// What to publish on, unless the broker takes nothing.
    async fn open(&mut self) -> Result<Option<(Arc<Connection>, Channel)>, Cause> {
        let connection = self.link.connection().await?;
        if !is_free(&connection).await {
            return Ok(None);
        }
        let channel = match self.channel.take() {
            Some(channel) if channel.status().connected() => channel,
            _ => confirming_channel(&self.link).await?,
        };
        Ok(Some((connection, self.channel.insert(channel).clone())))
    }
}

/// Waits for jobs, and takes all that wait.
async fn take(jobs: &Mutex<mpsc::Receiver<Job>>, round: &mut Vec<Job>) -> usize {
    jobs.lock().await.recv_many(round, JOBS).await
}

/// A new channel that confirms.
pub(super) async fn confirming_channel(link: &Arc<Link>) -> Result<Channel, Cause> {
    let channel = link.channel().await?;
    let selecting = channel.confirm_select(ConfirmSelectOptions::default());
    timeout(PATIENCE, selecting).await??;
    Ok(channel)
}

/// How many of the first messages make a window.
fn window(messages: &[&Outgoing]) -> usize {
    let mut bytes = 0;
    let fits = messages.iter().take(WINDOW).take_while(|message| {
        bytes += message.body.len();
        bytes <= WINDOW_BYTES
    });
    fits.count().max(1)
}

/// Whether the connection is not blocked, or not any more within the patience. While it is, the
/// client library keeps what is published in memory, so nothing must be.
async fn is_free(connection: &Connection) -> bool {
    let end = Instant::now() + PATIENCE;
    while connection.status().blocked() {
        if Instant::now() >= end {
            return false;
        }
        sleep(LOOK_AGAIN).await;
    }
    true
}

/// What the broker said about each message until then; nothing if the channel ended before.
pub(super) async fn confirmed(
    channel: &Channel,
    window: &[&Outgoing],
    end: Instant,
) -> Vec<Option<Confirmation>> {
    let mandatory = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let published = window.iter().map(|message| {
        channel.basic_publish(
            // The default exchange leads to the queue of that name and to nowhere else, so that a
            // queue that is missing is told.
            "".into(),
            message.route.as_str().into(),
            mandatory,
            &message.body,
            message.properties.clone(),
        )
    });
    // Polled in order, each is handed over in its first step: they keep their order.
    let Ok(published) = timeout_at(end, join_all(published)).await else {
        return window.iter().map(|_| None).collect();
    };
    let confirms = published
        .into_iter()
        .map(async |published| match published {
            Ok(confirm) => timeout_at(end, confirm).await.ok()?.ok(),
            Err(_) => None,
        });
    join_all(confirms).await
}

fn match_returns(window: &[&Outgoing], confirmed: Vec<Option<Confirmation>>) -> Vec<Taken> {
    let mut taken = Vec::with_capacity(window.len());
    let mut returned = Vec::new();
    for confirmation in confirmed {
        taken.push(match &confirmation {
            Some(Confirmation::Ack(_)) => Ok(()),
            // That is how a queue refuses which holds as much as it may.
            Some(Confirmation::Nack(_)) => Err(WhyUndelivered::Full),
            // A channel that does not confirm would be a mistake of ours; it proves nothing.
            Some(Confirmation::NotRequested) | None => Err(WhyUndelivered::Unconfirmed),
        });
        returned.extend(confirmation.and_then(Confirmation::take_message));
    }
    for back in &returned {
        let of = window
            .iter()
            .zip(&mut taken)
            .find(|(message, taken)| taken.is_ok() && is_return_of(back, message));
        match of {
            Some((_, taken)) => *taken = Err(WhyUndelivered::NoSuchQueue),
            // It is one of these, and it cannot be told which.
            None => taken.fill(Err(WhyUndelivered::Unconfirmed)),
        }
    }
    taken
}

fn is_return_of(back: &BasicReturnMessage, message: &Outgoing) -> bool {
    back.routing_key.as_str() == message.route.as_str()
        && back.properties.message_id() == message.properties.message_id()
}
