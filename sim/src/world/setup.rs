//! What a world is made of: the same for all runs of an exploration.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sagalog_engine::{Query, Rules, partition::Registry};
use sagalog_model::{AnyDefinition, SagaId};

use super::{Gives, World};

/// What a client does, and when.
#[derive(Clone, Debug)]
pub(crate) struct ClientCall {
    pub(crate) after: Duration,
    pub(crate) saga: SagaId,
    pub(crate) query: Query,
}

/// A property of every world that its author states.
pub(crate) type Property = Arc<dyn Fn(&World) -> bool + Send + Sync>;

/// What a world is made of.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) definition: AnyDefinition,
    pub(crate) registry: Registry,
    pub(crate) rules: Rules,
    pub(crate) gives: BTreeMap<String, Gives>,
    pub(crate) sagas: Vec<SagaId>,
    pub(crate) calls: Vec<ClientCall>,
    pub(crate) always: Vec<(String, Property)>,
    pub(crate) eventually: Vec<(String, Property)>,
    /// Somebody acts at a time of the clock, so that a delay changes what it meets: then runs are not
    /// compared with the healthy one.
    pub(crate) races: bool,
    pub(crate) traces: bool,
}

impl Setup {
    /// The number of a saga in plans and reports: by the order of starting, from 1; 0 for none.
    pub(crate) fn ordinal(&self, saga: &SagaId) -> u32 {
        self.sagas
            .iter()
            .position(|known| known == saga)
            .map_or(0, |at| at as u32 + 1)
    }
}
