//! Messages that nobody can use are recorded, sent again, and never lost.

use std::time::Duration;

use sagalog_model::{AnyDefinition, Retry, Saga, Step};
use sagalog_projections::Status;
use sagalog_sim::{Plan, Run, Sim};

const DO: Step<u32, u32> = Step::new("x.do")
    .compensatable()
    .timeout(Duration::from_secs(1))
    .retry(Retry::fixed(Duration::from_secs(1)).attempts(3));

fn definition() -> AnyDefinition {
    const SAGA: Saga<u32, u32> = Saga::new("row");
    let (mut saga, n) = SAGA.define(1);
    let a = saga.step("a", DO, n);
    saga.returns(a).expect("a good definition").into()
}

fn run(plan: &str) -> Run {
    let plan: Plan = plan.parse().expect("a good plan");
    let sim = Sim::of(definition(), &1).gives(DO, |n| n + 1);
    let run = sim.run(&plan).expect("the run comes there");
    run.check();
    run
}

/// What the log says of dead letters.
fn letters(run: &Run) -> Vec<String> {
    let trace = run.world().trace().iter().map(|line| &line.what);
    let letters = trace.filter(|what| what.starts_with("s1: letter "));
    letters.cloned().collect()
}

fn status(run: &Run) -> Option<Status> {
    run.world().saga("s1").map(|saga| saga.status())
}

#[test]
fn an_answer_that_nobody_can_read_is_put_right_by_a_person() {
    let run = run("reply s1 a#1: poisoned");
    assert_eq!(
        letters(&run),
        [
            "s1: letter a#1 died: unreadable",
            "s1: letter a#1 is to be sent again (1)",
            "s1: letter a#1 was sent again (1)",
            "s1: letter a#1 died: unreadable",
            "s1: letter a#1 is to be sent again (2), put right",
            "s1: letter a#1 was sent again (2)",
            "s1: letter a#1 is given up",
        ]
    );
    assert_eq!(status(&run), Some(Status::Completed));
    let asked = run.world().visited().iter().map(ToString::to_string);
    assert!(
        !asked.into_iter().any(|site| site == "deliver s1 a#2"),
        "{}",
        run.timeline()
    );
}

#[test]
fn a_command_that_nobody_could_take_is_sent_again_and_done() {
    let run = run("deliver s1 a#1: poisoned");
    assert_eq!(
        letters(&run),
        [
            "s1: letter a#1 died: delivery_limit",
            "s1: letter a#1 is to be sent again (1)",
            "s1: letter a#1 was sent again (1)",
            "s1: letter a#1 is given up",
        ]
    );
    assert_eq!(status(&run), Some(Status::Completed));
    assert_eq!(run.world().net("a"), 1);
}

#[test]
fn a_retry_that_comes_twice_sends_the_letter_once() {
    let run = run("
        reply s1 a#1: poisoned
        call s1 letter-retry: twice
        commit s1 letter-retry: crash after
    ");
    let again = "s1: letter a#1 is to be sent again (1)";
    let again = letters(&run).iter().filter(|line| *line == again).count();
    assert_eq!(again, 1, "{}", run.timeline());
}

#[test]
fn a_retry_that_comes_again_after_the_letter_died_of_it_is_the_same() {
    let run = run("reply s1 a#1: poisoned\ncall s1 letter-retry: twice");
    let twice = "s1: letter a#1 is to be sent again (2)".to_owned();
    assert!(!letters(&run).contains(&twice), "{}", run.timeline());
}

#[test]
fn what_was_to_be_sent_is_sent_after_a_take_over() {
    for crash in [
        "commit s1 letter: crash after",
        "commit s1 letter-retry: crash after",
        "deliver s1 letter: crash before the publish",
        "deliver s1 letter: crash after the publish",
        "commit s1 letter-sent: crash before",
        "commit s1 letter-purge: crash after",
    ] {
        let run = run(&format!("reply s1 a#1: poisoned\n{crash}"));
        let sent = "s1: letter a#1 was sent again (2)".to_owned();
        assert!(letters(&run).contains(&sent), "{crash}\n{}", run.timeline());
        assert_eq!(status(&run), Some(Status::Completed));
    }
}
