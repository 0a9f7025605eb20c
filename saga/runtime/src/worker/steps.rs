//! Which handler performs which step.

use std::{
    any::TypeId,
    collections::{BTreeMap, BTreeSet, HashMap},
    future::Future,
    num::NonZeroUsize,
    sync::Arc,
};

use sagalog_model::{Direction, Graph, Json, Step, graph::participant};

use super::{
    attempt::Attempt,
    failure::{Failure, Found, Given},
    faults::{self, HandlerFault, WhatIsWrong},
    handler::{self, Handler},
};

/// The steps that this process performs, each with its handlers: async functions of an
/// [`Attempt`] and the step's input.
///
/// `S` is what every handler finds in [`Attempt::state`]; it is cloned for each call, so put what
/// is large behind an [`Arc`].
pub struct Worker<S = ()> {
    state: S,
    pub(super) steps: HashMap<Arc<str>, StepHandlers>,
    pub(super) faults: Vec<HandlerFault>,
    /// What it can do beside its steps, and versions of these.
    pub(super) capabilities: BTreeMap<Arc<str>, Arc<str>>,
}

/// A step's handlers and limit.
pub(super) struct StepHandlers {
    types: (TypeId, TypeId),
    pub(super) action: Option<Handler>,
    pub(super) compensation: Option<Handler>,
    pub(super) probe: Option<Handler>,
    limit: Option<NonZeroUsize>,
}

/// How many calls of one step run at a time, unless [`Worker::limit`] says otherwise.
const DEFAULT_LIMIT: usize = 256;

impl Worker {
    /// A worker whose handlers share no state.
    #[expect(
        clippy::new_without_default,
        reason = "a worker without steps is no sensible default"
    )]
    pub fn new() -> Self {
        Self::with(())
    }
}

