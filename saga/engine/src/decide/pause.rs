//! Standing still: what comes in is recorded, and nothing more is asked until somebody has the saga go on.

use alloc::string::ToString;

use sagalog_model::{
    Kind,
    event::{CompensateRequested, DeadlinePassed, DeadlineSet, Paused, Resumed, TurnCause},
    log::Time,
};
use sagalog_projections::Phase;

use super::{Decider, Refusal};
use crate::input::Request;

impl Decider<'_> {
    /// A paused saga concludes one thing: that it turns at a deadline. What comes of that, too, waits.
    pub(super) fn stand_still(&mut self) {
        if self.state.turn().is_none() && !self.turns_at_its_deadline() {
            self.turn_at_a_steps_deadline();
        }
        if self.state.turn().is_some() {
            self.take_held_answers();
        }
    }

    fn turn_at_a_steps_deadline(&mut self) {
        let graph = self.state.graph().clone();
        let late = graph.iter().find(|(index, _)| {
            let is_under_way = self.state.node(*index).phase == Phase::Asking;
            let step = self.state.step(*index);
            is_under_way && step.is_some_and(|(_, step)| step.until_passed)
        });
        if let Some((index, node)) = late
            && let Kind::Step { spec, .. } = &node.kind
        {
            self.turns_at_the_deadline_of(index, spec, true);
        }
    }

    pub(super) fn pause(&mut self, request: &Request, reason: &str) -> Result<(), Refusal> {
        if let Some(pause) = self.state.pause() {
            return Err(Refusal::AlreadyPaused {
                saga: self.state.id().clone(),
                by: (*pause.by).into(),
            });
        }
        self.wished(Paused {
            id: request.id.clone(),
            by: request.by.clone(),
            until: request.until,
            reason: reason.to_string(),
        });
        Ok(())
    }

    pub(super) fn resume(&mut self, request: &Request) -> Result<(), Refusal> {
        if self.state.pause().is_none() {
            return Err(Refusal::NotPaused {
                saga: self.state.id().clone(),
            });
        }
        self.wished(Resumed {
            id: request.id.clone(),
            by: request.by.clone(),
            until: request.until,
        });
        if mutant!(self.context.rules, ResumeWakesNobody) {
            return Ok(());
        }
        self.go_on();
        Ok(())
    }

    /// As a cancel, it is refused or turns the saga in the same batch; and it ends a pause.
    pub(super) fn compensate(&mut self, request: &Request, reason: &str) -> Result<(), Refusal> {
        let has_turned = self.state.turn().is_some();
        if has_turned && self.state.pause().is_none() {
            return Ok(());
        }
        if self.state.pivot_passed() {
            return Err(Refusal::PivotPassed {
                saga: self.state.id().clone(),
            });
        }
        self.wished(CompensateRequested {
            id: request.id.clone(),
            by: request.by.clone(),
            until: request.until,
            reason: reason.to_string(),
        });
        if !has_turned {
            self.turn(TurnCause::Operator, None, reason.to_string());
        }
        self.go_on();
        Ok(())
    }

    /// A deadline that is over already passes in the same batch.
    pub(super) fn set_deadline(
        &mut self,
        request: &Request,
        deadline: Option<Time>,
        reason: &str,
    ) -> Result<(), Refusal> {
        if self.state.turn().is_some() {
            return Err(Refusal::HasTurned {
                saga: self.state.id().clone(),
            });
        }
        self.wished(DeadlineSet {
            deadline,
            id: request.id.clone(),
            by: request.by.clone(),
            until: request.until,
            reason: reason.to_string(),
        });
        if deadline.is_some_and(|deadline| deadline <= self.context.now) {
            self.emit(DeadlinePassed {});
        }
        self.go_on();
        Ok(())
    }
}
