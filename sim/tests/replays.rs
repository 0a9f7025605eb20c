//! Runs that once taught something, replayed from their plans.

#[path = "../sagas/mod.rs"]
mod sagas;

use std::time::Duration;

use sagalog_model::{AnyDefinition, Retry, Saga, Step};
use sagalog_projections::Status;
use sagalog_sim::{Decide, Mend, Plan, Run, Sim, World};

const SECOND: Duration = Duration::from_secs(1);
const DO: Step<u32, u32> = Step::new("x.do")
    .compensatable()
    .timeout(SECOND)
    .retry(Retry::fixed(SECOND).attempts(3))
    .undo_timeout(SECOND);
const HURRY: Step<u32, u32> = Step::new("x.hurry")
    .compensatable()
    .timeout(SECOND)
    .retry(Retry::fixed(SECOND).attempts(5))
    .deadline(Duration::from_millis(2_500))
    .undo_timeout(SECOND);

fn replay(sim: &Sim, plan: &str) -> Run {
    let plan: Plan = plan.parse().expect("a good plan");
    let run = sim.run(&plan).expect("its places are visited");
    run.check();
    run
}

#[test]
fn a_retry_that_is_overdue_together_with_its_steps_deadline() {
    const SAGA: Saga<u32, u32> = Saga::new("hurry");
    let (mut saga, n) = SAGA.define(1);
    let first = saga.step("first", DO, n);
    let second = saga.step("second", HURRY, first);
    let definition: AnyDefinition = saga.returns(second).expect("a good definition").into();
    let sim = Sim::of(definition, &1).gives(DO, |n| n).gives(HURRY, |n| n);
    replay(&sim, include_str!("plans/overdue-retry.plan"));
}

#[test]
fn a_success_that_comes_while_its_compensation_is_published() {
    const SAGA: Saga<u32, u32> = Saga::new("three");
    let (mut saga, n) = SAGA.define(1);
    let a = saga.step("a", DO, n);
    let b = saga.step("b", DO, a);
    let definition: AnyDefinition = saga.returns(b).expect("a good definition").into();
    let sim = Sim::of(definition, &1)
        .gives(DO, |n| n)
        .cancel(Duration::from_millis(7));
    let plan = include_str!("plans/late-success-beside-its-compensation.plan");
    replay(&sim, plan);
}

#[test]
fn a_question_whose_answer_nobody_waits_for_keeps_nothing_from_being_published() {
    let sim = sagas::branches::build().cancel(Duration::from_millis(16));
    let run = replay(
        &sim,
        include_str!("plans/window-slot-of-a-dropped-question.plan"),
    );
    let saga = run.world().saga("s1").expect("it was started");
    assert_eq!(saga.status(), Status::Compensated, "{}", run.timeline());
}

#[test]
fn an_answer_and_a_deadline_that_were_both_missed() {
    replay(
        &sagas::lines::rush(),
        include_str!("plans/over-when-asked.plan"),
    );
}

#[test]
fn a_saga_that_turned_before_its_node_died() {
    replay(
        &sagas::lines::hurry(),
        include_str!("plans/asked-again-after-the-turn.plan"),
    );
}

#[test]
fn an_answer_to_a_question_after_the_end() {
    replay(
        &sagas::lines::order(),
        include_str!("plans/late-answer-to-a-question.plan"),
    );
}

#[test]
fn a_compensation_that_is_given_up_and_was_done() {
    let run = replay(
        &sagas::undoing::invitation(),
        include_str!("plans/left-and-yet-undone.plan"),
    );
    let saga = run.world().saga("s1").expect("it was started");
    assert_eq!(saga.status(), Status::Compensated, "{}", run.timeline());
}

#[test]
fn a_signal_that_is_rejected_in_the_commit_that_its_producer_is_told_of() {
    let plan = include_str!("plans/rejected-while-it-was-told.plan");
    replay(&sagas::waits::prices_or_none(), plan);
}

#[test]
fn a_producer_that_is_asked_for_what_came_meanwhile() {
    let plan = include_str!("plans/asked-for-what-has-come.plan");
    replay(&sagas::waits::prices_that_are_asked_for(), plan);
}

#[test]
fn a_signal_sent_twice_that_is_forgotten_in_between() {
    let plan = include_str!("plans/said-once.plan");
    replay(&sagas::waits::visits_in_a_long_life(), plan);
}
