//! The simulator: the production engine in a world where everything that may go wrong does, one
//! named plan at a time.
//!
//! [`Sim`] is what the author of a saga writes; [`Plan`] is what a failing run comes back as;
//! [`World`] is one run. The engine, the folds and the partition machine are the production ones;
//! only the log, the transport, the participants and the clock are simulated.

#[macro_use]
mod hook;

mod author;
mod capture;
mod check;
mod coverage;
mod explore;
mod explored;
mod fault;
mod fleet;
mod fork;
mod infer;
mod matrix;
mod mend;
#[cfg(feature = "mutants")]
pub mod mutants;
mod plan;
mod replay;
mod report;
mod run;
mod shrink;
mod sim;
mod site;
mod world;

pub use capture::{
    BadCapture, BadPointer, CannotRedact, Capture, CapturedRow, Leak, Owner, Redacted, Redaction,
};
pub use check::Violation;
pub use coverage::{Coverage, Covered};
pub use explore::{Explore, Failure, Report};
pub use explored::Explored;
pub use fault::{BadFault, Fault};
pub use fleet::{Candidate, Change, ChangedVersion, Checked, NodeChange, Verdict, Why};
pub use fork::{CannotFork, End, Forked, Otherwise};
pub use infer::{Inferred, Leaves};
pub use matrix::{Cell, Crash, Found, IntoSim, Matrix, Trouble, Way};
pub use mend::{Decide, Mend};
pub use plan::{BadPlan, Plan, WhyBad};
pub use replay::{CannotReplay, Difference, OtherRules, Replay, Replayed, Side, Stored, What};
pub use report::{
    Bite, Changed, ExplorationDocument, FailureDocument, Happened, HistoryDocument, NodeEnd,
    PlannedFault, RunDocument, SagaEnd, SagaHistory, Sometimes, Tried, Violated, event as in_words,
};
pub use run::Run;
pub use sim::{CannotRun, NoSuchPlace, Sim, Unserved, Unsound};
pub use site::{BadSite, Point, Site, Subject};
pub use world::{Account, Fails, Lane, Ledger, TraceLine, World};
