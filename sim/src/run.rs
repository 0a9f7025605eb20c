//! One run of one plan, and what can be asked of it.

use std::sync::Arc;

use crate::{
    check::{DETERMINISM, Violation, differs_when_repeated},
    explore::{Explore, explore, healthy, verdict},
    explored::Explored,
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
        let healthy = (!plan.is_empty()).then(|| healthy(&Arc::new(setup.clone())));
        let healthy = healthy.flatten();
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

    /// Tries what else could have happened once the log held so many events of sagas: every plan that is
    /// tried is this run's with more going wrong after that moment.
    ///
    /// ```
    /// # use sagalog_model::{Saga, Step};
    /// # use sagalog_sim::{Explore, Plan, Sim};
    /// # const TRIP: Saga<u32, u32> = Saga::new("trip");
    /// # const ROOM: Step<u32, u32> = Step::new("hotel.room").compensatable();
    /// # let (mut saga, cents) = TRIP.define(1);
    /// # let room = saga.step("room", ROOM, cents);
    /// # let paid = saga.step("charge", ROOM, room);
    /// # let trip = saga.returns(paid)?;
    /// # let sim = Sim::of(trip, &100).gives(ROOM, |cents| cents);
    /// let plan: Plan = "reply s1 room#1: lost".parse()?;
    /// // Its first two events are the start and that the room is asked for.
    /// let explored = sim.run(&plan)?.explore_after(2, Explore::exhaustive(1));
    /// explored.check();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn explore_after(&self, events: u64, budget: Explore) -> Explored {
        let setup = Arc::new(Setup {
            traces: false,
            ..Setup::clone(self.world.setup())
        });
        let report = explore(&setup, self.world.plan(), events, budget);
        Explored::of(setup, self.world.plan().clone(), report)
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
