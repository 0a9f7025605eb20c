//! What can go wrong, in plain words.

use std::{fmt, str::FromStr};

use crate::site::Point;

/// One thing that goes wrong at a [`Site`](crate::Site).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Fault {
    /// The node dies when the append is durable, before it learns so.
    CrashAfterCommit,
    /// The node dies before the append.
    CrashBeforeCommit,
    /// The append takes place; the node learns only that it does not know.
    UnknownDone,
    /// The append does not take place; the node learns only that it does not know.
    UnknownNotDone,
    /// The node is paused before the append, another takes the partition over, then it goes on.
    LeaseLost,
    /// It comes twice.
    Duplicated,
    /// It comes later than its deadline.
    Late,
    /// It comes long after everything has ended.
    AfterTheEnd,
    /// It never comes.
    Lost,
    /// It comes after its own compensation.
    Overtaken,
    /// The participant fails it for now: nothing took effect.
    FailsForNow,
    /// The participant fails it for good: nothing took effect.
    Fails,
    /// It takes effect, and the participant says that it does not know.
    InDoubt,
    /// It takes no effect, and the participant says that it does not know.
    InDoubtUndone,
}

impl Fault {
    /// All kinds, simplest first: the order in which a shrinker prefers them.
    pub const ALL: [Self; 14] = [
        Self::CrashAfterCommit,
        Self::CrashBeforeCommit,
        Self::UnknownDone,
        Self::UnknownNotDone,
        Self::LeaseLost,
        Self::Duplicated,
        Self::Late,
        Self::AfterTheEnd,
        Self::Lost,
        Self::Overtaken,
        Self::FailsForNow,
        Self::Fails,
        Self::InDoubt,
        Self::InDoubtUndone,
    ];

    /// What can go wrong at a point, simplest first.
    pub const fn at(point: Point) -> &'static [Self] {
        match point {
            Point::Commit => &[
                Self::CrashAfterCommit,
                Self::CrashBeforeCommit,
                Self::UnknownDone,
                Self::UnknownNotDone,
                Self::LeaseLost,
            ],
            Point::Deliver => &[Self::Duplicated, Self::Late, Self::Lost, Self::Overtaken],
            Point::Outcome => &[
                Self::FailsForNow,
                Self::Fails,
                Self::InDoubt,
                Self::InDoubtUndone,
            ],
            Point::Reply => &[Self::Duplicated, Self::Late, Self::AfterTheEnd, Self::Lost],
        }
    }

    /// Whether the engine promises to mask it: the saga's story is then the healthy run's (I21).
    pub const fn is_transparent(self) -> bool {
        matches!(
            self,
            Self::CrashAfterCommit
                | Self::CrashBeforeCommit
                | Self::UnknownDone
                | Self::UnknownNotDone
                | Self::LeaseLost
                | Self::Duplicated
        )
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::CrashAfterCommit => "crash after",
            Self::CrashBeforeCommit => "crash before",
            Self::UnknownDone => "unknown, done",
            Self::UnknownNotDone => "unknown, not done",
            Self::LeaseLost => "lease lost",
            Self::Duplicated => "twice",
            Self::Late => "late",
            Self::AfterTheEnd => "after the end",
            Self::Lost => "lost",
            Self::Overtaken => "overtaken",
            Self::FailsForNow => "fails for now",
            Self::Fails => "fails",
            Self::InDoubt => "in doubt, done",
            Self::InDoubtUndone => "in doubt, not done",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no fault.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is no fault; known are: {known}", known = known())]
pub struct BadFault(pub String);

impl FromStr for Fault {
    type Err = BadFault;

    fn from_str(text: &str) -> Result<Self, BadFault> {
        let found = Self::ALL
            .into_iter()
            .find(|fault| fault.as_str() == text.trim());
        found.ok_or_else(|| BadFault(text.trim().to_owned()))
    }
}

fn known() -> String {
    Fault::ALL.map(Fault::as_str).join("; ")
}
