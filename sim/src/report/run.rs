//! A run as a document with stable field names: what its JSON says, and what its page shows.

use sagalog_model::log::Time;
use serde::Serialize;

use super::state::{Changed, NodeEnd, States};
use crate::{
    check::Violation,
    world::{BEGINNING, Lane, TraceLine, World},
};

/// One run of one plan.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct RunDocument {
    /// The definition's name.
    pub definition: String,
    /// The definition's version.
    pub version: u32,
    /// What went wrong, in the order of the plan's sites; empty if nothing did.
    pub plan: Vec<PlannedFault>,
    /// What was violated, if anything was.
    pub violation: Option<Violated>,
    /// When the run ended, in milliseconds from its beginning.
    pub ended_at_ms: u64,
    /// Each saga that was started, as it ended.
    pub sagas: Vec<SagaEnd>,
    /// What happened, in order.
    pub lines: Vec<Happened>,
}

/// A fault of the plan.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct PlannedFault {
    /// Where.
    pub site: String,
    /// What.
    pub fault: String,
    /// Whether the engine promises to mask it.
    pub masked: bool,
    /// Whether the run came there, so that it had a consequence.
    pub happened: bool,
}

/// Something that must not happen did.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Violated {
    /// Which invariant: `I1` to `I21`, or `author`.
    pub invariant: String,
    /// The saga, if it is about one.
    pub saga: Option<String>,
    /// What happened.
    pub what: String,
    /// When, in milliseconds from the beginning.
    pub at_ms: u64,
}

/// A saga as it ended, or as it stands if it did not.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct SagaEnd {
    /// `s1`, `s2` and so on.
    pub saga: String,
    /// Where it stands.
    pub status: &'static str,
    /// Its nodes, in the order of the definition.
    pub nodes: Vec<NodeEnd>,
}

/// One thing that happened.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Happened {
    /// When, in milliseconds from the beginning.
    pub at_ms: u64,
    /// Where: `node`, `log`, or `world` for the transport and the participants.
    pub lane: &'static str,
    /// What.
    pub what: String,
    /// Whether this is a fault of the plan.
    pub fault: bool,
    /// If this is an event of a saga: what it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<Changed>,
}

impl RunDocument {
    pub(crate) fn of(world: &World, violation: Option<&Violation>) -> Self {
        let graph = world.setup().definition.graph();
        let bites: Vec<_> = world.bites().map(|(site, _)| site).collect();
        let plan = world.plan().iter().map(|(site, fault)| PlannedFault {
            site: site.to_string(),
            fault: fault.to_string(),
            masked: fault.is_masked(site.point),
            happened: bites.contains(&site),
        });
        let mut states = States::of(world);
        let lines = world.trace().iter().map(|line| happened(line, &mut states));
        let lines = lines.collect();
        Self {
            definition: graph.saga.clone(),
            version: graph.version.0,
            plan: plan.collect(),
            violation: violation.map(Violated::of),
            ended_at_ms: millis(world.now()),
            sagas: world.sagas().map(SagaEnd::of).collect(),
            lines,
        }
    }
}

fn happened(line: &TraceLine, states: &mut States<'_>) -> Happened {
    Happened {
        at_ms: millis(line.at),
        lane: name(line.lane),
        what: line.what.clone(),
        fault: is_fault(line),
        changed: states.next(line),
    }
}

impl Violated {
    pub(super) fn of(violation: &Violation) -> Self {
        Self {
            invariant: violation.invariant.to_owned(),
            saga: violation.saga.as_ref().map(|saga| saga.as_str().to_owned()),
            what: violation.what.clone(),
            at_ms: millis(violation.at),
        }
    }
}

/// Whether a line tells of a fault of the plan.
pub(super) fn is_fault(line: &TraceLine) -> bool {
    line.what.starts_with("** ")
}

pub(super) fn millis(at: Time) -> u64 {
    u64::try_from(at.since(BEGINNING).as_millis()).unwrap_or(u64::MAX)
}

const fn name(lane: Lane) -> &'static str {
    match lane {
        Lane::Node => "node",
        Lane::Log => "log",
        Lane::World => "world",
    }
}
