//! `sagalog sim` from outside: what it prints, what it writes, and what it exits with.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
};

use sagalog::{AnyDefinition, Saga, Step};
use sagalog_cli::{App, main_with};
use sagalog_sim::Sim;
use serde_json::Value;
use tempfile::TempDir;

#[test]
fn the_demos_order_holds_with_every_plan_of_one_fault() {
    let ran = sagalog("sim --faults 1 --swarm 5");
    assert_eq!((ran.exit, &*ran.err), (0, ""), "{}", ran.out);
    let bound = ran.out.lines().next().expect("a headline");
    assert!(bound.starts_with("saga order, version 1: all "), "{bound}");
    assert!(
        bound.contains(" plans with at most 1 fault hold, and 5 random plans of "),
        "{bound}"
    );
}

#[test]
fn json_says_the_same_with_names() {
    let ran = sagalog("sim --faults 1 --swarm 0 --json");
    let found: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(
        (ran.exit, &found["holds"], &found["failure"]),
        (0, &true.into(), &Value::Null)
    );
    assert_eq!(found["tried"][1]["all"], true);
}

#[test]
fn a_budget_is_kept_and_said() {
    let ran = sagalog("sim --at-most 10");
    assert_eq!(ran.exit, 0);
    assert!(
        ran.out
            .contains("the healthy run holds, and 9 of the plans with 1 fault"),
        "{}",
        ran.out
    );
}

#[test]
fn a_plan_is_run_and_shown() {
    let plan = Plan::of("# the answer of the first attempt gets lost\nreply s1 charge#1: lost\n");
    let ran = sagalog(&plan.line("sim"));
    assert_eq!((ran.exit, &*ran.err), (0, ""));
    insta::assert_snapshot!(ran.out);
}

#[test]
fn a_page_is_written_beside_the_report() {
    let plan = Plan::of("reply s1 charge#1: lost");
    let page = plan.folder.path().join("run.html");
    let ran = sagalog(&format!("{} --html {}", plan.line("sim"), page.display()));
    assert_eq!(ran.exit, 0, "{}", ran.err);
    let page = fs::read_to_string(page).expect("a page");
    assert!(page.starts_with("<!doctype html>") && page.contains("reply s1 charge#1"));
}

#[test]
fn a_page_that_cannot_be_written_is_an_error() {
    let plan = Plan::of("");
    let ran = sagalog(&format!("{} --html /nowhere/run.html", plan.line("sim")));
    assert_eq!(ran.exit, 1);
    assert!(
        ran.err
            .starts_with("error: /nowhere/run.html is not written"),
        "{}",
        ran.err
    );
}

#[test]
fn a_line_that_is_no_fault_is_named() {
    let plan = Plan::of("reply s1 charge#1: lost\n\nreply s1 ship#1: lots\n");
    let ran = sagalog(&plan.line("sim"));
    assert_eq!((ran.exit, &*ran.out), (2, ""));
    let said = plan.hidden(&ran.err);
    assert!(
        said.starts_with("error: PLAN, line 3: `lots` is no fault; known are: "),
        "{said}"
    );
}

