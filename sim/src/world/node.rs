//! The node: drives the production machine as the production shell does, and dies when told to.

use std::{sync::Arc, time::Duration};

use sagalog_engine::{
    Answer, Effect, Evaluate, Input, Partition, Query, Ticket,
    partition::{Found, Taken},
};
use sagalog_eventlog::AppendError;
use sagalog_model::{
    AnyDefinition, Expression, Outputs, Payload, Reply, SagaEvent, SagaId,
    event::SagaEvent as E,
    log::{Epoch, PartitionId, Time},
};

use super::{DOWN, HOP, Happening, JUMP, LONG_AFTER, Lane, World};
use crate::{
    author, check,
    fault::Fault,
    site::{Point, Subject},
    world::{
        broker::{Delivery, Tag},
        log::Row,
    },
};

/// Tickets of deliveries begin here, those of calls at 1.
const DELIVERIES: u64 = 1 << 32;

/// The only partition.
const PARTITION: PartitionId = PartitionId::new(0);

/// The number of the only node: it comes back as itself.
const NODE: u32 = 1;

/// A node that owns the partition.
#[derive(Clone)]
pub(crate) struct Node {
    machine: Partition<Guard>,
    epoch: Epoch,
    appending: Option<Vec<Arc<Row>>>,
}

/// A node that was paused in the middle of an append, and does not know that it owns nothing.
#[derive(Clone, Debug)]
pub(super) struct Zombie {
    epoch: Epoch,
    appending: Vec<Arc<Row>>,
}

/// Runs the definition's functions; a panic is told as theirs.
#[derive(Clone, Copy)]
pub(crate) struct Guard;

impl Evaluate for Guard {
    fn evaluate(
        &self,
        definition: &AnyDefinition,
        what: Expression,
        outputs: &dyn Outputs,
    ) -> Result<Payload, String> {
        let name = || match what {
            Expression::Node(node) => {
                format!("the function at `{}`", definition.graph().node(node).id)
            }
            Expression::Result(block) => {
                let label = &definition.graph().block(block).label;
                format!("the function at the end of `{label}`")
            }
        };
        author::call(name, || definition.evaluate(what, outputs)).map_err(|error| error.to_string())
    }
}

impl Node {
    pub(super) fn next_timer(&self) -> Option<Time> {
        self.machine
            .next_timer()
            .filter(|_| !self.machine.is_full())
    }

    pub(crate) fn machine(&self) -> &Partition<Guard> {
        &self.machine
    }

    /// Whether nobody owned the partition before.
    pub(crate) fn is_the_first(&self) -> bool {
        self.epoch == Epoch::new(1)
    }

    pub(crate) fn is_at_rest(&self) -> bool {
        self.appending.is_none()
    }
}

impl World {
    /// Does what the machine asks for, as the shell's loop does.
    pub(super) fn pump(&mut self) {
        let now = self.node_time();
        if let Some(node) = &mut self.node {
            node.machine.fire_timers(now);
        }
        self.look_up();
        self.perform();
        self.append();
    }

    fn perform(&mut self) {
        while let Some(effect) = self
            .node
            .as_mut()
            .and_then(|node| node.machine.poll_effect())
        {
            match effect {
                Effect::Ask(command) => {
                    let checked = check::asked(self, &command);
                    self.checked(checked);
                    let node = self.node.as_ref();
                    let live = node.and_then(|node| node.machine.peek(&command.saga));
                    let checked = self.shadow.published(&command, live, self.now);
                    self.checked(checked);
                    self.send(command);
                }
                Effect::Answer { ticket, answer } => self.answered(ticket.0, &answer),
            }
        }
    }

    fn answered(&mut self, ticket: u64, answer: &Answer) {
        if ticket > DELIVERIES {
            let tag = Tag(ticket - DELIVERIES);
            if let Some(reply) = self.inboxes.acknowledge(&PARTITION, tag) {
                let checked = check::acknowledged(self, &reply, answer);
                self.checked(checked);
            }
        } else if let Some(call) = self.calls.remove(&ticket) {
            let checked = check::call_answered(self, &call, answer);
            self.checked(checked);
        }
    }

