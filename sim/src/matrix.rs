//! The fault matrix of a definition: each step, each way to go wrong, each point at which a node
//! may die meanwhile, forward and back. No test body is needed for it.

mod cell;
mod table;

use std::sync::Arc;

use sagalog_model::{AnyDefinition, BadDefinition, Definition, Direction, Kind};

pub use cell::{Cell, Crash, Found, Trouble, Way};

use crate::{
    check::{Story, Violation},
    explore::verdict,
    plan::Plan,
    sim::Sim,
    world::{Setup, World},
};

/// What came of a saga's fault matrix. Its text is a table, its JSON the cells.
#[must_use = "check it"]
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub struct Matrix {
    /// The definition's name.
    pub definition: String,
    /// The definition's version.
    pub version: u32,
    /// Every cell, by step, way, trouble and crash.
    pub cells: Vec<Cell>,
}

impl Matrix {
    /// Runs the matrix of a saga with its participants, input and properties.
    ///
    /// # Panics
    /// If the simulation is not [sound](Sim::sound), or a definition is not.
    #[track_caller]
    pub fn of(sim: impl IntoSim) -> Self {
        let sim = sim.into_sim();
        let setup = sim.must_be_ready();
        let graph = setup.definition.graph().clone();
        let bench = Bench::of(&setup);
        let mut cells = Vec::new();
        for node in &graph.nodes {
            let Kind::Step { spec, .. } = &node.kind else {
                continue;
            };
            bench.add(&node.id, Way::Forward, &mut cells);
            if spec.terms(Direction::Compensation).is_some() {
                bench.add(&node.id, Way::Back, &mut cells);
            }
        }
        Self {
            definition: graph.saga.clone(),
            version: graph.version.0,
            cells,
        }
    }

    /// The cells in which something is violated.
    pub fn failures(&self) -> impl Iterator<Item = &Cell> {
        let violated = |cell: &&Cell| matches!(cell.found, Found::Violated { .. });
        self.cells.iter().filter(violated)
    }

    /// How many cells hold: the run went there, and nothing is violated.
    pub fn holding(&self) -> usize {
        let holds = |cell: &&Cell| matches!(cell.found, Found::Holds);
        self.cells.iter().filter(holds).count()
    }

    /// Fails if a cell does, or if none holds.
    ///
    /// # Panics
    /// With the table, and for each cell that fails its plan and what is violated.
    #[track_caller]
    pub fn check(&self) {
        let holds = self.failures().next().is_none() && self.holding() > 0;
        assert!(holds, "\n{self}");
    }
}

/// What a matrix can be made from: a definition, whose participants and input are then made up, a
/// definition with an input, or a [`Sim`].
pub trait IntoSim {
    /// The simulation.
    fn into_sim(self) -> Sim;
}

impl IntoSim for Sim {
    fn into_sim(self) -> Sim {
        self
    }
}

impl IntoSim for AnyDefinition {
    #[track_caller]
    fn into_sim(self) -> Sim {
        Sim::auto(self)
    }
}

impl<I, O> IntoSim for Definition<I, O> {
    #[track_caller]
    fn into_sim(self) -> Sim {
        Sim::auto(self)
    }
}

impl<T: IntoSim> IntoSim for Result<T, BadDefinition> {
    #[track_caller]
    fn into_sim(self) -> Sim {
        self.unwrap_or_else(|bad| panic!("{bad}")).into_sim()
    }
}

impl<I: sagalog_model::Json, O> IntoSim for (Definition<I, O>, I) {
    fn into_sim(self) -> Sim {
        Sim::of(self.0, &self.1)
    }
}

impl<I: sagalog_model::Json, O> IntoSim for (Result<Definition<I, O>, BadDefinition>, I) {
    #[track_caller]
    fn into_sim(self) -> Sim {
        let definition = self.0.unwrap_or_else(|bad| panic!("{bad}"));
        Sim::of(definition, &self.1)
    }
}

/// What the cells of a matrix have in common.
struct Bench<'a> {
    setup: &'a Arc<Setup>,
    healthy: World,
    story: Option<Story>,
}

impl<'a> Bench<'a> {
    fn of(setup: &'a Arc<Setup>) -> Self {
        let healthy = World::run(setup, Plan::healthy());
        let story = (healthy.violation().is_none() && !setup.races).then(|| Story::of(&healthy));
        Self {
            setup,
            healthy,
            story,
        }
    }

    fn run(&self, plan: Plan) -> World {
        World::run(self.setup, plan)
    }

    fn verdict(&self, world: &World) -> Option<Violation> {
        verdict(world, self.story.as_ref())
    }
}

/// Makes a test of a saga's whole fault matrix: each step, each way to go wrong, each point at which
/// a node may die meanwhile, forward and back.
///
/// It takes a definition, whose input and outputs are then made up; a definition and an input; or a
/// [`Sim`]. A name before it is the test's; `saga_matrix` without one.
///
/// ```
/// # use sagalog_model::{BadDefinition, Definition, Saga, Step};
/// # use sagalog_sim::{Sim, saga_matrix};
/// # const TRIP: Saga<u32, u32> = Saga::new("trip");
/// const ROOM: Step<u32, u32> = Step::new("hotel.room").compensatable();
///
/// fn trip() -> Result<Definition<u32, u32>, BadDefinition> {
///     let (mut saga, guest) = TRIP.define(1);
///     let room = saga.step("room", ROOM, guest);
///     saga.returns(room)
/// }
///
/// saga_matrix!(trip());
/// saga_matrix!(trip_of_a_guest, trip(), 7);
/// saga_matrix!(trip_to_room_12, Sim::auto(trip().unwrap()).gives(ROOM, |_| 12));
/// ```
#[macro_export]
macro_rules! saga_matrix {
    ($name:ident, $saga:expr, $input:expr $(,)?) => {
        $crate::saga_matrix!($name, ($saga, $input));
    };
    ($name:ident, $saga:expr $(,)?) => {
        #[test]
        fn $name() {
            let matrix = $crate::Matrix::of($saga);
            println!("{matrix}");
            matrix.check();
        }
    };
    ($saga:expr, $input:expr $(,)?) => {
        $crate::saga_matrix!(saga_matrix, ($saga, $input));
    };
    ($saga:expr $(,)?) => {
        $crate::saga_matrix!(saga_matrix, $saga);
    };
}
