//! A saga that cannot be driven waits alone, and what comes for it waits in order.

#[path = "support/sagas.rs"]
mod sagas;
mod support;

use std::{borrow::Cow, time::Duration};

use sagalog_engine::{
    Answer, Effect, Input, Partition, Query, Request, Rules, Ticket,
    input::Wish,
    partition::{Found, Unreadable},
};
use sagalog_model::{
    Direction::*,
    Outcome, Payload, SagaId,
    log::{Position, Version},
    system::SystemEvent,
};
use sagalog_projections::{Status, held::Held, held_sagas::HeldSaga};
use support::{Does, World, refusal_of, taken};

/// Two sagas; `s` waits for two approvals, and its step is answered when the test says so.
fn two() -> World {
    let definitions = vec![sagas::two_approvals(), sagas::three()];
    let mut world = World::with(definitions, Rules::DEFAULT)
        .when("take", Action, 1, Does::IsLost)
        .always("a", Action, Does::Succeeds("1"))
        .always("b", Action, Does::Succeeds("1"))
        .always("c", Action, Does::Succeeds("1"));
    world.start("two-approvals", "s", "0");
    world.settle();
    world
}

fn answered(world: &mut World) -> u64 {
    let outcome = Outcome::Succeeded(Payload::parse("7").expect("good JSON"));
    world.reply("s", "take", Action, 1, outcome)
}

fn id() -> SagaId {
    SagaId::new("s").expect("a good id")
}

/// What waits for the saga, by number; none if it is not held.
fn waits(world: &World) -> Option<Vec<u64>> {
    let held = world.machine.held_sagas().get(&id())?;
    let numbers = held.inputs.iter();
    Some(
        numbers
            .map(|input| input.number - HeldSaga::NUMBERED_FROM)
            .collect(),
    )
}

fn release() -> Wish {
    Wish::Release {
        number: 0,
        content: None,
    }
}

/// The types of what the log holds of held sagas.
fn recorded(world: &World) -> Vec<Cow<'static, str>> {
    let events = world.rows.iter().flat_map(|row| &row.events);
    let of_held = events.filter(|event| {
        let read = SystemEvent::decode(&event.kind, event.schema, &event.control, &event.data);
        matches!(read, Ok(SystemEvent::HeldSaga(_)))
    });
    of_held.map(|event| event.kind.clone()).collect()
}

#[test]
fn a_saga_without_its_definition_waits_alone_until_a_program_has_it() {
    let mut world = two();
    world.is_followed_by(&[sagas::three()]);
    let reason = &world
        .machine
        .held_sagas()
        .get(&id())
        .expect("it is held")
        .reason;
    assert_eq!(
        reason,
        "saga `two-approvals` version 1 is needed, but this program does not register it"
    );
    let tickets = [
        world.signal("s", "approval", "mail-1", "true"),
        answered(&mut world),
        world.signal("s", "approval", "mail-2", "true"),
        world.signal("s", "approval", "mail-1", "true"),
    ];
    world.start("three", "t", "1");
    world.settle();
    for ticket in tickets {
        assert_eq!(world.answer(ticket), "recorded");
    }
    assert_eq!(
        world.status("t"),
        Status::Completed,
        "the partition goes on"
    );
    assert_eq!(waits(&world), Some(vec![1, 2, 3]), "a duplicate is one");
    // It dies again, and what waits is what the log holds.
    world.is_followed_by(&[sagas::three()]);
    assert_eq!(waits(&world), Some(vec![1, 2, 3]));
    world.is_followed_by(&[sagas::two_approvals(), sagas::three()]);
    assert_eq!(waits(&world), None);
    assert_eq!(world.status("s"), Status::Completed);
    assert_eq!(
        recorded(&world),
        [
            "SagaHeld",
            "InputWaits",
            "InputWaits",
            "InputWaits",
            "SagaReleased"
        ]
    );
    let story = world.story("s");
    let place = |what: &str| {
        story
            .find(what)
            .unwrap_or_else(|| panic!("{what} in\n{story}"))
    };
    assert!(
        place("mail-1") < place("mail-2"),
        "in the order in which it came\n{story}"
    );
}

