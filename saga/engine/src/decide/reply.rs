//! Answers of participants.

use alloc::{format, string::String};

use super::{Decider, Refusal};
use sagalog_model::{
    AttemptNumber, Direction, NodeIndex, Outcome, Reply,
    event::{ActionNotFound, AttemptExtended, AttemptFailed, AttemptSucceeded, AttemptUnknown},
};
use sagalog_projections::alive;

impl Decider<'_> {
    /// I13: a reply matches a node, a direction and an attempt that was asked, not only the newest.
    pub(super) fn reply(&mut self, reply: &Reply) -> Result<(), Refusal> {
        let rules = self.context.rules;
        #[cfg(feature = "mutants")]
        let reply = &crate::mutants::taken(rules, self.state, reply);
        let not_asked = || Refusal::NotAsked {
            node: (*reply.node).into(),
            direction: reply.direction,
            attempt: reply.attempt,
        };
        let index = self.state.graph().find(&reply.node).ok_or_else(not_asked)?;
        let (spec, step) = self.state.step(index).ok_or_else(not_asked)?;
        let (direction, attempt) = (reply.direction, reply.attempt);
        let attempts = step.attempts(direction);
        if !attempts.was_asked(attempt) {
            return Err(not_asked());
        }
        if self.state.status().is_terminal() && !mutant!(rules, RecordsSuccessAfterTheEnd) {
            return Ok(());
        }
        if matches!(reply.outcome, Outcome::Alive { .. })
            && (direction != Direction::Action || spec.heartbeat.is_none())
        {
            let node = (*reply.node).into();
            return Err(Refusal::NoHeartbeat { node, direction });
        }
        let settled = step.is_settled(direction);
        let (open, doubtful) = (attempts.is_open(attempt), attempts.is_doubtful(attempt));
        if mutant!(rules, RefusesLateAnswers) && !open {
            return Err(not_asked());
        }
        let node = self.id(index);
        match self.as_recorded(direction, &reply.outcome) {
            Outcome::Succeeded(_) if settled => return Ok(()),
            Outcome::Succeeded(_) if mutant!(rules, IgnoresLateSuccess) && !open => return Ok(()),
            Outcome::Succeeded(_)
                if mutant!(rules, IgnoresLateSuccessAfterTheTurn)
                    && !open
                    && self.state.turn().is_some() =>
            {
                return Ok(());
            }
            Outcome::Succeeded(_)
                if mutant!(rules, IgnoresProbesAfterTheTurn)
                    && direction == Direction::Probe
                    && self.state.turn().is_some() =>
            {
                return Ok(());
            }
            Outcome::Succeeded(_)
                if mutant!(rules, IgnoresSuccessAfterTheTurn)
                    && direction == Direction::Action
                    && self.state.turn().is_some() =>
            {
                return Ok(());
            }
            Outcome::Succeeded(output) => {
                let forward = matches!(direction, Direction::Action | Direction::Probe);
                self.emit(AttemptSucceeded {
                    node,
                    direction,
                    attempt,
                    output: forward.then_some(output),
                });
            }
            Outcome::Failed { class, reason } if open || doubtful => {
                self.emit(AttemptFailed {
                    node,
                    direction,
                    attempt,
                    class,
                    reason,
                });
            }
            Outcome::Unknown { reason } if open => {
                self.emit(AttemptUnknown {
                    node,
                    direction,
                    attempt,
                    reason,
                });
            }
            Outcome::NotDone if direction != Direction::Probe => {
                let node = (*reply.node).into();
                return Err(Refusal::NotAProbe { node, direction });
            }
            Outcome::NotDone if open => self.emit(ActionNotFound { node, attempt }),
            // It changes nothing else, so nothing is concluded from it.
            Outcome::Alive { progress } => {
                if open {
                    self.keep_alive(index, attempt, progress);
                }
                return Ok(());
            }
            // The attempt was settled before: this is a duplicate, or it comes too late to say more.
            Outcome::Failed { .. } | Outcome::Unknown { .. } | Outcome::NotDone => return Ok(()),
        }
        self.go_on();
        Ok(())
    }

    /// I12: what a heartbeat gives is on record, or is not given.
    fn keep_alive(&mut self, index: NodeIndex, attempt: AttemptNumber, progress: String) {
        let (spec, step) = self
            .state
            .step(index)
            .expect("an attempt belongs to a step");
        let deadline = alive::extended(self.state, spec, step, self.context.now);
        #[cfg(feature = "mutants")]
        let deadline =
            crate::mutants::extended(self.context.rules, spec, deadline, self.context.now);
        if let Some(deadline) = deadline {
            self.emit(AttemptExtended {
                node: self.id(index),
                attempt,
                deadline,
                progress,
            });
        }
    }

    /// Replies are always accepted, whatever their size: an output that is too large is in doubt, a
    /// reason that is too long is cut.
    fn as_recorded(&self, direction: Direction, outcome: &Outcome) -> Outcome {
        let rules = self.context.rules;
        let gives = matches!(direction, Direction::Action | Direction::Probe);
        match outcome {
            Outcome::Succeeded(output) if gives && output.as_str().len() > rules.payload_max => {
                let (bytes, max) = (output.as_str().len(), rules.payload_max);
                let reason = format!("the output has {bytes} bytes, a payload has at most {max}");
                Outcome::Unknown {
                    reason: cut(&reason, rules.reason_max),
                }
            }
            Outcome::Failed { class, reason } => Outcome::Failed {
                class: *class,
                reason: cut(reason, rules.reason_max),
            },
            Outcome::Unknown { reason } => Outcome::Unknown {
                reason: cut(reason, rules.reason_max),
            },
            Outcome::Alive { progress } => Outcome::Alive {
                progress: cut(progress, rules.reason_max),
            },
            other => other.clone(),
        }
    }
}

/// What was cut once is within the bound, so that it stays as it is when it is decided again.
pub(crate) fn cut(reason: &str, max: usize) -> String {
    const ELLIPSIS: &str = "…";
    if reason.len() <= max {
        return reason.into();
    }
    let end = reason.floor_char_boundary(max.saturating_sub(ELLIPSIS.len()));
    format!("{}{ELLIPSIS}", &reason[..end])
}
