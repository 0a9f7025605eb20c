//! The node: drives the production machine as the production shell does, and dies when told to.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use sagalog_engine::{
    Answer, Effect, Evaluate, Input, Partition, Query, Ticket,
    partition::{Found, SystemHeads, Taken},
};
use sagalog_model::{
    AnyDefinition, Expression, Outputs, Payload, Reply, SagaEvent,
    event::SagaEvent as E,
    log::{Batch, Epoch, PartitionId, Time},
    system::SystemEvent,
};

use super::{DOWN, HOP, Happening, Lane, World, query_of};
use crate::{
    check,
    fault::Fault,
    site::{Point, Subject},
    world::log::Refused,
};

/// Tickets of deliveries begin here, those of calls at 1.
const DELIVERIES: u64 = 1 << 32;

/// A node that owns the partition.
#[derive(Clone)]
pub(crate) struct Node {
    machine: Partition<Guard>,
    epoch: u64,
    appending: Option<Vec<Arc<Batch>>>,
}

/// A node that was paused in the middle of an append, and does not know that it owns nothing.
#[derive(Clone, Debug)]
pub(super) struct Zombie {
    epoch: u64,
    appending: Vec<Arc<Batch>>,
}

/// Runs the definition's functions; a panic stays theirs.
#[derive(Clone, Copy)]
pub(crate) struct Guard;

