//! A simulated world: the production engine on a simulated log and transport, one thread, virtual
//! time. Everything that may go wrong asks the plan first, so a run is its plan.

mod agenda;
mod broker;
mod clients;
mod clock;
mod conditions;
mod dice;
mod held_sagas;
mod jobs;
mod lease;
mod ledger;
mod letters;
mod log;
mod models;
mod node;
mod order;
mod owner;
mod participant;
mod participants;
mod setup;
mod share;
mod visits;

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use sagalog_model::{
    Command, Reply, SagaEvent, SagaId, Withdrawal,
    dead_letter::LetterId,
    log::{PartitionId, Time},
};
use sagalog_projections::SagaState;
use serde::Serialize;

pub(crate) use dice::{Dice, SplitMix};
pub use ledger::{Account, Ledger};
pub(crate) use letters::{Dead, Poisoned};
#[cfg(feature = "mutants")]
pub(crate) use log::Row;
pub(crate) use log::{Stored, system_event};
pub(crate) use models::Models;
pub(crate) use node::NodeNumber;
pub(crate) use order::Chain;
pub(crate) use owner::{Guard, Owner, subject_of};
pub use participant::Fails;
pub(crate) use participant::{Needed, Participant, read, write};
pub(crate) use setup::{ClientCall, Property, Setup, Wants};
pub(crate) use share::Ownership;

use self::{
    agenda::Agenda,
    broker::{ConsumerId, Delivery, Station, Tag},
    conditions::Conditions,
    held_sagas::Trouble,
    jobs::{Job, JobName},
    letters::{Copy, Inbox, Incoming},
    log::SimLog,
    node::Node,
    owner::Zombie,
    participants::Sent,
    share::Share,
    visits::Visits,
};
use crate::{
    author,
    check::{Shadow, Violation},
    fault::Fault,
    plan::Plan,
    site::{Point, Site, Subject},
};

/// How long anything takes when nothing goes wrong.
const HOP: Duration = Duration::from_millis(1);

/// How long a node is down, or paused, or without a lease.
const DOWN: Duration = Duration::from_millis(50);

/// Later than any end.
const LONG_AFTER: Duration = Duration::from_secs(10 * 24 * 60 * 60);

/// How far a clock jumps.
const JUMP: Duration = Duration::from_secs(60 * 60);

/// More happenings than any run of a sane engine needs.
const HAPPENINGS_MAX: u64 = 100_000;

/// About as many places as a small run comes to: room for them is made at once.
const PLACES: usize = 64;

/// When every world begins.
pub(crate) const BEGINNING: Time = Time::from_micros(1_000_000_000_000);

/// One run of one plan.
#[derive(Clone)]
pub struct World {
    setup: Arc<Setup>,
    plan: Plan,
    /// Adds faults to the plan as places come by, in a random run.
    dice: Option<Dice>,
    turns: u64,
    now: Time,
    nodes: Vec<Node>,
    /// The partitions, by their number.
    shares: Vec<Share>,
    conditions: Conditions,
    broker_down_until: Time,
    database_down_until: Time,
    agenda: Agenda,
    log: SimLog,
    ledger: Ledger,
    /// What waits for the owners.
    inboxes: Station<Inbox, Incoming>,
    /// What keeps sagas from being driven.
    trouble: Trouble,
    /// What was poisoned, as it was meant.
    poisoned: BTreeMap<LetterId, Arc<Poisoned>>,
    next_ticket: u64,
    /// How often each node was parked.
    parked: BTreeMap<(SagaId, Arc<str>), u32>,
    effects: u64,
    /// Commands in the queues of their participants, by the participant's name.
    commands: Station<Arc<str>, Arc<Sent>>,
    /// Room for what is received at once; empty in between.
    received_commands: Vec<Delivery<Arc<Sent>>>,
    received: Vec<Delivery<Incoming>>,
    overtaken: BTreeMap<String, Command>,
    /// What participants have accepted and not completed.
    jobs: BTreeMap<JobName, Job>,
    /// When the signs of life that are not acknowledged came to their owner, by its clock.
    heard: BTreeMap<(PartitionId, Tag), Time>,
    visits: Visits,
    visited: Vec<Site>,
    bites: BTreeSet<(Site, Fault)>,
    shadow: Shadow,
    trace: Vec<TraceLine>,
    /// The author's `sometimes` that were true, by their numbers.
    marks: BTreeSet<usize>,
    violation: Option<Violation>,
}

