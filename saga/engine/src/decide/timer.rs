//! Deadlines that have come.

use sagalog_model::{
    AttemptNumber, Direction, NodeIndex,
    event::{
        AttemptAdmitted, AttemptDelayed, AttemptRenewed, AttemptTimedOut, DeadlinePassed, RetryDue,
        SleepEnded, StepDeadlinePassed, WaitTimedOut,
    },
};
use sagalog_projections::{Timer, timers};

use super::{Decider, asking::fresh_deadline};
use crate::input::Meanwhile;

impl Decider<'_> {
    /// I12: only a timer that the state has, and whose recorded deadline has come, fires.
    pub(super) fn timer_fired(&mut self, timer: Timer, meanwhile: Meanwhile) {
        let mut is_due = false;
        timers::each(self.state, |due, found| {
            is_due |= found == timer && due <= self.context.now
        });
        if !is_due && !mutant!(self.context.rules, FiresTooEarly) {
            return;
        }
        match timer {
            Timer::Attempt {
                node,
                direction,
                attempt,
            } => self.attempt_is_over(node, direction, attempt, meanwhile),
            Timer::Retry { node, direction } => self.emit(RetryDue {
                node: self.id(node),
                direction,
            }),
            Timer::Sleep { node } => self.emit(SleepEnded {
                node: self.id(node),
            }),
            Timer::Wait { node } => self.emit(WaitTimedOut {
                node: self.id(node),
            }),
            Timer::StepDeadline { node } => self.emit(StepDeadlinePassed {
                node: self.id(node),
            }),
            Timer::Gap { producer } => self.gap_timed_out(producer),
            Timer::SagaDeadline => self.emit(DeadlinePassed {}),
        }
        self.go_on();
    }

    /// An attempt that timed out while nobody owned the partition had nobody to take its answer: it
    /// is asked again under its number, once. One that was not asked at all goes on waiting. Not so an
    /// action after the turn (I10).
    fn attempt_is_over(
        &mut self,
        index: NodeIndex,
        direction: Direction,
        attempt: AttemptNumber,
        meanwhile: Meanwhile,
    ) {
        let (_, step) = self
            .state
            .step(index)
            .expect("an attempt belongs to a step");
        let renewed = step
            .attempts(direction)
            .open
            .is_some_and(|open| open.renewed);
        let deadline = fresh_deadline(self.state, index, direction, self.context.now);
        let node = self.id(index);
        let is_asked_no_more = direction == Direction::Action && self.state.turn().is_some();
        if meanwhile == Meanwhile::Waiting && !is_asked_no_more {
            self.emit(AttemptDelayed {
                node,
                direction,
                attempt,
            });
        } else if meanwhile == Meanwhile::Unowned
            && !is_asked_no_more
            && (!renewed || mutant!(self.context.rules, RenewsForEver))
            && deadline > self.context.now
        {
            self.emit(AttemptRenewed {
                node,
                direction,
                attempt,
                deadline,
            });
        } else {
            self.emit(AttemptTimedOut {
                node,
                direction,
                attempt,
            });
        }
    }

    /// What waited for long leaves, with its whole time.
    pub(super) fn admitted(
        &mut self,
        index: NodeIndex,
        direction: Direction,
        attempt: AttemptNumber,
    ) {
        let deadline = fresh_deadline(self.state, index, direction, self.context.now);
        self.emit(AttemptAdmitted {
            node: self.id(index),
            direction,
            attempt,
            deadline,
        });
    }
}
