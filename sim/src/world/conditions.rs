//! What holds for a whole run: of the world, and of the nodes of a saga.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use sagalog_model::{Command, Direction, FailureClass, Kind, Outcome, SagaId};

use super::{Happening, World};
use crate::{
    fault::Fault,
    site::{Point, Site, Subject},
};

/// The most sagas that a plan may add.
pub(crate) const MORE_SAGAS_MAX: u32 = 2;

/// What holds for this run, by saga and node.
#[derive(Clone, Default)]
pub(super) struct Conditions {
    nodes: BTreeMap<(u32, Arc<str>), (Site, Fault)>,
    /// The sagas whose conditions are known.
    begun: BTreeSet<u32>,
    tight: bool,
}

impl World {
    /// Asks for the conditions of the world.
    pub(super) fn world_begins(&mut self) {
        for nth in 1..=MORE_SAGAS_MAX {
            let site = Site::of_the_world(nth);
            match self.visit_site(site.clone()) {
                Some(Fault::Tight) => {
                    self.conditions.tight = true;
                    self.bites.insert((site, Fault::Tight));
                }
                Some(Fault::Drift) => {
                    self.clocks_drift();
                    self.bites.insert((site, Fault::Drift));
                }
                Some(Fault::OneMoreSaga) => {
                    for call in self.setup.calls_of_one_more(nth) {
                        let at = self.now.after(call.after);
                        self.agenda.add(at, Happening::Call(Arc::new(call)));
                    }
                    self.bites.insert((site, Fault::OneMoreSaga));
                }
                _ => {}
            }
        }
    }

    /// Asks for the conditions of a saga's nodes.
    pub(super) fn saga_begins(&mut self, saga: &SagaId) {
        let ordinal = self.setup.ordinal(saga);
        // The same start may come twice, and what holds for the whole run does not change.
        if !self.conditions.begun.insert(ordinal) {
            return;
        }
        let graph = self.setup.definition.graph().clone();
        let steps = graph
            .iter()
            .filter(|(_, node)| matches!(node.kind, Kind::Step { .. }));
        for (_, node) in steps {
            let site = Site {
                saga: ordinal,
                subject: Subject::Other(node.id.clone()),
                point: Point::Config,
                nth: 1,
            };
            if let Some(fault) = self.visit_site(site.clone()) {
                let key = (ordinal, node.id.clone());
                self.conditions.nodes.insert(key, (site, fault));
            }
        }
    }

    /// The condition that a command meets; from then on it has bitten.
    fn meets(&mut self, command: &Command, condition: Fault) -> bool {
        if self.conditions.nodes.is_empty() {
            return false;
        }
        let key = (self.setup.ordinal(&command.saga), command.node.clone());
        match self.conditions.nodes.get(&key) {
            Some((site, fault)) if *fault == condition => {
                self.bites.insert((site.clone(), *fault));
                true
            }
            _ => false,
        }
    }

    /// Whether a command never arrives.
    pub(super) fn is_blackholed(&mut self, command: &Command) -> bool {
        self.meets(command, Fault::Blackholed)
    }

    /// How a participant fails whatever comes.
    pub(super) fn always_fails(&mut self, command: &Command) -> Option<Outcome> {
        let class = if command.direction == Direction::Action && self.meets(command, Fault::Rejects)
        {
            FailureClass::Permanent
        } else if self.meets(command, Fault::AlwaysFailsForNow) {
            FailureClass::Transient
        } else {
            return None;
        };
        Some(Outcome::Failed {
            class,
            reason: "a condition of the plan".into(),
        })
    }

    /// The bounds that the node keeps.
    pub(crate) fn rules(&self) -> sagalog_engine::Rules {
        let mut rules = self.setup.rules;
        if self.conditions.tight {
            rules.commit_inputs_max = 1;
            rules.window = 1;
        }
        rules
    }
}