/// One thing that happened, for the report.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TraceLine {
    /// When.
    pub at: Time,
    /// In whose lane.
    pub lane: Lane,
    /// The saga, if it is about one.
    pub saga: Option<SagaId>,
    /// What.
    pub what: String,
}

/// The lanes of a report.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// The nodes: crashes, take-overs; which one, if there are several.
    Node,
    /// The log: events.
    Log,
    /// The transport and the participants.
    World,
}

/// Something that is going to happen. Forks of a world share what it carries.
#[derive(Clone, Debug)]
enum Happening {
    Begin,
    Call(Arc<ClientCall>),
    /// A call comes once more, and nothing goes wrong with it.
    CallAgain(Arc<ClientCall>),
    ComesBack(NodeNumber),
    IsGivenDefinitions(NodeNumber),
    Stops(NodeNumber),
    InboxIsFree(PartitionId),
    LookAtTheLease(PartitionId),
    IsForced(Ownership),
    FindsOut(Ownership),
    ZombieResumes(Arc<Zombie>),
    Committed(Ownership),
    CommandArrives(Arc<Sent>),
    WorkerIsGone {
        queue: Arc<str>,
        worker: ConsumerId,
    },
    ReplyArrives(Arc<Reply>),
    /// A message that nobody can use comes to its queue.
    Dies(Arc<Dead>),
    /// A dead letter that was sent again comes to the queue that it died in.
    LetterArrives(Arc<Copy>),
    /// An owner learns that the broker has a dead letter again.
    LetterIsSent(Ownership, Arc<Copy>),
    WithdrawalArrives(Arc<Withdrawal>),
    /// A participant goes on with what it has accepted.
    Works(Arc<Command>),
}

impl World {
    /// Runs a plan to its end: until nothing is left to do, or something is violated.
    pub(crate) fn run(setup: &Arc<Setup>, plan: Plan) -> Self {
        let mut world = Self::begin(setup, plan);
        world.play();
        world
    }

    /// A world in which nothing has happened yet.
    pub(crate) fn begin(setup: &Arc<Setup>, plan: Plan) -> Self {
        let mut agenda = Agenda::default();
        agenda.add(BEGINNING, Happening::Begin);
        for call in &setup.calls {
            agenda.add(BEGINNING.after(call.after), Happening::Call(call.clone()));
        }
        Self {
            setup: setup.clone(),
            plan,
            dice: None,
            turns: 0,
            now: BEGINNING,
            nodes: vec![Node::new(BEGINNING); setup.nodes.get() as usize],
            shares: vec![Share::default(); setup.partitions().get() as usize],
            conditions: Conditions::default(),
            broker_down_until: BEGINNING,
            database_down_until: BEGINNING,
            agenda,
            log: setup.log(),
            ledger: Ledger::over(setup.models.clone()),
            inboxes: Station::new(),
            trouble: Trouble::default(),
            poisoned: BTreeMap::new(),
            next_ticket: 0,
            parked: BTreeMap::new(),
            effects: 0,
            commands: Station::new(),
            received_commands: Vec::new(),
            received: Vec::new(),
            overtaken: BTreeMap::new(),
            jobs: BTreeMap::new(),
            heard: BTreeMap::new(),
            visits: Visits::default(),
            visited: Vec::with_capacity(PLACES),
            bites: BTreeSet::new(),
            shadow: Shadow::default(),
            trace: Vec::new(),
            marks: BTreeSet::new(),
            violation: None,
        }
    }

    /// The same world, in which one more thing is going to go wrong: at a place that it has not come
    /// to yet.
    pub(crate) fn fork(&self, site: Site, fault: Fault) -> Self {
        self.planned(self.plan.with(site, fault))
    }

