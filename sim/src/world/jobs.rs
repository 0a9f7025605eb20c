//! Work that participants have accepted: it goes on beside everything else, says now and then that it
//! does, and ends later. It is on record at its participant, so no death of a worker ends it.

use std::sync::Arc;

use sagalog_model::{
    Command, Direction, FailureClass, IdempotencyKey, Outcome, Withdrawal, log::Time,
};

use super::{DOWN, Happening, Lane, World, participants::subject};
use crate::{fault::Fault, site::Point};

/// An attempt of an action that was accepted.
#[derive(Clone, Debug)]
pub(super) struct Job {
    command: Arc<Command>,
    ends_at: Time,
}

/// What names a job: each attempt is one of its own, under the same key.
pub(super) type JobName = (IdempotencyKey, u32);

fn name(command: &Command) -> JobName {
    (command.action_key.clone(), command.attempt.0)
}

impl World {
    /// Whether a command is accepted, and answered later. What has an answer on record, or must not
    /// happen any more, is answered at once.
    pub(super) fn accepts(&self, command: &Command) -> bool {
        let participant = &self.setup.participants[&*command.step];
        let account = self.ledger.account(&command.action_key);
        let attempt = (command.direction, command.attempt.0);
        let is_settled = account.is_some_and(|account| {
            account.applied.is_some() || account.tombstone || account.failed.contains_key(&attempt)
        });
        command.direction == Direction::Action
            && command.heartbeat.is_some()
            && participant.takes.is_some()
            && !is_settled
    }

    /// Begins the work of a command, if it is not under way already.
    pub(super) fn accept(&mut self, command: &Command) {
        let takes = self.setup.participants[&*command.step].takes;
        let ends_at = self
            .now
            .after(takes.expect("it was looked that it accepts"));
        if self.jobs.contains_key(&name(command)) {
            return;
        }
        let command = Arc::new(command.clone());
        let job = Job {
            command: command.clone(),
            ends_at,
        };
        self.jobs.insert(name(&command), job);
        self.goes_on(command, ends_at);
    }

    /// It says three times in the silence that is allowed that it goes on.
    fn goes_on(&mut self, command: Arc<Command>, ends_at: Time) {
        let heartbeat = command.heartbeat.expect("only such is accepted");
        let next = self.now.after(heartbeat.silence / 3).min(ends_at);
        self.agenda.add(next, Happening::Works(command));
    }

    /// Some of the work is done, or all of it.
    pub(super) fn works(&mut self, command: Arc<Command>) {
        let Some(ends_at) = self.jobs.get(&name(&command)).map(|job| job.ends_at) else {
            return;
        };
        if self.now < ends_at {
            self.answer(&command, under_way());
            return self.goes_on(command, ends_at);
        }
        let fault = self.visit(&command.saga, subject(&command), Point::Outcome);
        if fault == Some(Fault::WorkerDiesBefore) {
            return self
                .agenda
                .add(self.now.after(DOWN), Happening::Works(command));
        }
        let outcome = self.serve(&command, fault);
        if fault == Some(Fault::WorkerDiesAfter) {
            return self
                .agenda
                .add(self.now.after(DOWN), Happening::Works(command));
        }
        self.jobs.remove(&name(&command));
        self.answer(&command, outcome);
    }

    /// A participant learns that a saga has turned, and puts back what it has begun.
    pub(super) fn withdrawn(&mut self, withdrawal: &Withdrawal) {
        let of_it = |(name, _): &(&JobName, &Job)| name.0 == withdrawal.action_key;
        let jobs = self
            .jobs
            .iter()
            .filter(of_it)
            .map(|(_, job)| job.command.clone());
        for command in jobs.collect::<Vec<_>>() {
            self.jobs.remove(&name(&command));
            self.effects += 1;
            let put_back = Outcome::Failed {
                class: FailureClass::Transient,
                reason: "it is not wanted any more".into(),
            };
            let participant = &self.setup.participants[&*command.step];
            let (put_back, nth) = (Some(put_back), self.effects);
            let outcome = self.ledger.serve(&command, participant, put_back, nth);
            self.say_of(Lane::World, Some(&command.saga), || {
                format!("{} is put back by its participant", subject(&command))
            });
            self.answer(&command, outcome);
        }
    }

    /// When an attempt is over, as far as the log says.
    pub(super) fn over(&self, command: &Command) -> Time {
        let state = self.shadow.of(&command.saga);
        let step = state.and_then(|state| state.step(state.graph().find(&command.node)?));
        let open = step.and_then(|(_, step)| step.attempts(command.direction).open);
        let open = open.filter(|open| open.number == command.attempt);
        open.map_or(command.deadline, |open| open.deadline.max(command.deadline))
    }
}

/// What is said of work that goes on.
pub(super) fn under_way() -> Outcome {
    Outcome::Alive {
        progress: String::new(),
    }
}