impl<S: Clone + Send + Sync + 'static> Worker<S> {
    /// A worker whose handlers share this state.
    pub fn with(state: S) -> Self {
        Self {
            state,
            steps: HashMap::new(),
            faults: Vec::new(),
            capabilities: BTreeMap::new(),
        }
    }

    /// The handler of a step's forward work, or of an alternative to a compensation, which is a
    /// step of its own.
    #[must_use]
    pub fn action<I: Json, O: Json, F>(
        mut self,
        step: Step<I, O>,
        handler: impl Fn(Attempt<S>, I) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<O, Failure>> + Send + 'static,
    {
        let handler = handler::action(self.state.clone(), handler);
        let handlers = self.handlers(step);
        let twice = handlers.action.replace(handler).is_some();
        self.note_twice(twice, step, Direction::Action);
        self
    }

    /// The handler of a step with a heartbeat, which may accept the work and return while it goes
    /// on elsewhere: [`Given::Later`].
    #[must_use]
    pub fn accepts<I: Json, O: Json, F>(
        mut self,
        step: Step<I, O>,
        handler: impl Fn(Attempt<S>, I) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Given<O>, Failure>> + Send + 'static,
    {
        if step.spec().heartbeat.is_none() {
            let name = step.name().into();
            let fault = HandlerFault::new(None, name, WhatIsWrong::NoHeartbeat);
            self.faults.push(fault);
        }
        let handler = handler::accepting(self.state.clone(), handler);
        let handlers = self.handlers(step);
        let twice = handlers.action.replace(handler).is_some();
        self.note_twice(twice, step, Direction::Action);
        self
    }

    /// The handler that undoes a step.
    ///
    /// The output is `None` if it is not known whether the action took effect: then undo whatever
    /// was done under [`Attempt::action_key`], and if nothing was, remember that this action must
    /// not happen any more, and succeed.
    #[must_use]
    pub fn compensation<I: Json, O: Json, F>(
        mut self,
        step: Step<I, O>,
        handler: impl Fn(Attempt<S>, I, Option<O>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let handler = handler::compensation(self.state.clone(), handler);
        let handlers = self.handlers(step);
        let twice = handlers.compensation.replace(handler).is_some();
        self.note_twice(twice, step, Direction::Compensation);
        self
    }

    /// The handler that finds out whether a step's action took effect.
    #[must_use]
    pub fn probe<I: Json, O: Json, F>(
        mut self,
        step: Step<I, O>,
        handler: impl Fn(Attempt<S>, I) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Found<O>, Failure>> + Send + 'static,
    {
        let handler = handler::probe(self.state.clone(), handler);
        let handlers = self.handlers(step);
        let twice = handlers.probe.replace(handler).is_some();
        self.note_twice(twice, step, Direction::Probe);
        self
    }

    /// How many calls of this step run at a time, in all directions together; 256 unless said
    /// otherwise. Commands beyond it wait for their turn, until their deadline.
    #[must_use]
    pub fn limit<I: Json, O: Json>(mut self, step: Step<I, O>, calls: NonZeroUsize) -> Self {
        self.handlers(step).limit = Some(calls);
        self
    }

    /// Says of what else this worker is capable, such as `euro`, or in which version it has a step, by the
    /// step's name. It is announced with the worker's steps, and found by
    /// [`Client::participants`](crate::Client::participants).
    #[must_use]
    pub fn capability(mut self, name: impl Into<Arc<str>>, version: impl Into<Arc<str>>) -> Self {
        self.capabilities.insert(name.into(), version.into());
        self
    }

    /// This worker with the steps of another one, which may have another state. One process serves
    /// one participant with one worker: two would take each other's commands.
    #[must_use]
    pub fn and<T>(mut self, other: Worker<T>) -> Self {
        self.faults.extend(other.faults);
        self.capabilities.extend(other.capabilities);
        for (name, handlers) in other.steps {
            let types = handlers.types;
            let ours = self
                .steps
                .entry(name.clone())
                .or_insert_with(|| StepHandlers::new(types));
            let wrong = ours.take_over(handlers);
            let faults = wrong.map(|wrong| HandlerFault::new(None, name.clone(), wrong));
            self.faults.extend(faults);
        }
        self
    }

    /// The same worker without the steps of these participants.
    #[must_use]
    pub fn without(mut self, participants: &BTreeSet<String>) -> Self {
        self.steps
            .retain(|step, _| !participants.contains(participant(step)));
        self
    }

    /// The participants whose steps it performs, by name.
    pub fn participants(&self) -> BTreeSet<String> {
        let steps = self.steps.keys();
        steps.map(|step| participant(step).to_owned()).collect()
    }

    /// What is missing or wrong for the steps of this graph, so that it is known at the start and
    /// not when the first command comes.
    ///
    /// Types are compared between the handlers of one step; a graph does not know any.
    pub fn faults(&self, graph: &Graph) -> Vec<HandlerFault> {
        faults::of(self, graph)
    }

    fn handlers<I: Json, O: Json>(&mut self, step: Step<I, O>) -> &mut StepHandlers {
        let types = (TypeId::of::<I>(), TypeId::of::<O>());
        let name: Arc<str> = step.name().into();
        let handlers = self
            .steps
            .entry(name.clone())
            .or_insert_with(|| StepHandlers::new(types));
        if handlers.types != types {
            let wrong = WhatIsWrong::OtherTypes;
            self.faults.push(HandlerFault::new(None, name, wrong));
        }
        handlers
    }

    fn note_twice<I, O>(&mut self, twice: bool, step: Step<I, O>, direction: Direction) {
        if twice {
            let wrong = WhatIsWrong::Twice(direction);
            let fault = HandlerFault::new(None, step.name().into(), wrong);
            self.faults.push(fault);
        }
    }
}

impl StepHandlers {
    fn new(types: (TypeId, TypeId)) -> Self {
        Self {
            types,
            action: None,
            compensation: None,
            probe: None,
            limit: None,
        }
    }

    /// How many calls run at a time.
    pub(super) fn limit(&self) -> usize {
        self.limit.map_or(DEFAULT_LIMIT, NonZeroUsize::get)
    }

    /// Takes over what another worker has for the step, and says what is wrong with that.
    fn take_over(&mut self, other: Self) -> impl Iterator<Item = WhatIsWrong> + use<> {
        let types = (self.types != other.types).then_some(WhatIsWrong::OtherTypes);
        let mut twice = Vec::new();
        let mut replace = |ours: &mut Option<Handler>, theirs: Option<Handler>, direction| {
            if ours.is_some() && theirs.is_some() {
                twice.push(WhatIsWrong::Twice(direction));
            }
            *ours = theirs.or_else(|| ours.take());
        };
        replace(&mut self.action, other.action, Direction::Action);
        replace(
            &mut self.compensation,
            other.compensation,
            Direction::Compensation,
        );
        replace(&mut self.probe, other.probe, Direction::Probe);
        self.limit = other.limit.or(self.limit);
        types.into_iter().chain(twice)
    }

    /// The handler of a direction. An alternative is an action of the step that it is.
    pub(super) fn of(&self, direction: Direction) -> Option<&Handler> {
        match direction {
            Direction::Action | Direction::Alternative => self.action.as_ref(),
            Direction::Compensation => self.compensation.as_ref(),
            Direction::Probe => self.probe.as_ref(),
        }
    }
}
