//! A run as a document with stable field names: what its JSON says, and what its page shows.

use sagalog_model::log::Time;
use serde::Serialize;

use super::{
    lines::{Happened, SagaEnd, shortened},
    state::Histories,
};
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

impl RunDocument {
    pub(crate) fn of(world: &World, violation: Option<&Violation>, baked_in: Option<u64>) -> Self {
        let graph = world.setup().definition.graph();
        let bites: Vec<_> = world.bites().map(|(site, _)| site).collect();
        let plan = world.plan().iter().map(|(site, fault)| PlannedFault {
            site: site.to_string(),
            fault: fault.to_string(),
            masked: fault.is_masked(site.point),
            happened: bites.contains(&site),
        });
        let mut histories = Histories::of(world);
        let mut events = 0;
        let mut is_baked_in = |line: &TraceLine| {
            let is_event = line.lane == Lane::Log && line.saga.is_some();
            events += u64::from(is_event);
            is_event && baked_in == Some(events)
        };
        let happened = |line: &TraceLine| Happened {
            at_ms: millis(line.at),
            lane: line.lane,
            saga: line.saga.as_ref().map(ToString::to_string),
            what: shortened(&line.what),
            fault: is_fault(line),
            baked_in: is_baked_in(line),
            changed: histories.next(line),
        };
        let lines = world.trace().iter().map(happened).collect();
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
fn is_fault(line: &TraceLine) -> bool {
    line.lane == Lane::World && line.saga.is_none() && line.what.starts_with("** ")
}

pub(super) fn millis(at: Time) -> u64 {
    u64::try_from(at.since(BEGINNING).as_millis()).unwrap_or(u64::MAX)
}
