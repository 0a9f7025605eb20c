//! Commands on their way, what participants do, and answers on their way back.

use std::sync::Arc;

use sagalog_model::{Command, Direction, FailureClass, Outcome, Reply, log::Time};

use super::{
    DOWN, HOP, Happening, LONG_AFTER, Lane, Ownership, World, broker::ConsumerId, jobs::under_way,
};
use crate::{
    fault::Fault,
    site::{Point, Subject},
};

/// A command as it lies in its participant's queue.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) command: Command,
    /// Whether its worker looks at its deadline before it starts it.
    in_time: bool,
}

/// What became of a worker at its work.
enum Worker {
    Lives,
    Dies,
}

impl World {
    /// An owner publishes a command.
    pub(super) fn send(&mut self, owner: Ownership, command: Command) {
        self.say_of(Lane::World, Some(&command.saga), || {
            format!("ask {}", subject(&command))
        });
        let fault = self.visit(&command.saga, subject(&command), Point::Deliver);
        if self.is_blackholed(&command) {
            return;
        }
        let at = self.now.after(HOP);
        match fault {
            None => self.arrives(at, command, true),
            Some(Fault::Lost) => {}
            Some(Fault::Duplicated) => {
                self.arrives(at, command.clone(), true);
                self.arrives(at.after(DOWN), command, false);
            }
            Some(Fault::AgainAfterTheEnd) => {
                self.arrives(at, command.clone(), true);
                self.arrives(at.after(LONG_AFTER), command, false);
            }
            Some(Fault::Poisoned) => self.poisons_command(&command),
            Some(Fault::Late) => self.arrives(command.deadline.after(HOP), command, true),
            // Its participant's clock is behind, so that it takes what comes after the deadline.
            Some(Fault::Overtaken) => {
                self.overtaken
                    .insert(command.action_key.as_str().to_owned(), command);
            }
            // The node keeps it and publishes it again.
            Some(Fault::Refused) => self.arrives(at.after(DOWN), command, true),
            Some(Fault::BrokerDown) => {
                self.broker_down_until = self.now.after(DOWN);
                self.arrives(at, command, true);
            }
            Some(Fault::CrashBeforePublish) => self.owner_dies(owner),
            Some(Fault::CrashAfterPublish) => {
                self.arrives(at, command, true);
                self.owner_dies(owner);
            }
            // The node is paused with the command in its hand; when it goes on it publishes it,
            // while another has owned the partition for long.
            Some(Fault::LeaseLost) => {
                self.owner_is_paused(owner);
                self.arrives(self.now.after(3 * DOWN), command, true);
            }
            Some(other) => unreachable!("{other} does not happen to a command"),
        }
    }

    fn arrives(&mut self, at: Time, command: Command, in_time: bool) {
        let sent = Arc::new(Sent { command, in_time });
        self.agenda.add(at, Happening::CommandArrives(sent));
    }

    /// A command that was a dead letter comes to its participant after all.
    pub(super) fn command_is_here(&mut self, command: Command) {
        let in_time = true;
        self.command_arrives(Arc::new(Sent { command, in_time }));
    }

    /// A command comes to its participant's queue.
    pub(super) fn command_arrives(&mut self, sent: Arc<Sent>) {
        let queue = self.setup.participants[&*sent.command.step].queue.clone();
        self.commands.arrives(&queue, sent);
        self.work(&queue);
    }

    /// The broker finds out that a worker is dead: another one goes on.
    pub(super) fn worker_is_gone(&mut self, queue: &Arc<str>, worker: ConsumerId) {
        self.commands.is_gone(worker);
        self.work(queue);
    }

    /// A worker takes what is in its queue, and acknowledges what it has answered.
    fn work(&mut self, queue: &Arc<str>) {
        let mut received = std::mem::take(&mut self.received_commands);
        self.commands.receive(queue, &mut received);
        for delivery in received.drain(..) {
            let Sent { command, in_time } = &*delivery.message;
            match self.take(command, *in_time) {
                Worker::Lives => drop(self.commands.acknowledge(queue, delivery.tag)),
                Worker::Dies => self.worker_dies(queue),
            }
        }
        self.received_commands = received;
    }

    fn worker_dies(&mut self, queue: &Arc<str>) {
        let worker = self.commands.dies(queue).expect("it received something");
        let queue = queue.clone();
        let gone = Happening::WorkerIsGone { queue, worker };
        self.agenda.add(self.now.after(DOWN), gone);
    }

