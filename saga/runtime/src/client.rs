//! Starting sagas, asking about them, and mending them.

use std::{
    fmt,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sagalog_engine::Refusal;
use sagalog_eventlog::EventLog;
use sagalog_model::{
    Json, Numbered, Outcome, Payload, Saga, SagaId, Signal, Step, Token,
    dead_letter::LetterId,
    event::NodeId,
    log::{BadName, PartitionId, Time},
};
use sagalog_projections::{SagaState, Status, Why, participants::Seen, why::why};
use sagalog_transport::Transport;
use tokio::sync::oneshot;

use crate::{
    caller::{Caller, END_WITHIN},
    driver::{Call, CallAnswer, NotDone, Told},
    history::{HistoryError, Reader},
    request::{Answer, Meant, Refused, Request, Roll, Standing},
    router::Router,
    worker::Failure,
};

/// How long a call may take that another process is to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Talks to whoever drives sagas. Cheap to clone; usable from any task.
///
/// Everything it answers is durable: what it says has happened survives a crash.
///
/// **From a runtime** ([`Runtime::client`](crate::Runtime::client)) it talks to that, and over the
/// transport that the runtime was given to the others on the same log. **From any other process**
/// ([`Client::connect`]) it talks to them all over the transport. What goes to another process is sent
/// again until it is answered, over the loss of connections and changes of the owner; at most 1,024
/// such calls of a process are under way at once, and 16,384 callers that wait for ends.
#[derive(Clone)]
pub struct Client {
    reach: Reach,
    /// Where states are read that another process has.
    log: Option<Arc<dyn EventLog>>,
    patience: Duration,
    who: Arc<str>,
    until: Option<Time>,
}

/// How a client comes to the owners of partitions.
#[derive(Clone)]
enum Reach {
    /// In this process, and others if there is a way.
    Here(Arc<Router>, Option<Arc<Caller>>),
    /// All in other processes.
    There(Arc<Caller>),
}

/// What a call gives.
enum Given {
    /// The state itself, if the owner is in this process.
    State(Arc<SagaState>),
    Answer(Answer),
}

/// How a saga ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ended<O> {
    /// Everything on its path was done.
    Completed(O),
    /// Everything that took effect was undone.
    Compensated {
        /// Why it went back.
        reason: String,
    },
    /// It went back, and the effects of these nodes are left.
    PartlyCompensated {
        /// Why it went back.
        reason: String,
        /// The nodes.
        left: Vec<NodeId>,
    },
}

/// Why a call was not done.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The text cannot be a saga's id.
    #[error("{0:?} cannot be a saga's id")]
    BadId(String, #[source] BadName),
    /// It is not legal, or not now; nothing was recorded.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The value cannot be written as JSON.
    #[error("the {what} cannot be written as JSON: {why}")]
    Unwritable {
        /// Which value.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// The saga's output is not what its contract says.
    #[error("the output of saga `{saga}` does not read as {wanted}: {why}")]
    Unreadable {
        /// The saga.
        saga: SagaId,
        /// The contract's type.
        wanted: &'static str,
        /// Why.
        why: String,
    },
    /// The saga runs another definition than the one it was asked of.
    #[error("saga `{saga}` is a `{found}`, not a `{asked}`")]
    OtherSaga {
        /// The saga.
        saga: SagaId,
        /// What it is.
        found: String,
        /// What was asked for.
        asked: &'static str,
    },
    /// The log has no partition of this number.
    #[error("the log has no partition {partition}")]
    NoSuchPartition {
        /// The number.
        partition: PartitionId,
    },
    /// The partition is driven by another process, or was by none for a while. Nothing was
    /// recorded, or it was before the partition moved: send it again with the same id, to that process,
    /// or here later.
    #[error("partition {partition} is driven by {}", .by.as_deref().unwrap_or("no process at the moment"))]
    Elsewhere {
        /// The partition.
        partition: PartitionId,
        /// By whom, if by anybody.
        by: Option<Arc<str>>,
    },
    /// Nobody answered in time. Whether it was recorded is not known: send it again with the same id.
    #[error("no answer within {} s: {why}", .after.as_secs_f32())]
    NoAnswer {
        /// How long it was waited for.
        after: Duration,
        /// What was in the way at last.
        why: String,
    },
    /// Another process refuses it, for a reason that this release has no own word for.
    #[error(transparent)]
    RefusedThere(Refused),
    /// A saga's state is in the log, and this client was given none.
    #[error(
        "the state of a saga is read from the log, and this client has none: connect it with `reading`, or ask for the status"
    )]
    NoLog,
    /// A saga's state cannot be read from the log.
    #[error("the state of the saga cannot be read from the log")]
    History(#[source] Arc<HistoryError>),
    /// The runtime has stopped. Whether a start or signal under way was recorded is not known: send
    /// it again with the same id.
    #[error("the runtime has stopped{}", .why.as_ref().map_or(String::new(), |why| format!(": {why}")))]
    Stopped {
        /// What made it stop, if it did not stop in peace.
        why: Option<Arc<str>>,
    },
}

