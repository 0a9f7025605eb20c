//! Answers of participants.

use sagalog_model::{
    Direction, Outcome, Reply,
    event::{ActionNotFound, AttemptFailed, AttemptSucceeded, AttemptUnknown},
};
use sagalog_projections::step::UndoEnd;

use super::{Decider, Refusal};

impl Decider<'_> {
    /// I13: a reply matches a node, a direction and an attempt that was asked, not only the newest.
    pub(super) fn reply(&mut self, reply: &Reply) -> Result<(), Refusal> {
        let not_asked = || Refusal::NotAsked {
            node: (*reply.node).into(),
            direction: reply.direction,
            attempt: reply.attempt,
        };
        let index = self.state.graph().find(&reply.node).ok_or_else(not_asked)?;
        let (_, step) = self.state.step(index).ok_or_else(not_asked)?;
        let (direction, attempt) = (reply.direction, reply.attempt);
        let attempts = step.attempts(direction);
        if !attempts.was_asked(attempt) {
            return Err(not_asked());
        }
        if self.state.status().is_terminal() {
            return Ok(());
        }
        let settled = match direction {
            Direction::Action | Direction::Probe => step.has_succeeded(),
            Direction::Compensation | Direction::Alternative => step.undo != UndoEnd::Open,
        };
        let (open, doubtful) = (attempts.is_open(attempt), attempts.is_doubtful(attempt));
        let node = self.id(index);
        match &reply.outcome {
            Outcome::Succeeded(_) if settled => return Ok(()),
            Outcome::Succeeded(output) => {
                let forward = matches!(direction, Direction::Action | Direction::Probe);
                let output = forward.then(|| output.clone());
                self.emit(AttemptSucceeded {
                    node,
                    direction,
                    attempt,
                    output,
                });
            }
            Outcome::Failed { class, reason } if open || doubtful => {
                self.emit(AttemptFailed {
                    node,
                    direction,
                    attempt,
                    class: *class,
                    reason: reason.clone(),
                });
            }
            Outcome::Unknown { reason } if open => {
                self.emit(AttemptUnknown {
                    node,
                    direction,
                    attempt,
                    reason: reason.clone(),
                });
            }
            Outcome::NotDone if direction != Direction::Probe => {
                return Err(Refusal::NotAProbe {
                    node: (*reply.node).into(),
                    direction,
                });
            }
            Outcome::NotDone if open => self.emit(ActionNotFound { node, attempt }),
            // The attempt was settled before: this is a duplicate, or it comes too late to say more.
            Outcome::Failed { .. } | Outcome::Unknown { .. } | Outcome::NotDone => return Ok(()),
        }
        self.go_on();
        Ok(())
    }
}
