//! One run of one plan, and what can be asked of it.

use std::sync::Arc;

use crate::{
    capture::Capture,
    check::{DETERMINISM, Violation, differs_when_repeated},
    explore::{Explore, baked_in, explore, healthy, verdict},
    explored::Explored,
    plan::Plan,
    report::{RunDocument, page},
    world::{Setup, World},
};

/// One run of one plan.
pub struct Run {
    world: World,
    violation: Option<Violation>,
    baked_in: Option<u64>,
}

impl Run {
    /// Runs a plan with a trace, and judges it as an exploration does.
    pub(crate) fn of(setup: &Setup, plan: &Plan) -> Self {
        let traced = Arc::new(Setup {
            traces: true,
            ..setup.clone()
        });
        let world = World::run(&traced, plan.clone());
        let untraced = Arc::new(setup.clone());
        let healthy = (!plan.is_empty()).then(|| healthy(&untraced)).flatten();
        let healthy = healthy.as_ref();
        let violation = differs_when_repeated(&world).or_else(|| verdict(&world, healthy));
        let inevitable = |violation| baked_in(&untraced, plan, violation, healthy);
        let baked_in = violation.as_ref().and_then(inevitable);
        Self {
            world,
            violation,
            baked_in,
        }
    }

    /// The same, found by an exploration: what comes out otherwise every time may not show here.
    pub(crate) fn found(mut self, violation: &Violation) -> Self {
        if violation.invariant == DETERMINISM {
            self.violation = Some(violation.clone());
            self.baked_in = None;
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

    /// The number of the log's event after which what was violated was inevitable: it came however the run
    /// went on, healthy and 99 times with random faults and orders that the engine promises to mask. None
    /// if nothing was violated, if it could be averted until the end, or if that took too long to tell.
    pub fn baked_in(&self) -> Option<u64> {
        self.baked_in
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

    /// What the log holds of a saga, as an export of it; none if it has not begun.
    pub fn capture(&self, saga: &str) -> Option<Capture> {
        self.world.capture(saga)
    }

    /// What happened, as text for people and snapshots.
    pub fn timeline(&self) -> String {
        self.document().to_string()
    }

    /// What happened, with stable field names.
    pub fn document(&self) -> RunDocument {
        RunDocument::of(&self.world, self.violation(), self.baked_in)
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
