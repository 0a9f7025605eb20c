//! One cell: the plan that it stands for, and what came of it.

use std::fmt;

use sagalog_model::Direction;
use serde::{Serialize, Serializer};

use super::Bench;
use crate::{
    fault::Fault,
    plan::Plan,
    site::{Point, Site, Subject},
    world::World,
};

/// One cell of a [`Matrix`](super::Matrix).
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Cell {
    /// The step's node.
    pub step: String,
    /// Whether its action is in trouble, or its compensation.
    pub way: Way,
    /// What goes wrong with it.
    pub trouble: Trouble,
    /// When the node dies meanwhile.
    pub crash: Crash,
    /// What came of it.
    pub found: Found,
    /// The plan, which may be run again as it is.
    #[serde(serialize_with = "as_text")]
    pub plan: Plan,
}

fn as_text<S: Serializer>(plan: &Plan, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(plan)
}

/// In which direction of a step something goes wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// In its action.
    Forward,
    /// In its compensation.
    Back,
}

/// What goes wrong with a step.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// Its participant fails it for good.
    Fails,
    /// Its participant fails it for now.
    FailsForNow,
    /// Nothing that is asked ever arrives.
    Blackholed,
    /// It takes effect, and the answer gets lost.
    AnswerLost,
    /// The answer comes after the deadline.
    AnswerLate,
    /// It is delivered again when it is done.
    RunTwice,
}

/// When the node dies.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Crash {
    /// Never.
    Never,
    /// Before it is on record that the step is asked.
    BeforeAsking,
    /// When that is on record.
    AfterAsking,
    /// Before the broker has the command.
    BeforePublish,
    /// When the broker has it.
    AfterPublish,
    /// Before what became of it is on record.
    BeforeOutcome,
    /// When that is on record.
    AfterOutcome,
}

/// What came of a cell.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Found {
    /// Nothing is violated.
    Holds,
    /// This is.
    Violated {
        /// Which invariant, or `author`.
        invariant: &'static str,
        /// What happened.
        what: String,
    },
    /// The run does not come there: with this input the step is not asked, or not undone; or what
    /// went wrong left no such moment.
    NotThere,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Fails,
        Self::FailsForNow,
        Self::Blackholed,
        Self::AnswerLost,
        Self::AnswerLate,
        Self::RunTwice,
    ];

    /// Where it happens to an attempt, and what.
    const fn fault(self) -> (Point, Fault) {
        match self {
            Self::Fails => (Point::Outcome, Fault::Fails),
            Self::FailsForNow => (Point::Outcome, Fault::FailsForNow),
            Self::Blackholed => (Point::Deliver, Fault::Lost),
            Self::AnswerLost => (Point::Reply, Fault::Lost),
            Self::AnswerLate => (Point::Reply, Fault::Late),
            Self::RunTwice => (Point::Outcome, Fault::WorkerDiesAfter),
        }
    }
}

impl Crash {
    /// All of them, in the order of time.
    pub const ALL: [Self; 7] = [
        Self::Never,
        Self::BeforeAsking,
        Self::AfterAsking,
        Self::BeforePublish,
        Self::AfterPublish,
        Self::BeforeOutcome,
        Self::AfterOutcome,
    ];
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forward => "forward",
            Self::Back => "back",
        })
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fails => "fails",
            Self::FailsForNow => "fails for now",
            Self::Blackholed => "blackholed",
            Self::AnswerLost => "answer lost",
            Self::AnswerLate => "answer late",
            Self::RunTwice => "run twice",
        })
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Never => "no crash",
            Self::BeforeAsking => "before asking",
            Self::AfterAsking => "after asking",
            Self::BeforePublish => "before publish",
            Self::AfterPublish => "after publish",
            Self::BeforeOutcome => "before outcome",
            Self::AfterOutcome => "after outcome",
        })
    }
}

/// The most commands of one direction that are lost before nobody asks any more.
const LOST_MAX: usize = 200;

impl Bench<'_> {
    /// Adds the cells of one direction of a step.
    pub(super) fn add(&self, node: &str, way: Way, cells: &mut Vec<Cell>) {
        let row = Row {
            bench: self,
            node,
            direction: match way {
                Way::Forward => Direction::Action,
                Way::Back => Direction::Compensation,
            },
        };
        let begin = row.begin();
        for trouble in Trouble::ALL {
            for crash in Crash::ALL {
                let cell = begin
                    .as_ref()
                    .and_then(|begin| row.run(begin, trouble, crash));
                let (plan, found) = cell.unwrap_or_else(|| (Plan::healthy(), Found::NotThere));
                cells.push(Cell {
                    step: node.to_owned(),
                    way,
                    trouble,
                    crash,
                    found,
                    plan,
                });
            }
        }
    }
}

/// One direction of a step.
struct Row<'a> {
    bench: &'a Bench<'a>,
    node: &'a str,
    direction: Direction,
}

