//! A small scripted driver around the partition machine: a log in memory, participants that answer
//! by script, and a clock that jumps to the next thing to do.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its part of it"
)]

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use sagalog_engine::{
    Answer, Effect, Evaluate, Input, Partition, Query, Request, Rules, Ticket,
    admission::Policies,
    decide::Context,
    input::Wish,
    partition::{Found, History, Registry, SystemHeads, Taken},
    redecide,
};
use sagalog_model::{
    AnyDefinition, AttemptNumber, Command, Direction, Expression, FailureClass, Graph, Missing,
    Numbered, Outcome, Outputs, Payload, Reply, SagaEvent, SagaId,
    log::{Batch, Epoch, NewEvent, PartitionId, Position, StreamKey, StreamState, Time},
    system::{LateSuccess, SystemEvent},
};
use sagalog_projections::{SagaState, Status};

pub struct Guard;

impl Evaluate for Guard {
    fn evaluate(
        &self,
        definition: &AnyDefinition,
        what: Expression,
        outputs: &dyn Outputs,
    ) -> Result<Payload, String> {
        catch_unwind(AssertUnwindSafe(|| definition.evaluate(what, outputs)))
            .map_err(|_| "the definition's code panicked".to_owned())?
            .map_err(|error| error.to_string())
    }

    fn accepts(
        &self,
        definition: &AnyDefinition,
        signal: &str,
        payload: &Payload,
    ) -> Result<(), String> {
        catch_unwind(AssertUnwindSafe(|| definition.accepts(signal, payload)))
            .map_err(|_| "the definition's code panicked".to_owned())?
            .map_err(|error| error.to_string())
    }
}