    fn take(&mut self, command: &Command, in_time: bool) -> Worker {
        if in_time && self.now >= command.deadline {
            self.say_of(Lane::World, Some(&command.saga), || {
                format!("{} comes too late to be started", subject(command))
            });
            return Worker::Lives;
        }
        let fault = self.visit(&command.saga, subject(command), Point::Outcome);
        if fault == Some(Fault::WorkerDiesBefore) {
            return Worker::Dies;
        }
        let may_accept = matches!(fault, None | Some(Fault::WorkerDiesAfter));
        let outcome = if may_accept && self.always_fails(command).is_none() && self.accepts(command)
        {
            self.accept(command);
            under_way()
        } else {
            self.serve(command, fault)
        };
        if fault != Some(Fault::WorkerDiesAfter) {
            self.answer(command, outcome);
        }
        if matches!(
            command.direction,
            Direction::Compensation | Direction::Alternative
        ) && let Some(overtaken) = self.overtaken.remove(command.action_key.as_str())
        {
            self.arrives(self.now.after(HOP), overtaken, false);
        }
        if fault == Some(Fault::WorkerDiesAfter) {
            return Worker::Dies;
        }
        Worker::Lives
    }

    pub(super) fn serve(&mut self, command: &Command, fault: Option<Fault>) -> Outcome {
        let reason = || "a fault of the plan".to_owned();
        let fails = match fault {
            Some(Fault::Fails) => Some(Outcome::Failed {
                class: FailureClass::Permanent,
                reason: reason(),
            }),
            Some(Fault::FailsForNow) => Some(Outcome::Failed {
                class: FailureClass::Transient,
                reason: reason(),
            }),
            Some(Fault::InDoubtUndone) => Some(Outcome::Unknown { reason: reason() }),
            _ => None,
        };
        let planned = fails.is_some();
        let fails = fails.or_else(|| self.always_fails(command));
        self.effects += 1;
        if fails.is_none() {
            let checked = crate::check::served(self, command);
            self.checked(checked);
        }
        let participant = &self.setup.participants[&*command.step];
        let outcome = self
            .ledger
            .serve(command, participant, fails.clone(), self.effects);
        #[cfg(feature = "mutants")]
        if mutant!(self, KeepsNoTombstones) {
            self.ledger.forget_tombstones();
        }
        // It had answered before, and answers the same again.
        if planned && fails.as_ref() != Some(&outcome) {
            self.spared(fault.expect("a planned failure is a fault"));
        }
        self.say_of(Lane::World, Some(&command.saga), || {
            format!(
                "{} at its participant: {}",
                subject(command),
                word(&outcome)
            )
        });
        match fault {
            Some(Fault::InDoubt) => Outcome::Unknown { reason: reason() },
            _ => outcome,
        }
    }

    pub(super) fn answer(&mut self, command: &Command, outcome: Outcome) {
        let reply = Arc::new(Reply {
            saga: command.saga.clone(),
            node: command.node.clone(),
            direction: command.direction,
            attempt: command.attempt,
            outcome,
        });
        let at = self.now.after(HOP);
        match self.visit(&command.saga, subject(command), Point::Reply) {
            Some(Fault::Lost) => {}
            Some(Fault::Poisoned) => self.poisons_answer(command, &reply),
            Some(Fault::Duplicated) => {
                self.agenda.add(at, Happening::ReplyArrives(reply.clone()));
                self.agenda
                    .add(at.after(DOWN), Happening::ReplyArrives(reply));
            }
            Some(Fault::Late) => self.agenda.add(
                self.over(command).after(HOP),
                Happening::ReplyArrives(reply),
            ),
            Some(Fault::AfterTheEnd) => self
                .agenda
                .add(at.after(LONG_AFTER), Happening::ReplyArrives(reply)),
            _ => self.agenda.add(at, Happening::ReplyArrives(reply)),
        }
    }
}

pub(crate) fn subject(command: &Command) -> Subject {
    Subject::Attempt {
        node: command.node.clone(),
        direction: command.direction,
        attempt: command.attempt.0,
    }
}

fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Succeeded(output) => format!("done, {output}"),
        Outcome::Failed { class, reason } => format!("failed ({class:?}): {reason}"),
        Outcome::Unknown { .. } => "unknown".into(),
        Outcome::NotDone => "not done".into(),
        Outcome::Alive { progress } => format!("under way {progress}"),
    }
}
