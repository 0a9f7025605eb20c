//! The loop around the partition machine: what comes in goes to it, what comes out is done.
//!
//! The loop waits for nothing else than its inputs: an append, a look-up and a publish are each
//! under way at most once, beside it.

use std::{collections::HashMap, future::Future, pin::Pin, sync::Arc};

use sagalog_engine::{
    Answer, Effect, Input, Partition, Query, Rules, Ticket,
    partition::{CannotTakeOver, DefinitionChanged, Found, Registry, Taken},
};
use sagalog_eventlog::{AcquireError, AppendError, Appended, EventLog, Owner};
use sagalog_model::{
    Command, Reply, SagaId,
    log::{Epoch, PartitionId},
};
use sagalog_projections::SagaState;
use sagalog_transport::{
    Consumer, ConsumerError, Delivery, Kind, Message, MessageId, Nack, PublishError, Queue, Tag,
    Transport, Undelivered, WhyUndelivered,
};
use sha2::{Digest as _, Sha256};
use tokio::{
    select,
    sync::{mpsc, oneshot},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    client::CallError,
    clock::{Clock, Sleep},
    guard::Guard,
    history::{HistoryError, Reader},
    worker::command_queue,
};

/// Inputs taken between two looks at everything else.
const INPUTS: usize = 256;

/// Something a client wants, and where its answer goes.
pub(crate) struct Call {
    pub(crate) saga: SagaId,
    pub(crate) query: Query,
    pub(crate) answer: oneshot::Sender<Result<CallAnswer, CallError>>,
}

/// The answer to a client.
#[derive(Debug)]
pub(crate) enum CallAnswer {
    Recorded,
    State(Arc<SagaState>),
}

/// What a driver needs.
pub(crate) struct Parts {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) partition: PartitionId,
    pub(crate) registry: Registry,
    pub(crate) rules: Rules,
    pub(crate) node: String,
    pub(crate) inbox: Box<dyn Consumer>,
    pub(crate) calls: mpsc::Receiver<Call>,
    pub(crate) stop: CancellationToken,
}