#[test]
fn whatever_is_wanted_of_a_held_saga_is_refused_with_the_reason() {
    let mut world = two();
    world.is_followed_by(&[sagas::three()]);
    let refused = [
        world.start("two-approvals", "s", "0"),
        world.cancel("s"),
        world.feed("s", Query::State),
        world.feed("s", Query::End),
    ];
    let other = world.signal("s", "approval", "mail-1", "true");
    let differs = world.signal("s", "approval", "mail-1", "false");
    let released = world.request("s", "ticket-1", release());
    world.settle();
    for ticket in refused {
        assert!(
            refusal_of(&world, ticket).starts_with("saga `s` is held, as it cannot be driven: ")
        );
    }
    assert_eq!(world.answer(other), "recorded");
    assert!(refusal_of(&world, differs).contains("mail-1"));
    assert!(refusal_of(&world, released).contains("this program does not register it"));
}

fn edit(number: u64, content: &str) -> Wish {
    Wish::Release {
        number: HeldSaga::NUMBERED_FROM + number,
        content: Some(Payload::parse(content).expect("good JSON")),
    }
}

fn give_up(number: u64) -> Wish {
    Wish::Drop {
        number: HeldSaga::NUMBERED_FROM + number,
        reason: "it is another's".into(),
    }
}

/// `s` is held, and three signals and an answer wait for it.
fn four_wait() -> World {
    let mut world = two();
    world.is_followed_by(&[sagas::three()]);
    for mail in ["mail-1", "mail-2", "mail-3"] {
        world.signal("s", "approval", mail, "7");
    }
    answered(&mut world);
    world.settle();
    assert_eq!(waits(&world), Some(vec![1, 2, 3, 4]));
    world
}

#[test]
fn what_waits_is_edited_and_dropped_on_record_and_keeps_its_order() {
    let mut world = four_wait();
    let decided = [
        world.request("s", "ticket-1", give_up(2)),
        world.request("s", "ticket-2", edit(3, "true")),
        world.request("s", "ticket-3", edit(1, "true")),
        world.request("s", "ticket-1", give_up(2)),
        world.request("s", "ticket-2", edit(3, "true")),
        world.signal("s", "approval", "mail-2", "7"),
        world.signal("s", "approval", "mail-3", "7"),
    ];
    world.settle();
    for ticket in decided {
        assert_eq!(world.answer(ticket), "recorded");
    }
    assert_eq!(
        waits(&world),
        Some(vec![1, 3, 4]),
        "what comes again is the same"
    );
    let known = recorded(&world);
    assert_eq!(
        known[5..],
        ["WaitingDropped", "WaitingEdited", "WaitingEdited"]
    );
    world.is_followed_by(&[sagas::two_approvals(), sagas::three()]);
    world.settle();
    assert_eq!(world.status("s"), Status::Completed, "{}", world.story("s"));
    let story = world.story("s");
    let place = |what: &str| {
        story
            .find(what)
            .unwrap_or_else(|| panic!("{what} in\n{story}"))
    };
    assert!(place("mail-1") < place("mail-3"), "{story}");
    let kinds = world.rows.iter().flat_map(|row| &row.events);
    let kinds: Vec<_> = kinds.map(|event| &*event.kind).collect();
    let count = |kind| kinds.iter().filter(|it| **it == kind).count();
    let told = (count("HeldDropped"), count("HeldReleased"));
    assert_eq!(told, (1, 2), "the saga's own history tells it");
}

#[test]
fn a_decision_that_comes_again_after_the_release_decides_about_nothing_else() {
    let mut world = four_wait();
    world.request("s", "ticket-1", give_up(2));
    world.settle();
    world.is_followed_by(&[sagas::two_approvals(), sagas::three()]);
    world.settle();
    let held = |world: &World| {
        let state = world.machine.peek(&id()).expect("it is under way");
        state
            .held()
            .iter()
            .map(|held| held.number)
            .collect::<Vec<_>>()
    };
    let before = held(&world);
    assert_eq!(
        before.len(),
        3,
        "what cannot be read is held, with what is behind"
    );
    let again = world.request("s", "ticket-1", give_up(2));
    let dropped = world.signal("s", "approval", "mail-2", "7");
    world.settle();
    assert!(refusal_of(&world, again).contains("`ticket-1` was used before"));
    assert_eq!(world.answer(dropped), "recorded");
    assert_eq!(held(&world), before, "it was given up, and stays so");
}

