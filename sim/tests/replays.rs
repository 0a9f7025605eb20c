//! Runs that once taught something, replayed from their plans.

use std::time::Duration;

use sagalog_model::{AnyDefinition, Retry, Saga, Step};
use sagalog_sim::{Plan, Sim};

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

fn replay(sim: &Sim, plan: &str) {
    let plan: Plan = plan.parse().expect("a good plan");
    sim.run(&plan).expect("its places are visited").check();
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