    /// The same world with another plan for what is ahead of it.
    pub(crate) fn planned(&self, plan: Plan) -> Self {
        let mut world = self.clone();
        world.plan = plan;
        world
    }

    /// The same world, in which dice are rolled for what else goes wrong: what comes of it is added to
    /// its plan.
    pub(crate) fn rolled(&self, dice: Dice) -> Self {
        let mut world = self.clone();
        world.dice = Some(dice);
        world
    }

    pub(crate) fn play(&mut self) {
        while self.turn() {}
    }

    /// One moment: does what is asked for now, then goes to the next moment. False at the end. An
    /// engine that panics has broken what it asserts of itself; a function of the author that does is
    /// told as the author's.
    pub(crate) fn turn(&mut self) -> bool {
        match catch_unwind(AssertUnwindSafe(|| self.moment())) {
            Ok(goes_on) => goes_on,
            Err(panic) => {
                match panic.downcast::<author::Panicked>() {
                    Ok(panicked) => self.violate("author", panicked.0),
                    Err(panic) => self.violate("I2", format!("panic: {}", author::text(&*panic))),
                }
                false
            }
        }
    }

    fn moment(&mut self) -> bool {
        self.turns += 1;
        if self.turns > HAPPENINGS_MAX {
            self.violate(
                "I17",
                format!("the world does not come to rest within {HAPPENINGS_MAX} happenings"),
            );
        }
        self.pump();
        self.mark();
        if self.violation.is_some() {
            return false;
        }
        let Some(next) = [self.agenda.next(), self.next_timer()]
            .into_iter()
            .flatten()
            .min()
        else {
            self.rest();
            return false;
        };
        self.now = self.now.max(next);
        while let Some(happening) = self.agenda.take(self.now) {
            if !self.lets_others_go_ahead(&happening) {
                self.happen(happening);
            }
        }
        true
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Begin => {
                self.world_begins();
                for partition in self.partitions() {
                    self.take_over(partition, self.home(partition));
                }
            }
            Happening::Call(call) => self.call(call),
            Happening::CallAgain(call) => self.call_arrives(call),
            Happening::ComesBack(node) => self.comes_back(node),
            Happening::IsGivenDefinitions(node) => self.is_given_definitions(node),
            Happening::Stops(node) => self.stops(node),
            Happening::InboxIsFree(partition) => self.inbox_is_free(partition),
            Happening::LookAtTheLease(partition) => self.look_at_the_lease(partition),
            Happening::IsForced(from) => self.is_forced(from),
            Happening::FindsOut(owner) => self.finds_out(owner),
            Happening::ZombieResumes(zombie) => self.zombie_resumes(&zombie),
            Happening::Committed(owner) => self.committed(owner),
            Happening::Works(command) => self.works(command),
            on_its_way if self.now < self.broker_down_until => {
                self.agenda.add(self.broker_down_until, on_its_way);
            }
            Happening::CommandArrives(sent) => self.command_arrives(sent),
            Happening::WorkerIsGone { queue, worker } => self.worker_is_gone(&queue, worker),
            Happening::ReplyArrives(reply) => self.reply_arrives(reply),
            Happening::Dies(dead) => self.dead_letter_arrives(dead),
            Happening::LetterArrives(copy) => self.letter_arrives(&copy),
            Happening::LetterIsSent(by, copy) => self.letter_is_sent(by, &copy),
            Happening::WithdrawalArrives(withdrawal) => self.withdrawn(&withdrawal),
        }
    }

    /// Notes which `sometimes` of the author are true now.
    fn mark(&mut self) {
        let setup = self.setup.clone();
        for (mark, (_, is_true)) in setup.sometimes.iter().enumerate() {
            if !self.marks.contains(&mark) && is_true(self) {
                self.marks.insert(mark);
            }
        }
    }

    /// When the next timer of any owner is due.
    fn next_timer(&self) -> Option<Time> {
        let owners = self.shares.iter().flat_map(|share| &share.owners);
        let due = |owner: &Owner| Some(self.node(owner.node).clock.real(owner.next_timer()?));
        owners.filter_map(due).min()
    }

    /// Nothing is left to do: what must hold in the end is looked at.
    fn rest(&mut self) {
        if let Err(violation) = crate::check::at_rest(self) {
            self.violation = Some(violation);
        }
    }

    /// Asks the plan what goes wrong here.
    fn visit(&mut self, saga: &SagaId, subject: Subject, point: Point) -> Option<Fault> {
        let saga = self.setup.ordinal(saga);
        let site = self.site(saga, subject, point);
        self.visit_site(site)
    }

    /// This visit of a place.
    fn site(&mut self, saga: u32, subject: Subject, point: Point) -> Site {
        let nth = self.visits.count(saga, point, &subject);
        Site {
            saga,
            subject,
            point,
            nth,
        }
    }

    fn visit_site(&mut self, site: Site) -> Option<Fault> {
        let rolled = self.dice.as_mut().and_then(|dice| dice.roll(&site));
        self.goes_wrong(&site, rolled);
        self.come_to(site)
    }

    /// Dice have said what goes wrong at a place, unless the plan says so already.
    fn goes_wrong(&mut self, site: &Site, rolled: Option<Fault>) {
        if let Some(fault) = rolled
            && self.plan.at(site).is_none()
        {
            self.plan = self.plan.with(site.clone(), fault);
        }
    }

    fn come_to(&mut self, site: Site) -> Option<Fault> {
        let fault = self.plan.at(&site).filter(|fault| self.setup.has(*fault));
        if let Some(fault) = fault {
            // A condition bites when something meets it.
            if site.point != Point::Config {
                self.bites.insert((site.clone(), fault));
            }
            self.say(Lane::World, || format!("** {site}: {fault}"));
        }
        self.visited.push(site);
        fault
    }

    /// The fault at the place that was just visited had no consequence.
    fn spared(&mut self, fault: Fault) {
        let site = self.visited.last().expect("a place was visited").clone();
        self.bites.remove(&(site, fault));
    }

    fn violate(&mut self, invariant: &'static str, what: String) {
        if self.violation.is_none() {
            let saga = None;
            self.violation = Some(Violation {
                invariant,
                saga,
                what,
                at: self.now,
            });
        }
    }

    fn checked(&mut self, result: Result<(), Violation>) {
        if let Err(violation) = result {
            self.violation.get_or_insert(violation);
        }
    }

    fn say(&mut self, lane: Lane, what: impl FnOnce() -> String) {
        self.say_of(lane, None, what);
    }

    fn say_of(&mut self, lane: Lane, saga: Option<&SagaId>, what: impl FnOnce() -> String) {
        if self.setup.traces {
            self.trace.push(TraceLine {
                at: self.now,
                lane,
                saga: saga.cloned(),
                what: what(),
            });
        }
    }
}

