//! What the author of a saga writes.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use sagalog_engine::{Query, Request, Rules, input::Wish, partition::Registry};
use sagalog_model::{AnyDefinition, Json, Payload, SagaId, Signal, Step};

use crate::{
    explore::{Explore, From, explore},
    explored::Explored,
    fault::Fault,
    plan::Plan,
    run::Run,
    site::Site,
    world::{ClientCall, Setup, World},
};

/// A saga in a simulated world, with what its participants give and what must hold.
///
/// ```
/// use sagalog_model::{Saga, Step};
/// use sagalog_sim::{Explore, Sim};
///
/// const TRIP: Saga<u32, u32> = Saga::new("trip");
/// const ROOM: Step<u32, u32> = Step::new("hotel.room").compensatable();
/// const CARD: Step<u32, u32> = Step::new("money.charge").compensatable();
///
/// let (mut saga, cents) = TRIP.define(1);
/// let room = saga.step("room", ROOM, cents);
/// let paid = saga.step("charge", CARD, room);
/// let trip = saga.returns(paid)?;
///
/// Sim::of(trip, &100)
///     .gives(ROOM, |cents| cents)
///     .gives(CARD, |cents| cents)
///     .always("no money without a room", |world| world.net("charge") <= world.net("room"))
///     .explore(Explore::exhaustive(1))
///     .check();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "explore it, or run a plan"]
#[derive(Clone)]
pub struct Sim {
    pub(crate) setup: Setup,
}

impl Sim {
    /// One saga of this definition, started with this input as `s1`.
    ///
    /// # Panics
    /// If the input cannot be written as JSON.
    pub fn of<I: Json>(definition: impl Into<AnyDefinition>, input: &I) -> Self {
        let definition = definition.into();
        let mut registry = Registry::default();
        registry
            .register(definition.clone())
            .expect("one definition differs from no other");
        let setup = Setup {
            definition,
            registry: Arc::new(registry),
            recorded: OnceLock::new(),
            rules: Rules::DEFAULT,
            gives: BTreeMap::new(),
            sagas: Vec::new(),
            calls: Vec::new(),
            always: Vec::new(),
            eventually: Vec::new(),
            races: false,
            traces: false,
        };
        Self { setup }.and_saga(input)
    }

    /// One more saga beside it: `s2`, `s3` and so on.
    ///
    /// # Panics
    /// If the input cannot be written as JSON.
    pub fn and_saga<I: Json>(mut self, input: &I) -> Self {
        let id = SagaId::new(format!("s{}", self.setup.sagas.len() + 1)).expect("a good id");
        let definition = self.setup.definition.graph().saga.as_str().into();
        let input = Payload::of(input).expect("the input is written as JSON");
        self.setup.sagas.push(id.clone());
        self.setup.calls.push(ClientCall {
            after: Duration::ZERO,
            saga: id,
            query: Query::Start { definition, input },
        });
        self
    }

    /// What a step's participant gives for an input. Without it a step gives `null`.
    pub fn gives<I: Json, O: Json>(
        self,
        step: Step<I, O>,
        gives: impl Fn(I) -> O + Send + Sync + 'static,
    ) -> Self {
        self.answers(step, move |input| Ok(gives(input)))
    }

    /// What a step's participant gives, or why it refuses for good.
    pub fn answers<I: Json, O: Json>(
        mut self,
        step: Step<I, O>,
        answers: impl Fn(I) -> Result<O, String> + Send + Sync + 'static,
    ) -> Self {
        let answer = move |input: &Payload| {
            let input = input
                .read()
                .map_err(|why| format!("the input does not read: {why}"))?;
            let output = answers(input)?;
            Payload::of(&output).map_err(|why| format!("the output does not write: {why}"))
        };
        self.setup
            .gives
            .insert(step.name().to_owned(), Arc::new(answer));
        self
    }

