//! What the author of a saga writes.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{Arc, OnceLock},
    time::Duration,
};

use sagalog_engine::{
    Query, Request, Rules, admission::Policies, input::Wish, partition::Registry,
};
use sagalog_model::{AnyDefinition, Json, NoSample, Numbered, Payload, SagaId, Signal, Step};

use crate::{
    explore::{Explore, explore},
    explored::Explored,
    fault::Fault,
    mend::{Decide, Mend},
    plan::Plan,
    run::Run,
    site::Site,
    world::{
        BEGINNING, ClientCall, Fails, Models, Needed, Participant, Setup, Wants, World, read, write,
    },
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
            empty_log: OnceLock::new(),
            rules: Rules::DEFAULT,
            policies: Arc::default(),
            is_guarded: false,
            participants: BTreeMap::new(),
            models: Models::default(),
            nodes: NonZeroU32::MIN,
            partitions: None,
            sagas: Vec::new(),
            calls: Vec::new(),
            mends: None,
            decides: None,
            resumes: Some(RESUMED),
            always: Vec::new(),
            eventually: Vec::new(),
            sometimes: Vec::new(),
            races: false,
            traces: false,
        };
        Self { setup }.and_saga(input)
    }

    /// One saga of this definition, started with the least value of its input's type as `s1`: zeros,
    /// empty texts, no options.
    ///
    /// # Panics
    /// If there is no such value; then say the input: [`Sim::of`].
    #[track_caller]
    pub fn auto(definition: impl Into<AnyDefinition>) -> Self {
        let definition = definition.into();
        let input = definition.sample_input();
        let input = input.unwrap_or_else(|why| {
            let saga = &definition.graph().saga;
            panic!("{why}; say what {saga} begins with: `Sim::of(definition, &input)`")
        });
        Self::of(definition, &input)
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
        let start = Query::Start { definition, input };
        self.call(Duration::ZERO, id, start, None);
        self
    }

    /// So many nodes instead of one. They share the partitions of the log, of which there are as many
    /// if [`Self::partitions`] does not say otherwise; a saga is in the partition that its id gives.
    /// The nodes are `n1`, `n2` and so on; another takes over what one of them owned when its lease
    /// is out, and gives it back when it is there again.
    ///
    /// # Panics
    /// If there are none, or more than 16.
    pub fn nodes(mut self, nodes: u32) -> Self {
        assert!(
            (1..=NODES_MAX).contains(&nodes),
            "1 to {NODES_MAX} nodes, not {nodes}"
        );
        self.setup.nodes = NonZeroU32::new(nodes).expect("it is not 0");
        self
    }

    /// So many partitions of the log, shared by the nodes.
    ///
    /// # Panics
    /// If there are none, or more than 64.
    pub fn partitions(mut self, partitions: u32) -> Self {
        let range = 1..=PARTITIONS_MAX;
        assert!(
            range.contains(&partitions),
            "1 to {PARTITIONS_MAX} partitions, not {partitions}"
        );
        self.setup.partitions = NonZeroU32::new(partitions);
        self
    }

    /// What a step's participant gives for an input. Without it a step gives the least value of its
    /// type: zeros, empty texts, no options.
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
        self.participant(step).action = Some(Arc::new(move |_, input, _| {
            let output = answers(read(input, "input")?).map_err(Fails::permanent)?;
            write(&output)
        }));
        self
    }

    /// A model of the outside world, as every run begins. It goes with a world wherever that forks;
    /// functions change it, and properties read it with [`World::model`]. There is one of each type.
    pub fn model<S: Clone + Send + Sync + 'static>(mut self, model: S) -> Self {
        self.setup.models.put(model);
        self
    }

    /// How a step's participant serves it: a function of a model and the input, which runs once for
    /// each action key. If it fails, its model is left as it was.
    ///
    /// ```
    /// # use sagalog_model::{Saga, Step};
    /// # use sagalog_sim::{Explore, Fails, Sim};
    /// # const TRIP: Saga<u32, u32> = Saga::new("trip");
    /// const ROOM: Step<u32, u32> = Step::new("hotel.room").compensatable();
    ///
    /// #[derive(Clone)]
    /// struct Hotel { free: Vec<u32> }
    ///
    /// # let (mut saga, guest) = TRIP.define(1);
    /// # let room = saga.step("room", ROOM, guest);
    /// # let trip = saga.returns(room)?;
    /// Sim::of(trip, &1)
    ///     .model(Hotel { free: vec![7] })
    ///     .handles(ROOM, |hotel: &mut Hotel, _guest| {
    ///         hotel.free.pop().ok_or_else(|| Fails::permanent("no room is free"))
    ///     })
    ///     .undoes(ROOM, |hotel: &mut Hotel, _guest, room| {
    ///         hotel.free.push(room);
    ///         Ok(())
    ///     })
    ///     .eventually("a room is taken or free", |world| {
    ///         world.net("room") + world.model::<Hotel>().free.len() as i64 == 1
    ///     })
    ///     .explore(Explore::exhaustive(1))
    ///     .check();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn handles<S, I, O>(
        mut self,
        step: Step<I, O>,
        handles: impl Fn(&mut S, I) -> Result<O, Fails> + Send + Sync + 'static,
    ) -> Self
    where
        S: Clone + Send + Sync + 'static,
        I: Json,
        O: Json,
    {
        let participant = self.participant_with::<S, _, _>(step);
        participant.action = Some(Arc::new(move |models, input, _| {
            let model = models.get_mut().expect(MODEL);
            write(&handles(model, read(input, "input")?)?)
        }));
        self
    }

    /// How a step's participant undoes it: a function of a model, what the action was given and what
    /// it gave. It runs once, and only if the action took effect.
    pub fn undoes<S, I, O>(
        mut self,
        step: Step<I, O>,
        undoes: impl Fn(&mut S, I, O) -> Result<(), Fails> + Send + Sync + 'static,
    ) -> Self
    where
        S: Clone + Send + Sync + 'static,
        I: Json,
        O: Json,
    {
        let participant = self.participant_with::<S, _, _>(step);
        participant.undo = Some(Arc::new(move |models, input, output| {
            let output = output.expect("what is undone has given something");
            let (input, output) = (read(input, "input")?, read(output, "output")?);
            undoes(models.get_mut().expect(MODEL), input, output)?;
            Ok(Payload::null())
        }));
        self
    }

    /// A step's participant accepts its action at once and completes it so much later; in between it
    /// says three times in each heartbeat of the step that the work goes on. When the saga turns it
    /// puts back what it has begun.
    ///
    /// # Panics
    /// If the step has no heartbeat.
    #[track_caller]
    pub fn accepts<I: Json, O: Json>(mut self, step: Step<I, O>, takes: Duration) -> Self {
        let name = step.name();
        assert!(
            step.spec().heartbeat.is_some(),
            "`{name}` has no heartbeat, so its participant answers at once; add `.heartbeat(span)`"
        );
        self.participant(step).takes = Some(takes);
        self
    }

    /// How a step's participant finds out whether its action took effect: what it gave, or `None`
    /// if it did not. Without it the ledger says so.
    pub fn probes<S, I, O>(
        mut self,
        step: Step<I, O>,
        probes: impl Fn(&S, I) -> Result<Option<O>, Fails> + Send + Sync + 'static,
    ) -> Self
    where
        S: Clone + Send + Sync + 'static,
        I: Json,
        O: Json,
    {
        let participant = self.participant_with::<S, _, _>(step);
        participant.probe = Some(Arc::new(move |models, input| {
            let model = models.get().expect(MODEL);
            let found = probes(model, read(input, "input")?)?;
            found.map(|output| write(&output)).transpose()
        }));
        self
    }

    /// A participant with a function of this model.
    fn participant_with<S: 'static, I, O>(&mut self, step: Step<I, O>) -> &mut Participant {
        let participant = self.participant(step);
        participant.models.push(Needed::of::<S>());
        participant
    }

    fn participant<I, O>(&mut self, step: Step<I, O>) -> &mut Participant {
        let name = step.name().to_owned();
        self.setup.participants.entry(name).or_default()
    }

    /// A signal that somebody sends to every saga, so long after the start.
    ///
    /// # Panics
    /// If the payload cannot be written as JSON.
    pub fn signal<T: Json>(self, after: Duration, signal: Signal<T>, payload: &T) -> Self {
        let payload = Payload::of(payload).expect("the signal is written as JSON");
        self.signal_payload(after, signal.name(), &payload)
    }

    /// A signal that somebody sends to every saga, so long after the start, with a time: it may come again
    /// for so long, by its sender's clock, and not later.
    ///
    /// # Panics
    /// If the payload cannot be written as JSON.
    pub fn signal_for<T: Json>(
        self,
        lifetime: Duration,
        after: Duration,
        signal: Signal<T>,
        payload: &T,
    ) -> Self {
        let payload = Payload::of(payload).expect("the signal is written as JSON");
        self.signal_of(after, signal.name(), &payload, Some(lifetime))
    }

    /// How many ids with a time a saga remembers at least; 1,000 unless said otherwise. So few that the
    /// simulation comes to forget some.
    pub fn remembers(mut self, ids: usize) -> Self {
        self.setup.rules.ids_max = ids;
        self
    }

    /// Commands are admitted to participants by these policies, as
    /// [in a runtime](sagalog_engine::admission); so few permits and so short a temper that the
    /// simulation comes to wait for some.
    pub fn admission(mut self, policies: Policies) -> Self {
        self.setup.is_guarded = policies != Policies::default();
        self.setup.policies = Arc::new(policies);
        self
    }

    pub(crate) fn call(
        &mut self,
        after: Duration,
        saga: SagaId,
        query: Query,
        lifetime: Option<Duration>,
    ) {
        self.setup.calls.push(Arc::new(ClientCall {
            after,
            saga,
            wants: Wants::Saga(query),
            lifetime,
        }));
    }

    fn signal_payload(self, after: Duration, signal: &str, payload: &Payload) -> Self {
        self.signal_of(after, signal, payload, None)
    }

    fn signal_of(
        mut self,
        after: Duration,
        signal: &str,
        payload: &Payload,
        lifetime: Option<Duration>,
    ) -> Self {
        self.setup.races = true;
        for saga in self.setup.sagas.clone() {
            let id = format!("{}-{}", signal, self.setup.calls.len()).into();
            let query = Query::Signal {
                signal: signal.into(),
                id,
                until: lifetime.map(|lifetime| BEGINNING.after(after).after(lifetime)),
                payload: payload.clone(),
            };
            self.call(after, saga, query, lifetime);
        }
        self
    }

    /// A numbered signal that its producer sends to every saga, so long after the start. Asked for it
    /// again, it sends it again.
    ///
    /// # Panics
    /// If the payload cannot be written as JSON.
    pub fn signal_in_order<T: Json>(
        mut self,
        after: Duration,
        signal: Signal<T>,
        (producer, number): (&str, u64),
        payload: &T,
    ) -> Self {
        let payload = Payload::of(payload).expect("the signal is written as JSON");
        self.setup.races = true;
        for saga in self.setup.sagas.clone() {
            let query = Query::Numbered(Numbered {
                signal: signal.name().into(),
                producer: producer.into(),
                number,
                payload: payload.clone(),
            });
            self.call(after, saga, query, None);
        }
        self
    }

    /// Somebody cancels every saga, so long after the start.
    pub fn cancel(self, after: Duration) -> Self {
        let reason = "cancelled by the simulation".into();
        self.wished("cancel", after, &Wish::Cancel { reason })
    }

    /// An operator has every saga undone, so long after the start; one that is paused too.
    pub fn compensate(self, after: Duration) -> Self {
        let reason = "compensated by the simulation".into();
        self.wished("compensate", after, &Wish::Compensate { reason })
    }

    /// Somebody pauses every saga so long after the start. Each is resumed `lasting` after it was paused,
    /// as one is that is paused by a fault.
    pub fn pause(mut self, after: Duration, lasting: Duration) -> Self {
        self.setup.resumes = Some(lasting);
        let reason = "paused by the simulation".into();
        self.wished("pause", after, &Wish::Pause { reason })
    }

    /// Somebody sets the deadline of every saga so long after the start: it is `within` of that moment, or
    /// there is none any more.
    pub fn set_deadline(self, after: Duration, within: Option<Duration>) -> Self {
        let deadline = within.map(|within| BEGINNING.after(after).after(within));
        let reason = "set by the simulation".into();
        let wish = Wish::SetDeadline { deadline, reason };
        self.wished("deadline", after, &wish)
    }

    fn wished(mut self, word: &str, after: Duration, wish: &Wish) -> Self {
        self.setup.races = true;
        for saga in self.setup.sagas.clone() {
            let id = format!("{word}-{}", self.setup.calls.len()).into();
            let query = Query::Request(Request {
                id,
                by: "simulation".into(),
                until: None,
                wish: wish.clone(),
            });
            self.call(after, saga, query, None);
        }
        self
    }

    /// Somebody looks after nodes that wait for a person: so long after one is parked for the nth time,
    /// from 1, they do what `mend` says for its id and `n`. Without it parked nodes wait for ever.
    ///
    /// What is retried for ever and never succeeds breaks I17: let `mend` give up after some tries.
    pub fn mends(
        mut self,
        after: Duration,
        mend: impl Fn(&str, u32) -> Mend + Send + Sync + 'static,
    ) -> Self {
        self.setup.races = true;
        self.setup.mends = Some((after, Arc::new(mend)));
        self
    }

    /// A signal that somebody sends to every saga, so long after the start, with JSON that need not be
    /// what its contract says: then it is held, and what comes behind it.
    ///
    /// # Panics
    /// If it is not JSON.
    pub fn signal_text<T>(self, after: Duration, signal: Signal<T>, json: &str) -> Self {
        let payload = Payload::parse(json).expect("it is JSON");
        self.signal_payload(after, signal.name(), &payload)
    }

    /// Somebody looks after inputs that are held: so long after one keeps its saga waiting, they do what
    /// `decide` says for its number. Without it they wait for ever.
    pub fn decides(
        mut self,
        after: Duration,
        decide: impl Fn(u64) -> Decide + Send + Sync + 'static,
    ) -> Self {
        self.setup.races = true;
        self.setup.decides = Some((after, Arc::new(decide)));
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

    /// Something that must have been true, if only for a moment, in at least one run of an exploration:
    /// otherwise what was to be tried was never tried, and the exploration shows nothing.
    pub fn sometimes(
        mut self,
        name: &str,
        is_true: impl Fn(&World) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.setup
            .sometimes
            .push((name.to_owned(), Arc::new(is_true)));
        self
    }

    /// The saga's definition.
    pub fn definition(&self) -> &AnyDefinition {
        &self.setup.definition
    }

    /// Whether every step is served: it has a function or a value to give, and its model.
    ///
    /// # Errors
    /// [`Unsound`] names each step that is not, and what to add.
    pub fn sound(&self) -> Result<(), Unsound> {
        self.ready().map(drop)
    }

    /// Tries plans.
    ///
    /// # Panics
    /// If it is not [sound](Self::sound).
    #[track_caller]
    pub fn explore(&self, budget: Explore) -> Explored {
        let setup = self.must_be_ready();
        let report = explore(&setup, &Plan::healthy(), 0, budget);
        Explored::of(setup, Plan::healthy(), report)
    }

    /// Plays one plan as an exploration does: without a trace.
    ///
    /// # Panics
    /// If it is not [sound](Self::sound).
    #[track_caller]
    pub fn play(&self, plan: &Plan) -> World {
        World::run(&self.must_be_ready(), plan.clone())
    }

    /// Runs one plan.
    ///
    /// # Errors
    /// [`NoSuchPlace`] if a fault of the plan has no consequence: its node is misspelt, it cannot happen
    /// after the ones before it, or it changes nothing there. [`Unsound`] if a step is not served.
    pub fn run(&self, plan: &Plan) -> Result<Run, CannotRun> {
        let run = Run::of(&*self.ready()?, plan);
        let world = run.world();
        // A run that violates something stops there, before it comes to the rest of its plan.
        let missed = world.idle().next();
        match missed {
            Some((site, fault)) if run.violation().is_none() => Err(NoSuchPlace {
                site: site.clone(),
                idle: world.visited().contains(site).then_some(fault),
                visited: world.visited().iter().map(ToString::to_string).collect(),
            }
            .into()),
            _ => Ok(run),
        }
    }

    #[track_caller]
    pub(crate) fn must_be_ready(&self) -> Arc<Setup> {
        self.ready().unwrap_or_else(|unsound| panic!("{unsound}"))
    }

    /// What runs are made of: every step served.
    fn ready(&self) -> Result<Arc<Setup>, Unsound> {
        let mut setup = self.setup.clone();
        let mut unserved = Vec::new();
        for step in setup.definition.steps() {
            let name = step.name.to_string();
            let participant = setup.participants.entry(name.clone()).or_default();
            participant.queue = step.participant().into();
            if participant.action.is_none() {
                let sample = setup.definition.sample_output(&name);
                match sample.expect("a step of the definition has a type") {
                    Ok(output) => {
                        participant.action = Some(Arc::new(move |_, _, _| Ok(output.clone())));
                    }
                    Err(why) => unserved.push(Unserved::NothingToGive {
                        step: name.clone(),
                        why,
                    }),
                }
            }
            let missing = participant.models.iter();
            let missing = missing.filter(|needed| !(needed.is_in)(&setup.models));
            unserved.extend(missing.map(|needed| Unserved::NoModel {
                step: name.clone(),
                model: needed.name,
            }));
        }
        if unserved.is_empty() {
            Ok(Arc::new(setup))
        } else {
            Err(Unsound { unserved })
        }
    }
}