/// What can be asked of a world.
impl World {
    /// The same plan once more, from the beginning.
    #[must_use]
    pub fn again(&self) -> Self {
        Self::run(&self.setup, self.plan.clone())
    }

    /// The time in the world.
    pub fn now(&self) -> Time {
        self.now
    }

    /// The participants' accounts.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The author's model of this type, as it stands.
    ///
    /// # Panics
    /// If there is none: see [`Sim::model`](crate::Sim::model).
    #[track_caller]
    pub fn model<S: 'static>(&self) -> &S {
        self.ledger.model()
    }

    /// How many effects of a node stand, over all sagas: applied and not undone.
    pub fn net(&self, node: &str) -> i64 {
        let of_node = |key: &str| key.rsplit('/').nth(1) == Some(node);
        let accounts = self
            .ledger
            .accounts()
            .filter(|(key, _)| of_node(key.as_str()));
        accounts.map(|(_, account)| account.net()).sum()
    }

    /// The state of a saga, as far as the log goes.
    pub fn saga(&self, id: &str) -> Option<&SagaState> {
        self.shadow.state(id)
    }

    /// All sagas, as far as the log goes.
    pub fn sagas(&self) -> impl Iterator<Item = &SagaState> {
        self.shadow.states()
    }

    /// The events of a saga, as far as the log goes; none if it never started.
    pub fn history(&self, id: &str) -> Vec<SagaEvent> {
        let saga = SagaId::new(id).ok();
        let events = saga.iter().flat_map(|saga| self.log.events_of(saga));
        events.cloned().collect()
    }

    /// The sagas of a partition, as far as its log goes.
    pub(crate) fn sagas_of(&self, partition: PartitionId) -> impl Iterator<Item = &SagaState> {
        let is_there = move |state: &&SagaState| self.setup.partition(state.id()) == partition;
        self.sagas().filter(is_there)
    }

    /// Whether a saga has begun and not ended, as far as the log goes.
    pub(crate) fn is_under_way(&self, saga: &SagaId) -> bool {
        let state = self.shadow.of(saga);
        state.is_some_and(|state| !state.status().is_terminal())
    }

    /// What was violated.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// The faults that had a consequence.
    pub fn bites(&self) -> impl Iterator<Item = (&Site, Fault)> {
        self.bites.iter().map(|(site, fault)| (site, *fault))
    }

    /// The faults of the plan that had no consequence, or no place to happen: a plan with one of them
    /// shows nothing about it.
    pub fn idle(&self) -> impl Iterator<Item = (&Site, Fault)> {
        let bit = |site: &Site, fault| self.bites.contains(&(site.clone(), fault));
        self.plan
            .iter()
            .filter(move |(site, fault)| !bit(site, *fault))
    }

    /// The places that the run went through, in order.
    pub fn visited(&self) -> &[Site] {
        &self.visited
    }

    /// A number that two runs share only if their logs hold the same bytes, the participants did the
    /// same, and the same was traced.
    pub fn digest(&self) -> u64 {
        let mut digest = Fnv::default();
        self.log
            .rows()
            .for_each(|stored| digest.add(&format!("{} {:?}", stored.epoch, stored.row)));
        self.ledger
            .accounts()
            .for_each(|account| digest.add(&format!("{account:?}")));
        self.visited
            .iter()
            .for_each(|site| digest.add(&site.to_string()));
        self.trace
            .iter()
            .for_each(|line| digest.add(&format!("{line:?}")));
        digest.0
    }

    /// What happened, if the run was traced.
    pub fn trace(&self) -> &[TraceLine] {
        &self.trace
    }

    /// How many moments it has lived through.
    pub(crate) fn turns(&self) -> u64 {
        self.turns
    }

    /// How many events of sagas are durable.
    pub fn events(&self) -> u64 {
        self.log.events()
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The author's `sometimes` that were true, by their numbers.
    pub(crate) fn marks(&self) -> impl Iterator<Item = usize> {
        self.marks.iter().copied()
    }

    /// Who owns the partitions: whether somebody owns each, has appended all it has to, and is not the
    /// first, or was taken over and does not know; and what those do not know of yet.
    pub(crate) fn ownership(&self) -> [bool; 6] {
        let owners = || self.shares.iter().map(Share::owner);
        [
            owners().all(|owner| owner.is_some()),
            owners().flatten().all(Owner::is_at_rest),
            owners().flatten().any(|owner| !owner.is_the_first()),
            self.shares.iter().any(|share| share.owners.len() > 1),
            self.now < self.database_down_until,
            self.inbox_len() == 0,
        ]
    }

    pub(crate) fn setup(&self) -> &Arc<Setup> {
        &self.setup
    }

    pub(crate) fn log(&self) -> &SimLog {
        &self.log
    }

    pub(crate) fn shadow(&self) -> &Shadow {
        &self.shadow
    }

    pub(crate) fn shadow_mut(&mut self) -> &mut Shadow {
        &mut self.shadow
    }

    /// The replies of all partitions that are not acknowledged.
    pub(crate) fn inbox(&self) -> impl Iterator<Item = &Reply> {
        self.inboxes.messages().filter_map(Incoming::reply)
    }

    /// How many messages to the owners are not acknowledged.
    pub(crate) fn inbox_len(&self) -> usize {
        self.inboxes.messages().count()
    }
}

/// FNV-1a: its value depends on nothing but what is added, in any process.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, text: &str) {
        // A byte that no text has separates what is added.
        for byte in text.bytes().chain([0xff]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
