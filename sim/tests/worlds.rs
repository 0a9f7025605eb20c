//! Each kind of fault happens, has its consequence, and is masked where that is promised.

use std::{collections::BTreeSet, time::Duration};

use sagalog_model::{AnyDefinition, Retry, Saga, Signal, Step};
use sagalog_sim::{Explore, Fault, Plan, Point, Sim, World};

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

fn plan(text: &str) -> Plan {
    text.parse().expect("a good plan")
}

/// Plays a plan; it must hold and have its consequence.
fn played(text: &str) -> World {
    let plan = plan(text);
    let run = sim().run(&plan).unwrap_or_else(|error| panic!("{error}"));
    run.check();
    sim().play(&plan)
}

fn completes(world: &World, saga: &str) -> bool {
    world.saga(saga).is_some_and(|saga| saga.output().is_some())
}

#[test]
fn every_kind_of_fault_bites_in_a_search_of_single_faults() {
    // An order is open only where there is something else.
    let explored = sim().and_saga(&200).explore(Explore::exhaustive(1));
    explored.check();
    let bitten: BTreeSet<_> = explored.report().bites.keys().copied().collect();
    let missing: Vec<_> = Fault::ALL
        .into_iter()
        .filter(|fault| fault.is_tried() && !bitten.contains(fault))
        .filter(|fault| !fault.needs_several_nodes() && !fault.needs_a_time())
        .collect();
    assert!(missing.is_empty(), "{missing:?} had no consequence");
}

/// Three visits, half an hour apart, announced under ids that may come again for half a minute. One such
/// id is remembered.
fn visits() -> Sim {
    const PATIENT: Saga<u32, Vec<Option<u32>>> = Saga::new("patient");
    const VISIT: Signal<u32> = Signal::new("visit");
    const HOUR: Duration = Duration::from_secs(3_600);
    let (mut saga, _) = PATIENT.define(1);
    let first = saga.signal("first", VISIT).within(4 * HOUR);
    let second = saga.signal("second", VISIT).within(4 * HOUR);
    let third = saga.signal("third", VISIT).within(4 * HOUR);
    let all = first.and(second).and(third);
    let all = all.map(|first, second, third| vec![first, second, third]);
    let definition = saga.returns(all).expect("a good definition");
    (1..=3).fold(Sim::of(definition, &0).remembers(1), |sim, number| {
        sim.signal_for(30 * SECOND, number * HOUR / 2, VISIT, &number)
    })
}

/// What the saga gives under a plan, which must hold and have its consequence.
fn visited(text: &str) -> Option<String> {
    let plan = plan(text);
    let run = visits()
        .run(&plan)
        .unwrap_or_else(|error| panic!("{error}"));
    run.check();
    let world = visits().play(&plan);
    let state = world.saga("s1").expect("it has started");
    state.output().map(ToString::to_string)
}

#[test]
fn every_kind_of_fault_of_calls_with_a_time_bites() {
    let explored = visits().explore(Explore::exhaustive(1));
    explored.check();
    let bitten: BTreeSet<_> = explored.report().bites.keys().copied().collect();
    let missing: Vec<_> = Fault::ALL
        .into_iter()
        .filter(|fault| fault.needs_a_time() && !bitten.contains(fault))
        .collect();
    assert!(missing.is_empty(), "{missing:?} had no consequence");
}

#[test]
fn a_call_that_comes_again_is_taken_once_whether_it_is_remembered_or_not() {
    let all = Some("[1,2,3]".to_owned());
    for again in ["again in its last moment", "again after its time"] {
        for (call, nth) in [("", 1), (" (2)", 2)] {
            let what = format!("call s1 visit@30000ms{call}: {again}");
            assert_eq!(visited(&what), all, "visit {nth}");
        }
    }
}

/// What the healthy run remembers is one id, so the second visit has made room for the third.
#[test]
fn a_sender_whose_clock_is_far_behind_is_refused_what_cannot_be_told_from_a_repeat() {
    let refused = visited("call s1 visit@30000ms (3): sender's clock behind");
    assert_eq!(refused.as_deref(), Some("[1,2,null]"));
    let taken = visited("call s1 visit@30000ms: sender's clock behind");
    assert_eq!(taken.as_deref(), Some("[1,2,3]"));
}

/// The first one is remembered for an hour longer. Until then there is no room, and the second one's time
/// passes; the third one comes again when there is room.
#[test]
fn behind_a_sender_whose_clock_is_far_ahead_others_wait_for_room_as_long_as_their_time_lasts() {
    let taken = visited("call s1 visit@30000ms: sender's clock ahead");
    assert_eq!(taken.as_deref(), Some("[1,3,null]"));
}