/// How long after a pause somebody resumes, unless said otherwise: attempts are over by then.
const RESUMED: Duration = Duration::from_secs(3);

/// What a function that finds no model has overlooked.
const MODEL: &str = "it was looked that every model is there";

/// Why a plan was not run.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CannotRun {
    /// The simulation must be completed first.
    #[error(transparent)]
    Unsound(#[from] Unsound),
    /// The plan must be mended: it shows nothing as it is.
    #[error(transparent)]
    NoSuchPlace(#[from] NoSuchPlace),
}

/// Steps that nobody serves: no run would come past them.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the simulation is not complete:{}", .unserved.iter().map(|it| format!("\n  {it}")).collect::<String>())]
pub struct Unsound {
    /// Each of them, and what is missing.
    pub unserved: Vec<Unserved>,
}

/// A step that nobody serves.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unserved {
    /// Nobody says what it gives, and its type has no least value.
    #[error(
        "nobody says what `{step}` gives, and {why}; add `.gives(STEP, |input| ..)` with its constant"
    )]
    NothingToGive {
        /// The step, by its contract's name.
        step: String,
        /// Why nothing can be made up.
        why: NoSample,
    },
    /// Its functions work on a model that is not there.
    #[error(
        "the functions of `{step}` work on a `{model}`, which is not there; add `.model(..)` with one"
    )]
    NoModel {
        /// The step, by its contract's name.
        step: String,
        /// The type of the model.
        model: &'static str,
    },
}

/// The most nodes of a world.
const NODES_MAX: u32 = 16;

/// The most partitions of a world.
const PARTITIONS_MAX: u32 = 64;

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