impl Client {
    /// Of a process that drives partitions of this log, and reaches others if there is a transport.
    pub(crate) fn new(
        router: Arc<Router>,
        log: Arc<dyn EventLog>,
        between: Option<Arc<dyn Transport>>,
    ) -> Self {
        let partitions = NonZeroU32::new(log.partitions());
        let caller = between.map(|transport| Arc::new(Caller::new(transport, partitions)));
        Self {
            log: Some(log),
            ..Self::with(Reach::Here(router, caller))
        }
    }

    /// Of a process that need not drive anything: it reaches those that do over this transport.
    ///
    /// Nothing is done before the first call. That declares a queue for this client's answers, and asks
    /// how many partitions the log has. The queue goes when nobody has used it for ten minutes.
    pub fn connect(transport: Arc<dyn Transport>) -> Self {
        Self::with(Reach::There(Arc::new(Caller::new(transport, None))))
    }

    fn with(reach: Reach) -> Self {
        Self {
            reach,
            log: None,
            patience: PATIENCE,
            who: "client".into(),
            until: None,
        }
    }

    /// The same client, whose requests are recorded as this person's.
    #[must_use]
    pub fn acting_as(&self, who: impl Into<Arc<str>>) -> Self {
        Self {
            who: who.into(),
            ..self.clone()
        }
    }

    /// The same client, whose signals and requests may come again until then, and not later: nobody sends
    /// them again after that, and none lies on its way for longer. The same id always has the same time.
    ///
    /// A saga knows an id with a time until that is over, and longer while there is room; it takes
    /// any number of them in its life. An id without one it knows for as long as it lives, and takes 1,000. What
    /// may have come before and is not remembered is refused as [`Refusal::Expired`], never done twice.
    #[must_use]
    pub fn until(&self, until: SystemTime) -> Self {
        let since = until.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.said_until(Some(Time::default().after(since)))
    }

    pub(crate) fn said_until(&self, until: Option<Time>) -> Self {
        Self {
            until,
            ..self.clone()
        }
    }

    /// The same client, whose calls to other processes may take so long; 30 s unless said otherwise. Who
    /// waits for the end of a saga waits for as long as that takes.
    #[must_use]
    pub fn within(&self, patience: Duration) -> Self {
        Self {
            patience,
            ..self.clone()
        }
    }

    /// The same client, which reads the states of sagas that other processes drive from this log: the
    /// one that they drive. It may be opened to read only.
    #[must_use]
    pub fn reading(&self, log: Arc<dyn EventLog>) -> Self {
        Self {
            log: Some(log),
            ..self.clone()
        }
    }

    /// The same client, which is told who drives a partition that this process does not,
    /// [`CallError::Elsewhere`], and sends nothing there. Of a client that is connected it does nothing.
    #[must_use]
    pub fn only_here(&self) -> Self {
        let reach = match &self.reach {
            Reach::Here(router, _) => Reach::Here(router.clone(), None),
            Reach::There(caller) => Reach::There(caller.clone()),
        };
        Self {
            reach,
            ..self.clone()
        }
    }

