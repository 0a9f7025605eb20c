//! One run of one plan, and what can be asked of it.

use std::sync::Arc;

use crate::{
    check::{DETERMINISM, Story, Violation, differs_when_repeated},
    explore::verdict,
    plan::Plan,
    report::{RunDocument, page, timeline},
    world::{Setup, World},
};

/// One run of one plan.
pub struct Run {
    world: World,
    violation: Option<Violation>,
}

impl Run {
    /// Runs a plan with a trace, and judges it as an exploration does.
    pub(crate) fn of(setup: &Setup, plan: &Plan) -> Self {
        let traced = Arc::new(Setup {
            traces: true,
            ..setup.clone()
        });
        let world = World::run(&traced, plan.clone());
        let healthy = healthy(&Arc::new(setup.clone()), plan);
        Self {
            violation: differs_when_repeated(&world).or_else(|| verdict(&world, healthy.as_ref())),
            world,
        }
    }

    /// The same, found by an exploration: what comes out otherwise every time may not show here.
    pub(crate) fn found(mut self, violation: &Violation) -> Self {
        if violation.invariant == DETERMINISM {
            self.violation = Some(violation.clone());
        }
        self
    }

    /// The world as it ended.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// What was violated, if anything was.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// What happened, as text for people and snapshots.
    pub fn timeline(&self) -> String {
        timeline(&self.world, self.violation())
    }

    /// What happened, with stable field names.
    pub fn document(&self) -> RunDocument {
        RunDocument::of(&self.world, self.violation())
    }

    /// What happened, as one page of HTML that needs nothing else.
    pub fn html(&self) -> String {
        page(&self.document(), None, &self.timeline())
    }

    /// Fails if anything was violated.
    ///
    /// # Panics
    /// With the timeline.
    #[track_caller]
    pub fn check(&self) {
        assert!(self.violation.is_none(), "\n{}", self.timeline());
    }
}

/// What the run of this plan is compared with: what happens when nothing goes wrong.
fn healthy(setup: &Arc<Setup>, plan: &Plan) -> Option<Story> {
    if plan.is_empty() || setup.races {
        return None;
    }
    let world = World::run(setup, Plan::healthy());
    world.violation().is_none().then(|| Story::of(&world))
}