    /// A signal that somebody sends to every saga, so long after the start.
    ///
    /// # Panics
    /// If the payload cannot be written as JSON.
    pub fn signal<T: Json>(mut self, after: Duration, signal: Signal<T>, payload: &T) -> Self {
        let payload = Payload::of(payload).expect("the signal is written as JSON");
        for saga in self.setup.sagas.clone() {
            let id = format!("{}-{}", signal.name(), self.setup.calls.len()).into();
            let query = Query::Signal {
                signal: signal.name().into(),
                id,
                payload: payload.clone(),
            };
            self.setup.calls.push(ClientCall { after, saga, query });
        }
        self
    }

    /// Somebody cancels every saga, so long after the start.
    pub fn cancel(mut self, after: Duration) -> Self {
        self.setup.races = true;
        for saga in self.setup.sagas.clone() {
            let wish = Wish::Cancel {
                reason: "cancelled by the simulation".into(),
            };
            let id = format!("cancel-{}", self.setup.calls.len()).into();
            let query = Query::Request(Request {
                id,
                by: "simulation".into(),
                wish,
            });
            self.setup.calls.push(ClientCall { after, saga, query });
        }
        self
    }

    /// Something that must hold whenever the log has grown.
    pub fn always(
        mut self,
        name: &str,
        holds: impl Fn(&World) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.setup.always.push((name.to_owned(), Arc::new(holds)));
        self
    }

    /// Something that must hold when nothing is left to do.
    pub fn eventually(
        mut self,
        name: &str,
        holds: impl Fn(&World) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.setup
            .eventually
            .push((name.to_owned(), Arc::new(holds)));
        self
    }

    /// The saga's definition.
    pub fn definition(&self) -> &AnyDefinition {
        &self.setup.definition
    }

    /// Tries plans.
    pub fn explore(&self, budget: Explore) -> Explored {
        let setup = Arc::new(self.setup.clone());
        let report = explore(&setup, From::default(), budget);
        Explored::of(setup, report)
    }

    /// Tries what else can happen in the run of a plan once its log holds so many events of sagas:
    /// every plan tried is this one with more faults after that moment.
    pub fn explore_after(&self, plan: &Plan, events: u64, budget: Explore) -> Explored {
        let setup = Arc::new(self.setup.clone());
        let from = From {
            plan: plan.clone(),
            events,
        };
        let report = explore(&setup, from, budget);
        Explored::of(setup, report)
    }

    /// Plays one plan as an exploration does: without a trace.
    pub fn play(&self, plan: &Plan) -> World {
        World::run(&Arc::new(self.setup.clone()), plan.clone())
    }

    /// Runs one plan.
    ///
    /// # Errors
    /// [`NoSuchPlace`] if a fault of the plan has no consequence: its node is misspelt, it cannot happen
    /// after the ones before it, or it changes nothing there.
    pub fn run(&self, plan: &Plan) -> Result<Run, NoSuchPlace> {
        let run = Run::of(&self.setup, plan);
        let world = run.world();
        // A run that violates something stops there, before it comes to the rest of its plan.
        let missed = world.idle().next();
        match missed {
            Some((site, fault)) if run.violation().is_none() => Err(NoSuchPlace {
                site: site.clone(),
                idle: world.visited().contains(site).then_some(fault),
                visited: world.visited().iter().map(ToString::to_string).collect(),
            }),
            _ => Ok(run),
        }
    }
}

/// A fault of a plan has no consequence in its run: what the run shows is not about it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", .idle.map_or_else(
    || format!("the run does not go through `{site}`; it goes through: {}", .visited.join(", ")),
    |fault| format!("`{site}: {fault}` changes nothing in this run"),
))]
pub struct NoSuchPlace {
    /// The place.
    pub site: Site,
    /// The fault, if the run goes there and is not changed by it.
    pub idle: Option<Fault>,
    /// The places that it does go through.
    pub visited: Vec<String>,
}