    fn look_up(&mut self) {
        let now = self.node_time();
        let Some(node) = &mut self.node else { return };
        for saga in node.machine.poll_look_up() {
            let found = self
                .log
                .partition(PARTITION)
                .history(&saga)
                .map_or(Found::Nothing, Found::History);
            node.machine.found(&saga, found, now);
        }
    }

    fn append(&mut self) {
        let Some(node) = &mut self.node else { return };
        if node.appending.is_some() {
            return;
        }
        let batches = node.machine.poll_append();
        if batches.is_empty() {
            return;
        }
        let epoch = node.epoch;
        let rows: Vec<_> = batches.into_iter().map(Row::new).map(Arc::new).collect();
        if let Some(why) = rows.iter().find_map(|row| row.unreadable()) {
            return self.violate("I3", why.to_owned());
        }
        if std::mem::take(&mut self.dies_again) {
            return self.die();
        }
        let visited = self.fault_of_commit(&rows);
        let fault = visited.as_ref().map(|(_, fault)| *fault);
        match fault {
            None => self.commits(rows, epoch, HOP),
            Some(Fault::Slow) => self.commits(rows, epoch, DOWN),
            Some(Fault::Cancelled) => {
                self.commits(rows, epoch, HOP);
                self.cancel(visited.expect("there is a fault").0);
            }
            Some(Fault::ClockAhead) => {
                self.skew += JUMP.as_micros() as i64;
                self.commits(rows, epoch, HOP);
            }
            Some(Fault::ClockBack) => {
                self.skew -= JUMP.as_micros() as i64;
                self.commits(rows, epoch, HOP);
            }
            Some(Fault::CrashBeforeCommit) => self.die(),
            #[cfg(feature = "mutants")]
            Some(Fault::CrashAfterCommit) if mutant!(self, TearsBatches) => {
                self.store(epoch, &crate::mutants::torn(&rows));
                self.die();
            }
            Some(Fault::CrashAfterCommit) => {
                self.store(epoch, &rows);
                self.die();
            }
            Some(Fault::CrashTwice) => {
                self.store(epoch, &rows);
                self.die();
                self.dies_again = true;
            }
            Some(Fault::DatabaseDown) => {
                self.database_down_until = self.now.after(2 * DOWN);
                self.take_over();
            }
            Some(Fault::DownLong) => {
                self.die_for(LONG_AFTER);
            }
            Some(Fault::UnknownDone) if mutant!(self, AppendsAgain) => {
                self.store(epoch, &rows);
                self.commits(rows, epoch, HOP);
            }
            Some(Fault::UnknownNotDone) if mutant!(self, TakesUnknownForDone) => {
                let last = rows.last().expect("there is something to append");
                let through = last.batch().last_position();
                self.node_mut().machine.committed(through);
            }
            Some(Fault::UnknownNotDone) if mutant!(self, KeepsTheMachine) => {}
            Some(Fault::UnknownDone) => {
                self.store(epoch, &rows);
                self.take_over();
                self.pump();
            }
            Some(Fault::UnknownNotDone) => {
                self.take_over();
                self.pump();
            }
            Some(Fault::LeaseLost) => {
                let zombie = Zombie {
                    epoch,
                    appending: rows,
                };
                self.node = None;
                self.agenda.add(self.now.after(DOWN), Happening::TakeOver);
                self.agenda
                    .add(self.now.after(3 * DOWN), Happening::ZombieResumes(zombie));
            }
            Some(other) => unreachable!("{other} does not happen to an append"),
        }
    }

    fn commits(&mut self, rows: Vec<Arc<Row>>, epoch: Epoch, takes: Duration) {
        self.node_mut().appending = Some(rows);
        self.agenda
            .add(self.now.after(takes), Happening::Committed { epoch });
    }

    /// A group commit is named after the first saga's batch in it.
    fn fault_of_commit(&mut self, rows: &[Arc<Row>]) -> Option<(SagaId, Fault)> {
        let (saga, subject) = rows.iter().find_map(|row| {
            let first = row.events().first()?;
            let saga = match &row.batch().name {
                Some(name) => SagaId::new(name.as_str()).ok(),
                None => self.saga_of(row),
            };
            Some((saga?, subject_of(first)))
        })?;
        let fault = self.visit(&saga, subject, Point::Commit)?;
        Some((saga, fault))
    }

