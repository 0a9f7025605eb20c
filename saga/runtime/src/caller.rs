//! Calls to whoever owns a saga's partition, over its inbox: from a process that need not own any.
//!
//! A request is sent again, under the same message id, until it is answered or its caller's time is
//! over: every request may be made twice, so neither a lost message nor a change of the owner matters.
//! Nothing is kept by the owner for a caller but for some seconds; so the end of a saga is asked for
//! again and again.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    num::NonZeroU32,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sagalog_model::log::PartitionId;
use sagalog_transport::{
    ConsumeError, Consumer, ConsumerError, DeclareError, Kind, Message, MessageId, PublishError,
    Queue, Transport, WhyUndelivered,
};
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::{OnceCell, Semaphore, oneshot},
    time::{Instant, sleep, sleep_until, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use crate::{
    client::CallError,
    driver::{chain, message_id},
    request::{Answer, Refused, Request, Roll},
};

/// How long an owner keeps a question for a saga's end before it says that there is none yet.
pub(crate) const END_WITHIN: Duration = Duration::from_secs(3);

/// How long to wait for an answer, beyond what the owner may take, before a request is sent again.
pub(crate) const AGAIN: Duration = Duration::from_secs(2);

/// Requests of one process that are not answered; further callers wait for a place, in their time.
const CALLS: usize = 1_024;

/// Callers of one process that wait for the ends of sagas, apart from the requests that may bring the
/// ends about; further ones wait for a place.
const ENDS: usize = 16_384;

/// Answers that wait to be taken: one for each caller, and as many again that nobody waits for.
const ANSWERS: usize = 2 * (CALLS + ENDS);

/// A patience beyond this is no longer one: clocks end somewhere.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Answers taken at once.
const PREFETCH: usize = 256;

/// Sends requests to the inboxes of partitions, and brings their answers to whoever waits.
pub(crate) struct Caller {
    transport: Arc<dyn Transport>,
    queue: Queue,
    sent: AtomicU64,
    partitions: OnceCell<NonZeroU32>,
    calls: Semaphore,
    ends: Semaphore,
    waiting: Arc<Waiting>,
    /// Takes answers, from the first call on.
    taking: OnceCell<AbortOnDropHandle<()>>,
}

/// Who waits for the answer to which message.
#[derive(Default)]
struct Waiting {
    by_message: Mutex<HashMap<MessageId, oneshot::Sender<Answer>>>,
}

/// Somebody waits as long as this is there.
struct Place<'a> {
    waiting: &'a Waiting,
    message: MessageId,
}

/// When a caller's time is over, and how long it is; nothing if it waits for an end.
type Time = Option<(Instant, Duration)>;

/// Why a request is not on its way.
enum Trouble {
    /// It may be sent again.
    Passing(String),
    /// The transport was closed.
    Closed,
}

impl Caller {
    /// Of a log whose partitions are so many; asked for if that is not known.
    pub(crate) fn new(transport: Arc<dyn Transport>, partitions: Option<NonZeroU32>) -> Self {
        // Seeded by the system: no other process has this name.
        let [a, b] = [(); 2].map(|()| RandomState::new().hash_one(()));
        let queue = Queue::answers(&format!("{a:016x}{b:016x}")).expect("digits name a queue");
        Self {
            transport,
            queue,
            sent: AtomicU64::new(0),
            partitions: OnceCell::new_with(partitions),
            calls: Semaphore::new(CALLS),
            ends: Semaphore::new(ENDS),
            waiting: Arc::default(),
            taking: OnceCell::new(),
        }
    }

