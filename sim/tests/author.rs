//! What the author writes: participants as functions of a model, and what is said when they are wrong.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use sagalog_model::{AnyDefinition, Retry, Saga, SagaId, Step, Undo};
use sagalog_sim::{CannotRun, Explore, Explored, Fails, Plan, Sim};

const SECOND: Duration = Duration::from_secs(1);
const SOON: Retry = Retry::fixed(SECOND).attempts(3);
const ROOM: Step<String, u32> = Step::new("hotel.room")
    .compensatable()
    .timeout(SECOND)
    .retry(SOON)
    .undo_timeout(SECOND)
    .undo_retry(Retry::NEVER)
    .or(VOUCHER);
const VOUCHER: Step<Undo<String, u32>, ()> = Step::new("hotel.voucher").retryable().timeout(SECOND);
const CARD: Step<u32, u32> = Step::new("money.charge")
    .compensatable()
    .probed()
    .timeout(SECOND)
    .retry(SOON)
    .undo_timeout(SECOND)
    .undo_retry(SOON);

#[derive(Clone, Default)]
struct Hotel {
    taken: Vec<u32>,
    calls: u32,
    vouchers: Vec<String>,
}

fn trip() -> AnyDefinition {
    const TRIP: Saga<String, u32> = Saga::new("trip");
    let (mut saga, guest) = TRIP.define(1);
    let room = saga.step("room", ROOM, guest);
    let paid = saga.step("charge", CARD, room);
    saga.returns(paid).expect("a good definition").into()
}

fn plain() -> Sim {
    Sim::of(trip(), &"Ada".to_owned())
}

fn hotel() -> Sim {
    plain()
        .model(Hotel::default())
        .handles(ROOM, |hotel: &mut Hotel, _| {
            hotel.calls += 1;
            let room = hotel.taken.len() as u32 + 1;
            hotel.taken.push(room);
            Ok(room)
        })
        .undoes(ROOM, |hotel: &mut Hotel, _, room| {
            hotel.calls += 1;
            hotel.taken.retain(|taken| *taken != room);
            Ok(())
        })
        .handles(VOUCHER, |hotel: &mut Hotel, undo| {
            hotel.vouchers.push(undo.input);
            Ok(())
        })
        .gives(CARD, |room| room * 100)
}

fn plan(text: &str) -> Plan {
    text.parse().expect("a good plan")
}

/// What a panic says.
fn told(panics: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(panics)).expect_err("it panics");
    panic.downcast_ref::<String>().expect("a text").clone()
}

/// The headline and the plan of what was found.
fn found(explored: &Explored) -> (String, String) {
    let failure = explored.report().failure.as_ref().expect("it fails");
    (failure.violation.what.clone(), failure.plan.to_string())
}

#[test]
fn a_model_follows_what_the_ledger_keeps_in_every_run() {
    hotel()
        .eventually("the hotel and the ledger say the same", |world| {
            let hotel = world.model::<Hotel>();
            world.net("room") == hotel.taken.len() as i64 - hotel.vouchers.len() as i64
        })
        .explore(Explore::exhaustive(2).at_most(3_000))
        .check();
}

#[test]
fn a_function_runs_once_for_each_action_key() {
    for faults in [
        "deliver s1 room#1: twice",
        "reply s1 room#1: lost",
        "outcome s1 room#1: worker dies after",
    ] {
        let run = hotel().run(&plan(faults)).expect("it happens");
        run.check();
        assert_eq!(run.world().model::<Hotel>().calls, 1, "{faults}");
    }
}

#[test]
fn what_was_never_done_is_undone_without_the_function() {
    let run = hotel().run(&plan("config s1 room: blackholed"));
    assert_eq!(run.expect("it happens").world().model::<Hotel>().calls, 0);
}

#[test]
fn a_function_that_fails_leaves_its_model_as_it_was() {
    for (fails, asked) in [
        (Fails::permanent("full"), 1),
        (Fails::transient("busy"), 3),
        (Fails::unknown("who knows"), 3),
    ] {
        let sim = hotel().handles(ROOM, move |hotel: &mut Hotel, _| {
            hotel.taken.push(1);
            Err(fails.clone())
        });
        let run = sim.run(&Plan::healthy()).expect("it runs");
        run.check();
        let world = run.world();
        let saga = world.saga("s1").expect("it began");
        let (_, _, room) = saga.steps().next().expect("it has a step");
        assert_eq!(room.action.asked, asked);
        assert!(world.model::<Hotel>().taken.is_empty());
    }
}