    pub(super) fn committed(&mut self, epoch: Epoch) {
        let Some(node) = &mut self.node else { return };
        if node.epoch != epoch {
            return;
        }
        let Some(rows) = node.appending.take() else {
            return;
        };
        self.store(epoch, &rows);
        if let (Some(node), Some(last)) = (&mut self.node, rows.last()) {
            node.machine.committed(last.batch().last_position());
        }
        let checked = check::durable(self);
        self.checked(checked);
    }

    fn store(&mut self, epoch: Epoch, rows: &[Arc<Row>]) {
        let partition = self.log.partition_mut(PARTITION);
        match partition.append(NODE, epoch, rows) {
            Ok(appended) if appended.already => {
                let what = "an append is done again, and it was stored already";
                self.violate("I1", what.into());
            }
            Ok(_) => self.stored(rows),
            Err(fenced @ AppendError::Fenced { .. }) => self.violate("I16", fenced.to_string()),
            Err(refused) => self.violate("I1", refused.to_string()),
        }
    }

    fn saga_of(&self, row: &Row) -> Option<SagaId> {
        let partition = self.log.partition(PARTITION);
        partition.saga(row.batch().stream).cloned()
    }

    fn stored(&mut self, rows: &[Arc<Row>]) {
        for row in rows {
            let saga = self.saga_of(row);
            if saga.is_some() != row.is_of_a_saga() {
                let stream = row.batch().stream;
                self.violate("I1", format!("events of another kind in stream {stream}"));
            }
            let Some(saga) = saga else { continue };
            for event in row.events() {
                self.say_of(Lane::Log, Some(&saga), || crate::report::event(event));
                let at = row.batch().at;
                let checked = check::recorded(self, &saga, event);
                self.checked(checked);
                let checked = self.shadow.apply(&self.setup, &saga, event, at);
                self.checked(checked);
                if let E::Parked(parked) = event {
                    self.node_is_parked(&saga, &parked.node);
                }
            }
        }
        let checked = check::properties(self);
        self.checked(checked);
    }

    pub(super) fn die(&mut self) {
        self.die_for(DOWN);
    }

    fn die_for(&mut self, down: Duration) {
        self.say(Lane::Node, || "dies".into());
        self.node = None;
        if !mutant!(self, NobodyTakesOver) {
            self.agenda.add(self.now.after(down), Happening::TakeOver);
        }
    }

    /// Start, take-over and recovery, as in the production shell: raise the epoch, read, fold; then
    /// everything that was not answered comes again.
    pub(super) fn take_over(&mut self) {
        if self.now < self.database_down_until {
            return self.die();
        }
        let keeps_epoch = mutant!(self, TakesOverWithoutAnEpoch);
        let partition = self.log.partition_mut(PARTITION);
        let owned = if keeps_epoch && partition.epoch().get() > 0 {
            partition.ownership()
        } else {
            // Whoever had it is gone, or its lease has run out.
            partition.release(NODE);
            partition.acquire(NODE).expect("it is the only node")
        };
        let epoch = owned.epoch;
        self.shadow.owned_anew(self.node_time());
        self.say(Lane::Node, || format!("owns the partition, epoch {epoch}"));
        let partition = self.log.partition(PARTITION);
        let taken = Taken {
            partition: PARTITION,
            epoch,
            node: "node".into(),
            tail: owned.tail,
            last_at: owned.last_at,
            heads: partition.heads(),
            open: partition.histories(&owned.open),
            late: partition.late().collect(),
            now: self.node_time(),
        };
        let registry = self.setup.registry_with(partition.system());
        let mut machine = match Partition::take_over(taken, registry, Guard, self.rules()) {
            Ok(machine) => machine,
            Err(error) => return self.violate("I3", error.to_string()),
        };
        if let Some(before) = self.inboxes.dies(&PARTITION) {
            self.inboxes.is_gone(before);
        }
        if self.inboxes.is_empty(&PARTITION) {
            machine.inbox_is_empty();
        }
        self.node = Some(Node {
            machine,
            epoch,
            appending: None,
        });
        let checked = check::taken_over(self);
        self.checked(checked);
        self.take_deliveries();
        if mutant!(self, ForgetsCallsInACrash) {
            return;
        }
        for ticket in self.calls.keys().copied().collect::<Vec<_>>() {
            self.feed_call(ticket);
        }
    }

