//! The fault matrix of a definition, without a test body.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use sagalog_model::{BadDefinition, Definition, Retry, Saga, Step};
use sagalog_sim::{Found, Matrix, Plan, Sim, saga_matrix};

const SECOND: Duration = Duration::from_secs(1);
const SOON: Retry = Retry::fixed(SECOND).attempts(2);
const ROOM: Step<u32, u32> = Step::new("hotel.room")
    .compensatable()
    .timeout(SECOND)
    .retry(SOON)
    .undo_timeout(SECOND)
    .undo_retry(SOON);
const CARD: Step<u32, u32> = Step::new("money.charge")
    .compensatable()
    .probed()
    .timeout(SECOND)
    .retry(SOON)
    .undo_timeout(SECOND)
    .undo_retry(SOON);
const MAIL: Step<u32, ()> = Step::new("mail.send")
    .retryable()
    .timeout(SECOND)
    .retry(SOON);

fn trip() -> Result<Definition<u32, u32>, BadDefinition> {
    const TRIP: Saga<u32, u32> = Saga::new("trip");
    let (mut saga, cents) = TRIP.define(1);
    let room = saga.step("room", ROOM, cents);
    let paid = saga.when("pay", cents.map(|cents| cents > 0), |saga| {
        saga.step("charge", CARD, room)
    });
    saga.pivot();
    saga.step("mail", MAIL, room);
    saga.returns(paid.map(|paid| paid.unwrap_or(0)))
}

fn sim() -> Sim {
    Sim::of(trip().expect("a good definition"), &100)
}

saga_matrix!(trip());
saga_matrix!(a_trip_that_is_paid, trip(), 100);
saga_matrix!(
    a_trip_with_participants,
    sim().gives(ROOM, |cents| cents).gives(CARD, |room| room)
);

#[test]
fn the_matrix_of_a_trip() {
    insta::assert_snapshot!(Matrix::of(sim()));
}

/// Each cell is a plan: what it says holds for that plan.
#[test]
fn every_cell_that_holds_is_a_run_that_comes_to_all_of_its_plan() {
    let matrix = Matrix::of(sim());
    for cell in &matrix.cells {
        if cell.found == Found::Holds {
            let run = sim()
                .run(&cell.plan)
                .unwrap_or_else(|error| panic!("{cell:?}: {error}"));
            run.check();
        }
    }
    assert!(matrix.holding() > 150, "{matrix}");
}

fn told(fails: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(fails)).expect_err("it fails");
    panic.downcast_ref::<String>().expect("a text").clone()
}

#[test]
fn every_cell_that_fails_is_told_with_its_plan() {
    let kept = sim().always("a room that is charged is kept", |world| {
        let saga = world.saga("s1");
        let undone =
            saga.is_some_and(|saga| saga.steps().any(|(_, _, step)| step.compensation.asked > 1));
        !undone
    });
    let matrix = Matrix::of(kept.clone());
    assert!(matrix.failures().count() > 1);
    let told = told(|| matrix.check());
    for cell in matrix.failures() {
        let head = format!(
            "{} {}: {}, {}: author: ",
            cell.step, cell.way, cell.trouble, cell.crash
        );
        assert!(told.contains(&head), "{told}");
        let run = kept.run(&cell.plan).expect("it is its own reproducer");
        assert!(run.violation().is_some(), "{}", cell.plan);
    }
}

#[test]
fn a_saga_that_never_holds_is_told_once_for_every_cell() {
    let matrix = Matrix::of(sim().eventually("never", |_| false));
    assert_eq!(matrix.holding(), 0);
    assert_eq!(matrix.failures().count(), matrix.cells.len());
    assert!(matrix.cells.iter().all(|cell| cell.plan == Plan::healthy()));
}

#[test]
fn a_matrix_as_json_has_its_cells() {
    let json = serde_json::to_value(Matrix::of(sim())).expect("JSON");
    let cell = &json["cells"][1];
    assert_eq!(
        serde_json::to_string(cell).expect("JSON"),
        r#"{"crash":"before_asking","found":{"is":"holds"},"plan":"outcome s1 room#1: fails\ncommit s1 start: crash before","step":"room","trouble":"fails","way":"forward"}"#
    );
}