#[test]
fn a_decision_about_what_does_not_wait_is_refused_with_what_does() {
    let mut world = four_wait();
    let of_its_own = Wish::Drop {
        number: 1,
        reason: "it was held before".into(),
    };
    let of_its_own = world.request("s", "ticket-0", of_its_own);
    let none = world.request("s", "ticket-1", give_up(7));
    let no_outcome = world.request("s", "ticket-2", edit(4, "true"));
    world.request("s", "ticket-3", give_up(2));
    let other = world.request("s", "ticket-3", give_up(3));
    let again = world.request("s", "ticket-4", give_up(2));
    world.settle();
    assert!(refusal_of(&world, of_its_own).starts_with("saga `s` is held"));
    assert!(refusal_of(&world, none).contains("input 1000007 is not held; the first is 1000001"));
    assert!(refusal_of(&world, no_outcome).contains("it carries no outcome"));
    assert!(refusal_of(&world, other).contains("`ticket-3` was used before"));
    assert!(refusal_of(&world, again).contains("input 1000002 is not held"));
    assert_eq!(waits(&world), Some(vec![1, 3, 4]));
}

#[test]
fn as_much_waits_for_a_held_saga_as_for_any() {
    let mut world = two();
    world.is_followed_by(&[sagas::three()]);
    for number in 0..Held::MAX {
        world.signal("s", "approval", &format!("mail-{number}"), "true");
    }
    let late = answered(&mut world);
    world.settle();
    assert_eq!(waits(&world).map(|waits| waits.len()), Some(Held::MAX));
    assert!(
        world.answer(late).starts_with("refused: "),
        "so it is a dead letter"
    );
}

#[test]
fn what_is_not_accepted_when_a_saga_is_released_is_on_record() {
    let mut world = two();
    world.is_followed_by(&[sagas::three()]);
    world.signal("s", "nobody-waits", "mail-1", "true");
    world.settle();
    world.is_followed_by(&[sagas::two_approvals(), sagas::three()]);
    assert_eq!(waits(&world), None);
    let events = world.rows.iter().flat_map(|row| &row.events);
    let released = events.filter(|event| event.kind == "SagaReleased");
    let released: Vec<_> = released.map(|event| &event.control).collect();
    assert_eq!(released.len(), 1);
    assert!(released[0].contains("nobody-waits"), "{released:?}");
}

#[test]
fn a_history_that_does_not_fold_holds_its_saga_alone() {
    let mut world = two();
    // Something writes an event of another saga's kind behind it, which cannot follow.
    let start = world
        .rows
        .iter()
        .find(|row| row.name.as_ref() == Some(id().stream()));
    let mut alien = start.expect("it was started").clone();
    let mut of_stream = world.rows.iter().filter(|row| row.stream == alien.stream);
    let last = of_stream
        .next_back()
        .expect("its start at least")
        .last_version();
    let tail = world.rows.last().expect("there are rows").last_position();
    (alien.name, alien.version, alien.position) = (None, last.next(), tail.next());
    alien.events.truncate(1);
    world.rows.push(alien);
    world.is_followed_by(&[sagas::two_approvals(), sagas::three()]);
    assert_eq!(waits(&world), Some(Vec::new()));
    world.start("three", "t", "1");
    let mail = world.signal("s", "approval", "mail-1", "true");
    let released = world.request("s", "ticket-1", release());
    world.settle();
    assert_eq!(world.status("t"), Status::Completed);
    assert_eq!(world.answer(mail), "recorded");
    assert!(refusal_of(&world, released).starts_with("the saga's history cannot be used: "));
}

#[test]
fn a_program_that_lacks_a_definition_or_a_release_does_not_start() {
    let world = two();
    let begins = |definitions: &[_], unreadable: Vec<(SagaId, Unreadable)>, is_start| {
        let (mut found, registry) = taken(&world.rows, 2, definitions, world.now);
        found.is_start = is_start;
        if !unreadable.is_empty() {
            found.open.clear();
        }
        found.unreadable = unreadable;
        Partition::take_over(found, registry, support::Guard, Rules::DEFAULT).map(drop)
    };
    let lacks = begins(&[sagas::three()], Vec::new(), true).expect_err("it lacks one");
    assert_eq!((lacks.count, lacks.open, lacks.saga), (1, 1, id()));
    assert!(
        begins(&[sagas::three()], Vec::new(), false).is_ok(),
        "another is running"
    );
    for is_newer in [false, true] {
        let why = "it does not read".to_owned();
        let unreadable = vec![(id(), Unreadable { why, is_newer })];
        let begun = begins(&[sagas::two_approvals()], unreadable, true);
        assert_eq!(begun.is_err(), is_newer, "damage holds its saga alone");
    }
}