    /// Starts a saga under an id of the caller's, and returns when that is durable. The same start
    /// twice is one start.
    ///
    /// # Errors
    /// [`Refusal::OtherContent`] if the id is taken by another start, [`Refusal::Busy`] at the limit
    /// of sagas under way, and the other kinds of [`CallError`].
    pub async fn start<I: Json, O: Json>(
        &self,
        saga: Saga<I, O>,
        id: &str,
        input: &I,
    ) -> Result<(), CallError> {
        let input = Payload::of(input).map_err(|why| unwritable("input", &why))?;
        self.start_payload(saga.name(), id, input).await
    }

    /// Starts a saga whose input is JSON text already.
    ///
    /// # Errors
    /// Those of [`Self::start`].
    pub async fn start_payload(
        &self,
        saga: &str,
        id: &str,
        input: Payload,
    ) -> Result<(), CallError> {
        self.tell(Request::Start {
            saga: id.into(),
            definition: saga.into(),
            input,
        })
        .await
    }

    /// Starts a saga and waits for its end.
    ///
    /// # Errors
    /// Those of [`Self::start`] and [`Self::result`].
    pub async fn run<I: Json, O: Json>(
        &self,
        saga: Saga<I, O>,
        id: &str,
        input: &I,
    ) -> Result<Ended<O>, CallError> {
        self.start(saga, id, input).await?;
        self.result(saga, id).await
    }

    /// Waits for the end of a saga.
    ///
    /// # Errors
    /// [`Refusal::NoSuchSaga`], [`CallError::Unreadable`] if its output is not an `O`, and others.
    pub async fn result<I, O: Json>(
        &self,
        saga: Saga<I, O>,
        id: &str,
    ) -> Result<Ended<O>, CallError> {
        let ended = self.standing(Request::End { saga: id.into() }).await?;
        Ended::of(&ended, saga)
    }

    /// Waits for the end of a saga and gives its last state.
    ///
    /// # Errors
    /// [`CallError::NoLog`] if another process drives the saga and this client has no log, and others.
    pub async fn end(&self, id: &str) -> Result<Arc<SagaState>, CallError> {
        self.state_of(Request::End { saga: id.into() }).await
    }

    /// The state of a saga: everything in it is durable.
    ///
    /// # Errors
    /// Those of [`Self::end`].
    pub async fn state(&self, id: &str) -> Result<Arc<SagaState>, CallError> {
        self.state_of(Request::State { saga: id.into() }).await
    }

