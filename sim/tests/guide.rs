//! The Rust of `docs/simulation.md`: every block of it stands here or in the program's tests, word
//! for word, is compiled and run. Its tables and texts are compared with the real ones.

use std::time::Duration;

use sagalog_model::{BadDefinition, Definition, Retry, Saga, Signal, Step};
use sagalog_projections::Status;
use sagalog_sim::{Explore, Fails, Fault, Matrix, Mend, Plan, Point, Sim, World, saga_matrix};
use serde_json::Value;

const GUIDE: &str = include_str!("../../docs/simulation.md");

/// Where the code of the guide stands.
const SOURCES: &[&str] = &[
    include_str!("guide.rs"),
    include_str!("../../saga/app/tests/cli_sim.rs"),
    include_str!("../../saga/runtime/tests/idempotency.rs"),
];

const BOOKING: Saga<u32, String> = Saga::new("booking");
const ROOM: Step<u32, String> = Step::new("hotel.room").compensatable();
const CHARGE: Step<u32, String> = Step::new("money.charge")
    .compensatable()
    .retry(Retry::fixed(Duration::from_secs(1)).attempts(2));

fn booking() -> Result<Definition<u32, String>, BadDefinition> {
    let (mut saga, cents) = BOOKING.define(1);
    let room = saga.step("room", ROOM, cents);
    let paid = saga.step("charge", CHARGE, cents);
    saga.returns(room.and(paid).map(|room, paid| format!("{room}, {paid}")))
}

fn sim() -> Sim {
    Sim::of(booking().expect("it is sound"), &4_200)
        .gives(ROOM, |_| "room 12".to_owned())
        .gives(CHARGE, |cents| format!("paid {cents}"))
}

#[test]
fn a_booking_keeps_its_promises() {
    sim()
        .always("no money without a room", |world| {
            world.net("charge") <= world.net("room")
        })
        .explore(Explore::ci())
        .check();
}

#[test]
fn a_lost_answer_is_asked_for_again() {
    let plan: Plan = "
        # the answer of the first attempt gets lost, then the node dies
        reply s1 charge#1: lost
        commit s1 charge#2: crash after
    "
    .parse()
    .expect("a good plan");
    let run = sim().run(&plan).expect("the run comes there");
    run.check();
    assert_eq!(run.world().net("charge"), 1, "{}", run.timeline());
}

#[test]
fn a_participant_that_refuses_makes_it_go_back() {
    let plan = Plan::healthy();
    let declined = sim().answers(CHARGE, |_| Err("the card was declined".to_owned()));
    let run = declined.run(&plan).expect("the run comes there");
    run.check();
    assert_eq!(run.world().net("room"), 0);
}

#[test]
fn somebody_mends_what_is_parked() {
    let mended = sim().mends(Duration::from_secs(60), |_, times| {
        if times == 1 { Mend::Retry } else { Mend::Skip }
    });
    let plan: Plan = "
        config s1 charge: rejects
        outcome s1 room compensation#1: fails
        outcome s1 room compensation#2: fails
    "
    .parse()
    .expect("a good plan");
    let run = mended.run(&plan).expect("the run comes there");
    run.check();
    let saga = run.world().saga("s1").expect("it was started");
    assert_eq!(saga.status(), Status::PartlyCompensated);
}

#[test]
fn a_definition_alone_is_simulated() {
    Sim::auto(booking().expect("it is sound"))
        .explore(Explore::exhaustive(1))
        .check();
}

#[derive(Clone)]
struct Hotel {
    free: Vec<u32>,
}

fn with_a_hotel() -> Sim {
    sim()
        .model(Hotel { free: vec![11, 12] })
        .handles(ROOM, |hotel: &mut Hotel, _cents| {
            let room = hotel.free.pop();
            let room = room.ok_or_else(|| Fails::permanent("no room is free"))?;
            Ok(format!("room {room}"))
        })
        .undoes(ROOM, |hotel: &mut Hotel, _cents, room| {
            let number = room.trim_start_matches("room ").parse();
            hotel.free.push(number.expect("it was given here"));
            Ok(())
        })
        .eventually("every room is free or booked", |world| {
            world.net("room") + world.model::<Hotel>().free.len() as i64 == 2
        })
}

#[test]
fn a_model_of_the_world_follows_every_run() {
    with_a_hotel().explore(Explore::ci()).check();
}

saga_matrix!(booking());
saga_matrix!(a_booking_of_a_penny, booking(), 1);
saga_matrix!(a_booking_with_a_hotel, with_a_hotel());

/// The table that the guide shows is the one of its booking.
#[test]
fn the_matrix_of_the_guide_is_the_real_one() {
    let matrix = Matrix::of(booking()).to_string();
    let lines: Vec<_> = matrix.lines().skip(1).take(9).collect();
    assert!(GUIDE.contains(&lines.join("\n")), "{matrix}");
}

#[test]
fn the_budgets() {
    let budget = Explore::exhaustive(1) // all plans with at most one fault
        .and_swarm(20) // and random ones
        .at_most(5_000); // runs in all
    sim().explore(budget).check();
}

#[test]
fn a_property_looks_at_sagas_and_effects() {
    sim()
        .always("a charge is for a booking that began", |world| {
            world.net("charge") == 0 || world.saga("s1").is_some()
        })
        .eventually("all or nothing", |world| {
            is_parked(world) || world.net("room") == world.net("charge")
        })
        .explore(Explore::exhaustive(1))
        .check();
}

