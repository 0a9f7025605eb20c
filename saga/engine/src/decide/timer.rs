//! Deadlines that have come.

use sagalog_model::{
    AttemptNumber, Direction, NodeIndex,
    event::{
        AttemptRenewed, AttemptTimedOut, DeadlinePassed, RetryDue, SleepEnded, StepDeadlinePassed,
        WaitTimedOut,
    },
};
use sagalog_projections::{Timer, timers};

use super::{
    Decider,
    asking::{earlier, timeout},
};

impl Decider<'_> {
    /// I12: only a timer that the state has, and whose recorded deadline has come, fires.
    pub(super) fn timer_fired(&mut self, timer: Timer, missed: bool) {
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
            } => self.attempt_is_over(node, direction, attempt, missed),
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
    /// is asked again under its number, once. Not so an action after the turn (I10).
    fn attempt_is_over(
        &mut self,
        index: NodeIndex,
        direction: Direction,
        attempt: AttemptNumber,
        missed: bool,
    ) {
        let (spec, step) = self
            .state
            .step(index)
            .expect("an attempt belongs to a step");
        let renewed = step
            .attempts(direction)
            .open
            .is_some_and(|open| open.renewed);
        let until = step
            .until
            .filter(|_| direction == Direction::Action && !step.until_passed);
        let deadline = earlier(self.context.now.after(timeout(spec, direction)), until);
        let node = self.id(index);
        let is_asked_no_more = direction == Direction::Action && self.state.turn().is_some();
        if missed
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
}
