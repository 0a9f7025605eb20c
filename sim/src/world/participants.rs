//! Commands on their way, what participants do, and answers on their way back.

use sagalog_model::{Command, Direction, FailureClass, Outcome, Reply};

use super::{DOWN, HOP, Happening, LONG_AFTER, Lane, World};
use crate::{
    fault::Fault,
    site::{Point, Subject},
};

impl World {
    /// A command was published.
    pub(super) fn send(&mut self, command: Command) {
        self.say(Lane::World, || format!("ask {}", subject(&command)));
        let at = self.now.after(HOP);
        match self.visit(&command.saga, subject(&command), Point::Deliver) {
            Some(Fault::Lost) => {}
            Some(Fault::Duplicated) => {
                let again = Happening::CommandArrives {
                    command: command.clone(),
                    in_time: false,
                };
                self.agenda.add(
                    at,
                    Happening::CommandArrives {
                        command,
                        in_time: true,
                    },
                );
                self.agenda.add(at.after(DOWN), again);
            }
            Some(Fault::Late) => {
                let late = command.deadline.after(HOP);
                self.agenda.add(
                    late,
                    Happening::CommandArrives {
                        command,
                        in_time: true,
                    },
                );
            }
            // Its participant's clock is behind, so that it takes what comes after the deadline.
            Some(Fault::Overtaken) => {
                self.overtaken
                    .insert(command.action_key.as_str().to_owned(), command);
            }
            _ => self.agenda.add(
                at,
                Happening::CommandArrives {
                    command,
                    in_time: true,
                },
            ),
        }
    }

    pub(super) fn command_arrives(&mut self, command: Command, in_time: bool) {
        if in_time && self.now >= command.deadline {
            return self.say(Lane::World, || {
                format!("{} comes too late to be started", subject(&command))
            });
        }
        let fault = self.visit(&command.saga, subject(&command), Point::Outcome);
        let outcome = self.serve(&command, fault);
        self.answer(&command, outcome);
        if matches!(
            command.direction,
            Direction::Compensation | Direction::Alternative
        ) && let Some(overtaken) = self.overtaken.remove(command.action_key.as_str())
        {
            let arrival = Happening::CommandArrives {
                command: overtaken,
                in_time: false,
            };
            self.agenda.add(self.now.after(HOP), arrival);
        }
    }

    fn serve(&mut self, command: &Command, fault: Option<Fault>) -> Outcome {
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
        self.effects += 1;
        let gives = self.setup.gives.get(&*command.step).cloned();
        if fails.is_none() {
            let checked = crate::check::served(self, command);
            self.checked(checked);
        }
        let outcome = self
            .ledger
            .serve(command, gives.as_ref(), fails, self.effects);
        self.say(Lane::World, || {
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

    fn answer(&mut self, command: &Command, outcome: Outcome) {
        let reply = Reply {
            saga: command.saga.clone(),
            node: command.node.clone(),
            direction: command.direction,
            attempt: command.attempt,
            outcome,
        };
        let at = self.now.after(HOP);
        match self.visit(&command.saga, subject(command), Point::Reply) {
            Some(Fault::Lost) => {}
            Some(Fault::Duplicated) => {
                self.agenda.add(at, Happening::ReplyArrives(reply.clone()));
                self.agenda
                    .add(at.after(DOWN), Happening::ReplyArrives(reply));
            }
            Some(Fault::Late) => self
                .agenda
                .add(command.deadline.after(HOP), Happening::ReplyArrives(reply)),
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
    }
}