#[test]
fn an_undo_that_fails_for_good_is_followed_by_its_alternative_with_its_own_function() {
    let run = hotel()
        .undoes(ROOM, |_: &mut Hotel, _, _| {
            Err(Fails::permanent("too late"))
        })
        .run(&plan("config s1 charge: rejects"))
        .expect("it happens");
    run.check();
    assert_eq!(run.world().model::<Hotel>().vouchers, ["Ada"]);
    assert_eq!(run.world().net("room"), 0);
}

/// Who is asked, and whether it took the money.
#[derive(Clone, Default)]
struct Bank(Option<u32>);

#[test]
fn a_probe_looks_into_the_model() {
    let bank = |lies: bool| {
        hotel()
            .model(Bank::default())
            .handles(CARD, |bank: &mut Bank, cents| {
                bank.0 = Some(cents);
                Ok(cents)
            })
            .probes(CARD, move |bank: &Bank, _| Ok(bank.0.filter(|_| !lies)))
    };
    let in_doubt = plan("outcome s1 charge#1: in doubt, done");
    let asked = |sim: Sim| {
        let run = sim.run(&in_doubt).expect("it happens");
        run.check();
        let saga = run.world().saga("s1").expect("it began");
        saga.steps().nth(1).map(|(_, _, step)| step.action.asked)
    };
    assert_eq!(asked(bank(false)), Some(1), "the probe found it");
    assert_eq!(asked(bank(true)), Some(2), "the probe found nothing");
}

#[test]
fn a_step_without_an_answer_gives_the_least_value_of_its_type() {
    let run = Sim::auto(trip()).run(&Plan::healthy()).expect("it runs");
    run.check();
    let output = run.world().saga("s1").and_then(|saga| saga.output());
    assert_eq!(output.map(|output| output.as_str()), Some("0"));
}

/// Its type refuses an empty text, so nothing can be made up.
const NAMED: Step<String, SagaId> = Step::new("desk.name").read_only();

fn named() -> AnyDefinition {
    const SAGA: Saga<String, SagaId> = Saga::new("named");
    let (mut saga, name) = SAGA.define(1);
    let id = saga.step("name", NAMED, name);
    saga.returns(id).expect("a good definition").into()
}

#[test]
fn a_step_that_nobody_serves_is_named_before_anything_runs() {
    let sim = Sim::auto(named());
    let error = sim.run(&Plan::healthy()).err().expect("nobody serves it");
    assert!(matches!(error, CannotRun::Unsound(_)));
    assert_eq!(
        error.to_string(),
        "the simulation is not complete:
  nobody says what `desk.name` gives, and no `sagalog_model::message::SagaId` can be made up: an id \
         needs at least one character; add `.gives(STEP, |input| ..)` with its constant"
    );
    let told = told(|| drop(sim.explore(Explore::ci())));
    assert_eq!(told, error.to_string(), "nor is it explored");
    let served = sim.gives(NAMED, |name| SagaId::new(name + "1").expect("a good id"));
    assert!(served.sound().is_ok());
}

#[test]
fn a_function_without_its_model_is_named_before_anything_runs() {
    let sim = plain().handles(CARD, |_: &mut Bank, cents| Ok(cents));
    assert_eq!(
        sim.sound().expect_err("there is no bank").to_string(),
        "the simulation is not complete:
  the functions of `money.charge` work on a `author::Bank`, which is not there; add `.model(..)` \
         with one"
    );
}

#[test]
fn an_input_that_cannot_be_made_up_is_asked_for() {
    const SAGA: Saga<SagaId, u32> = Saga::new("of");
    let (saga, id) = SAGA.define(1);
    let definition = saga.returns(id.map(|_| 1)).expect("a good definition");
    let told = told(|| drop(Sim::auto(definition)));
    assert!(
        told.ends_with("; say what of begins with: `Sim::of(definition, &input)`"),
        "{told}"
    );
}