    /// Sends a request until it is answered, for so long at most. A question for an end is answered
    /// when that has come, however long it takes.
    ///
    /// # Errors
    /// [`CallError`]: what the owner said, or that nobody answered.
    pub(crate) async fn ask(
        &self,
        request: &Request,
        patience: Duration,
    ) -> Result<Answer, CallError> {
        let deadline = Instant::now() + patience.min(FOREVER);
        let is_end = matches!(request, Request::End { .. });
        let time = (!is_end).then_some((deadline, patience));
        let places = if is_end { &self.ends } else { &self.calls };
        let place = timeout_at(deadline, places.acquire()).await;
        let _place = place
            .map_err(|_| {
                no_answer(
                    patience,
                    "too many calls of this process wait for an answer",
                )
            })?
            .expect("it is never closed");
        let to = match (request.saga_id()?, request.partition()) {
            (Some(saga), _) => PartitionId::of(saga.as_str(), self.partitions(time).await?),
            (None, Some(partition)) if partition.get() < self.partitions(time).await?.get() => {
                partition
            }
            (None, Some(partition)) => return Err(CallError::NoSuchPartition { partition }),
            (None, None) => PartitionId::new(0),
        };
        loop {
            match self.exchange(to, request, time).await? {
                Answer::Refused(refused) => return Err(refused.into()),
                Answer::Standing(standing) if is_end && !standing.status.is_terminal() => {}
                answer => return Ok(answer),
            }
        }
    }

    /// How many partitions the log has: whoever drives the first one says it.
    async fn partitions(&self, time: Time) -> Result<NonZeroU32, CallError> {
        let asked = self.partitions.get_or_try_init(async || {
            let first = PartitionId::new(0);
            let answer = self.exchange(first, &Request::Who {}, time).await?;
            let owner = match answer {
                Answer::Owner(owner) => NonZeroU32::new(owner.partitions),
                _ => None,
            };
            owner.ok_or_else(|| {
                Refused::new("unknown_answer", "the owner does not say who it is").into()
            })
        });
        asked.await.copied()
    }

    /// Sends one message until it is answered.
    async fn exchange(
        &self,
        to: PartitionId,
        request: &Request,
        time: Time,
    ) -> Result<Answer, CallError> {
        let message = self.message(to, request);
        let (_place, mut answered) = self.waiting.enter(message.id);
        let answers_within = match request {
            Request::End { .. } => END_WITHIN + AGAIN,
            // Said again by itself.
            Request::Participants(Roll::Announce(_) | Roll::Leave { .. }) => FOREVER,
            _ => AGAIN,
        };
        let why = Mutex::new(String::new());
        let sending = async {
            loop {
                let (pause, trouble) = match self.send(message.clone()).await {
                    Ok(()) => (answers_within, "nobody answers".to_owned()),
                    Err(Trouble::Passing(trouble)) => (AGAIN, trouble),
                    Err(Trouble::Closed) => return,
                };
                *lock(&why) = trouble;
                sleep(pause).await;
            }
        };
        tokio::select! {
            biased;
            answer = &mut answered => answer.map_err(|_| CallError::Stopped { why: None }),
            () = sending => Err(CallError::Stopped { why: None }),
            after = over(time) => Err(no_answer(after, &lock(&why))),
        }
    }

    async fn send(&self, message: Message) -> Result<(), Trouble> {
        let begun = self.taking.get_or_try_init(async || {
            self.transport.declare(&self.queue, ANSWERS).await?;
            let (transport, queue) = (self.transport.clone(), self.queue.clone());
            let taking = take(transport, queue, self.waiting.clone());
            Ok(AbortOnDropHandle::new(tokio::spawn(taking)))
        });
        begun.await.map_err(|error| match error {
            DeclareError::Closed => Trouble::Closed,
            error => Trouble::Passing(chain(&error)),
        })?;
        let published = self.transport.publish(vec![message]).await;
        published.map_err(|PublishError(undelivered)| match undelivered[0].why {
            WhyUndelivered::Closed => Trouble::Closed,
            WhyUndelivered::NoSuchQueue => {
                let queue = &undelivered[0].message.to;
                Trouble::Passing(format!("there is no {queue}, so no node was ever started"))
            }
            why => Trouble::Passing(why.to_string()),
        })
    }

    fn message(&self, to: PartitionId, request: &Request) -> Message {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let mut hash = Sha256::new();
        hash.update(self.queue.as_str().as_bytes());
        hash.update(number.to_be_bytes());
        let content = serde_json::to_string(request).expect("a request is plain data");
        Message::new(
            message_id(hash),
            Kind::Control,
            self.queue.clone(),
            Queue::inbox(to.get()),
            content,
        )
    }
}