impl Row<'_> {
    /// A run in which the first saga asks for it: the healthy one, or one that somebody cancels when
    /// the action is done or on its way.
    fn begin(&self) -> Option<World> {
        let healthy = &self.bench.healthy;
        // What is violated at once is violated in every cell.
        if healthy.violation().is_some() {
            return Some(healthy.clone());
        }
        if self.direction == Direction::Action {
            return self.asks(healthy).map(|_| healthy.clone());
        }
        let action = Row {
            direction: Direction::Action,
            ..*self
        };
        let asked = action.asks(healthy)?;
        let done = healthy.visited().iter().find(|site| action.is_commit(site));
        let moments = [done, commit_before(healthy, asked)];
        let mut causes = moments.into_iter().flatten();
        causes.find_map(|cause| {
            let plan = Plan::healthy().with(cause.clone(), Fault::Cancelled);
            let world = self.bench.run(plan);
            self.asks(&world).is_some().then_some(world)
        })
    }

    /// A cell, if its run comes there.
    fn run(&self, begin: &World, trouble: Trouble, crash: Crash) -> Option<(Plan, Found)> {
        let troubled = self.with_trouble(begin.plan().clone(), trouble);
        for world in [begin, &troubled] {
            // A run that violates something stops there, before it comes to the crash.
            if let Some(violated) = self.violated(world) {
                return Some((world.plan().clone(), violated));
            }
        }
        let crashed = self.with_crash(begin, &troubled, crash)?;
        // What is asked anew after a crash gets lost as well.
        let world = match trouble {
            Trouble::Blackholed => self.with_all_lost(crashed.plan().clone()),
            _ => crashed,
        };
        let found = match self.violated(&world) {
            Some(violated) => violated,
            None if world.idle().next().is_some() => return None,
            None => Found::Holds,
        };
        Some((world.plan().clone(), found))
    }

    fn violated(&self, world: &World) -> Option<Found> {
        let violation = self.bench.verdict(world)?;
        Some(Found::Violated {
            invariant: violation.invariant,
            what: violation.what,
        })
    }

    fn with_trouble(&self, plan: Plan, trouble: Trouble) -> World {
        match trouble {
            Trouble::Blackholed => self.with_all_lost(plan),
            _ => {
                let (point, fault) = trouble.fault();
                self.bench.run(plan.with(self.site(point), fault))
            }
        }
    }

    fn with_all_lost(&self, plan: Plan) -> World {
        let mut world = self.bench.run(plan);
        for _ in 0..LOST_MAX {
            let fresh = world
                .visited()
                .iter()
                .find(|site| self.is_at(site, Point::Deliver) && world.plan().at(site).is_none());
            let Some(site) = fresh else { break };
            world = self.bench.run(world.plan().with(site.clone(), Fault::Lost));
        }
        world
    }

    fn with_crash(&self, begin: &World, troubled: &World, crash: Crash) -> Option<World> {
        let asked = self.asks(troubled)?;
        let outcome = || troubled.visited().iter().find(|site| self.is_commit(site));
        let (site, fault) = match crash {
            Crash::Never => return Some(troubled.clone()),
            Crash::BeforeAsking => (
                commit_before(troubled, asked)?.clone(),
                Fault::CrashBeforeCommit,
            ),
            Crash::AfterAsking => (
                commit_before(troubled, asked)?.clone(),
                Fault::CrashAfterCommit,
            ),
            Crash::BeforePublish => (self.site(Point::Deliver), Fault::CrashBeforePublish),
            Crash::AfterPublish => (self.site(Point::Deliver), Fault::CrashAfterPublish),
            Crash::BeforeOutcome => (outcome()?.clone(), Fault::CrashBeforeCommit),
            Crash::AfterOutcome => (outcome()?.clone(), Fault::CrashAfterCommit),
        };
        // The place of the cancel, which makes it go back, is taken.
        if begin.plan().at(&site).is_some() {
            return None;
        }
        Some(self.bench.run(troubled.plan().with(site, fault)))
    }

    /// Where the first attempt is published, if it is: its place among those visited.
    fn asks(&self, world: &World) -> Option<usize> {
        let site = self.site(Point::Deliver);
        world.visited().iter().position(|visited| *visited == site)
    }

    fn site(&self, point: Point) -> Site {
        Site {
            saga: 1,
            subject: Subject::Attempt {
                node: self.node.into(),
                direction: self.direction,
                attempt: 1,
            },
            point,
            nth: 1,
        }
    }

    /// The append of what became of the first attempt.
    fn is_commit(&self, site: &Site) -> bool {
        *site == self.site(Point::Commit)
    }

    fn is_at(&self, site: &Site, point: Point) -> bool {
        let of_it = |subject: &Subject| match subject {
            Subject::Attempt {
                node, direction, ..
            } => **node == *self.node && *direction == self.direction,
            Subject::Other(_) => false,
        };
        site.saga == 1 && site.point == point && of_it(&site.subject)
    }
}

/// The append that came last before a place.
fn commit_before(world: &World, place: usize) -> Option<&Site> {
    let before = world.visited()[..place].iter();
    before.rev().find(|site| site.point == Point::Commit)
}
