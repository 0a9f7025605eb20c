//! A step's part of a saga's state.

use alloc::string::String;

use sagalog_model::{AttemptNumber, Direction, FailureClass, Payload, StepSpec, log::Time};

use crate::attempts::{Attempts, TroubleKind};

/// What was asked of a step's participant, in all directions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StepState {
    /// The action's input, evaluated once.
    pub input: Payload,
    /// When all attempts of the action are over.
    pub until: Option<Time>,
    /// Whether that time has passed.
    pub until_passed: bool,
    /// The saga's deadline when its action was last asked, if that counted: what is under way is not kept
    /// alive for longer.
    pub asked_within: Option<Time>,
    /// The forward work.
    pub action: Attempts,
    /// The questions whether it took effect.
    pub probe: Attempts,
    /// The newest attempt of the action that was probed.
    pub probed_for: AttemptNumber,
    /// Undoing it.
    pub compensation: Attempts,
    /// What undoing is asked with: the output, if it was known when the newest attempt was asked.
    pub undone_with: Option<Payload>,
    /// Making up for a compensation that failed for good.
    pub alternative: Attempts,
    /// How undoing ended.
    pub undo: UndoEnd,
}

/// How undoing a step ended.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum UndoEnd {
    /// It has not, or was never begun.
    #[default]
    Open,
    /// It is undone, by its participant or by a person.
    Undone,
    /// It is left, with this reason.
    Left {
        /// Why.
        reason: String,
    },
}

impl StepState {
    pub(crate) fn new(input: Payload, until: Option<Time>) -> Self {
        Self {
            input,
            until,
            until_passed: false,
            asked_within: None,
            action: Attempts::default(),
            probe: Attempts::default(),
            probed_for: AttemptNumber(0),
            compensation: Attempts::default(),
            undone_with: None,
            alternative: Attempts::default(),
            undo: UndoEnd::Open,
        }
    }

    /// The attempts in one direction.
    pub const fn attempts(&self, direction: Direction) -> &Attempts {
        match direction {
            Direction::Action => &self.action,
            Direction::Probe => &self.probe,
            Direction::Compensation => &self.compensation,
            Direction::Alternative => &self.alternative,
        }
    }

    pub(crate) const fn attempts_mut(&mut self, direction: Direction) -> &mut Attempts {
        match direction {
            Direction::Action => &mut self.action,
            Direction::Probe => &mut self.probe,
            Direction::Compensation => &mut self.compensation,
            Direction::Alternative => &mut self.alternative,
        }
    }

    /// Whether it is known that the action took effect.
    pub const fn has_succeeded(&self) -> bool {
        self.action.succeeded || self.probe.succeeded
    }

    /// Whether a success in a direction says nothing new. What was left may still turn out to be undone.
    pub fn is_settled(&self, direction: Direction) -> bool {
        if direction.is_forward() {
            self.has_succeeded()
        } else {
            self.undo == UndoEnd::Undone
        }
    }

    /// Whether its own deadline has come, and that is not on record yet.
    pub fn is_past_its_deadline(&self, now: Time) -> bool {
        !self.until_passed && self.until.is_some_and(|until| until <= now)
    }

    /// Whether the newest attempt ended in doubt and its participant was not yet asked about it.
    pub fn can_probe(&self, spec: &StepSpec) -> bool {
        spec.probed && self.action.last_is_doubtful() && self.probed_for.0 < self.action.asked
    }

    /// Whether the action's newest failure rules out asking again.
    pub fn failed_permanently(&self) -> bool {
        failed_permanently(&self.action)
    }
}

/// Whether the newest failure rules out asking again.
pub fn failed_permanently(attempts: &Attempts) -> bool {
    attempts
        .trouble
        .as_ref()
        .is_some_and(|trouble| trouble.kind == TroubleKind::Failed(FailureClass::Permanent))
}