impl Waiting {
    fn enter(&self, message: MessageId) -> (Place<'_>, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        self.lock().insert(message, answer);
        let place = Place {
            waiting: self,
            message,
        };
        (place, answered)
    }

    /// Nobody may wait any more, which changes nothing.
    fn answer(&self, message: &Message) {
        let waiting = message
            .correlation
            .and_then(|asked| self.lock().remove(&asked));
        let Some(waiting) = waiting else {
            return;
        };
        let answer = serde_json::from_str(&message.content).unwrap_or_else(|why| {
            let why = format!("the answer is none that this release knows: {why}");
            Answer::Refused(Refused::new("unknown_answer", why))
        });
        drop(waiting.send(answer));
    }

    /// Nothing is answered any more.
    fn leave_all(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<MessageId, oneshot::Sender<Answer>>> {
        lock(&self.by_message)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.waiting.lock().remove(&self.message);
    }
}

/// Takes answers until the transport is closed. What was lost with a connection is asked for again by
/// whoever waits.
async fn take(transport: Arc<dyn Transport>, queue: Queue, waiting: Arc<Waiting>) {
    let mut is_again = false;
    loop {
        match transport.consume(&queue, PREFETCH).await {
            Ok(consumer) => {
                if is_again {
                    info!(%queue, "answers are taken again");
                }
                if let Err(ConsumerError::Closed) = take_from(consumer, &waiting).await {
                    break;
                }
                warn!(%queue, "the connection to the answers was lost");
            }
            Err(ConsumeError::Closed) => break,
            Err(error) => {
                warn!(%queue, why = chain(&error), "answers cannot be taken yet");
                sleep(AGAIN).await;
            }
        }
        is_again = true;
    }
    waiting.leave_all();
}

async fn take_from(
    mut consumer: Box<dyn Consumer>,
    waiting: &Waiting,
) -> Result<(), ConsumerError> {
    let mut answers = Vec::new();
    loop {
        consumer.receive(&mut answers, PREFETCH).await?;
        let tags: Vec<_> = answers.iter().map(|answer| answer.tag).collect();
        for answer in answers.drain(..) {
            waiting.answer(&answer.message);
        }
        consumer.ack(&tags).await?;
    }
}

fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that runs under the lock leaves it half changed, so a poisoned one is still good.
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn over(time: Time) -> Duration {
    match time {
        Some((deadline, patience)) => {
            sleep_until(deadline).await;
            patience
        }
        None => std::future::pending().await,
    }
}

fn no_answer(after: Duration, why: &str) -> CallError {
    CallError::NoAnswer {
        after,
        why: why.into(),
    }
}

#[cfg(test)]
mod tests {
    use sagalog_transport::InProcess;
    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn calls_and_waits_for_ends_are_bounded_apart() {
        let transport = Arc::new(InProcess::new());
        let inbox = Queue::inbox(0);
        let declared = transport.declare(&inbox, 2 * CALLS).await;
        declared.expect("it is new");
        let caller = Arc::new(Caller::new(transport.clone(), Some(NonZeroU32::MIN)));
        let (state, end) = (
            Request::State { saga: "s".into() },
            Request::End { saga: "s".into() },
        );
        let mut asking = JoinSet::new();
        for _ in 0..CALLS {
            let (caller, state) = (caller.clone(), state.clone());
            asking.spawn(async move { caller.ask(&state, Duration::MAX).await });
        }
        let mut consumer = transport.consume(&inbox, 2 * CALLS).await.expect("a queue");
        let mut sent = Vec::new();
        while sent.len() < CALLS {
            consumer
                .receive(&mut sent, CALLS)
                .await
                .expect("it is open");
        }
        let refused = caller.ask(&state, Duration::ZERO).await;
        assert_eq!(
            refused.expect_err("there is no place").to_string(),
            "no answer within 0 s: too many calls of this process wait for an answer"
        );
        asking.spawn(async move { caller.ask(&end, Duration::MAX).await });
        let is_end = |content: &str| content.starts_with(r#"{"end""#);
        while !sent.iter().any(|sent| is_end(&sent.message.content)) {
            consumer
                .receive(&mut sent, CALLS)
                .await
                .expect("it is open");
        }
    }
}
