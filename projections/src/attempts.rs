//! The attempts of one direction of a step.

use alloc::{string::String, vec::Vec};

use sagalog_model::{AttemptNumber, FailureClass, log::Time};

/// What was asked in one direction, and what became of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Attempts {
    /// How many were asked so far.
    pub asked: u32,
    /// How many of them do not count against the budget, because a person gave a new one since.
    pub forgiven: u32,
    /// The one that is asked for and unanswered.
    pub open: Option<OpenAttempt>,
    /// What its participant said last about the open one, if it is kept alive.
    pub heard: Option<Heard>,
    /// Those of which nobody vouches that they took no effect, the open one left aside.
    pub doubtful: Vec<AttemptNumber>,
    /// When the next is asked.
    pub retry: Retrying,
    /// Whether one of them took effect.
    pub succeeded: bool,
    /// How the newest unsuccessful one ended.
    pub trouble: Option<Trouble>,
}

/// An attempt that is asked for and unanswered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OpenAttempt {
    /// Its number.
    pub number: AttemptNumber,
    /// When it was asked.
    pub asked_at: Time,
    /// When it counts as unknown.
    pub deadline: Time,
    /// Whether its deadline was renewed after a downtime; that is done once only.
    pub renewed: bool,
    /// Whether its deadline passed while its command waited to be admitted; it has none until it is.
    pub delayed: bool,
}

/// A sign of life of an attempt that takes long.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Heard {
    /// When it was recorded.
    pub at: Time,
    /// How far it is, for people; may be empty.
    pub progress: String,
}

/// Whether another attempt is planned.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Retrying {
    /// None is.
    #[default]
    No,
    /// One is, at this time.
    At(Time),
    /// One is, now.
    Now,
}

/// How an attempt ended without success.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trouble {
    /// What kind.
    pub kind: TroubleKind,
    /// Why, for people.
    pub reason: String,
    /// When that was recorded.
    pub at: Time,
}

/// The ways to end without success.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TroubleKind {
    /// Its participant vouches that nothing took effect.
    Failed(FailureClass),
    /// It may have taken effect; its participant says so.
    Unknown,
    /// No answer came in time.
    TimedOut,
    /// A probe found no effect so far.
    NotFound,
}

impl Attempts {
    /// The number of the next attempt.
    pub const fn next(&self) -> AttemptNumber {
        AttemptNumber(self.asked + 1)
    }

    /// How many attempts count against the budget.
    pub const fn spent(&self) -> u32 {
        self.asked - self.forgiven
    }

    /// Whether this attempt was asked: only such are answered.
    pub const fn was_asked(&self, attempt: AttemptNumber) -> bool {
        attempt.0 >= 1 && attempt.0 <= self.asked
    }

    /// Whether this attempt is the open one.
    pub fn is_open(&self, attempt: AttemptNumber) -> bool {
        self.open.is_some_and(|open| open.number == attempt)
    }

    /// Whether a late answer about this attempt could still tell something new.
    pub fn is_doubtful(&self, attempt: AttemptNumber) -> bool {
        self.doubtful.contains(&attempt)
    }

    /// Whether the newest attempt ended without anybody knowing how.
    pub fn last_is_doubtful(&self) -> bool {
        self.open.is_none() && self.is_doubtful(AttemptNumber(self.asked))
    }

    /// Whether it may have taken effect: not every attempt asked was answered Failed.
    pub fn may_have_taken_effect(&self) -> bool {
        self.succeeded || self.open.is_some() || !self.doubtful.is_empty()
    }

    /// Whether nothing is under way or planned.
    pub fn is_idle(&self) -> bool {
        self.open.is_none() && self.retry == Retrying::No
    }

    pub(crate) fn ask(&mut self, attempt: AttemptNumber, asked_at: Time, deadline: Time) {
        self.asked = attempt.0;
        self.retry = Retrying::No;
        self.heard = None;
        self.open = Some(OpenAttempt {
            number: attempt,
            asked_at,
            deadline,
            renewed: false,
            delayed: false,
        });
    }

    pub(crate) fn succeed(&mut self) {
        self.succeeded = true;
        self.open = None;
        self.retry = Retrying::No;
    }

    pub(crate) fn fail(&mut self, attempt: AttemptNumber, trouble: Trouble) {
        self.doubtful.retain(|doubtful| *doubtful != attempt);
        self.end(attempt, trouble);
    }

    pub(crate) fn doubt(&mut self, attempt: AttemptNumber, trouble: Trouble) {
        if !self.is_doubtful(attempt) {
            self.doubtful.push(attempt);
        }
        self.end(attempt, trouble);
    }

    pub(crate) fn forgive(&mut self) {
        self.forgiven = self.asked;
    }

    fn end(&mut self, attempt: AttemptNumber, trouble: Trouble) {
        if self.is_open(attempt) {
            self.open = None;
            self.trouble = Some(trouble);
        }
    }
}
