//! Breakers that people open: nothing leaves for the participant, also of the next owner, until they are reset.

#[path = "support/sagas.rs"]
mod sagas;
mod support;

use std::time::Duration;

use sagalog_engine::{BreakerRequest, BreakerWish, Refusal, Ticket, admission::Standing};
use sagalog_model::system::SystemEvent;
use sagalog_projections::{Breakers, Status};
use support::World;

const A_WHILE: Duration = Duration::from_secs(10);

/// Asks it of the machine, and gives the answer.
fn tell(world: &mut World, id: &str, participant: &str, wish: BreakerWish) -> String {
    let ticket = 1_000_000 + world.answers.len() as u64;
    let request = BreakerRequest {
        participant: participant.into(),
        id: id.into(),
        by: "ada".into(),
        wish,
    };
    let now = world.now;
    world.machine.handle_breaker(Ticket(ticket), request, now);
    world.settle();
    world.answer(ticket).to_owned()
}

fn open() -> BreakerWish {
    BreakerWish::Open {
        reason: "it charges twice".into(),
    }
}

#[test]
fn what_a_person_opened_stays_open_for_the_next_owner_until_it_is_reset() {
    let mut world = World::new(sagas::three());
    assert_eq!(tell(&mut world, "r-1", "x", open()), "recorded");
    let loads: Vec<_> = world.machine.loads().map(|load| load.breaker).collect();
    assert_eq!(loads, [Standing::OpenByHand; 2]);
    world.start("three", "s", "0");
    world.run_for(A_WHILE);
    world.die();
    world.run_for(A_WHILE);
    assert_eq!(world.asked, [""; 0]);
    let kept = world.machine.breakers().get("x").expect("it is open");
    assert_eq!((&*kept.by, &*kept.reason), ("ada", "it charges twice"));

    assert_eq!(tell(&mut world, "r-2", "x", BreakerWish::Reset), "recorded");
    // The first request comes again, late: it is known, and opens nothing.
    assert_eq!(tell(&mut world, "r-1", "x", open()), "recorded");
    world.run();
    assert_eq!(world.status("s"), Status::Completed);
    world.die();
    assert!(world.machine.breakers().is_empty());
}

#[test]
fn a_reset_closes_a_breaker_that_opened_by_itself() {
    let mut world = World::new(sagas::three());
    assert_eq!(tell(&mut world, "r-1", "x", BreakerWish::Reset), "recorded");
    assert!(
        world
            .machine
            .loads()
            .all(|load| load.breaker == Standing::Closed)
    );
}

#[test]
fn a_participant_that_nobody_asks_has_no_breakers() {
    let mut world = World::new(sagas::three());
    let refusal = Refusal::NoSuchParticipant {
        participant: "y".into(),
    };
    let refused = tell(&mut world, "r-1", "y", open());
    assert!(refused.contains(&refusal.to_string()), "{refused}");
    let nobody = tell(&mut world, "", "x", open());
    assert!(nobody.contains("id"), "{nobody}");
    assert!(world.machine.breakers().is_empty());
}

#[test]
fn reading_from_where_the_newest_event_says_is_reading_all_of_it() {
    let mut world = World::new(sagas::three());
    for round in 0..100 {
        let wish = if round % 3 == 1 {
            BreakerWish::Reset
        } else {
            open()
        };
        tell(&mut world, &format!("r-{round}"), "x", wish);
        let stream = world.rows.iter().flat_map(|row| {
            let events = row.events.iter().zip(0..);
            events.filter_map(|(event, index)| {
                let read =
                    SystemEvent::decode(&event.kind, event.schema, &event.control, &event.data);
                match read.ok()? {
                    SystemEvent::Breaker(event) => Some((row.version.plus(index), row.at, event)),
                    _ => None,
                }
            })
        });
        let stream: Vec<_> = stream.collect();
        let (_, _, newest) = stream.last().expect("one is recorded");
        let mut needed = Breakers::default();
        for (version, at, event) in &stream {
            if *version >= newest.oldest() {
                needed.apply(event, *version, *at);
            }
        }
        assert_eq!(&needed, world.machine.breakers());
    }
}
