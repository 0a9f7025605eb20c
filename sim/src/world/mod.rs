//! A simulated world: the production engine on a simulated log and transport, one thread, virtual
//! time. Everything that may go wrong asks the plan first, so a run is its plan.

mod agenda;
mod ledger;
mod log;
mod node;
mod participants;
mod setup;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use sagalog_engine::Query;
use sagalog_model::{Command, Reply, SagaId, log::Time};
use sagalog_projections::SagaState;

pub(crate) use ledger::Gives;
pub use ledger::{Account, Ledger};
pub(crate) use setup::{ClientCall, Setup};

use self::{
    agenda::Agenda,
    log::SimLog,
    node::{Node, Zombie},
};
use crate::{
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

/// More happenings than any run of a sane engine needs.
const HAPPENINGS_MAX: u64 = 100_000;

/// When every world begins.
pub(crate) const BEGINNING: Time = Time::from_micros(1_000_000_000_000);

/// One run of one plan.
#[derive(Clone)]
pub struct World {
    setup: Arc<Setup>,
    plan: Plan,
    now: Time,
    agenda: Agenda,
    log: SimLog,
    ledger: Ledger,
    node: Option<Node>,
    /// Replies that are in the inbox and not acknowledged.
    inbox: BTreeMap<u64, Reply>,
    /// Calls of clients that are not answered.
    calls: BTreeMap<u64, ClientCall>,
    next_ticket: u64,
    effects: u64,
    overtaken: BTreeMap<String, Command>,
    visits: BTreeMap<(u32, Subject, Point), u32>,
    visited: Vec<Site>,
    bites: BTreeSet<(Site, Fault)>,
    shadow: Shadow,
    trace: Vec<TraceLine>,
    violation: Option<Violation>,
}

/// One thing that happened, for the report.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TraceLine {
    /// When.
    pub at: Time,
    /// In whose lane.
    pub lane: Lane,
    /// What.
    pub what: String,
}

/// The lanes of a report.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Lane {
    /// The node: crashes, take-overs.
    Node,
    /// The log: events.
    Log,
    /// The transport and the participants.
    World,
}

/// Something that is going to happen.
#[derive(Clone, Debug)]
enum Happening {
    Call(usize),
    TakeOver,
    ZombieResumes(Zombie),
    Committed { epoch: u64 },
    CommandArrives { command: Command, in_time: bool },
    ReplyArrives(Reply),
}

impl World {
    /// Runs a plan to its end: until nothing is left to do, or something is violated.
    pub(crate) fn run(setup: &Arc<Setup>, plan: Plan) -> Self {
        let mut world = Self {
            setup: setup.clone(),
            plan,
            now: BEGINNING,
            agenda: Agenda::default(),
            log: SimLog::default(),
            ledger: Ledger::default(),
            node: None,
            inbox: BTreeMap::new(),
            calls: BTreeMap::new(),
            next_ticket: 0,
            effects: 0,
            overtaken: BTreeMap::new(),
            visits: BTreeMap::new(),
            visited: Vec::new(),
            bites: BTreeSet::new(),
            shadow: Shadow::default(),
            trace: Vec::new(),
            violation: None,
        };
        world.begin();
        world.play();
        world
    }

    fn begin(&mut self) {
        self.agenda.add(self.now, Happening::TakeOver);
        for (index, call) in self.setup.calls.iter().enumerate() {
            self.agenda
                .add(BEGINNING.after(call.after), Happening::Call(index));
        }
    }

    fn play(&mut self) {
        for _ in 0..HAPPENINGS_MAX {
            self.pump();
            if self.violation.is_some() {
                return;
            }
            let timer = self.node.as_ref().and_then(Node::next_timer);
            let Some(next) = [self.agenda.next(), timer].into_iter().flatten().min() else {
                return self.rest();
            };
            self.now = self.now.max(next);
            while let Some(happening) = self.agenda.take(self.now) {
                self.happen(happening);
            }
        }
        self.violate(
            "I17",
            format!("the world does not come to rest within {HAPPENINGS_MAX} happenings"),
        );
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Call(index) => self.call(index),
            Happening::TakeOver => self.take_over(),
            Happening::ZombieResumes(zombie) => self.zombie_resumes(&zombie),
            Happening::Committed { epoch } => self.committed(epoch),
            Happening::CommandArrives { command, in_time } => {
                self.command_arrives(command, in_time)
            }
            Happening::ReplyArrives(reply) => self.reply_arrives(reply),
        }
    }

    fn call(&mut self, index: usize) {
        let call = self.setup.calls[index].clone();
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        self.calls.insert(ticket, call);
        self.feed_call(ticket);
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
        let visits = self
            .visits
            .entry((saga, subject.clone(), point))
            .or_default();
        *visits += 1;
        let site = Site {
            saga,
            subject,
            point,
            nth: *visits,
        };
        let fault = self.plan.at(&site);
        if let Some(fault) = fault {
            self.bites.insert((site.clone(), fault));
            self.say(Lane::World, || format!("** {site}: {fault}"));
        }
        self.visited.push(site);
        fault
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
        if self.setup.traces {
            self.trace.push(TraceLine {
                at: self.now,
                lane,
                what: what(),
            });
        }
    }
}

/// What can be asked of a world.
impl World {
    /// The time in the world.
    pub fn now(&self) -> Time {
        self.now
    }

    /// The participants' accounts.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
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

    /// What was violated.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// The faults that had a consequence.
    pub fn bites(&self) -> impl Iterator<Item = (&Site, Fault)> {
        self.bites.iter().map(|(site, fault)| (site, *fault))
    }

    /// The places that the run went through, in order.
    pub fn visited(&self) -> &[Site] {
        &self.visited
    }

    /// What happened, if the run was traced.
    pub fn trace(&self) -> &[TraceLine] {
        &self.trace
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn setup(&self) -> &Setup {
        &self.setup
    }

    pub(crate) fn log(&self) -> &SimLog {
        &self.log
    }

    pub(crate) fn shadow(&self) -> &Shadow {
        &self.shadow
    }

    pub(crate) fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    pub(crate) fn unanswered_calls(&self) -> usize {
        self.calls.len()
    }

    pub(crate) fn inbox_len(&self) -> usize {
        self.inbox.len()
    }
}

/// The query of a call, for the engine.
pub(crate) fn query_of(call: &ClientCall) -> Query {
    call.query.clone()
}
