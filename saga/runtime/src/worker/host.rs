//! The host: takes commands, keeps the participant's contract around the handlers, replies.

use std::{
    collections::{BTreeMap, HashMap},
    future::pending,
    hash::{BuildHasher, RandomState},
    num::NonZeroUsize,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use sagalog_model::{graph::participant, log::Time};
use sagalog_transport::{
    BadQueueName, ConsumeError, Consumer, ConsumerError, DeclareError, Queue, Transport,
};
use tokio::{
    select,
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::warn;

use super::{
    announcer::Announcer,
    calls::Ended,
    faults::HandlerFault,
    lane::Lane,
    link::Beat,
    steps::{StepHandlers, Worker},
};
use crate::{
    client::Client,
    clock::{Clock, Sleep, SystemClock},
    observe::{Observe, Watch},
    runtime::default_node,
};

/// How many commands wait in the queue of one participant before publishers are told that it is
/// full.
pub const COMMANDS_MAX: usize = 65_536;

/// Runs the handlers of a [`Worker`]: one loop for each participant that its steps belong to.
///
/// What it promises of the participant's contract:
/// - A command is not started after its deadline; it is acknowledged and not answered, as the
///   runtime's own timer has settled it.
/// - At its deadline a call is cancelled (its future is dropped at its next `await`) and reported
///   unknown.
/// - At most one call runs per action key; the next attempt, the probe and the compensation of that
///   key wait for its end, even if it was cancelled and is slow to end.
/// - A panic is unknown and the process lives. So is an output that cannot be written as JSON or is
///   larger than 256 KiB. An input that cannot be read failed for good: nothing took effect.
/// - A command that is delivered again is answered again: a success to every attempt of the same
///   work, a failure to its attempt. An action whose compensation succeeded here is refused. This is
///   kept in memory, for the latest 65,536 keys or 64 MiB of outcomes of each participant.
/// - A command is acknowledged after its reply was taken.
/// - Of a step with a heartbeat: a call that says that it goes on is not cancelled before the attempt
///   may end; what was accepted is answered as accepted again; the turn of the saga reaches the
///   handler as [`Attempt::cancelled`](super::Attempt::cancelled).
///
/// A handler's first step, up to its first wait, runs in the host's loop: that makes short handlers
/// cheap, and a handler that computes for long should do so in `tokio::task::spawn_blocking`.
pub struct WorkerHost {
    lanes: Vec<(Queue, HashMap<Arc<str>, StepHandlers>)>,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    at_most: usize,
    grace: Duration,
    capabilities: BTreeMap<Arc<str>, Arc<str>>,
    announcer: Option<(Client, Arc<str>)>,
    watch: Watch,
}

/// Commands taken and not answered, for each participant, unless [`WorkerHost::at_most`] says
/// otherwise.
const DEFAULT_AT_MOST: usize = 1024;

/// How long running calls may go on after the stop, unless [`WorkerHost::grace`] says otherwise.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// Commands, and ends of calls, handled between two looks at everything else.
const BATCH: usize = 128;

/// How long to wait before consuming again after the connection was lost.
const CONSUME_AGAIN: Duration = Duration::from_secs(1);

impl WorkerHost {
    /// A host for these handlers.
    ///
    /// # Errors
    /// [`HostError::Handlers`] if a step has two handlers for the same or of different types,
    /// [`HostError::Participant`] if a step's participant cannot name a queue.
    pub fn new<S>(
        worker: Worker<S>,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, HostError> {
        if !worker.faults.is_empty() {
            return Err(HostError::Handlers(worker.faults));
        }
        let mut lanes: HashMap<Queue, HashMap<_, _>> = HashMap::new();
        for (name, handlers) in worker.steps {
            let queue = command_queue(&name)?;
            lanes.entry(queue).or_default().insert(name, handlers);
        }
        Ok(Self {
            lanes: lanes.into_iter().collect(),
            transport,
            clock,
            at_most: DEFAULT_AT_MOST,
            grace: DEFAULT_GRACE,
            capabilities: worker.capabilities,
            announcer: None,
            watch: Watch::nobody(),
        })
    }

    /// How many commands of one participant are taken and not answered at a time: running, waiting
    /// for their turn, or waiting for room in an inbox. 1024 unless said otherwise.
    #[must_use]
    pub fn at_most(mut self, commands: NonZeroUsize) -> Self {
        self.at_most = commands.get();
        self
    }

    /// How long running calls may go on after the stop; 10 s unless said otherwise.
    #[must_use]
    pub fn grace(mut self, span: Duration) -> Self {
        self.grace = span;
        self
    }

    pub(crate) fn watched(mut self, watch: Watch) -> Self {
        self.watch = watch;
        self
    }

    /// Says to whoever this client reaches that the host is there, and what it can do, every 5 s, as an
    /// instance of this program. While nobody hears it, it says so less often, every 30 s at least.
    #[must_use]
    pub fn announced(mut self, client: Client, program: &str) -> Self {
        let instance = format!(
            "{program}-{}-{:08x}",
            std::process::id(),
            RandomState::new().hash_one(()) as u32
        );
        self.announcer = Some((client, instance.into()));
        self
    }

    /// Makes sure that the command queues are there, so that commands can be published before the
    /// host runs.
    ///
    /// # Errors
    /// Those of the transport.
    pub async fn declare(&self) -> Result<(), DeclareError> {
        for (queue, _) in &self.lanes {
            self.transport.declare(queue, COMMANDS_MAX).await?;
        }
        Ok(())
    }

    /// Serves commands until `stop` is cancelled or the transport is closed.
    ///
    /// At the stop it takes no more commands, lets running calls end within the grace, and cancels
    /// the rest. What was not answered was not acknowledged either and is delivered again. Dropped,
    /// it stops without grace.
    ///
    /// # Errors
    /// [`HostError::Declare`] and [`HostError::Consume`]: then it does not serve any participant.
    pub async fn run(self, stop: CancellationToken) -> Result<(), HostError> {
        self.declare().await?;
        let stop = stop.child_token();
        let announcing = self
            .announcer()
            .map(|announcer| announcer.run(stop.clone()));
        let announcing = announcing.map(|it| AbortOnDropHandle::new(tokio::spawn(it)));
        let mut loops = JoinSet::new();
        for (queue, steps) in self.lanes {
            let consumer = self.transport.consume(&queue, self.at_most).await?;
            let (ends, ended) = unbounded_channel();
            let (beats, beating) = unbounded_channel();
            let lane = Serving {
                lane: Lane::new(steps, ends, beats, self.clock.clone(), self.watch.clone()),
                ended,
                beating,
                queue,
                consumer,
                transport: self.transport.clone(),
                clock: self.clock.clone(),
                at_most: self.at_most,
                grace: self.grace,
            };
            loops.spawn(lane.serve(stop.clone()));
        }
        let mut result = Ok(());
        while let Some(ended) = loops.join_next().await {
            let ended =
                ended.expect("handlers' panics are caught, and the loop has none of its own");
            if ended.is_err() && result.is_ok() {
                result = ended;
                // Half of the participants served would be noticed late.
                stop.cancel();
            }
        }
        // Also without a stop: the transport may have been closed.
        stop.cancel();
        if let Some(announcing) = announcing {
            announcing
                .await
                .expect("it is not aborted and does not panic");
        }
        result
    }

    fn announcer(&self) -> Option<Announcer> {
        let (client, instance) = self.announcer.clone()?;
        let participants = self.lanes.iter().filter_map(|(_, steps)| {
            let name = participant(steps.keys().next()?).to_owned();
            let steps = steps.keys().map(|step| (step.clone(), Arc::from("")));
            let mut able: BTreeMap<_, _> = steps.collect();
            able.extend(self.capabilities.clone());
            Some((name, able))
        });
        Some(Announcer::new(client, instance, self.at_most, participants))
    }
}

impl<S: Clone + Send + Sync + 'static> Worker<S> {
    /// Serves these steps in a process that need not have a runtime, until `stop` is done: then it
    /// takes no more commands and lets running calls end within 10 s.
    ///
    /// The runtime says [`elsewhere`](crate::RuntimeBuilder::elsewhere) of these participants.
    ///
    /// # Errors
    /// [`HostError`]
    pub async fn serve(
        self,
        transport: Arc<dyn Transport>,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<(), HostError> {
        self.serve_watched(transport, Watch::nobody(), stop).await
    }

    /// The same, and tells this one what was [called](Observe::called).
    ///
    /// # Errors
    /// [`HostError`]
    pub async fn serve_observed(
        self,
        transport: Arc<dyn Transport>,
        observer: Arc<dyn Observe>,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<(), HostError> {
        self.serve_watched(transport, Watch::by(observer), stop)
            .await
    }

    async fn serve_watched(
        self,
        transport: Arc<dyn Transport>,
        watch: Watch,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<(), HostError> {
        let client = Client::connect(transport.clone());
        let host = WorkerHost::new(self, transport, Arc::new(SystemClock))?;
        let host = host.watched(watch).announced(client, &default_node());
        let stopped = CancellationToken::new();
        let mut serving = pin!(host.run(stopped.clone()));
        select! {
            ended = &mut serving => return ended,
            () = stop => stopped.cancel(),
        }
        serving.await
    }
}

/// The queue that the commands of a step go to.
///
/// # Errors
/// [`BadQueueName`] if its participant cannot name a queue.
pub fn command_queue(step: &str) -> Result<Queue, BadQueueName> {
    Queue::commands(participant(step))
}

/// Why a host cannot serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// Put the handlers right.
    #[error("{} handlers are wrong, the first: {}", .0.len(), .0[0])]
    Handlers(Vec<HandlerFault>),
    /// Rename the step.
    #[error("a step's participant cannot name a queue")]
    Participant(#[from] BadQueueName),
    /// A command queue cannot be declared.
    #[error("a command queue cannot be declared")]
    Declare(#[from] DeclareError),
    /// Commands cannot be received.
    #[error("commands cannot be received")]
    Consume(#[from] ConsumeError),
}

/// One participant being served.
struct Serving {
    lane: Lane,
    ended: UnboundedReceiver<Ended>,
    beating: UnboundedReceiver<Beat>,
    queue: Queue,
    consumer: Box<dyn Consumer>,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    at_most: usize,
    grace: Duration,
}

impl Serving {
    async fn serve(mut self, stop: CancellationToken) -> Result<(), HostError> {
        let mut ends = Vec::with_capacity(BATCH);
        let mut beats = Vec::with_capacity(BATCH);
        let mut deliveries = Vec::with_capacity(BATCH);
        let mut deadline = Alarm::default();
        let mut end_of_grace = Alarm::default();
        let mut consume_again = Alarm::default();
        let mut sending = FuturesUnordered::new();
        loop {
            let outbox = &mut self.lane.outbox;
            sending.extend(
                outbox
                    .take()
                    .map(|batch| batch.send(self.transport.clone())),
            );
            outbox.settle(&mut *self.consumer).await;
            let stopping = end_of_grace.is_set();
            if stopping && self.lane.is_idle() {
                return Ok(());
            }
            deadline.set(self.lane.next_deadline(), &*self.clock);
            select! {
                // Ends before beginnings: they make room.
                biased;
                () = stop.cancelled(), if !stopping => {
                    self.lane.forget_waiting();
                    end_of_grace.set(Some(self.after(self.grace)), &*self.clock);
                }
                () = end_of_grace.rings() => return Ok(()),
                Some(sent) = sending.next() => self.lane.outbox.sent(sent),
                _ = self.ended.recv_many(&mut ends, BATCH) => {
                    ends.drain(..).for_each(|end| self.lane.ended(end));
                }
                // Before deadlines, which they move.
                _ = self.beating.recv_many(&mut beats, BATCH) => {
                    beats.drain(..).for_each(|beat| self.lane.beat(&beat));
                }
                () = deadline.rings() => self.lane.cancel_due(),
                () = self.lane.outbox.room(&self.transport), if self.lane.outbox.is_stuck() => {
                    self.lane.outbox.retry();
                }
                () = consume_again.rings(), if !stopping => {
                    if !self.consume_again().await? {
                        consume_again.set(Some(self.after(CONSUME_AGAIN)), &*self.clock);
                    }
                }
                received = self.consumer.receive(&mut deliveries, BATCH),
                    if !stopping && !consume_again.is_set() =>
                match received {
                    Ok(()) => deliveries.drain(..).for_each(|it| self.lane.take(it)),
                    Err(ConsumerError::Closed) => return Ok(()),
                    Err(lost) => {
                        warn!(queue = %self.queue, "{lost}");
                        self.lane.forget_waiting();
                        consume_again.set(Some(self.after(Duration::ZERO)), &*self.clock);
                    }
                }
            }
        }
    }

    /// Whether there is a new consumer. What was taken and not started is delivered again to it;
    /// what runs goes on, and its command, delivered again, is answered from memory.
    async fn consume_again(&mut self) -> Result<bool, HostError> {
        match self.transport.consume(&self.queue, self.at_most).await {
            Ok(consumer) => {
                self.consumer = consumer;
                Ok(true)
            }
            Err(ConsumeError::Unavailable(error)) => {
                warn!(queue = %self.queue, error, "the queue cannot be consumed yet");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn after(&self, span: Duration) -> Time {
        self.clock.now().after(span)
    }
}

/// A wait that outlives the rounds of a loop.
#[derive(Default)]
struct Alarm(Option<(Time, Sleep)>);

impl Alarm {
    fn set(&mut self, at: Option<Time>, clock: &dyn Clock) {
        if self.0.as_ref().map(|(at, _)| *at) != at {
            self.0 = at.map(|at| (at, clock.sleep_until(at)));
        }
    }

    fn is_set(&self) -> bool {
        self.0.is_some()
    }

    async fn rings(&mut self) {
        match &mut self.0 {
            Some((_, sleep)) => {
                sleep.await;
                // A finished future is not polled again.
                self.0 = None;
            }
            None => pending().await,
        }
    }
}