/// What a participant does with an attempt.
#[derive(Clone, Debug)]
pub enum Does {
    Succeeds(&'static str),
    Fails,
    FailsForNow,
    Doubts,
    FindsNothing,
    /// It takes effect, but the answer never comes.
    IsLost,
    /// It takes effect, and the answer comes after this long.
    IsLate(Duration, &'static str),
    /// It is accepted at once, says every other second that it is under way, and is done after this
    /// long.
    Accepts(Duration, &'static str),
}

pub struct World {
    pub machine: Partition<Guard>,
    pub rows: Vec<Batch>,
    pub epoch: u64,
    pub now: Time,
    pub answers: BTreeMap<u64, String>,
    pub states: BTreeMap<u64, Arc<SagaState>>,
    pub asked: Vec<String>,
    /// What participants were told of turns.
    pub withdrawn: Vec<String>,
    /// What producers were asked to send again.
    pub missing: Vec<String>,
    /// Applied external effects, by idempotency key: how often they were asked for.
    pub effects: BTreeMap<String, u32>,
    definitions: Vec<AnyDefinition>,
    rules: Rules,
    policies: Arc<Policies>,
    script: BTreeMap<(String, Direction, u32), Does>,
    outputs: BTreeMap<String, &'static str>,
    commands: VecDeque<Command>,
    late: BTreeMap<(Time, u64), Reply>,
    unanswered: BTreeMap<u64, (SagaId, Query)>,
    redelivered: BTreeSet<String>,
    tickets: u64,
    /// How many commits there were or would have been.
    pub commits: usize,
    crash: Option<Crash>,
}

/// Where the node dies: around its n-th commit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Crash {
    BeforeCommit(usize),
    AfterCommit(usize),
    /// The commit took place, but its outcome is unknown: the partition is taken over, the inputs
    /// that were not answered are fed again.
    Unknown(usize),
}

const START: Time = Time::from_micros(1_000_000_000);

/// So many seconds after the beginning.
pub fn second(seconds: u64) -> Time {
    START.after(Duration::from_secs(seconds))
}

impl World {
    pub fn new(definition: impl Into<AnyDefinition>) -> Self {
        Self::with(vec![definition.into()], Rules::DEFAULT)
    }

    pub fn with(definitions: Vec<AnyDefinition>, rules: Rules) -> Self {
        let (rows, epoch) = (Vec::new(), 1);
        let machine =
            take_over(&rows, epoch, &definitions, rules, START).expect("nothing is under way");
        let mut world = Self {
            machine,
            rows,
            epoch,
            now: START,
            answers: BTreeMap::new(),
            states: BTreeMap::new(),
            asked: Vec::new(),
            withdrawn: Vec::new(),
            missing: Vec::new(),
            effects: BTreeMap::new(),
            definitions,
            rules,
            policies: Arc::default(),
            script: BTreeMap::new(),
            outputs: BTreeMap::new(),
            commands: VecDeque::new(),
            late: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            redelivered: BTreeSet::new(),
            tickets: 0,
            commits: 0,
            crash: None,
        };
        world.machine.inbox_is_empty();
        world
    }

    /// What every action of this node gives unless the script says otherwise.
    pub fn gives(mut self, node: &str, output: &'static str) -> Self {
        self.outputs.insert(node.into(), output);
        self
    }

    /// What one attempt in a direction does.
    pub fn when(mut self, node: &str, direction: Direction, attempt: u32, does: Does) -> Self {
        self.script.insert((node.into(), direction, attempt), does);
        self
    }

    /// What all attempts in a direction do, up to a number that no test reaches.
    pub fn always(mut self, node: &str, direction: Direction, does: Does) -> Self {
        for attempt in 1..=200 {
            self.script
                .insert((node.into(), direction, attempt), does.clone());
        }
        self
    }

    /// Commands are admitted to participants by these policies.
    pub fn admitting(mut self, policies: Policies) -> Self {
        self.policies = Arc::new(policies);
        self.machine = self.machine.admitting(self.policies.clone());
        self
    }

    pub fn crashing(mut self, crash: Crash) -> Self {
        self.crash = Some(crash);
        self
    }

    pub fn feed(&mut self, saga: &str, what: Query) -> u64 {
        self.tickets += 1;
        let ticket = self.tickets;
        let saga = SagaId::new(saga).expect("a good id");
        self.unanswered.insert(ticket, (saga.clone(), what.clone()));
        self.machine.handle(
            Input {
                ticket: Ticket(ticket),
                saga,
                what,
            },
            self.now,
        );
        ticket
    }

    pub fn start(&mut self, definition: &str, saga: &str, input: &str) -> u64 {
        let input = Payload::parse(input).expect("good JSON");
        self.feed(
            saga,
            Query::Start {
                definition: definition.into(),
                input,
            },
        )
    }

    pub fn signal(&mut self, saga: &str, signal: &str, id: &str, payload: &str) -> u64 {
        self.signal_until(saga, signal, (id, None), payload)
    }

    /// A signal that may come again until this second.
    pub fn signal_until(
        &mut self,
        saga: &str,
        signal: &str,
        (id, until): (&str, Option<u64>),
        payload: &str,
    ) -> u64 {
        let payload = Payload::parse(payload).expect("good JSON");
        self.feed(
            saga,
            Query::Signal {
                signal: signal.into(),
                id: id.into(),
                until: until.map(second),
                payload,
            },
        )
    }

    /// The producer `prices` sends the signal `price`, whose payload is its number.
    pub fn price(&mut self, saga: &str, number: u64) -> u64 {
        self.numbered(saga, "prices", number, &number.to_string())
    }

    pub fn numbered(&mut self, saga: &str, producer: &str, number: u64, payload: &str) -> u64 {
        self.feed(
            saga,
            Query::Numbered(Numbered {
                signal: "price".into(),
                producer: producer.into(),
                number,
                payload: Payload::parse(payload).expect("good JSON"),
            }),
        )
    }

    pub fn request(&mut self, saga: &str, id: &str, wish: Wish) -> u64 {
        self.request_until(saga, (id, None), wish)
    }

    /// A request that may come again until this second.
    pub fn request_until(
        &mut self,
        saga: &str,
        (id, until): (&str, Option<u64>),
        wish: Wish,
    ) -> u64 {
        self.feed(
            saga,
            Query::Request(Request {
                id: id.into(),
                by: "ada".into(),
                until: until.map(second),
                wish,
            }),
        )
    }

    pub fn cancel(&mut self, saga: &str) -> u64 {
        self.request(
            saga,
            "cancel-1",
            Wish::Cancel {
                reason: "changed her mind".into(),
            },
        )
    }

    pub fn pause(&mut self, saga: &str) -> u64 {
        let reason = "she looks into it".into();
        self.request(saga, "pause-1", Wish::Pause { reason })
    }

    pub fn resume(&mut self, saga: &str) -> u64 {
        self.request(saga, "resume-1", Wish::Resume)
    }

    /// The deadline is this second, or there is none any more.
    pub fn set_deadline(&mut self, saga: &str, at: Option<u64>) -> u64 {
        let (deadline, reason) = (at.map(second), "as agreed".into());
        self.request(saga, "deadline-1", Wish::SetDeadline { deadline, reason })
    }

    pub fn compensate(&mut self, saga: &str) -> u64 {
        let reason = "it was a mistake".into();
        self.request(saga, "compensate-1", Wish::Compensate { reason })
    }

    pub fn reply(
        &mut self,
        saga: &str,
        node: &str,
        direction: Direction,
        attempt: u32,
        outcome: Outcome,
    ) -> u64 {
        let reply = Reply {
            saga: SagaId::new(saga).expect("a good id"),
            node: node.into(),
            direction,
            attempt: AttemptNumber(attempt),
            outcome,
        };
        self.feed(saga, Query::Reply(reply))
    }

    /// Runs until nothing is left to do, jumping to timers; at most to `limit` if one is given.
    pub fn run(&mut self) -> &mut Self {
        self.run_until(None)
    }

    pub fn run_for(&mut self, span: Duration) -> &mut Self {
        let limit = self.now.after(span);
        self.run_until(Some(limit));
        self.now = self.now.max(limit);
        self
    }

    /// Handles everything that needs no time.
    pub fn settle(&mut self) -> &mut Self {
        for _ in 0..10_000 {
            let before = self.progress();
            self.machine.fire_timers(self.now);
            self.look_up();
            self.perform();
            self.append();
            self.participate();
            if before == self.progress() && !self.machine.wants_look_up() {
                return self;
            }
        }
        panic!("the world does not come to rest");
    }

    fn progress(&self) -> impl PartialEq + use<> {
        (
            self.rows.len(),
            self.answers.len(),
            self.asked.len(),
            self.tickets,
            self.epoch,
        )
    }

    fn run_until(&mut self, limit: Option<Time>) -> &mut Self {
        loop {
            self.settle();
            let next = [
                self.machine.next_timer(),
                self.late.keys().next().map(|(at, _)| *at),
            ]
            .into_iter()
            .flatten()
            .min();
            let Some(next) = next.filter(|next| limit.is_none_or(|limit| *next <= limit)) else {
                return self;
            };
            self.now = self.now.max(next);
        }
    }

    fn look_up(&mut self) {
        for saga in self.machine.poll_look_up() {
            let found = history(&self.rows, &saga).map_or(Found::Nothing, Found::History);
            self.machine.found(&saga, found, self.now);
        }
    }

    fn append(&mut self) {
        let batches: Vec<_> = self.machine.poll_append().collect();
        let Some(last) = batches.last().map(Batch::last_position) else {
            return;
        };
        self.commits += 1;
        let commit = self.commits;
        match self.crash {
            Some(Crash::BeforeCommit(n)) if n == commit => return self.die(),
            Some(Crash::AfterCommit(n)) if n == commit => {
                self.keep(batches);
                return self.die();
            }
            Some(Crash::Unknown(n)) if n == commit => {
                self.keep(batches);
                self.crash = None;
                return self.take_over(true);
            }
            _ => {}
        }
        self.keep(batches);
        self.machine.committed(last);
    }

    /// I1: positions and versions are checked as the log would.
    fn keep(&mut self, batches: Vec<Batch>) {
        for batch in batches {
            let tail = self
                .rows
                .last()
                .map_or(Position::new(0), Batch::last_position);
            assert_eq!(batch.position, tail.next(), "positions are gapless");
            let before = self.rows.iter().rfind(|row| row.stream == batch.stream);
            assert_eq!(
                batch.version.get(),
                before.map_or(1, |row| row.last_version().get() + 1)
            );
            assert_eq!(
                batch.name.is_some(),
                before.is_none(),
                "the first row of a stream names it"
            );
            assert!(
                self.rows.last().is_none_or(|row| row.at <= batch.at),
                "event time never goes back"
            );
            self.i19_it_is_decided_again(&batch);
            self.rows.push(batch);
        }
    }

    /// I19: what is durable before a batch, its first event and its time give the same batch again.
    fn i19_it_is_decided_again(&self, batch: &Batch) {
        let mut rows = self.rows.iter().chain([batch]);
        let first = rows.find(|row| row.stream == batch.stream);
        let name = first.and_then(|row| row.name.as_ref());
        let Ok(id) = SagaId::new(name.expect("a first row has a name").as_str()) else {
            return;
        };
        let before = self.fold(id.as_str());
        let events: Vec<_> = batch.events.iter().map(decoded).collect();
        let graph = |graph: &Graph| match (&before, &events[0]) {
            (Some(state), _) => **state.graph() == *graph,
            (None, SagaEvent::Started(e)) => {
                *e.definition == graph.saga && e.version == graph.version
            }
            (None, other) => panic!("a history starts, not with {}", other.kind()),
        };
        let mut definitions = self.definitions.iter();
        let definition = definitions.find(|definition| graph(definition.graph()));
        let Some(definition) = definition else {
            return;
        };
        let context = Context {
            definition,
            evaluate: &Guard,
            rules: &self.rules,
            now: batch.at,
        };
        let again = redecide(&id, before.clone(), &events[0], context);
        let (_, again) = again.expect("what was decided is decided again");
        let again: Vec<_> = again.iter().map(SagaEvent::encode).collect();
        assert_eq!(again, batch.events);
    }

    /// The process dies: inputs from its own callers are lost, deliveries come again, timers and
    /// commands are derived from the log.
    pub fn die(&mut self) {
        self.crash = None;
        self.commands.clear();
        self.take_over(true);
    }

    /// Dies, and another program goes on. What it releases is ahead of the log at first.
    pub fn is_followed_by(&mut self, definitions: &[AnyDefinition]) {
        self.definitions = definitions.to_vec();
        self.commands.clear();
        self.epoch += 1;
        self.die_with_a_full_inbox();
        self.machine.inbox_is_empty();
        self.settle();
    }

    /// Dies, and comes back while answers lie in the inbox.
    pub fn die_with_a_full_inbox(&mut self) {
        self.machine = take_over(
            &self.rows,
            self.epoch,
            &self.definitions,
            self.rules,
            self.now,
        )
        .expect("the log can be folded")
        .admitting(self.policies.clone());
    }

    fn take_over(&mut self, feed_again: bool) {
        self.epoch += 1;
        self.machine = take_over(
            &self.rows,
            self.epoch,
            &self.definitions,
            self.rules,
            self.now,
        )
        .expect("the log can be folded")
        .admitting(self.policies.clone());
        self.compare();
        self.machine.inbox_is_empty();
        if feed_again {
            for (ticket, (saga, what)) in self.unanswered.clone() {
                self.machine.handle(
                    Input {
                        ticket: Ticket(ticket),
                        saga,
                        what,
                    },
                    self.now,
                );
            }
        }
    }

    /// I3: what is folded anew equals what was there.
    pub fn compare(&self) {
        for (id, state, _) in self.machine.sagas() {
            let folded = self.fold(id.as_str()).expect("its history is in the log");
            assert_eq!(
                &folded, state,
                "the live state of {id} equals the fold of the log"
            );
        }
    }

    pub fn fold(&self, saga: &str) -> Option<SagaState> {
        let id = SagaId::new(saga).expect("a good id");
        let history = history(&self.rows, &id)?;
        let mut events = history.events.into_iter();
        let (at, SagaEvent::Started(started)) = events.next()? else {
            panic!("a history starts")
        };
        let graph = self
            .definitions
            .iter()
            .map(AnyDefinition::graph)
            .find(|graph| graph.saga == *started.definition && graph.version == started.version);
        let mut state =
            SagaState::start(id, graph.expect("a known definition").clone(), &started, at);
        for (at, event) in events {
            state.apply(&event, at).expect("a legal history");
        }
        Some(state)
    }

    fn perform(&mut self) {
        while let Some(effect) = self.machine.poll_effect(self.now) {
            match effect {
                Effect::Ask(command) => {
                    self.i5_the_ask_is_durable(&command);
                    self.asked.push(format!(
                        "{} {} {}#{}",
                        command.saga, command.node, command.direction, command.attempt
                    ));
                    self.commands.push_back(command);
                }
                Effect::Withdraw(withdrawal) => self.withdrawn.push(format!(
                    "{} {}#{}",
                    withdrawal.saga, withdrawal.node, withdrawal.attempt
                )),
                Effect::AskForMissing(missing) => {
                    self.i5_the_question_is_durable(&missing);
                    self.missing.push(format!(
                        "{} {} {}-{}",
                        missing.saga, missing.producer, missing.from, missing.to
                    ));
                }
                Effect::Resend(_) => unreachable!("nobody asks for it in these stories"),
                Effect::Answer { ticket, answer } => {
                    let told = match answer {
                        Answer::Recorded => "recorded".to_owned(),
                        Answer::Refused(refusal) => format!("refused: {refusal}"),
                        Answer::State(state) => {
                            let status = state.status().to_string();
                            self.states.insert(ticket.0, state);
                            status
                        }
                    };
                    self.unanswered.remove(&ticket.0);
                    self.answers.insert(ticket.0, told);
                }
            }
        }
    }

    fn i5_the_question_is_durable(&self, missing: &Missing) {
        let folded = self
            .fold(missing.saga.as_str())
            .expect("the saga is in the log");
        let (_, producer) = folded
            .sequences()
            .find(&missing.producer)
            .expect("the producer is in the log");
        assert!(
            producer.gap.is_none_or(|gap| gap.asked > 0),
            "I5: it is on record that it is asked"
        );
    }

    fn i5_the_ask_is_durable(&self, command: &Command) {
        let folded = self
            .fold(command.saga.as_str())
            .expect("the saga is in the log");
        let node = folded
            .graph()
            .find(&command.node)
            .expect("the node is in the graph");
        let (_, step) = folded.step(node).expect("the step was asked");
        assert!(
            step.attempts(command.direction).is_open(command.attempt),
            "asked in the log: {command:?}"
        );
    }

    fn participate(&mut self) {
        while let Some((&(at, nth), _)) = self.late.first_key_value()
            && at <= self.now
        {
            let reply = self.late.remove(&(at, nth)).expect("it is there");
            self.deliver(reply);
        }
        while let Some(command) = self.commands.pop_front() {
            self.serve(&command);
        }
    }

    fn serve(&mut self, command: &Command) {
        let key = (
            command.node.to_string(),
            command.direction,
            command.attempt.0,
        );
        let does =
            self.script.get(&key).cloned().unwrap_or_else(|| {
                Does::Succeeds(self.outputs.get(&key.0).copied().unwrap_or("null"))
            });
        let mut reply = Reply {
            saga: command.saga.clone(),
            node: command.node.clone(),
            direction: command.direction,
            attempt: command.attempt,
            outcome: Outcome::NotDone,
        };
        let payload = |text: &str| Outcome::Succeeded(Payload::parse(text).expect("good JSON"));
        let mut later = |span: Duration, outcome| {
            let reply = Reply {
                outcome,
                ..reply.clone()
            };
            let nth = self.late.len() as u64;
            self.late.insert((self.now.after(span), nth), reply);
        };
        reply.outcome = match does {
            Does::Succeeds(output) => {
                self.take_effect(command);
                payload(output)
            }
            Does::Fails => Outcome::Failed {
                class: FailureClass::Permanent,
                reason: "no".into(),
            },
            Does::FailsForNow => Outcome::Failed {
                class: FailureClass::Transient,
                reason: "not now".into(),
            },
            Does::Doubts => {
                self.take_effect(command);
                Outcome::Unknown {
                    reason: "who knows".into(),
                }
            }
            Does::FindsNothing => Outcome::NotDone,
            Does::IsLost => return self.take_effect(command),
            Does::IsLate(span, output) => {
                later(span, payload(output));
                return self.take_effect(command);
            }
            Does::Accepts(span, output) => {
                for seconds in (2..span.as_secs()).step_by(2) {
                    let progress = format!("{seconds} s of {} s", span.as_secs());
                    later(Duration::from_secs(seconds), Outcome::Alive { progress });
                }
                later(span, payload(output));
                self.take_effect(command);
                let progress = String::new();
                Outcome::Alive { progress }
            }
        };
        self.deliver(reply);
    }

    fn take_effect(&mut self, command: &Command) {
        if command.direction != Direction::Probe {
            *self
                .effects
                .entry(command.key.as_str().to_owned())
                .or_default() += 1;
        }
    }

    fn deliver(&mut self, reply: Reply) {
        let saga = reply.saga.to_string();
        self.feed(&saga, Query::Reply(reply));
    }

    pub fn answer(&self, ticket: u64) -> &str {
        self.answers
            .get(&ticket)
            .map_or("unanswered", String::as_str)
    }

    pub fn status(&self, saga: &str) -> Status {
        self.fold(saga).expect("it was started").status()
    }

    /// The story of a saga, one event per line.
    pub fn story(&self, saga: &str) -> String {
        let id = SagaId::new(saga).expect("a good id");
        let history = history(&self.rows, &id).expect("it was started");
        history
            .events
            .iter()
            .map(|(_, event)| line(event))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// The same with the time of each event, in milliseconds from the start.
    pub fn timed_story(&self, saga: &str) -> String {
        let id = SagaId::new(saga).expect("a good id");
        let history = history(&self.rows, &id).expect("it was started");
        let lines = history
            .events
            .iter()
            .map(|(at, event)| format!("{:>6} {}", at.since(START).as_millis(), line(event)));
        lines.collect::<Vec<_>>().join("\n")
    }
}

pub fn take_over(
    rows: &[Batch],
    epoch: u64,
    definitions: &[AnyDefinition],
    rules: Rules,
    now: Time,
) -> Result<Partition<Guard>, sagalog_engine::partition::CannotTakeOver> {
    let (taken, registry) = taken(rows, epoch, definitions, now);
    Partition::take_over(taken, registry, Guard, rules)
}

/// What an owner with these definitions finds.
pub fn taken(
    rows: &[Batch],
    epoch: u64,
    definitions: &[AnyDefinition],
    now: Time,
) -> (Taken, Arc<Registry>) {
    let mut registry = Registry::default();
    for definition in definitions {
        registry
            .register(definition.clone())
            .expect("no two definitions of one version");
    }
    let mut heads = SystemHeads::none(PartitionId::new(0));
    let (mut late, mut letters, mut held) = (Vec::new(), Vec::new(), Vec::new());
    let mut breakers = Vec::new();
    let mut open: BTreeMap<StreamKey, SagaId> = BTreeMap::new();
    for row in rows {
        if let Some(name) = &row.name {
            match SagaId::new(name.as_str()) {
                Ok(id) => drop(open.insert(row.stream, id)),
                Err(_) => {
                    for head in [
                        &mut heads.partition,
                        &mut heads.definitions,
                        &mut heads.late,
                        &mut heads.letters,
                        &mut heads.held,
                        &mut heads.breakers,
                    ] {
                        if head.name == *name {
                            head.key = Some(row.stream);
                        }
                    }
                }
            }
        }
        for head in [
            &mut heads.partition,
            &mut heads.definitions,
            &mut heads.late,
            &mut heads.letters,
            &mut heads.held,
            &mut heads.breakers,
        ] {
            if head.key == Some(row.stream) {
                head.version = row.last_version();
            }
        }
        if row.state == StreamState::Closed {
            open.remove(&row.stream);
        }
        for (index, event) in row.events.iter().enumerate() {
            match SystemEvent::decode(&event.kind, event.schema, &event.control, &event.data) {
                Ok(SystemEvent::Letter(event)) => {
                    letters.push((row.version.plus(index as u64), row.at, event));
                }
                Ok(SystemEvent::HeldSaga(event)) => {
                    held.push((row.version.plus(index as u64), row.at, event));
                }
                Ok(SystemEvent::Breaker(event)) => {
                    breakers.push((row.version.plus(index as u64), row.at, event));
                }
                Ok(SystemEvent::DefinitionRecorded(recorded, graph)) => {
                    registry
                        .record(recorded.fingerprint, graph)
                        .expect("definitions do not change");
                }
                Ok(SystemEvent::LateSuccess(event)) => late.push(event),
                _ => {}
            }
        }
    }
    let open = open
        .into_values()
        .map(|id| (id.clone(), history(rows, &id).expect("it is there")))
        .collect();
    let last = rows.last();
    let taken = Taken {
        partition: PartitionId::new(0),
        epoch: Epoch::new(epoch),
        node: "test".into(),
        tail: last.map_or(Position::new(0), Batch::last_position),
        last_at: last.map_or_else(Time::default, |row| row.at),
        heads,
        open,
        late,
        letters,
        unreadable: Vec::new(),
        held,
        breakers,
        is_start: false,
        now,
    };
    (taken, Arc::new(registry))
}

pub fn late_successes(rows: &[Batch]) -> Vec<LateSuccess> {
    let events = rows.iter().flat_map(|row| &row.events);
    events
        .filter_map(|event| {
            match SystemEvent::decode(&event.kind, event.schema, &event.control, &event.data) {
                Ok(SystemEvent::LateSuccess(late)) => Some(late),
                _ => None,
            }
        })
        .collect()
}

fn history(rows: &[Batch], id: &SagaId) -> Option<History> {
    let key = rows
        .iter()
        .find(|row| row.name.as_ref() == Some(id.stream()))?
        .stream;
    let mut events = Vec::new();
    for row in rows.iter().filter(|row| row.stream == key) {
        for event in &row.events {
            events.push((row.at, decoded(event)));
        }
    }
    Some(History { key, events })
}

fn decoded(event: &NewEvent) -> SagaEvent {
    let event = SagaEvent::decode(&event.kind, event.schema, &event.control, &event.data);
    event.expect("the machine's events can be read")
}

/// One event in words.
pub fn line(event: &SagaEvent) -> String {
    use SagaEvent as E;
    let of = |node: &str, direction: Direction, attempt: u32| match direction {
        Direction::Action => format!("{node}#{attempt}"),
        _ => format!("{node} {direction}#{attempt}"),
    };
    match event {
        E::Started(e) => format!("started {}", e.input),
        E::AttemptAsked(e) => match &e.input {
            Some(input) => format!("  ask {} {input}", of(&e.node, e.direction, e.attempt.0)),
            None => format!("  ask {}", of(&e.node, e.direction, e.attempt.0)),
        },
        E::AttemptSucceeded(e) => match &e.output {
            Some(output) => format!(
                "succeeded {} {output}",
                of(&e.node, e.direction, e.attempt.0)
            ),
            None => format!("succeeded {}", of(&e.node, e.direction, e.attempt.0)),
        },
        E::AttemptFailed(e) => format!(
            "failed {} ({:?})",
            of(&e.node, e.direction, e.attempt.0),
            e.class
        ),
        E::AttemptUnknown(e) => format!("unknown {}", of(&e.node, e.direction, e.attempt.0)),
        E::AttemptTimedOut(e) => format!("timed out {}", of(&e.node, e.direction, e.attempt.0)),
        E::AttemptRenewed(e) => format!("renewed {}", of(&e.node, e.direction, e.attempt.0)),
        E::AttemptDelayed(e) => format!("delayed {}", of(&e.node, e.direction, e.attempt.0)),
        E::AttemptAdmitted(e) => format!("admitted {}", of(&e.node, e.direction, e.attempt.0)),
        E::AttemptExtended(e) => format!(
            "alive {} until {}: {}",
            of(&e.node, Direction::Action, e.attempt.0),
            e.deadline.since(START).as_millis(),
            e.progress
        ),
        E::ActionNotFound(e) => format!("not found {}", of(&e.node, Direction::Probe, e.attempt.0)),
        E::RetryScheduled(e) => format!("  retry {} later", e.node),
        E::RetryDue(e) => format!("retry due {}", e.node),
        E::StepDeadlinePassed(e) => format!("deadline of {}", e.node),
        E::NodeCompleted(e) => match &e.output {
            Some(output) => format!("  done {} {output}", e.node),
            None => format!("  done {}", e.node),
        },
        E::ArmChosen(e) => format!("  chose {} arm {} {}", e.node, e.arm, e.payload),
        E::SleepStarted(e) => format!("  sleep {}", e.node),
        E::SleepEnded(e) => format!("woke {}", e.node),
        E::WaitStarted(e) => format!("  wait {}", e.node),
        E::WaitTimedOut(e) => format!("waited in vain {}", e.node),
        E::SignalReceived(e) => format!("signal {} {} {}", e.signal, e.id, e.payload),
        E::NumberedSignalReceived(e) => {
            format!(
                "signal {} {}#{} {}",
                e.signal, e.producer, e.number, e.payload
            )
        }
        E::SignalAhead(e) => format!(
            "ahead {} {}#{} {}",
            e.signal, e.producer, e.number, e.payload
        ),
        E::GapOpened(e) => format!("  gap {}#{}-{}", e.producer, e.from, e.to),
        E::SignalAdmitted(e) => format!("  admit {}#{}", e.producer, e.number),
        E::GapTimedOut(e) => format!("gap of {} timed out", e.producer),
        E::MissingAsked(e) => format!("  ask {} for {}-{}", e.producer, e.from, e.to),
        E::GapAbandoned(e) => format!("  abandon {}#{}-{}", e.producer, e.from, e.to),
        E::GapRejected(e) => format!(
            "  reject {}#{:?}, missing {}-{}",
            e.producer, e.rejected, e.from, e.to
        ),
        E::InputHeld(e) => {
            let why = e.held.reason.as_deref().unwrap_or("behind others");
            format!("held {} {}: {why}", e.number, e.held.content)
        }
        E::HeldReleased(e) => match &e.content {
            Some(content) => format!("released {} by {} as {content}", e.number, e.by),
            None => format!("released {} by {}", e.number, e.by),
        },
        E::HeldTaken(e) => format!("  take {}", e.number),
        E::StillHeld(e) => format!("  still held {}: {}", e.number, e.reason),
        E::HeldDropped(e) => format!("dropped {} by {}: {}", e.number, e.by, e.reason),
        E::SignalConsumed(e) => format!("  {} takes signal {}", e.node, e.id),
        E::IdsForgotten(e) => format!("  forget {} until {}", e.of, e.until.since(START).as_secs()),
        E::SignalLate(e) => format!("  signal {} is late", e.id),
        E::PivotPassed(_) => "  pivot".into(),
        E::CancelRequested(e) => format!("cancel by {}: {}", e.by, e.reason),
        E::CompensateRequested(e) => format!("compensate by {}: {}", e.by, e.reason),
        E::Paused(e) => format!("paused by {}: {}", e.by, e.reason),
        E::Resumed(e) => format!("resumed by {}", e.by),
        E::DeadlineSet(e) => {
            let deadline = e.deadline.map(|at| at.since(START).as_secs());
            format!("deadline {deadline:?} by {}: {}", e.by, e.reason)
        }
        E::DeadlinePassed(_) => "deadline".into(),
        E::Turned(e) => format!("  TURN {:?} {}", e.cause, e.node.as_deref().unwrap_or("-")),
        E::CompensationSkipped(e) => format!("  skip {}: {}", e.node, e.reason),
        E::Parked(e) => format!("  park {} ({:?}): {}", e.node, e.cause, e.reason),
        E::RetryRequested(e) => format!("retry {} by {}", e.node, e.by),
        E::ResolvedByHand(e) => format!("resolved {} by {}: {}", e.node, e.by, e.output),
        E::SkippedByHand(e) => format!("skipped {} by {}: {}", e.node, e.by, e.reason),
        E::Completed(e) => format!("  COMPLETED {}", e.output),
        E::Compensated(_) => "  COMPENSATED".into(),
        E::PartlyCompensated(e) => format!("  PARTLY COMPENSATED, left {:?}", e.left),
    }
}

pub fn refusal_of(world: &World, ticket: u64) -> String {
    world
        .answer(ticket)
        .strip_prefix("refused: ")
        .expect("it was refused")
        .to_owned()
}