    /// Where a saga stands.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn status(&self, id: &str) -> Result<Status, CallError> {
        let standing = self.standing(Request::State { saga: id.into() }).await?;
        Ok(standing.status)
    }

    /// Why a saga waits.
    ///
    /// # Errors
    /// Those of [`Self::end`].
    pub async fn why(&self, id: &str) -> Result<Why, CallError> {
        Ok(why(&*self.state(id).await?))
    }

    /// Sends a signal under an id of the caller's; the same id twice is one signal. One that comes
    /// early waits.
    ///
    /// # Errors
    /// [`Refusal::UnknownSignal`], [`Refusal::Ended`], [`Refusal::TooManySignals`], [`Refusal::Expired`] and
    /// others.
    pub async fn signal<T: Json>(
        &self,
        signal: Signal<T>,
        saga: &str,
        id: &str,
        payload: &T,
    ) -> Result<(), CallError> {
        let payload = Payload::of(payload).map_err(|why| unwritable("signal", &why))?;
        self.signal_payload(signal.name(), saga, id, payload).await
    }

    /// Sends a signal whose payload is JSON text already.
    ///
    /// # Errors
    /// Those of [`Self::signal`].
    pub async fn signal_payload(
        &self,
        signal: &str,
        saga: &str,
        id: &str,
        payload: Payload,
    ) -> Result<(), CallError> {
        self.tell(Request::Signal {
            saga: saga.into(),
            signal: signal.into(),
            id: id.into(),
            until: self.until,
            payload,
        })
        .await
    }

    /// Sends a signal that its producer numbers for this saga, from 1. The saga takes what one producer
    /// numbers in the order of the numbers, each once: a signal that comes ahead of others is kept
    /// until they came, and [`Signal::gaps`] says what is done if they do not come.
    ///
    /// ```no_run
    /// # use sagalog::{CallError, Client, Signal};
    /// const PRICE: Signal<u64> = Signal::new("price");
    ///
    /// # async fn send(client: Client) -> Result<(), CallError> {
    /// client.signal_in_order(PRICE, "order-7", ("pricing", 1), &4200).await?;
    /// client.signal_in_order(PRICE, "order-7", ("pricing", 2), &4100).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Refusal::OtherContentOfNumber`], [`Refusal::GivenUp`], [`Refusal::TooFarAhead`],
    /// [`Refusal::UnknownSignal`], [`Refusal::Ended`] and others.
    pub async fn signal_in_order<T: Json>(
        &self,
        signal: Signal<T>,
        saga: &str,
        (producer, number): (&str, u64),
        payload: &T,
    ) -> Result<(), CallError> {
        let payload = Payload::of(payload).map_err(|why| unwritable("signal", &why))?;
        let numbered = Numbered {
            signal: signal.name().into(),
            producer: producer.into(),
            number,
            payload,
        };
        self.numbered(saga, numbered).await
    }

    /// Sends a numbered signal whose payload is JSON text already.
    ///
    /// # Errors
    /// Those of [`Self::signal_in_order`].
    pub async fn numbered(&self, saga: &str, numbered: Numbered) -> Result<(), CallError> {
        let request = Request::SignalInOrder {
            saga: saga.to_owned(),
            numbered,
        };
        self.call(request).await.map(drop)
    }

    /// Ends an attempt that its handler has accepted: with an output, or with a failure. What comes
    /// twice, or after the attempt's time, counts as any late answer.
    ///
    /// # Errors
    /// [`Refusal::NotAsked`] if the token names no attempt that was asked, and others.
    pub async fn complete<I: Json, O: Json>(
        &self,
        _step: Step<I, O>,
        token: &Token,
        result: Result<&O, Failure>,
    ) -> Result<(), CallError> {
        let outcome = match result {
            Ok(output) => {
                let output = Payload::of(output).map_err(|why| unwritable("output", &why))?;
                Outcome::Succeeded(output)
            }
            Err(failure) => failure.into(),
        };
        self.answer(token, outcome).await
    }

    /// Says of an attempt that its handler has accepted that the work goes on, and how far it is.
    ///
    /// # Errors
    /// [`Refusal::NotAsked`], [`Refusal::NoHeartbeat`] and others.
    pub async fn heartbeat(
        &self,
        token: &Token,
        progress: impl fmt::Display,
    ) -> Result<(), CallError> {
        let progress = progress.to_string();
        self.answer(token, Outcome::Alive { progress }).await
    }

    /// Says of an attempt whatever a participant can say in a reply.
    ///
    /// # Errors
    /// Those of [`Self::complete`] and [`Self::heartbeat`].
    pub async fn answer(&self, token: &Token, outcome: Outcome) -> Result<(), CallError> {
        let token = token.clone();
        self.tell(Request::Answer { token, outcome }).await
    }

    /// Makes a saga go back. `id` makes the request safe to send twice.
    ///
    /// # Errors
    /// [`Refusal::PivotPassed`] after the point of no return, [`Refusal::Ended`] and others.
    pub async fn cancel(&self, saga: &str, id: &str, reason: &str) -> Result<(), CallError> {
        self.tell(Request::Cancel {
            saga: saga.into(),
            id: id.into(),
            by: self.by(),
            until: self.until,
            reason: reason.into(),
        })
        .await
    }

    /// Has a saga undone, as its operator decides: like a cancel, and one that is paused goes back at once.
    ///
    /// # Errors
    /// [`Refusal::PivotPassed`] after the point of no return, [`Refusal::Ended`] and others.
    pub async fn compensate(&self, saga: &str, id: &str, reason: &str) -> Result<(), CallError> {
        self.tell(Request::Compensate {
            saga: saga.into(),
            id: id.into(),
            by: self.by(),
            until: self.until,
            reason: reason.into(),
        })
        .await
    }

    /// Has a saga stand still until it is [resumed](Self::resume): what comes in is recorded, and nothing
    /// more is asked, for its way back neither. Deadlines pass.
    ///
    /// # Errors
    /// [`Refusal::AlreadyPaused`], [`Refusal::Ended`] and others.
    pub async fn pause(&self, saga: &str, id: &str, reason: &str) -> Result<(), CallError> {
        self.tell(Request::Pause {
            saga: saga.into(),
            id: id.into(),
            by: self.by(),
            until: self.until,
            reason: reason.into(),
        })
        .await
    }

    /// Has a paused saga go on.
    ///
    /// # Errors
    /// [`Refusal::NotPaused`] and others.
    pub async fn resume(&self, saga: &str, id: &str) -> Result<(), CallError> {
        self.tell(Request::Resume {
            saga: saga.into(),
            id: id.into(),
            by: self.by(),
            until: self.until,
        })
        .await
    }

    /// Sets when a saga turns back by itself, or that it does not; at once if that time is over. Behind
    /// the pivot a deadline only alerts.
    ///
    /// # Errors
    /// [`Refusal::HasTurned`] if it goes back already, [`Refusal::Ended`] and others.
    pub async fn set_deadline(
        &self,
        saga: &str,
        id: &str,
        deadline: Option<Time>,
        reason: &str,
    ) -> Result<(), CallError> {
        self.tell(Request::SetDeadline {
            saga: saga.into(),
            id: id.into(),
            by: self.by(),
            until: self.until,
            deadline,
            reason: reason.into(),
        })
        .await
    }

    /// Tries a parked node again, with a new budget.
    ///
    /// # Errors
    /// [`Refusal::NotParked`] and others.
    pub async fn retry(&self, saga: &str, id: &str, node: &str) -> Result<(), CallError> {
        self.tell(Request::Retry {
            saga: saga.into(),
            id: id.into(),
            by: self.by(),
            until: self.until,
            node: node.into(),
            reason: None,
        })
        .await
    }

    /// Takes a parked node's work as done by hand, with this output (`null` for a compensation).
    ///
    /// # Errors
    /// [`Refusal::NotParked`] and others.
    pub async fn resolve(
        &self,
        saga: &str,
        id: &str,
        node: &str,
        output: Payload,
    ) -> Result<(), CallError> {
        self.tell(Request::Resolve {
            saga: saga.into(),
            id: id.into(),
            by: self.by(),
            until: self.until,
            node: node.into(),
            output,
        })
        .await
    }

    /// Gives a parked node's work up, for this reason.
    ///
    /// # Errors
    /// [`Refusal::NotParked`] and others.
    pub async fn skip(
        &self,
        saga: &str,
        id: &str,
        node: &str,
        reason: &str,
    ) -> Result<(), CallError> {
        self.tell(Request::Skip {
            saga: saga.into(),
            id: id.into(),
            by: self.by(),
            until: self.until,
            node: node.into(),
            reason: reason.into(),
        })
        .await
    }

    /// Processes the first held input of a saga, perhaps with another content, and then those behind it
    /// as far as they can be. Of an answer the content is its outcome.
    ///
    /// # Errors
    /// [`Refusal::NotTheFirstHeld`], [`Refusal::CannotBeProcessed`] and others.
    pub async fn release(
        &self,
        saga: &str,
        id: &str,
        number: u64,
        content: Option<Payload>,
    ) -> Result<(), CallError> {
        self.tell(Request::Release {
            saga: saga.into(),
            id: id.into(),
            by: self.by(),
            until: self.until,
            number,
            content,
        })
        .await
    }

    /// Gives a held input of a saga up, for this reason; if it was the first, those behind it are
    /// processed as far as they can be.
    ///
    /// # Errors
    /// [`Refusal::NotHeld`] and others.
    pub async fn drop_held(
        &self,
        saga: &str,
        id: &str,
        number: u64,
        reason: &str,
    ) -> Result<(), CallError> {
        self.tell(Request::Drop {
            saga: saga.into(),
            id: id.into(),
            by: self.by(),
            until: self.until,
            number,
            reason: reason.into(),
        })
        .await
    }

    /// Sends a dead letter again to the queue that it died in, with another body if one is given. Returns
    /// when that is durable; it is published after that. `partition` is the one that recorded it.
    ///
    /// # Errors
    /// [`Refusal::NoSuchLetter`], [`Refusal::LetterUnderWay`], [`Refusal::LetterUnsendable`],
    /// [`Refusal::LetterPast`], [`Refusal::Busy`] and others.
    pub async fn retry_letter(
        &self,
        partition: u32,
        letter: LetterId,
        id: &str,
        body: Option<&str>,
    ) -> Result<(), CallError> {
        self.tell(Request::RetryLetter {
            partition,
            letter,
            id: id.into(),
            by: self.by(),
            body: body.map(Into::into),
        })
        .await
    }

    /// Gives a dead letter up, for this reason; its bytes stay in the log. One that is not there has been
    /// given up already.
    ///
    /// # Errors
    /// [`Refusal::LetterUnderWay`] and others.
    pub async fn purge_letter(
        &self,
        partition: u32,
        letter: LetterId,
        id: &str,
        reason: &str,
    ) -> Result<(), CallError> {
        self.tell(Request::PurgeLetter {
            partition,
            letter,
            id: id.into(),
            by: self.by(),
            reason: reason.into(),
        })
        .await
    }

    /// Does what a request says. An end is waited for as [`Request::End`] says, and no longer.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn ask(&self, request: Request) -> Result<Answer, CallError> {
        let Request::End { saga } = request else {
            return self.call(request).await.map(Given::answer);
        };
        let ended = self.call(Request::End { saga: saga.clone() });
        let given = match tokio::time::timeout(END_WITHIN, ended).await {
            Ok(given) => given?,
            Err(_) => self.call(Request::State { saga }).await?,
        };
        Ok(given.answer())
    }

    /// The instances of participants that have announced themselves, or those that can do this: perform
    /// the step of this name, or whatever else a worker says that it can. In the order of their names.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn participants(&self, capability: Option<&str>) -> Result<Vec<Seen>, CallError> {
        let mut participants: Vec<Seen> = Vec::new();
        loop {
            let last = participants.last().map(|seen| &seen.announced);
            let after = last.map(|last| (last.participant.to_string(), last.instance.to_string()));
            let capability = capability.map(str::to_owned);
            let list = Roll::List { capability, after };
            let answer = self.ask(Request::Participants(list)).await?;
            let Answer::Participants(page) = answer else {
                return Err(unknown_answer());
            };
            let is_empty = page.participants.is_empty();
            participants.extend(page.participants);
            if is_empty || !page.more {
                return Ok(participants);
            }
        }
    }

    fn by(&self) -> String {
        self.who.as_ref().to_owned()
    }

    async fn tell(&self, request: Request) -> Result<(), CallError> {
        self.call(request).await.map(drop)
    }

    async fn standing(&self, request: Request) -> Result<Standing, CallError> {
        match self.call(request).await?.answer() {
            Answer::Standing(standing) => Ok(standing),
            _ => Err(unknown_answer()),
        }
    }

    /// What the owner has in memory, or after its answer what the log has: that is at least as new.
    async fn state_of(&self, request: Request) -> Result<Arc<SagaState>, CallError> {
        let standing = match self.call(request).await? {
            Given::State(state) => return Ok(state),
            Given::Answer(Answer::Standing(standing)) => standing,
            Given::Answer(_) => return Err(unknown_answer()),
        };
        let log = self.log.clone().ok_or(CallError::NoLog)?;
        let partitions = NonZeroU32::new(log.partitions()).expect("a log has a partition");
        let partition = PartitionId::of(standing.saga.as_str(), partitions);
        let reader = Reader::new(log, partition);
        let read = async {
            let graphs = reader.graphs().await?;
            reader.state(&standing.saga, &graphs, None).await
        };
        let state = read
            .await
            .map_err(|why| CallError::History(Arc::new(why)))?;
        let saga = standing.saga;
        let state = state.ok_or(Refusal::NoSuchSaga { saga })?;
        Ok(Arc::new(state))
    }

    async fn call(&self, request: Request) -> Result<Given, CallError> {
        let (router, caller) = match &self.reach {
            Reach::Here(router, caller) => (router, caller.as_ref()),
            Reach::There(caller) => {
                return caller.ask(&request, self.patience).await.map(Given::Answer);
            }
        };
        let there = caller.map(|caller| (caller, request.clone()));
        let (partition, told) = match request.meant()? {
            Meant::Anybody => return Ok(Given::Answer(Answer::Owner(router.owner().clone()))),
            Meant::Roll(roll) => {
                return match (there, router.roll()) {
                    // Also what its keeper says itself stays in the inbox for the next one.
                    (Some((caller, request)), _) => {
                        caller.ask(&request, self.patience).await.map(Given::Answer)
                    }
                    (None, Some(kept)) => Ok(Given::Answer(kept.answer(roll)).not_refused()?),
                    (None, None) => Err(CallError::Elsewhere {
                        partition: PartitionId::new(0),
                        by: None,
                    }),
                };
            }
            Meant::Saga(saga, query) => (router.partition_of(&saga), Told::Saga(saga, query)),
            Meant::Letter(partition, _)
            | Meant::Breaker(partition, _)
            | Meant::Breakers(partition)
                if !router.has(partition) =>
            {
                return Err(CallError::NoSuchPartition { partition });
            }
            Meant::Letter(partition, request) => (partition, Told::Letter(request)),
            Meant::Breaker(partition, request) => (partition, Told::Breaker(request)),
            Meant::Breakers(partition) => (partition, Told::Breakers),
        };
        match (here(router, partition, told).await, there) {
            (Err(CallError::Elsewhere { by: Some(_), .. }), Some((caller, request))) => {
                caller.ask(&request, self.patience).await.map(Given::Answer)
            }
            (given, _) => given,
        }
    }
}