#[test]
fn every_kind_of_fault_stands_at_some_point_and_reads_back() {
    for fault in Fault::ALL {
        assert!(
            Point::ALL
                .iter()
                .any(|point| Fault::at(*point).contains(&fault)),
            "{fault:?}"
        );
        assert_eq!(fault.to_string().parse(), Ok(fault));
    }
}

#[test]
fn a_node_that_dies_twice_in_a_row_goes_on_in_the_end() {
    assert!(completes(&played("commit s1 room#1: crash twice"), "s1"));
}

#[test]
fn a_database_that_is_down_for_a_while_is_waited_for() {
    assert!(completes(&played("commit s1 room#1: database down"), "s1"));
}

#[test]
fn after_a_long_downtime_attempts_are_asked_again_and_not_failed() {
    let world = played("commit s1 room#1: down past the deadlines");
    assert!(completes(&world, "s1"));
    assert_eq!(world.net("room"), 1);
}

#[test]
fn a_broker_that_is_down_delays_what_is_on_its_way() {
    let healthy = sim().play(&Plan::healthy());
    let delayed = played("deliver s1 room#1: broker down");
    assert!(completes(&delayed, "s1"));
    assert!(delayed.now() > healthy.now());
}

#[test]
fn a_worker_that_dies_with_its_work_done_is_asked_again_and_does_it_once() {
    let world = played("outcome s1 charge#1: worker dies after");
    assert!(completes(&world, "s1"));
    assert_eq!(world.net("charge"), 1);
    let again =
        plan("outcome s1 charge#1: worker dies after\noutcome s1 charge#1 (2): in doubt, done");
    assert!(sim().run(&again).is_ok(), "the command came again");
}

#[test]
fn a_step_whose_commands_never_arrive_turns_the_saga_and_waits_for_somebody() {
    let world = played("config s1 charge: blackholed");
    let saga = world.saga("s1").expect("it started");
    assert!(saga.turn().is_some());
    assert_eq!(
        saga.parked().count(),
        1,
        "its compensation never arrives either"
    );
}

#[test]
fn a_step_that_is_always_rejected_turns_the_saga() {
    let world = played("config s1 charge: rejects");
    assert_eq!((world.net("room"), world.net("charge")), (0, 0));
}

#[test]
fn a_cancel_in_the_middle_of_an_append_is_accepted_or_refused_but_never_lost() {
    let early = played("commit s1 room#1: cancelled meanwhile");
    assert_eq!((early.net("room"), early.net("charge")), (0, 0));
    let late = played("commit s1 charge#1: cancelled meanwhile");
    assert!(completes(&late, "s1"), "it had ended already");
}

#[test]
fn a_clock_that_jumps_does_not_stop_a_saga() {
    for jump in ["clock jumps ahead", "clock jumps back"] {
        let world = played(&format!("commit s1 room#1: {jump}"));
        assert!(completes(&world, "s1"), "{jump}");
    }
}

#[test]
fn a_plan_can_put_more_sagas_beside_the_first() {
    let world = played("config s0 world: one more saga\nconfig s0 world (2): one more saga");
    assert!(
        ["s1", "s2", "s3"]
            .iter()
            .all(|saga| completes(&world, saga))
    );
    assert_eq!(world.net("charge"), 3);
}

#[test]
fn a_call_that_is_lost_is_made_again_by_its_client() {
    const APPROVAL: Signal<bool> = Signal::new("approval");
    const SAGA: Saga<u32, bool> = Saga::new("approval");
    let (mut saga, _) = SAGA.define(1);
    let approved = saga.signal("approved", APPROVAL).within(5 * SECOND);
    let definition = saga
        .returns(approved.map(|approved| approved == Some(true)))
        .expect("a good definition");
    let sim = Sim::of(definition, &1).signal(SECOND, APPROVAL, &true);
    let plan = plan("call s1 start: lost\ncall s1 approval: twice");
    let run = sim.run(&plan).expect("both happen");
    run.check();
    let output = run.world().saga("s1").and_then(|saga| saga.output());
    assert_eq!(output.map(|output| output.as_str()), Some("true"));
}

#[test]
fn a_fault_without_a_consequence_is_an_error_of_its_plan() {
    // It was done at the first delivery, and is answered from the record at the second.
    let plan = plan("deliver s1 room#1: twice\noutcome s1 room#1 (2): fails");
    let error = sim().run(&plan).err().expect("nothing fails");
    assert_eq!(
        error.to_string(),
        "`outcome s1 room#1 (2): fails` changes nothing in this run"
    );
}
