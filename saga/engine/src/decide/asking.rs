//! Asking participants: first attempts, probes, and whether to ask again.

use alloc::{
    format,
    string::{String, ToString},
};

use sagalog_model::{
    Direction, NodeIndex, Payload, Retry, StepSpec,
    definition::Expression,
    event::{AttemptAsked, ParkCause, RetryScheduled, TurnCause},
    log::Time,
};
use sagalog_projections::{
    Attempts, Phase, SagaState,
    attempts::Retrying,
    retry::{Jitter, wait_after},
    step::failed_permanently,
};

use super::{Decider, forward::Line};

/// Whether another attempt comes.
pub(super) enum Again {
    /// It is asked or planned.
    Yes,
    /// It is not: the newest failure is permanent, or the budget is spent.
    No,
}

impl Decider<'_> {
    pub(super) fn run_step(&mut self, index: NodeIndex, spec: &StepSpec) -> Line {
        if self.state.node(index).phase == Phase::Ahead {
            self.enter_step(index, spec);
            return Line::Waits;
        }
        self.pursue_action(index, spec)
    }

    fn enter_step(&mut self, index: NodeIndex, spec: &StepSpec) {
        let Some(input) = self.evaluate(index, Expression::Node(index)) else {
            return;
        };
        let until = spec.deadline.map(|span| self.context.now.after(span));
        let deadline = earlier(self.context.now.after(spec.timeout), until);
        self.ask(index, Direction::Action, deadline, until, Some(input));
    }

    /// Goes on with a step that was asked and is not done. Looks at nothing but the state and the time.
    fn pursue_action(&mut self, index: NodeIndex, spec: &StepSpec) -> Line {
        let step = self
            .state
            .node(index)
            .step
            .as_ref()
            .expect("a step that was entered was asked");
        if self.turns_at_the_deadline_of(index, spec, step.until_passed) {
            return Line::Ended;
        }
        let rules = self.context.rules;
        let (_, step) = self.state.step(index).expect("it was asked");
        if step.probe.open.is_some() || step.action.open.is_some() {
            return Line::Waits;
        }
        if step.is_past_its_deadline(self.context.now) {
            // Its timer is due, or held after a downtime, and says what follows.
            return Line::Waits;
        }
        if step.action.is_idle() && step.can_probe(spec) && !mutant!(rules, AsksWithoutProbing) {
            self.ask_probe(index, spec);
            return Line::Waits;
        }
        match self.ask_again(index, Direction::Action, spec.retry) {
            Again::Yes => Line::Waits,
            Again::No => self.give_up(index),
        }
    }

    /// Turns if the deadline of a step under way `has_passed` before the pivot.
    pub(super) fn turns_at_the_deadline_of(
        &mut self,
        index: NodeIndex,
        spec: &StepSpec,
        has_passed: bool,
    ) -> bool {
        let turns = has_passed
            && !self.state.pivot_passed()
            && !mutant!(self.context.rules, IgnoresStepDeadlines);
        if turns {
            let reason = format!("`{}` was not done within its deadline", spec.name);
            self.turn(TurnCause::StepDeadline, Some(self.id(index)), reason);
        }
        turns
    }

    pub(super) fn ask_probe(&mut self, index: NodeIndex, spec: &StepSpec) {
        self.ask(
            index,
            Direction::Probe,
            self.context.now.after(spec.timeout),
            None,
            None,
        );
    }

    /// Asks once more in a direction, now or after the wait of its policy.
    pub(super) fn ask_again(
        &mut self,
        index: NodeIndex,
        direction: Direction,
        policy: Retry,
    ) -> Again {
        let node = self.id(index);
        let attempts = self.attempts(index, direction);
        let due = match attempts.retry {
            Retrying::At(_) => return Again::Yes,
            Retrying::Now => None,
            Retrying::No
                if failed_permanently(attempts)
                    && !mutant!(self.context.rules, AsksAgainAfterPermanentFailure) =>
            {
                return Again::No;
            }
            Retrying::No => {
                let attempt = sagalog_model::AttemptNumber(attempts.asked);
                let jitter = Jitter {
                    saga: self.state.id(),
                    node: &node,
                    direction,
                    attempt,
                };
                #[cfg(feature = "mutants")]
                let policy = crate::mutants::policy(
                    self.context.rules,
                    policy,
                    direction,
                    self.state.step(index).expect("what was asked is a step"),
                );
                match wait_after(&policy, attempts.spent(), jitter) {
                    Some(_) if mutant!(self.context.rules, RetriesWithoutWaiting) => None,
                    Some(wait) if mutant!(self.context.rules, WaitDependsOnTheClock) => {
                        Some(self.context.now.after(wait * 2))
                    }
                    None => return Again::No,
                    Some(wait) if wait.is_zero() => None,
                    Some(wait) => Some(self.context.now.after(wait)),
                }
            }
        };
        match due {
            Some(due) => self.emit(RetryScheduled {
                node,
                direction,
                due,
            }),
            None => self.ask_next(index, direction),
        }
        Again::Yes
    }

    /// Asks the next attempt of a direction now.
    pub(super) fn ask_next(&mut self, index: NodeIndex, direction: Direction) {
        let (spec, step) = self
            .state
            .step(index)
            .expect("only a step that was entered is asked again");
        let until = step
            .until
            .filter(|_| direction == Direction::Action && !step.until_passed)
            .filter(|_| !mutant!(self.context.rules, AttemptOutlastsItsStep));
        let deadline = self.context.now.after(timeout(spec, direction));
        self.ask(index, direction, earlier(deadline, until), None, None);
    }

    fn ask(
        &mut self,
        index: NodeIndex,
        direction: Direction,
        deadline: Time,
        until: Option<Time>,
        input: Option<Payload>,
    ) {
        let asked = self
            .state
            .step(index)
            .map_or(0, |(_, step)| step.attempts(direction).asked);
        let attempt = sagalog_model::AttemptNumber(asked + 1);
        self.emit(AttemptAsked {
            node: self.id(index),
            direction,
            attempt,
            deadline,
            until,
            input,
        });
    }

    /// A step failed for good: before the pivot the saga turns, after it a person is needed.
    fn give_up(&mut self, index: NodeIndex) -> Line {
        let reason = self.trouble(index, Direction::Action);
        if self.state.pivot_passed() && !mutant!(self.context.rules, TurnsAfterThePivot) {
            self.park(index, ParkCause::Action, reason);
            Line::Waits
        } else {
            self.turn(TurnCause::StepFailed, Some(self.id(index)), reason);
            Line::Ended
        }
    }

    pub(super) fn attempts(&self, index: NodeIndex, direction: Direction) -> &Attempts {
        let (_, step) = self
            .state
            .step(index)
            .expect("only a step that was entered has attempts");
        step.attempts(direction)
    }

    /// How the newest attempt in a direction ended, for people.
    pub(super) fn trouble(&self, index: NodeIndex, direction: Direction) -> String {
        self.attempts(index, direction)
            .trouble
            .as_ref()
            .map_or_else(
                || "no attempt succeeded".to_string(),
                |trouble| trouble.reason.clone(),
            )
    }
}

/// When an attempt of a step counts as unknown if it is asked now.
pub(crate) fn fresh_deadline(
    state: &SagaState,
    index: NodeIndex,
    direction: Direction,
    now: Time,
) -> Time {
    let (spec, step) = state.step(index).expect("an attempt belongs to a step");
    let until = step
        .until
        .filter(|_| direction == Direction::Action && !step.until_passed);
    earlier(now.after(timeout(spec, direction)), until)
}

/// How long one attempt in a direction may take.
fn timeout(spec: &StepSpec, direction: Direction) -> core::time::Duration {
    let terms = spec.terms(direction);
    terms.expect("only what the policy names is asked").timeout
}

fn earlier(one: Time, other: Option<Time>) -> Time {
    other.map_or(one, |other| one.min(other))
}