#[test]
fn a_fault_that_cannot_happen_there_names_those_that_can() {
    let plan = Plan::of("call s1 start: crash after");
    let ran = sagalog(&plan.line("sim"));
    assert_eq!((ran.exit, &*ran.out), (2, ""));
    insta::assert_snapshot!(plan.hidden(&ran.err), @"
    error: PLAN, line 1: `crash after` cannot happen at `call s1 start`; what can is: twice, lost, left out
    ");
}

#[test]
fn a_plan_is_copied_from_a_report_as_it_is() {
    let plan = Plan::of("plan  reply s1 charge#1: lost\n      reply s1 charge probe#1: lost\n");
    let ran = sagalog(&plan.line("sim"));
    assert_eq!((ran.exit, &*ran.err), (0, ""));
    let told = ran.out.lines().take(2).collect::<Vec<_>>().join("\n");
    assert_eq!(
        told,
        "plan  reply s1 charge#1: lost\n      reply s1 charge probe#1: lost"
    );
}

#[test]
fn an_exploration_without_a_run_is_not_asked_for() {
    assert_eq!(sagalog("sim --at-most 0").exit, 2);
}

#[test]
fn a_step_that_is_not_there_names_those_that_are() {
    let plan = Plan::of("# a slip of the pen\nreply s1 chrage#1: lost\n");
    let ran = sagalog(&plan.line("sim"));
    assert_eq!((ran.exit, &*ran.out), (3, ""));
    insta::assert_snapshot!(plan.hidden(&ran.err), @"
    error: PLAN, line 2: the saga order has no step `chrage`
      did you mean `charge`? its steps are: quote, reserve, charge, ship, notify
    ");
}

#[test]
fn a_place_that_the_run_does_not_come_to_names_those_that_it_does() {
    let plan = Plan::of("reply s1 charge#7: lost");
    let ran = sagalog(&plan.line("sim"));
    assert_eq!((ran.exit, &*ran.out), (3, ""));
    let said = plan.hidden(&ran.err);
    insta::assert_snapshot!(said);
}

#[test]
fn a_fault_that_changes_nothing_is_named() {
    let plan = Plan::of("deliver s1 charge#1: twice\noutcome s1 charge#1 (2): fails");
    let ran = sagalog(&plan.line("sim"));
    assert_eq!((ran.exit, &*ran.out), (3, ""));
    insta::assert_snapshot!(plan.hidden(&ran.err), @"
    error: PLAN, line 2: `outcome s1 charge#1 (2): fails` changes nothing in this run
      leave it out, or put it where it matters
    ");
}

#[test]
fn a_plan_that_is_not_there_is_not_found() {
    let ran = sagalog("sim --plan /nowhere/a.plan");
    assert_eq!((ran.exit, &*ran.out), (3, ""));
}

#[test]
fn a_plan_and_a_budget_are_not_asked_for_together() {
    assert_eq!(sagalog("sim --plan a.plan --faults 1").exit, 2);
    assert_eq!(sagalog("sim --plan a.plan --swarm 9").exit, 2);
}

#[test]
fn what_is_behind_a_capture_is_a_plan_and_a_test() {
    let sim = || Sim::auto(sagalog_cli::demo::order().expect("it is sound"));
    let plan = "reply s1 reserve#1: lost".parse().expect("a good plan");
    let run = sim().run(&plan).expect("the run comes there");
    let file = Plan::of(&run.capture("s1").expect("it has begun").to_string());
    let line = format!("sim --capture {}", file.file().display());
    let ran = sagalog(&line);
    assert_eq!((ran.exit, &*ran.err), (0, ""), "{}", ran.out);
    insta::assert_snapshot!(ran.out, @r#"
    plan  reply s1 reserve#1: lost
    its run is the recorded history

    #[test]
    fn s1_of_order_happens_again() {
        let capture: Capture = include_str!("a.plan")
            .parse()
            .expect("it is whole");
        let sim = Sim::of_capture(order(), &capture)
            .expect("it runs this definition");
        let plan: Plan = "
            reply s1 reserve#1: lost
        "
        .parse()
        .expect("a good plan");
        let run = sim.run(&plan).expect("the run comes there");
        run.check();
    }
    "#);
    let json = sagalog(&format!("{line} --json"));
    let found: Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(found["reproduces"], true);
    assert_eq!(found["plan"], "reply s1 reserve#1: lost");
    // A program that knows another saga.
    assert_eq!(own(&format!("own {line}")), ExitCode::from(3));
    assert_eq!(sagalog("sim --capture nothing.capture").exit, 3);
    assert_eq!(sagalog(&format!("{line} --faults 1")).exit, 2);
}

#[test]
fn an_app_of_your_own_simulates_its_saga() {
    assert_eq!(main_with(shop(), ["shop", "sim"]), ExitCode::SUCCESS);
}

fn shop() -> App {
    App::new().saga(trip()).simulated(|| {
        Sim::of(trip(), &4_200).always("no money without a room", |world| {
            world.net("charge") <= world.net("room")
        })
    })
}

/// Of an app of your own: its exit code says that something is wrong, and the page shows what.
#[test]
fn a_violation_fails_with_the_run_that_shows_it() {
    let folder = TempDir::new().expect("room");
    let page = folder.path().join("run.html");
    let line = format!("own sim --faults 1 --html {}", page.display());
    assert_eq!(own(&line), ExitCode::from(1));
    let page = fs::read_to_string(page).expect("a page");
    assert!(page.contains("a room that was booked is kept"));
    assert!(page.contains("\"all_necessary\":true"));
}

#[test]
fn a_plan_that_violates_something_fails() {
    let plan = Plan::of("outcome s1 charge#1: fails");
    assert_eq!(own(&plan.line("own sim")), ExitCode::from(1));
}

#[test]
fn an_app_without_a_simulation_says_so() {
    let app = App::new().saga(trip());
    assert_eq!(main_with(app, ["own", "sim"]), ExitCode::from(2));
}

#[test]
fn one_of_several_simulations_is_named() {
    let app = || own_app().simulated(|| Sim::of(trip(), &1));
    assert_eq!(main_with(app(), ["own", "sim"]), ExitCode::from(2));
    assert_eq!(main_with(app(), ["own", "sim", "tirp"]), ExitCode::from(3));
}

/// A saga with a promise that it does not keep.
fn own(line: &str) -> ExitCode {
    main_with(own_app(), line.split_whitespace())
}

fn own_app() -> App {
    App::new().saga(trip()).simulated(|| {
        Sim::of(trip(), &100).always("a room that was booked is kept", |world| {
            let undone = |saga: &sagalog::SagaState| {
                saga.steps().any(|(_, _, step)| step.compensation.asked > 0)
            };
            !world.sagas().any(undone)
        })
    })
}

fn trip() -> AnyDefinition {
    const TRIP: Saga<u32, ()> = Saga::new("trip");
    const ROOM: Step<u32, ()> = Step::new("hotel.room").compensatable();
    const CARD: Step<(), ()> = Step::new("money.charge").compensatable();
    let (mut saga, cents) = TRIP.define(1);
    let room = saga.step("room", ROOM, cents);
    let paid = saga.step("charge", CARD, room);
    saga.returns(paid).expect("a good definition").into()
}

struct Ran {
    exit: i32,
    out: String,
    err: String,
}

fn sagalog(line: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sagalog"));
    let ran = command
        .args(line.split_whitespace())
        .output()
        .expect("the program is built");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Ran {
        exit: ran.status.code().expect("it was not killed"),
        out: text(ran.stdout),
        err: text(ran.stderr),
    }
}

/// A plan in a file.
struct Plan {
    folder: TempDir,
}

impl Plan {
    fn of(text: &str) -> Self {
        let folder = TempDir::new().expect("room");
        fs::write(folder.path().join("a.plan"), text).expect("room");
        Self { folder }
    }

    fn file(&self) -> std::path::PathBuf {
        Path::join(self.folder.path(), "a.plan")
    }

    fn line(&self, command: &str) -> String {
        format!("{command} --plan {}", self.file().display())
    }

    /// What was said, without where the file happens to be.
    fn hidden(&self, said: &str) -> String {
        said.replace(&self.file().display().to_string(), "PLAN")
    }
}
