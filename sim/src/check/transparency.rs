//! I21: a fault that the engine promises to mask leaves each saga's events as in the healthy run,
//! after removing times, up to the order between independent branches.

use std::collections::BTreeMap;

use sagalog_model::{SagaEvent, SagaId};

use crate::world::World;

/// What happened to each saga, without times: sorted, because branches may interleave otherwise.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Story(BTreeMap<SagaId, Vec<String>>);

impl Story {
    pub(crate) fn of(world: &World) -> Self {
        let mut stories = BTreeMap::new();
        for state in world.sagas() {
            let events = world.log().events_of(state.id());
            let events = events.filter(|event| !is_a_matter_of_time(event));
            let mut lines: Vec<_> = events.map(without_times).collect();
            lines.sort();
            stories.insert(state.id().clone(), lines);
        }
        Self(stories)
    }
}

/// The first saga whose story differs, and how.
pub(crate) fn differs(healthy: &Story, other: &Story) -> Option<(SagaId, String)> {
    for (saga, lines) in &healthy.0 {
        let Some(others) = other.0.get(saga) else {
            return Some((saga.clone(), "it never started".into()));
        };
        let missing = lines.iter().find(|line| !others.contains(line));
        let extra = others.iter().find(|line| !lines.contains(line));
        if let Some(line) = extra {
            return Some((
                saga.clone(),
                format!("it has `{line}`, which the healthy run has not"),
            ));
        }
        if let Some(line) = missing {
            return Some((
                saga.clone(),
                format!("it lacks `{line}`, which the healthy run has"),
            ));
        }
        if lines.len() != others.len() {
            return Some((saga.clone(), "an event came twice".into()));
        }
    }
    None
}

/// How often something is heard of, and how long a command waits to be admitted.
const fn is_a_matter_of_time(event: &SagaEvent) -> bool {
    matches!(
        event,
        SagaEvent::AttemptExtended(_)
            | SagaEvent::AttemptDelayed(_)
            | SagaEvent::AttemptAdmitted(_)
    )
}

fn without_times(event: &SagaEvent) -> String {
    crate::report::event(event)
}
