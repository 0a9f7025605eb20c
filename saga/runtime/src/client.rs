//! Starting sagas, asking about them, and mending them.

use std::{fmt, sync::Arc};

use sagalog_engine::{Query, Refusal, Request, input::Wish};
use sagalog_model::{
    Json, Outcome, Payload, Saga, SagaId, Signal, Step, Token,
    event::NodeId,
    log::{BadName, PartitionId},
};
use sagalog_projections::{SagaState, Status, Why, why::why};
use tokio::sync::oneshot;

use crate::{
    driver::{Call, CallAnswer, NotDone},
    router::Router,
    worker::Failure,
};

/// Talks to a runtime. Cheap to clone; usable from any task.
///
/// Everything it answers is durable: what it says has happened survives a crash.
#[derive(Clone)]
pub struct Client {
    router: Arc<Router>,
    who: Arc<str>,
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
    /// The saga's partition is driven by another process, or was by none for a while. Nothing was
    /// recorded, or it was before the partition moved: send it again with the same id, to that process,
    /// or here later.
    #[error("partition {partition} of the saga is driven by {}", .by.as_deref().unwrap_or("no process at the moment"))]
    Elsewhere {
        /// The partition.
        partition: PartitionId,
        /// By whom, if by anybody.
        by: Option<Arc<str>>,
    },
    /// The runtime has stopped. Whether a start or signal under way was recorded is not known: send
    /// it again with the same id.
    #[error("the runtime has stopped{}", .why.as_ref().map_or(String::new(), |why| format!(": {why}")))]
    Stopped {
        /// What made it stop, if it did not stop in peace.
        why: Option<Arc<str>>,
    },
}

impl Client {
    pub(crate) fn new(router: Arc<Router>) -> Self {
        Self {
            router,
            who: "client".into(),
        }
    }

    /// The same client, whose requests are recorded as this person's.
    #[must_use]
    pub fn acting_as(&self, who: impl Into<Arc<str>>) -> Self {
        Self {
            router: self.router.clone(),
            who: who.into(),
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
        let query = Query::Start {
            definition: saga.into(),
            input,
        };
        self.call(id, query).await.map(drop)
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
        let state = self.end(id).await?;
        Ended::of(&state, saga)
    }

    /// Waits for the end of a saga and gives its last state.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn end(&self, id: &str) -> Result<Arc<SagaState>, CallError> {
        self.state_of(id, Query::End).await
    }

    /// The state of a saga: everything in it is durable.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn state(&self, id: &str) -> Result<Arc<SagaState>, CallError> {
        self.state_of(id, Query::State).await
    }

    /// Where a saga stands.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn status(&self, id: &str) -> Result<Status, CallError> {
        Ok(self.state(id).await?.status())
    }

    /// Why a saga waits.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn why(&self, id: &str) -> Result<Why, CallError> {
        Ok(why(&*self.state(id).await?))
    }

    /// Sends a signal under an id of the caller's; the same id twice is one signal. One that comes
    /// early waits.
    ///
    /// # Errors
    /// [`Refusal::UnknownSignal`], [`Refusal::Ended`], [`Refusal::TooManySignals`] and others.
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
        let query = Query::Signal {
            signal: signal.into(),
            id: id.into(),
            payload,
        };
        self.call(saga, query).await.map(drop)
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
        let reply = token.reply(outcome);
        self.call(token.saga.as_str(), Query::Reply(reply))
            .await
            .map(drop)
    }

    /// Makes a saga go back. `id` makes the request safe to send twice.
    ///
    /// # Errors
    /// [`Refusal::PivotPassed`] after the point of no return, [`Refusal::Ended`] and others.
    pub async fn cancel(&self, saga: &str, id: &str, reason: &str) -> Result<(), CallError> {
        self.request(
            saga,
            id,
            Wish::Cancel {
                reason: reason.into(),
            },
        )
        .await
    }

    /// Tries a parked node again, with a new budget.
    ///
    /// # Errors
    /// [`Refusal::NotParked`] and others.
    pub async fn retry(&self, saga: &str, id: &str, node: &str) -> Result<(), CallError> {
        self.request(saga, id, Wish::Retry { node: node.into() })
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
        self.request(
            saga,
            id,
            Wish::Resolve {
                node: node.into(),
                output,
            },
        )
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
        self.request(
            saga,
            id,
            Wish::Skip {
                node: node.into(),
                reason: reason.into(),
            },
        )
        .await
    }

    async fn request(&self, saga: &str, id: &str, wish: Wish) -> Result<(), CallError> {
        let request = Request {
            id: id.into(),
            by: self.who.clone(),
            wish,
        };
        self.call(saga, Query::Request(request)).await.map(drop)
    }

    async fn state_of(&self, saga: &str, query: Query) -> Result<Arc<SagaState>, CallError> {
        match self.call(saga, query).await? {
            CallAnswer::State(state) => Ok(state),
            CallAnswer::Recorded => unreachable!("a question for a state is answered with one"),
        }
    }

    async fn call(&self, saga: &str, query: Query) -> Result<CallAnswer, CallError> {
        let saga = SagaId::new(saga).map_err(|why| CallError::BadId(saga.to_owned(), why))?;
        let mut query = query;
        loop {
            let (answer, answered) = oneshot::channel();
            let call = Call {
                saga: saga.clone(),
                query,
                answer,
            };
            self.router.send(call).await?;
            match answered.await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(NotDone::Error(error))) => return Err(error),
                // Whatever is asked, asking it twice is asking it once.
                Ok(Err(NotDone::Moved(back))) => query = back,
                Err(_) => return Err(CallError::Stopped { why: None }),
            }
        }
    }
}

impl<O: Json> Ended<O> {
    fn of<I>(state: &SagaState, saga: Saga<I, O>) -> Result<Self, CallError> {
        if state.graph().saga != saga.name() {
            return Err(CallError::OtherSaga {
                saga: state.id().clone(),
                found: state.graph().saga.clone(),
                asked: saga.name(),
            });
        }
        let reason = || {
            state
                .turn()
                .map_or_else(String::new, |turn| turn.reason.clone())
        };
        match (state.status(), state.output()) {
            (Status::Completed, Some(output)) => {
                output
                    .read()
                    .map(Self::Completed)
                    .map_err(|why| CallError::Unreadable {
                        saga: state.id().clone(),
                        wanted: std::any::type_name::<O>(),
                        why: why.to_string(),
                    })
            }
            (Status::Compensated, _) => Ok(Self::Compensated { reason: reason() }),
            (Status::PartlyCompensated, _) => Ok(Self::PartlyCompensated {
                reason: reason(),
                left: state.left().to_vec(),
            }),
            (status, _) => unreachable!("an end is asked for and {status} was given"),
        }
    }
}

fn unwritable(what: &'static str, why: &dyn fmt::Display) -> CallError {
    CallError::Unwritable {
        what,
        why: why.to_string(),
    }
}
