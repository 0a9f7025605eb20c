//! The loop around the partition machine: what comes in goes to it, what comes out is done.
//!
//! The loop waits for nothing else than its inputs: an append, a look-up and a publish are each
//! under way at most once, beside it.

mod announced;
mod appending;
mod finishing;
mod inbox;
mod inputs;
mod letters;
mod publishing;
mod renewing;
mod requests;
mod taking_over;

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::Arc,
    time::Instant,
};

use sagalog_engine::{
    Partition, Rules, Ticket,
    admission::Policies,
    partition::{CannotTakeOver, DefinitionChanged, Found, Registry},
};
use sagalog_eventlog::{
    AcquireError, AppendError, Appended, EventLog, ReadError, Refusal, RenewError,
};
use sagalog_model::{
    SagaId,
    dead_letter::LetterId,
    log::{Epoch, PartitionId, Time},
};
use sagalog_transport::{
    ConsumeError, Consumer, ConsumerError, DeclareError, Delivery, Message, PublishError, Queue,
    Tag, Transport,
};
use tokio::{select, sync::mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

pub(crate) use inbox::PREFETCH;
pub(crate) use inputs::{Call, CallAnswer, NotDone, Told};
pub(crate) use letters::DEAD_PREFETCH;
pub(crate) use publishing::{command_id, message_id};

use self::{
    announced::Announced,
    inbox::Inbox,
    inputs::{From, Pending},
};
use crate::{
    client::CallError,
    clock::{Clock, Sleep},
    guard::Guard,
    history::{HistoryError, Reader},
    observe::{Standing, TAKES_STOCK, Watch},
    request::RollCall,
};

/// Inputs taken between two looks at everything else.
const INPUTS: usize = 256;

/// What a driver needs.
pub(crate) struct Parts {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) partition: PartitionId,
    pub(crate) registry: Registry,
    pub(crate) rules: Rules,
    pub(crate) policies: Arc<Policies>,
    pub(crate) node: String,
    pub(crate) inbox: Box<dyn Consumer>,
    /// The queue of the dead letters, for the one partition that records them.
    pub(crate) dead: Option<Box<dyn Consumer>>,
    pub(crate) calls: mpsc::Receiver<Call>,
    pub(crate) roll: Arc<RollCall>,
    pub(crate) watch: Watch,
    /// Gives this partition up.
    pub(crate) seat: CancellationToken,
    /// Stops the process, and cancels the seat with it.
    pub(crate) stop: CancellationToken,
    /// Whether the process has just begun: then it takes nothing over that it is not made for.
    pub(crate) is_start: bool,
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
    /// Somebody else owns the partition by now. What was answered is durable.
    #[error("the partition is not owned any more")]
    Lost(#[source] RenewError),
    /// The inbox cannot be declared.
    #[error(transparent)]
    Declare(#[from] DeclareError),
    /// The inbox cannot be consumed.
    #[error(transparent)]
    Consume(#[from] ConsumeError),
    /// The transport failed.
    #[error("the inbox cannot be read")]
    Inbox(#[from] ConsumerError),
}

impl DriveError {
    /// It may be taken again later: another owns it, or a store or a broker cannot be reached.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Acquire(AcquireError::Held { .. } | AcquireError::Unavailable { .. })
                | Self::History(HistoryError::Read(ReadError::Unavailable { .. }))
                | Self::Append(
                    AppendError::Fenced { .. }
                        | AppendError::NotOwned { .. }
                        | AppendError::Refused(Refusal::Unreachable { .. } | Refusal::Full { .. }),
                )
                | Self::Lost(_)
                | Self::Declare(DeclareError::Unavailable(_))
                | Self::Consume(ConsumeError::Unavailable(_))
        )
    }
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
    policies: Arc<Policies>,
    node: String,
    inbox: Inbox,
    dead: Option<Inbox>,
    calls: mpsc::Receiver<Call>,
    roll: Arc<RollCall>,
    seat: CancellationToken,
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
    /// The dead letters among the messages that are being published.
    resending: Vec<(LetterId, u32)>,
    acknowledged: Vec<Tag>,
    dead_acknowledged: Vec<Tag>,
    appending: Underway<Result<Appended, AppendError>>,
    looking_up: Underway<Result<Vec<(SagaId, Found)>, HistoryError>>,
    publishing: Underway<Result<(), PublishError>>,
    /// Waits until it is time to say that this owner is alive, and says so.
    renewing: Underway<Result<(), RenewError>>,
    waking: Option<(Time, Sleep)>,
    /// Questions of other processes for ends, and until when they are kept; in that order.
    ends: VecDeque<(Time, Ticket)>,
    announced: Announced,
    watch: Watch,
    /// When it takes stock, if anybody watches.
    next_stock: Option<Time>,
    /// What is being appended: when that began, how many batches, how many events.
    commit: (Instant, usize, u64),
    /// When publishing began, and of how many messages.
    sending: (Instant, usize),
}

/// What woke the loop.
enum Event {
    Appended(Result<Appended, AppendError>),
    LookedUp(Result<Vec<(SagaId, Found)>, HistoryError>),
    Published(Result<(), PublishError>),
    Renewed(Result<(), RenewError>),
    Received(Result<(), ConsumerError>),
    ReceivedDead(Result<Vec<Delivery>, ConsumerError>),
    Called(usize),
    Woken,
    Stopped,
}

impl Driver {
    /// Drives until it is told to stop, or cannot go on.
    ///
    /// # Errors
    /// [`DriveError`]: the callers have been told.
    pub(crate) async fn run(mut self) -> Result<(), DriveError> {
        let ended = self.drive().await;
        let farewell = self.farewell(&ended);
        self.calls.close();
        while let Ok(call) = self.calls.try_recv() {
            drop(call.answer.send(Err(farewell(call.told))));
        }
        for (_, pending) in self.pending.drain() {
            if let From::Client(answer) = pending.from {
                drop(answer.send(Err(farewell(pending.told))));
            }
        }
        self.watch.given_up(self.partition);
        if let Err(error) = self.log.release(self.partition).await {
            warn!(%error, "the partition could not be released in peace");
        }
        ended
    }

    /// What those are told who wait for an answer.
    fn farewell(&self, ended: &Result<(), DriveError>) -> impl Fn(Told) -> NotDone + use<> {
        let partition = self.partition;
        let is_shared = self.log.lease().is_some() && !self.stop.is_cancelled();
        let goes_on = is_shared && ended.as_ref().err().is_none_or(DriveError::is_passing);
        let why: Option<Arc<str>> = ended.as_ref().err().map(|error| chain(error).into());
        match &why {
            Some(why) if goes_on => warn!(
                partition = partition.get(),
                why = &**why,
                "lost a partition"
            ),
            Some(why) => error!(
                partition = partition.get(),
                why = &**why,
                "a partition cannot be driven"
            ),
            None => {}
        }
        move |told| {
            if goes_on {
                return NotDone::Moved(told);
            }
            NotDone::Error(CallError::Stopped { why: why.clone() })
        }
    }

    async fn drive(&mut self) -> Result<(), DriveError> {
        let mut deliveries = Vec::with_capacity(INPUTS);
        let mut calls = Vec::with_capacity(INPUTS);
        loop {
            self.step().await?;
            match self.next(&mut deliveries, &mut calls).await {
                Event::Appended(result) => self.appended(result).await?,
                Event::LookedUp(found) => self.looked_up(found?)?,
                Event::Published(result) => self.published(result)?,
                Event::Renewed(result) => renewing::renewed(result)?,
                Event::Received(result) => {
                    result?;
                    self.receive(&mut deliveries).await?;
                }
                Event::ReceivedDead(received) => self.receive_dead(received?),
                Event::Called(0) | Event::Stopped => break,
                Event::Called(_) => {
                    let now = self.clock.now();
                    for call in calls.drain(..) {
                        self.feed(
                            Pending {
                                told: call.told,
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
            result = underway(&mut self.renewing) => Event::Renewed(result),
            result = self.inbox.receive(deliveries, INPUTS), if takes => Event::Received(result),
            received = receive(&mut self.dead), if takes => Event::ReceivedDead(received),
            count = self.calls.recv_many(calls, INPUTS), if takes => Event::Called(count),
            () = wake(&mut self.waking) => Event::Woken,
            () = self.seat.cancelled() => Event::Stopped,
        }
    }

    /// Does what the machine asks for now.
    async fn step(&mut self) -> Result<(), DriveError> {
        let now = self.clock.now();
        self.machine.fire_timers(now);
        self.end_waiting(now);
        self.take_stock(now);
        self.acknowledged.extend(self.announced.old(now));
        while let Some(effect) = self.machine.poll_effect(now) {
            self.perform(effect);
        }
        if !self.acknowledged.is_empty() {
            let tags = std::mem::take(&mut self.acknowledged);
            self.inbox.ack(&tags).await?;
        }
        self.acknowledge_dead().await?;
        self.begin();
        if self.renewing.is_none() {
            self.renew();
        }
        self.rearm();
        Ok(())
    }

    /// Tells whoever watches where the partition stands, every now and then.
    fn take_stock(&mut self, now: Time) {
        if self.next_stock.is_some_and(|due| due <= now) {
            self.next_stock = Some(now.after(TAKES_STOCK));
            let standing = Standing::of(&self.machine, self.epoch, now);
            self.watch.stands(self.partition, standing);
        }
    }

    fn rearm(&mut self) {
        // While the machine is full it fires nothing; the next commit looks at the timers again.
        let due = self
            .machine
            .next_timer()
            .filter(|_| !self.machine.is_full());
        let ends = self.ends.front().map(|(until, _)| *until);
        let announced = self.announced.next_old();
        let due = due.into_iter().chain(ends).chain(announced);
        let due = due.chain(self.next_stock).min();
        if due != self.waking.as_ref().map(|(at, _)| *at) {
            self.waking = due.map(|at| (at, self.clock.sleep_until(at)));
        }
    }

    /// Begins what is wanted and not under way.
    fn begin(&mut self) {
        if self.publishing.is_none() && !self.outgoing.is_empty() {
            self.publish();
        }
        if self.looking_up.is_none() {
            self.look_up();
        }
        if self.appending.is_none() {
            self.append();
        }
    }

    /// Begins to look up the sagas that are not in memory, if any are wanted.
    fn look_up(&mut self) {
        let sagas = self.machine.poll_look_up();
        if sagas.is_empty() {
            return;
        }
        let reader = self.reader.clone();
        self.looking_up = Some(Box::pin(async move {
            let found = reader.look_up(&sagas).await?;
            Ok(sagas.into_iter().zip(found).collect())
        }));
    }

    /// # Errors
    /// [`DriveError::Lost`] if a saga was found that another owner has begun: this one hung meanwhile, and what it
    /// would decide on that could not be stored.
    fn looked_up(&mut self, found: Vec<(SagaId, Found)>) -> Result<(), DriveError> {
        let tail = self.machine.tail().get();
        let is_foreign = |found: &Found| matches!(found, Found::History(it) if it.key.get() > tail);
        if found.iter().any(|(_, found)| is_foreign(found)) {
            let partition = self.partition;
            return Err(DriveError::Lost(RenewError::NotOwned { partition }));
        }
        let now = self.clock.now();
        for (saga, found) in found {
            self.machine.found(&saga, found, now);
        }
        Ok(())
    }
}

async fn receive(queue: &mut Option<Inbox>) -> Result<Vec<Delivery>, ConsumerError> {
    let Some(queue) = queue else {
        return std::future::pending().await;
    };
    let mut deliveries = Vec::new();
    queue.receive(&mut deliveries, INPUTS).await?;
    Ok(deliveries)
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

async fn wake(waking: &mut Option<(Time, Sleep)>) {
    match waking {
        Some((_, sleep)) => sleep.await,
        None => std::future::pending().await,
    }
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
