//! What a failing run comes back as: the shortest plan, and what happened.

use std::time::Duration;

use sagalog_model::{AnyDefinition, Retry, Saga, Step};
use sagalog_sim::{Explore, Plan, Sim};

const SECOND: Duration = Duration::from_secs(1);
const ROOM: Step<u32, u32> = Step::new("hotel.room").compensatable().timeout(SECOND);
const CARD: Step<u32, u32> = Step::new("money.charge")
    .compensatable()
    .timeout(SECOND)
    .retry(Retry::fixed(SECOND).attempts(2));

fn trip() -> AnyDefinition {
    const TRIP: Saga<u32, u32> = Saga::new("trip");
    let (mut saga, cents) = TRIP.define(1);
    let room = saga.step("room", ROOM, cents);
    let paid = saga.step("charge", CARD, room);
    saga.returns(paid).expect("a good definition").into()
}

fn sim() -> Sim {
    Sim::of(trip(), &100).gives(ROOM, |n| n).gives(CARD, |n| n)
}

#[test]
fn a_property_that_a_fault_breaks_comes_back_with_that_fault_alone() {
    let explored = sim()
        .always("a room that was booked is kept", |world| {
            let undone = |saga: &sagalog_projections::SagaState| {
                saga.steps().any(|(_, _, step)| step.compensation.asked > 0)
            };
            !world.sagas().any(undone)
        })
        .explore(Explore::exhaustive(2));
    let failure = explored
        .report()
        .failure
        .as_ref()
        .expect("it does not hold");
    assert_eq!(failure.plan.to_string(), "outcome s1 charge#1: fails");
    insta::assert_snapshot!(failure.timeline);
}

#[test]
fn a_property_that_needs_two_faults_comes_back_with_both() {
    let explored = sim()
        .always("no trip has trouble with both", |world| {
            let trouble = |saga: &sagalog_projections::SagaState| {
                let troubled = saga.steps().filter(|(_, _, step)| step.action.asked > 1);
                troubled.count() == 2
            };
            !world.sagas().any(trouble)
        })
        .explore(Explore::exhaustive(2));
    let failure = explored
        .report()
        .failure
        .as_ref()
        .expect("it does not hold");
    assert_eq!(failure.plan.len(), 2, "{}", failure.plan);
    for (site, _) in failure.plan.iter() {
        // Without the first fault there may be no place for the second: then nothing goes wrong.
        let completes = |world: &sagalog_sim::World| {
            world.saga("s1").is_some_and(|saga| saga.output().is_some())
        };
        let without = sim().run(&failure.plan.without(site));
        assert!(
            without.map_or(true, |run| completes(run.world())),
            "every fault is needed"
        );
    }
}

#[test]
fn the_same_plan_gives_the_same_run() {
    let plan: Plan = "reply s1 charge#1: lost\ncommit s1 charge#1: lease lost"
        .parse()
        .expect("a good plan");
    let run = || sim().run(&plan).expect("its places are visited").timeline();
    let first = run();
    assert_eq!(first, run());
    insta::assert_snapshot!(first);
}

#[test]
fn a_plan_for_a_place_that_is_not_visited_says_which_are() {
    let plan: Plan = "reply s1 chrage#1: lost".parse().expect("a good plan");
    let error = sim().run(&plan).err().expect("there is no such step");
    insta::assert_snapshot!(error);
}

#[test]
fn an_exploration_says_how_far_it_came() {
    let explored = sim().explore(Explore::exhaustive(1));
    let report = explored.report();
    insta::assert_snapshot!(format!("{:?} {:?}", report.exhausted, report.bites));
    explored.check();
    let cut = sim().explore(Explore::exhaustive(2).at_most(50));
    assert_eq!(
        (
            cut.report().runs,
            cut.report().exhausted.last().map(|last| last.1)
        ),
        (50, Some(false))
    );
}