#[test]
fn a_person_has_a_saga_driven_again_that_can_be() {
    let world = two();
    let (mut found, registry) = taken(&world.rows, 2, &[sagas::two_approvals()], world.now);
    let (_, history) = found.open.pop().expect("it is under way");
    let why = "a page did not read".to_owned();
    let unreadable = Unreadable {
        why,
        is_newer: false,
    };
    found.unreadable = vec![(id(), unreadable)];
    let machine = Partition::take_over(found, registry, support::Guard, Rules::DEFAULT);
    let mut machine = machine.expect("it holds that saga alone");
    let told = |ticket, what| Input {
        ticket: Ticket(ticket),
        saga: id(),
        what,
    };
    let signal = |id: &str| Query::Signal {
        signal: "approval".into(),
        id: id.into(),
        until: None,
        payload: Payload::parse("true").expect("good JSON"),
    };
    machine.handle(told(1, signal("mail-1")), world.now);
    let request = Request {
        id: "ticket-1".into(),
        by: "ada".into(),
        until: None,
        wish: release(),
    };
    machine.handle(told(2, Query::Request(request)), world.now);
    machine.handle(told(3, signal("mail-2")), world.now);
    assert_eq!(machine.poll_look_up(), [id()]);
    machine.found(&id(), Found::History(history), world.now);
    assert!(machine.held_sagas().is_empty());
    let state = machine.peek(&id()).expect("it is driven");
    assert!(state.signals().ids().contains("mail-1") && state.signals().ids().contains("mail-2"));
    let batches: Vec<_> = machine.poll_append().collect();
    let last = batches
        .last()
        .map_or(Position::new(0), |batch| batch.last_position());
    assert!(batches.iter().all(|batch| batch.version > Version::new(0)));
    machine.committed(last);
    let mut recorded = 0;
    while let Some(effect) = machine.poll_effect(world.now) {
        if let Effect::Answer { answer, .. } = effect {
            assert!(matches!(answer, Answer::Recorded), "{answer:?}");
            recorded += 1;
        }
    }
    assert_eq!(recorded, 3);
}

#[test]
fn what_ended_by_what_waited_is_released_after_a_crash_with_nothing_refused() {
    let mut world = two();
    world.is_followed_by(&[sagas::three()]);
    world.signal("s", "approval", "mail-1", "true");
    answered(&mut world);
    world.signal("s", "approval", "mail-2", "true");
    world.settle();
    world.is_followed_by(&[sagas::two_approvals(), sagas::three()]);
    assert_eq!(world.status("s"), Status::Completed);
    // It died before the last of that was durable: that the saga is released.
    let released = world.rows.pop().expect("there are rows");
    assert_eq!(released.events[0].kind, "SagaReleased");
    world.is_followed_by(&[sagas::two_approvals(), sagas::three()]);
    world.settle();
    assert_eq!(waits(&world), None);
    let again = world.rows.last().expect("there are rows");
    assert_eq!(again.events[0].kind, "SagaReleased");
    assert!(!again.events[0].control.contains("refused"), "{again:?}");
}

#[test]
fn an_attempt_that_fell_due_while_its_saga_was_held_is_asked_again_under_its_number() {
    let world = two();
    let (mut found, registry) = taken(&world.rows, 2, &[sagas::two_approvals()], world.now);
    let (_, history) = found.open.pop().expect("it is under way");
    let why = "a page did not read".to_owned();
    let unreadable = Unreadable {
        why,
        is_newer: false,
    };
    found.unreadable = vec![(id(), unreadable)];
    let machine = Partition::take_over(found, registry, support::Guard, Rules::DEFAULT);
    let mut machine = machine.expect("it holds that saga alone");
    machine.inbox_is_empty();
    let later = world.now.after(Duration::from_secs(3_600));
    let request = Request {
        id: "ticket-1".into(),
        by: "ada".into(),
        until: None,
        wish: release(),
    };
    let input = Input {
        ticket: Ticket(1),
        saga: id(),
        what: Query::Request(request),
    };
    machine.handle(input, later);
    machine.found(&id(), Found::History(history), later);
    machine.fire_timers(later);
    let batches = machine.poll_append();
    let kinds: Vec<_> = batches
        .flat_map(|batch| batch.events.clone())
        .map(|event| event.kind)
        .collect();
    assert!(
        kinds.iter().any(|kind| kind == "AttemptRenewed"),
        "{kinds:?}"
    );
    assert!(
        !kinds.iter().any(|kind| kind == "AttemptTimedOut"),
        "{kinds:?}"
    );
}