async fn here(router: &Router, partition: PartitionId, mut told: Told) -> Result<Given, CallError> {
    loop {
        let (answer, answered) = oneshot::channel();
        let call = Call {
            partition,
            told,
            answer,
        };
        router.send(call).await?;
        match answered.await {
            Ok(Ok(CallAnswer::Recorded)) => return Ok(Given::Answer(Answer::Done {})),
            Ok(Ok(CallAnswer::State(state))) => return Ok(Given::State(state)),
            Ok(Ok(CallAnswer::Breakers(all))) => return Ok(Given::Answer(Answer::Breakers(all))),
            Ok(Err(NotDone::Error(error))) => return Err(error),
            // Whatever is asked, asking it twice is asking it once.
            Ok(Err(NotDone::Moved(back))) => told = back,
            Err(_) => return Err(CallError::Stopped { why: None }),
        }
    }
}

impl Given {
    fn not_refused(self) -> Result<Self, CallError> {
        match self {
            Self::Answer(Answer::Refused(refused)) => Err(refused.into()),
            given => Ok(given),
        }
    }

    fn answer(self) -> Answer {
        match self {
            Self::State(state) => Answer::Standing(Standing::of(&state)),
            Self::Answer(answer) => answer,
        }
    }
}

impl<O: Json> Ended<O> {
    fn of<I>(ended: &Standing, saga: Saga<I, O>) -> Result<Self, CallError> {
        if ended.definition != saga.name() {
            return Err(CallError::OtherSaga {
                saga: ended.saga.clone(),
                found: ended.definition.clone(),
                asked: saga.name(),
            });
        }
        let reason = || ended.reason.clone().unwrap_or_default();
        match (ended.status, &ended.output) {
            (Status::Completed, Some(output)) => {
                output
                    .read()
                    .map(Self::Completed)
                    .map_err(|why| CallError::Unreadable {
                        saga: ended.saga.clone(),
                        wanted: std::any::type_name::<O>(),
                        why: why.to_string(),
                    })
            }
            (Status::Compensated, _) => Ok(Self::Compensated { reason: reason() }),
            (Status::PartlyCompensated, _) => Ok(Self::PartlyCompensated {
                reason: reason(),
                left: ended.left.clone(),
            }),
            _ => Err(unknown_answer()),
        }
    }
}

fn unknown_answer() -> CallError {
    let why = "the owner gave an answer to something else";
    CallError::RefusedThere(Refused::new("unknown_answer", why))
}

fn unwritable(what: &'static str, why: &dyn fmt::Display) -> CallError {
    CallError::Unwritable {
        what,
        why: why.to_string(),
    }
}
