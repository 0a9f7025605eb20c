//! I2, I3: only legal transitions, and the fold of the log is the live state.

use std::collections::BTreeMap;

use sagalog_model::{SagaEvent, SagaId, log::Time};
use sagalog_projections::SagaState;

use super::{Violation, attempts};
use crate::world::{Setup, World};

/// What is durable, folded apart from the node's own state.
#[derive(Clone, Default)]
pub(crate) struct Shadow {
    states: BTreeMap<SagaId, SagaState>,
}

impl Shadow {
    /// I2: adds a durable event.
    pub(crate) fn apply(
        &mut self,
        setup: &Setup,
        saga: &SagaId,
        event: &SagaEvent,
        at: Time,
    ) -> Result<(), Violation> {
        let violation = |invariant, what| Violation {
            invariant,
            saga: Some(saga.clone()),
            what,
            at,
        };
        if let SagaEvent::Started(started) = event {
            let state =
                SagaState::start(saga.clone(), setup.definition.graph().clone(), started, at);
            return match self.states.insert(saga.clone(), state) {
                None => Ok(()),
                Some(_) => Err(violation("I2", "it starts twice".into())),
            };
        }
        let Some(state) = self.states.get_mut(saga) else {
            return Err(violation(
                "I2",
                format!("{} before its start", event.kind()),
            ));
        };
        attempts::within_policy(state, event, at)
            .map_err(|(invariant, what)| violation(invariant, what))?;
        state
            .apply(event, at)
            .map_err(|illegal| violation("I2", illegal.to_string()))
    }

    pub(crate) fn state(&self, saga: &str) -> Option<&SagaState> {
        self.states
            .iter()
            .find(|(id, _)| id.as_str() == saga)
            .map(|(_, state)| state)
    }

    pub(crate) fn states(&self) -> impl Iterator<Item = &SagaState> {
        self.states.values()
    }

    pub(crate) fn of(&self, saga: &SagaId) -> Option<&SagaState> {
        self.states.get(saga)
    }
}

/// I3: a node that has nothing on its way to the log holds exactly what the log adds up to.
pub(super) fn equals_live_state(world: &World) -> Result<(), Violation> {
    let Some(node) = world.node().filter(|node| node.is_at_rest()) else {
        return Ok(());
    };
    for (id, live, _) in node.machine().sagas() {
        let Some(folded) = world.shadow().of(id) else {
            continue;
        };
        if live.version() == folded.version() && live != folded {
            let what = format!(
                "at version {} the live state differs from the fold",
                live.version()
            );
            return Err(Violation::of("I3", world, id, what));
        }
    }
    Ok(())
}
