//! What can go wrong, in plain words.

use std::{fmt, str::FromStr};

use crate::site::{Point, Site};

/// One thing that goes wrong at a [`Site`].
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
    /// The append takes long; others wait behind it.
    Slow,
    /// The node dies when the append is durable, and again before it owns the partition anew.
    CrashTwice,
    /// The database is down for a while: the append does not take place, and nobody can take over.
    DatabaseDown,
    /// The node dies before the append, and stays down until all that was asked is overdue.
    DownLong,
    /// Somebody cancels the saga while the append is under way.
    Cancelled,
    /// The node's clock jumps an hour ahead.
    ClockAhead,
    /// The node's clock jumps an hour back.
    ClockBack,
    /// The node dies before the broker has it.
    CrashBeforePublish,
    /// The node dies when the broker has it, before it learns so.
    CrashAfterPublish,
    /// The broker does not take it at first.
    Refused,
    /// The broker is down for a while: whatever is on its way waits.
    BrokerDown,
    /// It comes again long after everything has ended, to a participant whose clock is behind.
    AgainAfterTheEnd,
    /// The worker dies before it does anything; the command comes again.
    WorkerDiesBefore,
    /// The worker dies when it is done, before it answers; the command comes again.
    WorkerDiesAfter,
    /// No command for this node ever arrives.
    Blackholed,
    /// The participant rejects this node's action for good, whenever it is asked.
    Rejects,
    /// The participant fails this node for now, whenever it is asked.
    AlwaysFailsForNow,
    /// One input a commit, one published command at a time.
    Tight,
    /// One more saga runs beside it.
    OneMoreSaga,
    /// It lets the next of what others do go ahead.
    StepsAside,
    /// It waits for a while, and others go ahead.
    Waits,
    /// The answer to the node's last renewal of its leases comes late, and all after it fail.
    HeartbeatFails,
    /// Another takes the partition over while the node is alive and well.
    TakenOver,
    /// The node dies; of two that take over, the second does while the first reads the log.
    RacedReading,
    /// The node dies; of two that take over, the second does while the first appends that it owns
    /// the partition.
    RacedAppending,
    /// The node dies; the clock of the next is an hour ahead.
    SuccessorAhead,
    /// The node dies; the clock of the next is an hour behind.
    SuccessorBehind,
    /// The clocks of the nodes run at different rates, as far as leases tolerate it.
    Drift,
    /// The node is frozen before the append, and another takes the partition over; what the frozen one
    /// was sent, and its place at the inbox, stay with it until it goes on.
    Frozen,
    /// Nobody can use it: it becomes a dead letter, and a person sends it again.
    Poisoned,
    /// The node dies when the append is durable; for a while nobody can read the saga's history.
    Unreadable,
    /// The node dies when the append is durable; for a while the next one lacks the definition.
    Undefined,
    /// The client never makes the call, as if it were not there.
    LeftOut,
    /// It comes once more, an hour after the time until which it may.
    AgainAfterItsTime,
    /// It comes once more, in the last moment in which it is certain to be known.
    AgainInItsLastMoment,
    /// The sender's clock is an hour behind, and so is the time until which it may come again.
    SenderBehind,
    /// The sender's clock is an hour ahead.
    SenderAhead,
    /// Somebody pauses the saga while the append is under way, and resumes it when attempts are over.
    Paused,
    /// Somebody sets the saga's deadline to the next moment while the append is under way.
    DeadlineSet,
}

impl Fault {
    /// All kinds, simplest first: the order in which a shrinker prefers them.
    pub const ALL: [Self; 53] = [
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
        Self::Slow,
        Self::CrashTwice,
        Self::DatabaseDown,
        Self::DownLong,
        Self::Cancelled,
        Self::ClockAhead,
        Self::ClockBack,
        Self::CrashBeforePublish,
        Self::CrashAfterPublish,
        Self::Refused,
        Self::BrokerDown,
        Self::AgainAfterTheEnd,
        Self::WorkerDiesBefore,
        Self::WorkerDiesAfter,
        Self::Blackholed,
        Self::Rejects,
        Self::AlwaysFailsForNow,
        Self::Tight,
        Self::OneMoreSaga,
        Self::StepsAside,
        Self::Waits,
        Self::HeartbeatFails,
        Self::TakenOver,
        Self::RacedReading,
        Self::RacedAppending,
        Self::SuccessorAhead,
        Self::SuccessorBehind,
        Self::Drift,
        Self::Frozen,
        Self::Poisoned,
        Self::Unreadable,
        Self::Undefined,
        Self::LeftOut,
        Self::AgainAfterItsTime,
        Self::AgainInItsLastMoment,
        Self::SenderBehind,
        Self::SenderAhead,
        Self::Paused,
        Self::DeadlineSet,
    ];

