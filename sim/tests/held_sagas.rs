//! A saga that cannot be driven for a while waits alone, and goes on as if nothing had been.

use std::time::Duration;

use sagalog_model::{AnyDefinition, Retry, Saga, Signal, Step};
use sagalog_projections::Status;
use sagalog_sim::{Plan, Run, Sim};

const DO: Step<u32, u32> = Step::new("x.do")
    .compensatable()
    .timeout(Duration::from_secs(1))
    .retry(Retry::fixed(Duration::from_secs(1)).attempts(3));
const NAME: Signal<String> = Signal::new("name");

/// A step, then two names in their order.
fn definition() -> AnyDefinition {
    const SAGA: Saga<u32, Vec<Option<String>>> = Saga::new("row");
    let (mut saga, n) = SAGA.define(1);
    saga.step("a", DO, n);
    let minute = Duration::from_secs(60);
    let first = saga.signal("first", NAME).within(minute);
    let second = saga.signal("second", NAME).within(minute);
    let both = first.and(second).map(|first, second| vec![first, second]);
    saga.returns(both).expect("a good definition").into()
}

fn sim() -> Sim {
    let millis = Duration::from_millis;
    Sim::of(definition(), &1)
        .gives(DO, |n| n + 1)
        .signal(millis(60), NAME, &"ada".to_owned())
        .signal(millis(70), NAME, &"bob".to_owned())
        .always("names keep their order", |world| {
            let ended = world.sagas().filter_map(|saga| saga.output());
            ended
                .into_iter()
                .all(|names| names.as_str() == r#"["ada","bob"]"#)
        })
}

fn run(sim: &Sim, plan: &str) -> Run {
    let plan: Plan = plan.parse().expect("a good plan");
    let run = sim.run(&plan).expect("the run comes there");
    run.check();
    let saga = run.world().saga("s1").expect("it was started");
    assert_eq!(saga.status(), Status::Completed, "{}", run.timeline());
    run
}

/// What the log says of it as a held saga.
fn held(run: &Run) -> Vec<&str> {
    let trace = run.world().trace().iter().map(|line| line.what.as_str());
    let waits = |what: &&str| what.starts_with("HELD") || what.contains("driven");
    trace.filter(waits).collect()
}

#[test]
fn what_comes_for_a_saga_that_nobody_can_read_waits_until_a_person_has_it_driven_again() {
    let run = run(&sim(), "commit s1 start: cannot be read");
    assert_eq!(
        held(&run),
        [
            "HELD, as it cannot be driven: it does not read, by a fault of the plan",
            "input 1000001 waits until it is driven",
            "input 1000002 waits until it is driven",
            "driven again",
        ]
    );
}

#[test]
fn a_saga_without_its_definition_is_driven_by_the_node_that_has_it() {
    let run = run(&sim().nodes(2), "commit s1 start: definition missing");
    let held = held(&run);
    assert!(
        held[0].contains("this program does not register it"),
        "{held:?}"
    );
    assert_eq!(held.last(), Some(&"driven again"));
}

#[test]
fn a_node_that_dies_between_what_waited_and_the_release_releases_again() {
    for crash in ["crash before", "crash after", "crash twice"] {
        for place in ["saga-held", "input-waits", "name", "saga-released"] {
            run(
                &sim(),
                &format!(
                    "config s0 world: one at a time
                    commit s1 start: cannot be read
                    commit s1 {place}: {crash}"
                ),
            );
        }
    }
}

#[test]
fn a_cancel_of_a_held_saga_is_called_again() {
    let sim = sim().cancel(Duration::from_millis(65));
    let plan = "commit s1 start: cannot be read";
    let run = sim.run(&plan.parse().expect("a good plan"));
    let run = run.expect("the run comes there");
    run.check();
    assert!(run.timeline().contains("driven again"));
}