impl Evaluate for Guard {
    fn evaluate(
        &self,
        definition: &AnyDefinition,
        what: Expression,
        outputs: &dyn Outputs,
    ) -> Result<Payload, String> {
        match catch_unwind(AssertUnwindSafe(|| definition.evaluate(what, outputs))) {
            Ok(value) => value.map_err(|error| error.to_string()),
            Err(_) => Err("the definition's code panicked".into()),
        }
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

    pub(crate) fn is_at_rest(&self) -> bool {
        self.appending.is_none()
    }
}

impl World {
    /// Does what the machine asks for, as the shell's loop does.
    pub(super) fn pump(&mut self) {
        let now = self.now;
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
                    self.send(command);
                }
                Effect::Answer { ticket, answer } => self.answered(ticket.0, &answer),
            }
        }
    }

    fn answered(&mut self, ticket: u64, answer: &Answer) {
        if ticket > DELIVERIES {
            if let Some(reply) = self.inbox.remove(&(ticket - DELIVERIES)) {
                let checked = check::acknowledged(self, &reply, answer);
                self.checked(checked);
            }
        } else if let Some(call) = self.calls.remove(&ticket) {
            let checked = check::call_answered(self, &call, answer);
            self.checked(checked);
        }
    }

    fn look_up(&mut self) {
        let now = self.now;
        let Some(node) = &mut self.node else { return };
        for saga in node.machine.poll_look_up() {
            let found = self
                .log
                .history(&saga)
                .cloned()
                .map_or(Found::Nothing, Found::History);
            node.machine.found(&saga, found, now);
        }
    }

    fn append(&mut self) {
        let Some(node) = &mut self.node else { return };
        if node.appending.is_some() {
            return;
        }
        let batches: Vec<_> = node
            .machine
            .poll_append()
            .into_iter()
            .map(Arc::new)
            .collect();
        if batches.is_empty() {
            return;
        }
        let epoch = node.epoch;
        match self.fault_of_commit(&batches) {
            None => {
                self.node_mut().appending = Some(batches);
                self.agenda
                    .add(self.now.after(HOP), Happening::Committed { epoch });
            }
            Some(Fault::CrashBeforeCommit) => self.die(),
            Some(Fault::CrashAfterCommit) => {
                self.store(epoch, &batches);
                self.die();
            }
            Some(Fault::UnknownDone) => {
                self.store(epoch, &batches);
                self.take_over();
                self.pump();
            }
            Some(Fault::UnknownNotDone) => {
                self.take_over();
                self.pump();
            }
            Some(_) => {
                let zombie = Zombie {
                    epoch,
                    appending: batches,
                };
                self.node = None;
                self.agenda.add(self.now.after(DOWN), Happening::TakeOver);
                self.agenda
                    .add(self.now.after(3 * DOWN), Happening::ZombieResumes(zombie));
            }
        }
    }

    /// A group commit is named after the first saga's batch in it.
    fn fault_of_commit(&mut self, batches: &[Arc<Batch>]) -> Option<Fault> {
        let of_saga = batches.iter().find_map(|batch| {
            let saga = match &batch.name {
                Some(name) => sagalog_model::SagaId::new(name.as_str()).ok(),
                None => self.log.saga(batch.stream).cloned(),
            };
            Some((saga?, subject_of(batch)))
        });
        let (saga, subject) = of_saga?;
        self.visit(&saga, subject, Point::Commit)
    }

    pub(super) fn committed(&mut self, epoch: u64) {
        let Some(node) = &mut self.node else { return };
        if node.epoch != epoch {
            return;
        }
        let Some(batches) = node.appending.take() else {
            return;
        };
        self.store(epoch, &batches);
        if let (Some(node), Some(last)) = (&mut self.node, batches.last()) {
            node.machine.committed(last.last_position());
        }
        let checked = check::durable(self);
        self.checked(checked);
    }

    fn store(&mut self, epoch: u64, batches: &[Arc<Batch>]) {
        match self.log.append(epoch, batches) {
            Ok(()) => self.stored(batches),
            Err(Refused::Fenced) => {
                self.violate(
                    "I16",
                    format!("epoch {epoch} appends while {} owns", self.log.epoch()),
                );
            }
            Err(Refused::OutOfPlace(what)) => self.violate("I1", what),
        }
    }

    fn stored(&mut self, batches: &[Arc<Batch>]) {
        for batch in batches {
            let Some(saga) = self.log.saga(batch.stream).cloned() else {
                continue;
            };
            for event in &batch.events {
                let event =
                    SagaEvent::decode(&event.kind, event.schema, &event.control, &event.data)
                        .expect("the log has read it");
                self.say(Lane::Log, || {
                    format!("{saga}: {}", crate::report::event(&event))
                });
                let checked = self.shadow.apply(&self.setup, &saga, &event, batch.at);
                self.checked(checked);
            }
        }
        let checked = check::properties(self);
        self.checked(checked);
    }

    fn die(&mut self) {
        self.say(Lane::Node, || "dies".into());
        self.node = None;
        self.agenda.add(self.now.after(DOWN), Happening::TakeOver);
    }

    /// Start, take-over and recovery, as in the production shell: raise the epoch, read, fold; then
    /// everything that was not answered comes again.
    pub(super) fn take_over(&mut self) {
        let epoch = self.log.acquire();
        self.say(Lane::Node, || format!("owns the partition, epoch {epoch}"));
        let taken = Taken {
            partition: PartitionId::new(0),
            epoch: Epoch::new(epoch),
            node: "node".into(),
            tail: self.log.tail(),
            last_at: self.log.last_at(),
            heads: self.log.heads(SystemHeads::none(PartitionId::new(0))),
            open: self.log.open(),
            late: self.log.late(),
            now: self.now,
        };
        let mut registry = self.setup.registry.clone();
        for event in self.log.system() {
            if let SystemEvent::DefinitionRecorded(recorded, graph) = event {
                registry
                    .record(recorded.fingerprint, graph)
                    .expect("the definition does not change in a run");
            }
        }
        let mut machine =
            match Partition::take_over(taken, Arc::new(registry), Guard, self.setup.rules) {
                Ok(machine) => machine,
                Err(error) => return self.violate("I3", error.to_string()),
            };
        if self.inbox.is_empty() {
            machine.inbox_is_empty();
        }
        self.node = Some(Node {
            machine,
            epoch,
            appending: None,
        });
        let checked = check::taken_over(self);
        self.checked(checked);
        for ticket in self.inbox.keys().copied().collect::<Vec<_>>() {
            self.feed_reply(ticket);
        }
        for ticket in self.calls.keys().copied().collect::<Vec<_>>() {
            self.feed_call(ticket);
        }
    }

    /// I4: a node that was paused beyond its lease goes on, and must not get anything into the log.
    pub(super) fn zombie_resumes(&mut self, zombie: &Zombie) {
        match self.log.append(zombie.epoch, &zombie.appending) {
            Err(Refused::Fenced) => {
                self.say(Lane::Node, || "the paused node is fenced, and stops".into())
            }
            Ok(()) => self.violate(
                "I4",
                format!("epoch {} appended after it was fenced", zombie.epoch),
            ),
            Err(Refused::OutOfPlace(what)) => self.violate("I4", what),
        }
    }

    pub(super) fn reply_arrives(&mut self, reply: Reply) {
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        self.inbox.insert(ticket, reply);
        self.feed_reply(ticket);
    }

    fn feed_reply(&mut self, ticket: u64) {
        let reply = self.inbox[&ticket].clone();
        let saga = reply.saga.clone();
        self.feed(Input {
            ticket: Ticket(DELIVERIES + ticket),
            saga,
            what: Query::Reply(reply),
        });
    }

    pub(super) fn feed_call(&mut self, ticket: u64) {
        let call = &self.calls[&ticket];
        let input = Input {
            ticket: Ticket(ticket),
            saga: call.saga.clone(),
            what: query_of(call),
        };
        self.feed(input);
    }

    fn feed(&mut self, input: Input) {
        let now = self.now;
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
fn subject_of(batch: &Batch) -> Subject {
    let first = &batch.events[0];
    let event = SagaEvent::decode(&first.kind, first.schema, &first.control, &first.data);
    let other = |what: &str| Subject::Other(what.into());
    let attempt = |node: &Arc<str>, direction, attempt: u32| Subject::Attempt {
        node: node.clone(),
        direction,
        attempt,
    };
    match event {
        Ok(E::Started(_)) => other("start"),
        Ok(E::AttemptSucceeded(e)) => attempt(&e.node, e.direction, e.attempt.0),
        Ok(E::AttemptFailed(e)) => attempt(&e.node, e.direction, e.attempt.0),
        Ok(E::AttemptUnknown(e)) => attempt(&e.node, e.direction, e.attempt.0),
        Ok(E::AttemptTimedOut(e)) => attempt(&e.node, e.direction, e.attempt.0),
        Ok(E::AttemptRenewed(e)) => attempt(&e.node, e.direction, e.attempt.0),
        Ok(E::ActionNotFound(e)) => attempt(&e.node, sagalog_model::Direction::Probe, e.attempt.0),
        Ok(E::SignalReceived(e)) => Subject::Other(e.signal),
        Ok(E::CancelRequested(_)) => other("cancel"),
        Ok(E::DeadlinePassed(_)) => other("deadline"),
        Ok(E::RetryDue(e)) => Subject::Other(e.node),
        Ok(E::SleepEnded(e)) => Subject::Other(e.node),
        Ok(E::WaitTimedOut(e)) => Subject::Other(e.node),
        Ok(E::StepDeadlinePassed(e)) => Subject::Other(e.node),
        Ok(E::RetryRequested(e)) => Subject::Other(e.node),
        Ok(E::ResolvedByHand(e)) => Subject::Other(e.node),
        Ok(E::SkippedByHand(e)) => Subject::Other(e.node),
        _ => other("batch"),
    }
}