#[test]
fn what_is_to_be_tried_is_tried() {
    sim()
        .sometimes("a charge is tried again", |world| {
            let mut sites = world.visited().iter().map(ToString::to_string);
            sites.any(|site| site == "deliver s1 charge#2")
        })
        .explore(Explore::exhaustive(1))
        .check();
}

/// Whether a saga waits for a person, and nobody comes.
fn is_parked(world: &World) -> bool {
    world.sagas().any(|saga| saga.parked().next().is_some())
}

#[test]
fn several_nodes_share_the_log() {
    let plan: Plan = "commit s1 charge#1: crash before"
        .parse()
        .expect("a good plan");
    let run = sim()
        .nodes(2) // n1 and n2
        .partitions(4) // of the log, shared by them
        .run(&plan)
        .expect("the run comes there");
    run.check();
}

const APPROVAL: Signal<bool> = Signal::new("approval");

#[test]
fn clients_start_signal_and_cancel() {
    let plan = Plan::healthy();
    let run = sim()
        .and_saga(&900)
        .signal(Duration::from_millis(3), APPROVAL, &true)
        .cancel(Duration::from_millis(5))
        .run(&plan)
        .expect("the run comes there");
    run.check();
    assert_eq!(run.world().sagas().count(), 2);
}

#[test]
fn every_way_of_the_definition_was_gone() {
    let explored = sim().explore(Explore::exhaustive(1));
    explored.check_covers_all();
    let ways = explored.coverage().ways().iter();
    let mut undone = ways.filter(|way| way.way.starts_with("compensation of"));
    assert!(undone.all(|way| way.runs > 0));
}

#[test]
fn a_report_for_people_and_one_for_programs() {
    let explored = sim().explore(Explore::exhaustive(1));
    println!("{}", explored.document());
    let json = serde_json::to_string(&explored.document());
    let page = explored.html();
    assert!(json.is_ok() && page.starts_with("<!doctype html>"));
}

#[test]
fn every_block_of_the_guide_is_compiled_and_run() {
    let blocks = blocks("rust");
    assert!(blocks.len() > 7, "only {} blocks", blocks.len());
    for block in blocks {
        let stands = SOURCES.iter().any(|source| stands_in(&block, source));
        assert!(
            stands,
            "no test runs this block of the guide:\n{}",
            block.join("\n")
        );
    }
}

#[test]
fn every_fault_has_its_row() {
    for point in Point::ALL {
        let name = point.as_str();
        for fault in Fault::at(point) {
            let promise = if fault.is_masked(point) {
                "masked"
            } else {
                "visible"
            };
            let core = if fault.is_core(point) { "core" } else { "–" };
            let row = format!("| {name} | {fault} | {promise} | {core} |");
            assert!(GUIDE.contains(&row), "the guide has no row {row}");
        }
    }
}

/// The guide names each field of the JSON, down to the deepest.
#[test]
fn every_field_of_the_json_is_named() {
    let fails = sim().always("a room is never given back", |world| {
        let undone = |account: &sagalog_sim::Account| account.undone.is_some();
        !world
            .ledger()
            .accounts()
            .any(|(_, account)| undone(account))
    });
    let document = fails.explore(Explore::exhaustive(1)).document();
    assert!(document.failure.is_some());
    named(&serde_json::to_value(document).expect("JSON"));
}

fn named(value: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                assert!(
                    GUIDE.contains(&format!("`{name}`")),
                    "the guide does not name `{name}`"
                );
                // Below `changed` the nodes of the saga are the names.
                if !(name == "nodes" && value.is_object()) {
                    named(value);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(named),
        _ => {}
    }
}

/// The report that the guide shows is what a test prints.
#[test]
fn the_report_of_the_guide_is_the_real_one() {
    let fails = sim().always("a room is never given back", |world| {
        let undone = |account: &sagalog_sim::Account| account.undone.is_some();
        !world
            .ledger()
            .accounts()
            .any(|(_, account)| undone(account))
    });
    let plan: Plan = "outcome s1 charge#1: fails".parse().expect("a good plan");
    let timeline = fails.run(&plan).expect("the run comes there").timeline();
    assert!(GUIDE.contains(&timeline), "{timeline}");
}

/// The lines of each block of this language.
fn blocks(language: &str) -> Vec<Vec<&'static str>> {
    let fence = format!("```{language}");
    let mut blocks = Vec::new();
    let mut lines = GUIDE.lines();
    while lines.any(|line| line == fence) {
        blocks.push(lines.by_ref().take_while(|line| *line != "```").collect());
    }
    blocks
}

/// Whether a source has these lines one after the other, at whatever indentation.
fn stands_in(block: &[&str], source: &str) -> bool {
    let lines: Vec<_> = source.lines().collect();
    lines.windows(block.len()).any(|window| {
        let indentation = window[0].len() - window[0].trim_start().len();
        window.iter().zip(block).all(|(line, wanted)| {
            if wanted.is_empty() {
                line.is_empty()
            } else {
                line.get(indentation..) == Some(*wanted) && line[..indentation].trim().is_empty()
            }
        })
    })
}