/// Why a partition cannot be driven, or not any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriveError {
    /// Somebody else owns it, or it cannot be taken.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// Its history cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Sagas are under way that this program cannot go on with.
    #[error(transparent)]
    CannotTakeOver(#[from] CannotTakeOver),
    /// A definition of the log was changed without a new version.
    #[error(transparent)]
    DefinitionChanged(#[from] DefinitionChanged),
    /// The log took an append no more. Nothing is lost: what was answered is durable, and the next
    /// start goes on from there.
    #[error("the log takes no more")]
    Append(#[source] AppendError),
    /// The transport failed.
    #[error("the inbox cannot be read")]
    Inbox(#[from] ConsumerError),
}

/// A future that is under way, or not.
type Underway<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;

pub(crate) struct Driver {
    log: Arc<dyn EventLog>,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    reader: Reader,
    partition: PartitionId,
    registry: Registry,
    rules: Rules,
    node: String,
    inbox: Box<dyn Consumer>,
    inbox_name: Queue,
    calls: mpsc::Receiver<Call>,
    stop: CancellationToken,
    machine: Partition<Guard>,
    epoch: Epoch,
    /// Every input that is not answered, to be fed again after a take-over.
    pending: HashMap<Ticket, Pending>,
    next_ticket: u64,
    queues: HashMap<Arc<str>, Queue>,
    /// Commands that are to be published.
    outgoing: Vec<Message>,
    /// The last publish met a queue without room: wait for it before the next.
    waits_for_room: bool,
    acknowledged: Vec<Tag>,
    appending: Underway<Result<Appended, AppendError>>,
    looking_up: Underway<Result<Vec<(SagaId, Found)>, HistoryError>>,
    publishing: Underway<Result<(), PublishError>>,
    waking: Option<(sagalog_model::log::Time, Sleep)>,
}

struct Pending {
    saga: SagaId,
    query: Query,
    from: From,
}

enum From {
    Client(oneshot::Sender<Result<CallAnswer, CallError>>),
    Inbox(Tag),
}

/// What woke the loop.
enum Event {
    Appended(Result<Appended, AppendError>),
    LookedUp(Result<Vec<(SagaId, Found)>, HistoryError>),
    Published(Result<(), PublishError>),
    Received(Result<(), ConsumerError>),
    Called(usize),
    Woken,
    Stopped,
}

impl Driver {
    /// Takes the partition over.
    ///
    /// # Errors
    /// [`DriveError`]
    pub(crate) async fn take_over(parts: Parts) -> Result<Self, DriveError> {
        let Parts {
            log,
            transport,
            clock,
            partition,
            registry,
            rules,
            node,
            inbox,
            calls,
            stop,
        } = parts;
        let reader = Reader::new(log.clone(), partition);
        let (machine, epoch) =
            take(&log, &reader, partition, &registry, rules, &node, &*clock).await?;
        let mut driver = Self {
            log,
            transport,
            clock,
            reader,
            partition,
            registry,
            rules,
            node,
            inbox,
            inbox_name: Queue::inbox(partition.get()),
            calls,
            stop,
            machine,
            epoch,
            pending: HashMap::new(),
            next_ticket: 0,
            queues: HashMap::new(),
            outgoing: Vec::new(),
            waits_for_room: false,
            acknowledged: Vec::new(),
            appending: None,
            looking_up: None,
            publishing: None,
            waking: None,
        };
        driver.look_at_the_inbox().await?;
        Ok(driver)
    }

    /// Drives until it is told to stop, or cannot go on.
    ///
    /// # Errors
    /// [`DriveError`]: the callers have been told.
    pub(crate) async fn run(mut self) -> Result<(), DriveError> {
        let ended = self.drive().await;
        let why = ended.as_ref().err().map(|error| {
            error!(%error, "the partition is not driven any more");
            Arc::from(chain(error))
        });
        self.calls.close();
        while let Ok(call) = self.calls.try_recv() {
            drop(
                call.answer
                    .send(Err(CallError::Stopped { why: why.clone() })),
            );
        }
        for (_, pending) in self.pending.drain() {
            if let From::Client(answer) = pending.from {
                drop(answer.send(Err(CallError::Stopped { why: why.clone() })));
            }
        }
        if let Err(error) = self.log.release(self.partition).await {
            warn!(%error, "the partition could not be released in peace");
        }
        ended
    }

    async fn drive(&mut self) -> Result<(), DriveError> {
        let mut deliveries = Vec::with_capacity(INPUTS);
        let mut calls = Vec::with_capacity(INPUTS);
        loop {
            self.step().await?;
            match self.next(&mut deliveries, &mut calls).await {
                Event::Appended(result) => self.appended(result).await?,
                Event::LookedUp(found) => {
                    let now = self.clock.now();
                    for (saga, found) in found? {
                        self.machine.found(&saga, found, now);
                    }
                }
                Event::Published(result) => self.published(result)?,
                Event::Received(result) => {
                    result?;
                    self.receive(&mut deliveries).await?;
                }
                Event::Called(0) | Event::Stopped => break,
                Event::Called(_) => {
                    let now = self.clock.now();
                    for call in calls.drain(..) {
                        self.feed(
                            Pending {
                                saga: call.saga,
                                query: call.query,
                                from: From::Client(call.answer),
                            },
                            now,
                        );
                    }
                }
                Event::Woken => self.waking = None,
            }
        }
        self.finish().await
    }

    /// Waits for whatever comes first.
    async fn next(&mut self, deliveries: &mut Vec<Delivery>, calls: &mut Vec<Call>) -> Event {
        let takes = !self.machine.is_full();
        select! {
            biased;
            result = underway(&mut self.appending) => Event::Appended(result),
            found = underway(&mut self.looking_up) => Event::LookedUp(found),
            result = underway(&mut self.publishing) => Event::Published(result),
            result = self.inbox.receive(deliveries, INPUTS), if takes => Event::Received(result),
            count = self.calls.recv_many(calls, INPUTS), if takes => Event::Called(count),
            () = wake(&mut self.waking) => Event::Woken,
            () = self.stop.cancelled() => Event::Stopped,
        }
    }

    /// Does what the machine asks for now.
    async fn step(&mut self) -> Result<(), DriveError> {
        self.machine.fire_timers(self.clock.now());
        while let Some(effect) = self.machine.poll_effect() {
            self.perform(effect);
        }
        if !self.acknowledged.is_empty() {
            let tags = std::mem::take(&mut self.acknowledged);
            self.inbox.ack(&tags).await?;
        }
        if self.publishing.is_none() && !self.outgoing.is_empty() {
            self.publish();
        }
        if self.looking_up.is_none() && self.machine.wants_look_up() {
            let sagas = self.machine.poll_look_up();
            let reader = self.reader.clone();
            self.looking_up = Some(Box::pin(async move {
                let found = reader.look_up(&sagas).await?;
                Ok(sagas.into_iter().zip(found).collect())
            }));
        }
        if self.appending.is_none() {
            self.append();
        }
        self.rearm();
        Ok(())
    }

    fn rearm(&mut self) {
        // While the machine is full it fires nothing; the next commit looks at the timers again.
        let due = self
            .machine
            .next_timer()
            .filter(|_| !self.machine.is_full());
        if due != self.waking.as_ref().map(|(at, _)| *at) {
            self.waking = due.map(|at| (at, self.clock.sleep_until(at)));
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Ask(command) => {
                let message = self.message(&command);
                self.outgoing.push(message);
            }
            Effect::Answer { ticket, answer } => {
                let Some(pending) = self.pending.remove(&ticket) else {
                    return;
                };
                match pending.from {
                    // The caller may have gone, which changes nothing.
                    From::Client(caller) => drop(caller.send(match answer {
                        Answer::Recorded => Ok(CallAnswer::Recorded),
                        Answer::State(state) => Ok(CallAnswer::State(state)),
                        Answer::Refused(refusal) => Err(refusal.into()),
                    })),
                    From::Inbox(tag) => {
                        if let Answer::Refused(refusal) = answer {
                            warn!(saga = %pending.saga, %refusal, "a reply was not accepted");
                        }
                        self.acknowledged.push(tag);
                    }
                }
            }
        }
    }

    fn feed(&mut self, pending: Pending, now: sagalog_model::log::Time) {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        let input = Input {
            ticket,
            saga: pending.saga.clone(),
            what: pending.query.clone(),
        };
        if matches!(pending.query, Query::End) && ticket.0.is_multiple_of(1_024) {
            self.forget_callers_that_have_gone();
        }
        self.pending.insert(ticket, pending);
        self.machine.handle(input, now);
    }

    /// Those who wait for ends may leave: without this their places would never be free again.
    fn forget_callers_that_have_gone(&mut self) {
        let machine = &mut self.machine;
        self.pending.retain(|ticket, pending| {
            let gone = matches!(&pending.from, From::Client(answer) if answer.is_closed())
                && matches!(pending.query, Query::End);
            if gone {
                machine.forget(&pending.saga, *ticket);
            }
            !gone
        });
    }

    async fn receive(&mut self, deliveries: &mut Vec<Delivery>) -> Result<(), DriveError> {
        let now = self.clock.now();
        for delivery in deliveries.drain(..) {
            match serde_json::from_str::<Reply>(&delivery.message.content) {
                Ok(reply) => {
                    let saga = reply.saga.clone();
                    self.feed(
                        Pending {
                            saga,
                            query: Query::Reply(reply),
                            from: From::Inbox(delivery.tag),
                        },
                        now,
                    );
                }
                Err(why) => {
                    let reason = format!("it is not a reply: {why}");
                    warn!(message = %delivery.message.id, reason, "a message went to the dead letters");
                    self.inbox
                        .nack(delivery.tag, &reason, Nack::DeadLetter)
                        .await?;
                }
            }
        }
        Ok(())
    }

    async fn appended(&mut self, result: Result<Appended, AppendError>) -> Result<(), DriveError> {
        match result {
            Ok(appended) => {
                self.machine.committed(appended.last);
                Ok(())
            }
            Err(AppendError::Unknown { log, source }) => {
                warn!(log, error = %source, "it is not known what was appended; taking the partition over anew");
                self.take_over_again().await
            }
            Err(AppendError::Conflict(conflict)) => {
                warn!(%conflict, "the log is not where it was left; taking the partition over anew");
                self.take_over_again().await
            }
            Err(other) => Err(DriveError::Append(other)),
        }
    }

    /// The machine is built anew from the log, under a higher epoch, and every input that was not
    /// answered is fed again in order. Nothing is decided twice under one epoch.
    async fn take_over_again(&mut self) -> Result<(), DriveError> {
        let (machine, epoch) = take(
            &self.log,
            &self.reader,
            self.partition,
            &self.registry,
            self.rules,
            &self.node,
            &*self.clock,
        )
        .await?;
        self.machine = machine;
        self.epoch = epoch;
        self.looking_up = None;
        self.look_at_the_inbox().await?;
        let mut pending: Vec<_> = std::mem::take(&mut self.pending).into_iter().collect();
        pending.sort_unstable_by_key(|(ticket, _)| *ticket);
        let now = self.clock.now();
        for (_, pending) in pending {
            self.feed(pending, now);
        }
        Ok(())
    }

    async fn look_at_the_inbox(&mut self) -> Result<(), DriveError> {
        if self.inbox.is_empty().await? {
            self.machine.inbox_is_empty();
        }
        Ok(())
    }

    /// Begins to append what was decided, if anything was.
    fn append(&mut self) {
        let batches = self.machine.poll_append();
        if batches.is_empty() {
            return;
        }
        let (log, partition, epoch) = (self.log.clone(), self.partition, self.epoch);
        self.appending = Some(Box::pin(async move {
            log.append(partition, epoch, batches).await
        }));
    }

    fn publish(&mut self) {
        let transport = self.transport.clone();
        let messages = std::mem::take(&mut self.outgoing);
        let full = self.waits_for_room.then(|| messages[0].to.clone());
        self.publishing = Some(Box::pin(async move {
            if let Some(queue) = full {
                transport.room(&queue).await;
            }
            transport.publish(messages).await
        }));
    }

    fn published(&mut self, result: Result<(), PublishError>) -> Result<(), DriveError> {
        self.waits_for_room = false;
        let Err(PublishError(undelivered)) = result else {
            return Ok(());
        };
        let mut kept = Vec::new();
        for Undelivered { message, why } in undelivered {
            match why {
                WhyUndelivered::Closed => return Err(DriveError::Inbox(ConsumerError::Closed)),
                // Its attempt ends at its deadline, as that of any command that gets lost.
                WhyUndelivered::NoSuchQueue => warn!(queue = %message.to, "nobody takes a command"),
                // The window is smaller than any queue, so this is a transport in trouble. The
                // command is kept; its attempt's deadline bounds the wait.
                _ => {
                    warn!(queue = %message.to, %why, "a command could not be published");
                    kept.push(message);
                }
            }
        }
        self.waits_for_room = !kept.is_empty();
        self.outgoing.splice(0..0, kept);
        Ok(())
    }

    fn message(&mut self, command: &Command) -> Message {
        let to = match self.queues.get(&command.step) {
            Some(queue) => queue.clone(),
            None => {
                let queue =
                    command_queue(&command.step).expect("step names were checked at the start");
                self.queues.insert(command.step.clone(), queue.clone());
                queue
            }
        };
        let content = serde_json::to_string(command).expect("a command is plain data");
        let mut message = Message::new(
            command_id(command),
            Kind::Request,
            self.inbox_name.clone(),
            to,
            content,
        );
        message.deadline = Some(command.deadline);
        message
    }

    /// Nothing new is taken; what was decided becomes durable, and who waits for that is told.
    async fn finish(&mut self) -> Result<(), DriveError> {
        loop {
            if self.appending.is_none() {
                self.append();
            }
            if self.appending.is_none() {
                break;
            }
            let appended = underway(&mut self.appending)
                .await
                .map_err(DriveError::Append)?;
            self.machine.committed(appended.last);
        }
        while let Some(effect) = self.machine.poll_effect() {
            // Commands stay in state: they are asked again at the next start.
            if let Effect::Answer { .. } = effect {
                self.perform(effect);
            }
        }
        let tags = std::mem::take(&mut self.acknowledged);
        self.inbox.ack(&tags).await?;
        info!(partition = self.partition.get(), "stopped in peace");
        Ok(())
    }
}

/// Start, take-over and recovery are this one operation.
async fn take(
    log: &Arc<dyn EventLog>,
    reader: &Reader,
    partition: PartitionId,
    registry: &Registry,
    rules: Rules,
    node: &str,
    clock: &dyn Clock,
) -> Result<(Partition<Guard>, Epoch), DriveError> {
    let owned = log
        .acquire(partition, Owner::this_process(node, clock.now()))
        .await?;
    let mut registry = registry.clone();
    for (fingerprint, graph) in reader.graphs().await?.into_values() {
        registry.record(fingerprint, graph)?;
    }
    let (heads, late) = reader.system_streams().await?;
    let open = reader.open(owned.open).await?;
    info!(
        partition = partition.get(),
        epoch = owned.epoch.get(),
        open = open.len(),
        "took the partition over"
    );
    let taken = Taken {
        partition,
        epoch: owned.epoch,
        node: node.to_owned(),
        tail: owned.tail,
        last_at: owned.last_at,
        heads,
        open,
        late,
        now: clock.now(),
    };
    Ok((
        Partition::take_over(taken, Arc::new(registry), Guard, rules)?,
        owned.epoch,
    ))
}

/// Derived from what the command is, so that the same command published twice has one id.
fn command_id(command: &Command) -> MessageId {
    let mut hash = Sha256::new();
    hash.update(command.key.as_str().as_bytes());
    hash.update([0xff, command.direction as u8]);
    hash.update(command.attempt.0.to_be_bytes());
    let hash: [u8; 32] = hash.finalize().into();
    let (head, _) = hash
        .split_first_chunk()
        .expect("a SHA-256 has more than sixteen bytes");
    MessageId(u128::from_be_bytes(*head))
}

async fn underway<T>(future: &mut Underway<T>) -> T {
    match future {
        Some(underway) => {
            let value = underway.await;
            *future = None;
            value
        }
        None => std::future::pending().await,
    }
}

async fn wake(waking: &mut Option<(sagalog_model::log::Time, Sleep)>) {
    match waking {
        Some((_, sleep)) => sleep.await,
        None => std::future::pending().await,
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