#[test]
fn a_property_that_panics_is_told_by_its_name_with_the_smallest_plan() {
    let explored = plain()
        .always("nobody goes back", |world| {
            let turned = world.sagas().any(|saga| saga.turn().is_some());
            assert!(!turned, "somebody did");
            true
        })
        .explore(Explore::exhaustive(2));
    let (what, plan) = found(&explored);
    assert_eq!(what, "\"nobody goes back\" panics: somebody did");
    assert_eq!(plan, "outcome s1 room#1: fails");
    let at_the_end = plain().eventually("never", |_| panic!("at the end"));
    let (what, plan) = found(&at_the_end.explore(Explore::ci()));
    assert_eq!((&*what, &*plan), ("\"never\" panics: at the end", ""));
}

#[test]
fn a_function_that_panics_is_told_by_its_step() {
    let explored = hotel()
        .undoes(ROOM, |_: &mut Hotel, _, room| {
            panic!("room {room} is stuck")
        })
        .explore(Explore::exhaustive(1));
    let (what, plan) = found(&explored);
    assert_eq!(
        what,
        "the function of `hotel.room` (compensation) panics: room 1 is stuck"
    );
    assert_eq!(plan, "outcome s1 charge#1: fails");
}

#[test]
fn an_expression_that_panics_is_told_by_its_node() {
    const SAGA: Saga<u32, u32> = Saga::new("halves");
    let (mut saga, n) = SAGA.define(1);
    let charged = saga.step("charge", CARD, n);
    let definition = saga.returns(charged.map(|n| 100 / n));
    let sim = Sim::auto(definition.expect("a good definition"));
    let (what, _) = found(&sim.explore(Explore::ci()));
    assert_eq!(
        what,
        "the function at `return` panics: attempt to divide by zero"
    );
}

#[test]
fn a_property_of_a_model_that_is_not_there_says_so() {
    let explored = plain()
        .eventually("a bank", |world| world.model::<Bank>().0.is_none())
        .explore(Explore::exhaustive(0));
    let (what, _) = found(&explored);
    assert!(
        what.starts_with("\"a bank\" panics: no `.model(..)` gives a `"),
        "{what}"
    );
}

/// A number that nobody gave to whoever counts.
fn count(next: &AtomicU32) -> u32 {
    next.fetch_add(1, Ordering::Relaxed)
}

#[test]
fn a_function_that_gives_something_else_each_time_is_named_with_the_first_event_that_differs() {
    let next = AtomicU32::new(7);
    let explored = plain()
        .gives(ROOM, move |_| count(&next))
        .explore(Explore::ci());
    assert_eq!(explored.report().runs, 1, "the healthy run shows it");
    let (what, plan) = found(&explored);
    assert_eq!(plan, "");
    assert_eq!(
        what,
        "event 3 is `s1: room#1 succeeded: 7`, and when the plan is run again it is `s1: room#1 \
         succeeded: 8`: the function of `hotel.room` (action) is not deterministic"
    );
    assert!(
        explored
            .document()
            .to_string()
            .contains("violates determinism")
    );
}

#[test]
fn a_function_that_flickers_after_a_fault_is_found_by_running_failures_again() {
    let next = AtomicU32::new(0);
    let explored = hotel()
        .undoes(ROOM, move |_: &mut Hotel, _, _| match count(&next) {
            0 => panic!("only once"),
            _ => Ok(()),
        })
        .explore(Explore::exhaustive(1));
    let failure = explored
        .report()
        .failure
        .as_ref()
        .expect("it panicked once");
    assert_eq!(failure.violation.invariant, "determinism");
}

#[test]
fn an_expression_that_gives_something_else_each_time_is_named_by_its_node() {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const SAGA: Saga<u32, u32> = Saga::new("counts");
    let (mut saga, n) = SAGA.define(1);
    let charged = saga.step("charge", CARD, n.map(|n| n + count(&NEXT)));
    let definition = saga.returns(charged).expect("a good definition");
    let run = Sim::auto(definition)
        .run(&Plan::healthy())
        .expect("it runs");
    let violation = run.violation().expect("it is not deterministic");
    assert!(
        violation
            .what
            .ends_with("the function at `charge` is not deterministic"),
        "{}",
        violation.what
    );
}

#[test]
fn a_property_that_judges_the_same_run_otherwise_is_named() {
    let next = AtomicU32::new(0);
    let explored = plain()
        .eventually("even", move |_| count(&next) % 2 == 1)
        .explore(Explore::ci());
    let (what, _) = found(&explored);
    assert_eq!(
        what,
        "\"even\" does not hold in the end; when the plan is run again, with the same events: \
         nothing is violated. The property is not deterministic"
    );
}