    /// I4: a node that was paused beyond its lease goes on, and must not get anything into the log.
    pub(super) fn zombie_resumes(&mut self, zombie: &Zombie) {
        let takes_stale_epochs = mutant!(self, LogTakesStaleEpochs);
        let partition = self.log.partition_mut(PARTITION);
        let epoch = if takes_stale_epochs {
            partition.epoch()
        } else {
            zombie.epoch
        };
        match partition.append(NODE, epoch, &zombie.appending) {
            Err(AppendError::Fenced { .. }) => {
                self.say(Lane::Node, || "the paused node is fenced, and stops".into())
            }
            Ok(_) => self.violate(
                "I4",
                format!("epoch {} appended after it was fenced", zombie.epoch),
            ),
            Err(refused) => self.violate("I4", refused.to_string()),
        }
    }

    pub(super) fn reply_arrives(&mut self, reply: Reply) {
        self.inboxes.arrives(&PARTITION, reply);
        self.take_deliveries();
    }

    /// What waits in the inbox goes to the node. A node that has died leaves it where it is until
    /// the next one takes over: the broker finds out no earlier.
    fn take_deliveries(&mut self) {
        for Delivery { tag, message, .. } in self.inboxes.receive(&PARTITION) {
            self.feed(Input {
                ticket: Ticket(DELIVERIES + tag.0),
                saga: message.saga.clone(),
                what: Query::Reply(message),
            });
            if mutant!(self, AcknowledgesOnReceipt) {
                self.inboxes.acknowledge(&PARTITION, tag);
            }
        }
    }

    pub(super) fn feed(&mut self, input: Input) {
        let now = self.node_time();
        if let Some(node) = &mut self.node {
            node.machine.handle(input, now);
        }
    }

    fn node_mut(&mut self) -> &mut Node {
        self.node
            .as_mut()
            .expect("the caller has looked that it is there")
    }
}

/// What a batch is about: its first event is the fact that came in.
fn subject_of(first: &SagaEvent) -> Subject {
    let other = |what: &str| Subject::Other(what.into());
    let attempt = |node: &Arc<str>, direction, attempt: u32| Subject::Attempt {
        node: node.clone(),
        direction,
        attempt,
    };
    match first {
        E::Started(_) => other("start"),
        E::AttemptSucceeded(e) => attempt(&e.node, e.direction, e.attempt.0),
        E::AttemptFailed(e) => attempt(&e.node, e.direction, e.attempt.0),
        E::AttemptUnknown(e) => attempt(&e.node, e.direction, e.attempt.0),
        E::AttemptTimedOut(e) => attempt(&e.node, e.direction, e.attempt.0),
        E::AttemptRenewed(e) => attempt(&e.node, e.direction, e.attempt.0),
        E::ActionNotFound(e) => attempt(&e.node, sagalog_model::Direction::Probe, e.attempt.0),
        E::SignalReceived(e) => Subject::Other(e.signal.clone()),
        E::CancelRequested(_) => other("cancel"),
        E::DeadlinePassed(_) => other("deadline"),
        E::RetryDue(e) => Subject::Other(e.node.clone()),
        E::SleepEnded(e) => Subject::Other(e.node.clone()),
        E::WaitTimedOut(e) => Subject::Other(e.node.clone()),
        E::StepDeadlinePassed(e) => Subject::Other(e.node.clone()),
        E::RetryRequested(e) => Subject::Other(e.node.clone()),
        E::ResolvedByHand(e) => Subject::Other(e.node.clone()),
        E::SkippedByHand(e) => Subject::Other(e.node.clone()),
        _ => other("batch"),
    }
}