    /// What can go wrong at a point, simplest first, the core before the others.
    pub const fn at(point: Point) -> &'static [Self] {
        match point {
            Point::Config => &[
                Self::Rejects,
                Self::AlwaysFailsForNow,
                Self::Blackholed,
                Self::Tight,
                Self::OneMoreSaga,
                Self::Drift,
            ],
            Point::Call => &[
                Self::Duplicated,
                Self::Lost,
                Self::LeftOut,
                Self::AgainAfterItsTime,
                Self::AgainInItsLastMoment,
                Self::SenderBehind,
                Self::SenderAhead,
            ],
            Point::Commit => &[
                Self::CrashAfterCommit,
                Self::CrashBeforeCommit,
                Self::UnknownDone,
                Self::UnknownNotDone,
                Self::LeaseLost,
                Self::Slow,
                Self::CrashTwice,
                Self::DatabaseDown,
                Self::DownLong,
                Self::Cancelled,
                Self::ClockAhead,
                Self::ClockBack,
                Self::HeartbeatFails,
                Self::TakenOver,
                Self::RacedReading,
                Self::RacedAppending,
                Self::SuccessorAhead,
                Self::SuccessorBehind,
                Self::Frozen,
                Self::Unreadable,
                Self::Undefined,
                Self::Paused,
                Self::DeadlineSet,
            ],
            Point::Deliver => &[
                Self::Duplicated,
                Self::Late,
                Self::Lost,
                Self::Overtaken,
                Self::CrashBeforePublish,
                Self::CrashAfterPublish,
                Self::LeaseLost,
                Self::Refused,
                Self::BrokerDown,
                Self::AgainAfterTheEnd,
                Self::Poisoned,
            ],
            Point::Outcome => &[
                Self::FailsForNow,
                Self::Fails,
                Self::InDoubt,
                Self::InDoubtUndone,
                Self::WorkerDiesBefore,
                Self::WorkerDiesAfter,
            ],
            Point::Queue | Point::Inbox => &[Self::StepsAside, Self::Waits],
            Point::Reply => &[
                Self::Duplicated,
                Self::Late,
                Self::AfterTheEnd,
                Self::Lost,
                Self::Poisoned,
            ],
        }
    }

    /// What can go wrong at a site, simplest first: some of what a point allows is about nodes,
    /// some about the world.
    pub fn at_site(site: &Site) -> impl Iterator<Item = Self> {
        let of_world = site.is_of_the_world();
        let of_letter = site.is_of_a_letter();
        let fits = move |fault: &Self| match fault {
            Self::Tight | Self::Drift => of_world && site.nth == 1,
            Self::OneMoreSaga => of_world,
            // So that nothing waits past its deadline.
            Self::Waits => site.nth == 1,
            Self::Rejects | Self::AlwaysFailsForNow | Self::Blackholed => !of_world,
            // What the broker has confirmed it delivers, and a letter has no deadline of its own.
            Self::Late | Self::Lost | Self::Overtaken | Self::Poisoned => !of_letter,
            fault if fault.needs_a_time() => site.has_a_time(),
            _ => true,
        };
        Self::at(site.point).iter().copied().filter(fits)
    }

    /// Whether it can only happen where there are several nodes ([`Sim::nodes`](crate::Sim::nodes)).
    pub const fn needs_several_nodes(self) -> bool {
        matches!(
            self,
            Self::HeartbeatFails
                | Self::TakenOver
                | Self::RacedReading
                | Self::RacedAppending
                | Self::SuccessorAhead
                | Self::SuccessorBehind
                | Self::Drift
        )
    }

    /// Whether it can only happen to a call that says until when it may come again
    /// ([`Sim::signal_for`](crate::Sim::signal_for)).
    pub const fn needs_a_time(self) -> bool {
        matches!(
            self,
            Self::AgainAfterItsTime
                | Self::AgainInItsLastMoment
                | Self::SenderBehind
                | Self::SenderAhead
        )
    }

    /// Whether it is tried together with others in an exhaustive search. What is left out differs
    /// from one of these in how long something takes or how often it happens, or is a condition of
    /// the whole run: it is tried alone, and in random plans.
    pub fn is_core(self, point: Point) -> bool {
        match point {
            Point::Config | Point::Call | Point::Queue | Point::Inbox => false,
            Point::Deliver => matches!(
                self,
                Self::Duplicated | Self::Late | Self::Lost | Self::Overtaken
            ),
            Point::Reply => self <= Self::InDoubtUndone || matches!(self, Self::Poisoned),
            Point::Commit | Point::Outcome => self <= Self::InDoubtUndone,
        }
    }

    /// Whether explorations try it. What is not tried makes a world smaller: it is written by hand, or by
    /// the shrinker.
    pub const fn is_tried(self) -> bool {
        !matches!(self, Self::LeftOut)
    }

    /// Whether the engine promises to mask it at a point: the saga's story is then the healthy run's
    /// (I21). A lost call is sent again by its client.
    pub const fn is_masked(self, point: Point) -> bool {
        self.is_transparent() || matches!((self, point), (Self::Lost, Point::Call))
    }

    /// Whether the engine promises to mask it wherever it happens.
    pub const fn is_transparent(self) -> bool {
        matches!(
            self,
            Self::CrashAfterCommit
                | Self::CrashBeforeCommit
                | Self::UnknownDone
                | Self::UnknownNotDone
                | Self::LeaseLost
                | Self::Duplicated
                | Self::Slow
                | Self::CrashTwice
                | Self::DatabaseDown
                | Self::CrashBeforePublish
                | Self::CrashAfterPublish
                | Self::Refused
                | Self::BrokerDown
                | Self::AgainAfterTheEnd
                | Self::WorkerDiesBefore
                | Self::WorkerDiesAfter
                | Self::Tight
                | Self::OneMoreSaga
                | Self::StepsAside
                | Self::Waits
                | Self::HeartbeatFails
                | Self::TakenOver
                | Self::RacedReading
                | Self::RacedAppending
                | Self::Drift
                | Self::Frozen
                | Self::Unreadable
                | Self::AgainAfterItsTime
                | Self::AgainInItsLastMoment
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
            Self::Slow => "slow",
            Self::CrashTwice => "crash twice",
            Self::DatabaseDown => "database down",
            Self::DownLong => "down past the deadlines",
            Self::Cancelled => "cancelled meanwhile",
            Self::Paused => "paused meanwhile",
            Self::DeadlineSet => "deadline set meanwhile",
            Self::ClockAhead => "clock jumps ahead",
            Self::ClockBack => "clock jumps back",
            Self::CrashBeforePublish => "crash before the publish",
            Self::CrashAfterPublish => "crash after the publish",
            Self::Refused => "refused at first",
            Self::BrokerDown => "broker down",
            Self::AgainAfterTheEnd => "again after the end",
            Self::WorkerDiesBefore => "worker dies before",
            Self::WorkerDiesAfter => "worker dies after",
            Self::Blackholed => "blackholed",
            Self::Rejects => "rejects",
            Self::AlwaysFailsForNow => "always fails for now",
            Self::Tight => "one at a time",
            Self::OneMoreSaga => "one more saga",
            Self::StepsAside => "steps aside",
            Self::Waits => "waits",
            Self::HeartbeatFails => "heartbeat fails",
            Self::TakenOver => "taken over alive",
            Self::RacedReading => "two take over, the first reading",
            Self::RacedAppending => "two take over, the first appending",
            Self::SuccessorAhead => "successor's clock ahead",
            Self::SuccessorBehind => "successor's clock behind",
            Self::Drift => "clocks drift",
            Self::Frozen => "frozen",
            Self::Poisoned => "poisoned",
            Self::Unreadable => "cannot be read",
            Self::Undefined => "definition missing",
            Self::LeftOut => "left out",
            Self::AgainAfterItsTime => "again after its time",
            Self::AgainInItsLastMoment => "again in its last moment",
            Self::SenderBehind => "sender's clock behind",
            Self::SenderAhead => "sender's clock ahead",
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
