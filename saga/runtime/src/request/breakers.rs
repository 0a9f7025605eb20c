//! How it stands with participants, as their partitions see it.

use std::sync::Arc;

use sagalog_engine::{
    Evaluate, Partition,
    admission::{Load, Standing},
};
use sagalog_model::log::Time;
use sagalog_projections::breakers::OpenByHand;
use serde::{Deserialize, Serialize};

/// How it stands with one class of commands of a participant, in one partition.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AtParticipant {
    /// The participant.
    pub participant: Arc<str>,
    /// `begins` (actions) or `settles` (probes, compensations, alternatives).
    pub class: Arc<str>,
    /// Where the breaker stands: `closed`, `half_open`, `open` or `open_by_hand`.
    pub breaker: Arc<str>,
    /// Until when it is open, if it is by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// How often it opened by itself since the partition was taken over.
    pub opened: u32,
    /// How many commands are under way.
    pub under_way: u32,
    /// How many may be, of both classes.
    pub permits: u32,
    /// How many wait.
    pub waiting: usize,
    /// Who has opened it by hand, if somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<ByHand>,
}

/// Who keeps everything from a participant.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct ByHand {
    /// Who.
    pub by: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
    /// Since when.
    pub at: Time,
}

impl From<&OpenByHand> for ByHand {
    fn from(open: &OpenByHand) -> Self {
        Self {
            by: open.by.clone(),
            reason: open.reason.clone(),
            at: open.at,
        }
    }
}

impl AtParticipant {
    /// All that a partition has asked.
    pub(crate) fn all_of<E: Evaluate>(machine: &Partition<E>) -> Vec<Self> {
        let of = |load: Load| {
            let (breaker, until) = match load.breaker {
                Standing::Closed => ("closed", None),
                Standing::HalfOpen => ("half_open", None),
                Standing::Open { until } => ("open", Some(until)),
                Standing::OpenByHand => ("open_by_hand", None),
            };
            Self {
                by_hand: machine.breakers().get(&load.participant).map(ByHand::from),
                participant: load.participant,
                class: load.class.as_str().into(),
                breaker: breaker.into(),
                until,
                opened: load.opened,
                under_way: load.under_way,
                permits: load.permits,
                waiting: load.waiting,
            }
        };
        machine.loads().map(of).collect()
    }
}
