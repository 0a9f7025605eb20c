//! A crash around every commit changes nothing but epochs and times.

#[path = "support/sagas.rs"]
mod sagas;
mod support;

use std::time::Duration;

use sagalog_engine::{Rules, input::Wish};
use sagalog_model::{Direction::*, log::Batch};
use sagalog_projections::Status;
use support::{Crash, Does, World};

/// A world that is ready to run, and what happens to it from outside while it runs.
struct Scenario {
    name: &'static str,
    world: fn() -> World,
    play: fn(&mut World),
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a healthy order",
        world: || {
            World::new(sagas::order())
                .gives("quote", "5")
                .gives("charge", "77")
                .gives("ship", "9")
        },
        play: |world| {
            world.start("order", "s", "100");
            world.run();
        },
    },
    Scenario {
        name: "a declined order",
        world: || {
            World::new(sagas::order())
                .gives("quote", "5")
                .when("charge", Action, 1, Does::Fails)
        },
        play: |world| {
            world.start("order", "s", "100");
            world.run();
        },
    },
    Scenario {
        name: "an order in doubt",
        world: || {
            World::new(sagas::order())
                .gives("quote", "5")
                .gives("charge", "77")
                .gives("ship", "9")
                .when("charge", Action, 1, Does::Doubts)
                .when("charge", Probe, 1, Does::FindsNothing)
        },
        play: |world| {
            world.start("order", "s", "100");
            world.run();
        },
    },
    Scenario {
        name: "a fork that turns with a branch in flight",
        world: || {
            World::new(sagas::fork())
                .gives("before", "1")
                .gives("right", "4")
                .when("left-1", Action, 1, Does::FailsForNow)
                .when("left-1", Action, 2, Does::Fails)
                .when("right", Compensation, 1, Does::FailsForNow)
        },
        play: |world| {
            world.start("fork", "s", "0");
            world.run();
        },
    },
    Scenario {
        name: "a refund that ends with a person",
        world: || {
            World::new(sagas::refund(false))
                .gives("first", "1")
                .gives("charge", "2")
                .when("last", Action, 1, Does::Fails)
                .when("charge", Compensation, 1, Does::Fails)
                .when("charge", Alternative, 1, Does::Fails)
        },
        play: |world| {
            world.start("refund", "s", "0");
            world.run();
            world.request(
                "s",
                "r-1",
                Wish::Retry {
                    node: "charge".into(),
                    reason: None,
                },
            );
            world.run();
        },
    },
    Scenario {
        name: "an approval with an early signal",
        world: || World::new(sagas::approval()).gives("book", "1"),
        play: |world| {
            world.start("approval", "s", "0");
            world.signal("s", "approval", "mail-1", "true");
            world.run();
        },
    },
    Scenario {
        name: "an approval that nobody gives",
        world: || World::new(sagas::approval()).gives("book", "1"),
        play: |world| {
            world.start("approval", "s", "0");
            world.run();
        },
    },
    Scenario {
        name: "a hurried saga",
        world: || {
            World::new(sagas::hurried()).gives("first", "1").always(
                "slow",
                Action,
                Does::FailsForNow,
            )
        },
        play: |world| {
            world.start("hurried", "s", "0");
            world.run();
        },
    },
    Scenario {
        name: "an expression that panics",
        world: || World::new(sagas::panicking()).gives("reserve", "13"),
        play: |world| {
            world.start("panicking", "s", "0");
            world.run();
            world.cancel("s");
            world.run();
        },
    },
    Scenario {
        name: "three that are paused",
        world: || {
            World::new(sagas::three())
                .gives("b", "2")
                .gives("c", "3")
                .when("a", Action, 1, Does::IsLate(HALF_A_SECOND, "1"))
        },
        play: |world| {
            world.start("three", "s", "0");
            world.settle();
            world.pause("s");
            world.run();
            world.resume("s");
            world.run();
        },
    },
    Scenario {
        name: "a hurried saga whose deadline is set while it is paused",
        world: || World::new(sagas::hurried()).gives("first", "9"),
        play: |world| {
            world.start("hurried", "s", "0");
            world.settle();
            world.pause("s");
            world.set_deadline("s", Some(5));
            world.run();
            world.compensate("s");
            world.run();
        },
    },
];

const HALF_A_SECOND: Duration = Duration::from_millis(500);

/// I21, I3, I5, I7: whatever the moment, the story is that of the healthy run, every effect is asked
/// under its one key, and the state folded after the crash is the one that was there.
#[test]
fn a_crash_around_any_commit_leaves_the_story_as_it_is() {
    let mut crashes = 0;
    for scenario in SCENARIOS {
        let mut healthy = (scenario.world)();
        (scenario.play)(&mut healthy);
        let (story, keys) = (
            healthy.story("s"),
            healthy.effects.keys().cloned().collect::<Vec<_>>(),
        );
        for commit in 1..=healthy.commits {
            for crash in [
                Crash::BeforeCommit(commit),
                Crash::AfterCommit(commit),
                Crash::Unknown(commit),
            ] {
                let mut world = (scenario.world)().crashing(crash);
                (scenario.play)(&mut world);
                assert_eq!(world.story("s"), story, "{}, {crash:?}", scenario.name);
                assert_eq!(
                    world.effects.keys().cloned().collect::<Vec<_>>(),
                    keys,
                    "{}, {crash:?}",
                    scenario.name
                );
                world.compare();
                assert_eq!(world.epoch, 2, "{}: {crash:?} happened", scenario.name);
                crashes += 1;
            }
        }
    }
    assert!(crashes > 150, "only {crashes} crashes were tried");
}

#[test]
fn two_crashes_in_a_row_change_nothing_either() {
    for scenario in SCENARIOS {
        let mut healthy = (scenario.world)();
        (scenario.play)(&mut healthy);
        for commit in 1..=healthy.commits {
            let mut world = (scenario.world)().crashing(Crash::AfterCommit(commit));
            (scenario.play)(&mut world);
            world.die();
            world.run();
            assert_eq!(
                world.story("s"),
                healthy.story("s"),
                "{}, after commit {commit}",
                scenario.name
            );
        }
    }
}

/// I19: deciding again what the log holds gives identical batches.
#[test]
fn the_same_inputs_give_identical_bytes() {
    for scenario in SCENARIOS {
        let run = || {
            let mut world = (scenario.world)();
            (scenario.play)(&mut world);
            world.rows
        };
        let (one, other): (Vec<Batch>, Vec<Batch>) = (run(), run());
        assert_eq!(one, other, "{}", scenario.name);
    }
}

#[test]
fn an_attempt_that_nobody_could_take_the_answer_of_is_asked_again_once_under_its_number() {
    let mut world = World::new(sagas::three())
        .when("a", Action, 1, Does::IsLost)
        .when("a", Action, 2, Does::Fails);
    world.start("three", "s", "0");
    world.settle();
    world.now = world.now.after(Duration::from_secs(30));
    world.die();
    world.settle();
    insta::assert_snapshot!(world.story("s"), @r"
    started 0
      ask a#1 0
    renewed a#1
    ");
    assert_eq!(world.asked, ["s a action#1", "s a action#1"]);
    world.now = world.now.after(Duration::from_secs(30));
    world.die();
    world.run();
    insta::assert_snapshot!(world.story("s"), @r"
    started 0
      ask a#1 0
    renewed a#1
    timed out a#1
      retry a later
    retry due a
      ask a#2
    failed a#2 (Permanent)
      TURN StepFailed a
      ask a compensation#1
    succeeded a compensation#1
      COMPENSATED
    ");
}

#[test]
fn an_action_is_not_asked_again_after_the_turn_however_long_nobody_ran() {
    let mut world = World::new(sagas::three())
        .gives("a", "1")
        .when("b", Action, 1, Does::IsLost);
    world.start("three", "s", "0");
    world.settle();
    world.cancel("s");
    world.settle();
    world.now = world.now.after(Duration::from_secs(30));
    world.die();
    world.run();
    insta::assert_snapshot!(world.story("s"), @r"
    started 0
      ask a#1 0
    succeeded a#1 1
      ask b#1 1
    cancel by ada: changed her mind
      TURN Cancelled -
    timed out b#1
      ask b compensation#1
    succeeded b compensation#1
      ask a compensation#1
    succeeded a compensation#1
      COMPENSATED
    ");
}

#[test]
fn an_attempt_is_not_asked_when_its_steps_deadline_has_come() {
    let mut world = World::new(sagas::rushed()).when("take", Action, 1, Does::IsLost);
    world.start("rushed", "s", "0");
    world.settle();
    // Down until after the step's deadline; the answer lies in the inbox.
    world.now = world.now.after(Duration::from_secs(60));
    world.epoch += 1;
    world.die_with_a_full_inbox();
    let failed = sagalog_model::Outcome::Failed {
        class: sagalog_model::FailureClass::Transient,
        reason: "not now".into(),
    };
    world.reply("s", "take", Action, 1, failed);
    world.run();
    insta::assert_snapshot!(world.story("s"), @r"
    started 0
      ask take#1 0
    failed take#1 (Transient)
    deadline of take
      TURN StepDeadline take
      COMPENSATED
    ");
}

#[test]
fn an_answer_in_the_inbox_is_taken_before_overdue_timers_fire() {
    let rules = Rules::DEFAULT;
    let mut world = World::with(vec![sagas::approval()], rules).gives("book", "1");
    world.start("approval", "s", "0");
    world.run_for(Duration::from_secs(3));
    // Down until long after the deadline of the wait; the signal lies in the inbox.
    world.now = world.now.after(Duration::from_secs(60));
    let taken_at = world.now;
    world.epoch += 1;
    world.die_with_a_full_inbox();
    world.machine.fire_timers(world.now);
    assert_eq!(
        world.machine.next_timer(),
        Some(taken_at.after(rules.overdue_grace))
    );
    world.signal("s", "approval", "mail-1", "true");
    world.run();
    assert_eq!(world.status("s"), Status::Completed);
}

#[test]
fn timers_that_come_due_after_a_take_over_do_not_wait_with_the_overdue_ones() {
    let mut world = World::new(sagas::approval()).gives("book", "1");
    world.start("approval", "overdue", "0");
    world.run_for(Duration::from_secs(3));
    world.now = world.now.after(Duration::from_secs(60));
    world.start("approval", "fresh", "0");
    world.settle();
    let naps_until = world.now.after(Duration::from_secs(2));
    world.now = world.now.after(Duration::from_secs(1));
    world.epoch += 1;
    world.die_with_a_full_inbox();
    assert!(world.machine.awaits_empty_inbox());
    assert_eq!(world.machine.next_timer(), Some(naps_until));
    world.now = naps_until;
    world.machine.fire_timers(world.now);
    assert!(
        world.machine.awaits_empty_inbox(),
        "the overdue one still waits"
    );
}

#[test]
fn asks_beyond_the_window_stay_in_state_and_follow_in_order() {
    let rules = Rules {
        window: 2,
        ..Rules::DEFAULT
    };
    let mut world = World::with(vec![sagas::three()], rules).always("a", Action, Does::IsLost);
    for n in 0..5 {
        world.start("three", &format!("s-{n}"), "0");
    }
    world.settle();
    assert_eq!(world.asked, ["s-0 a action#1", "s-1 a action#1"]);
    world.reply(
        "s-1",
        "a",
        Action,
        1,
        sagalog_model::Outcome::Succeeded(sagalog_model::Payload::null()),
    );
    world = world.always("b", Action, Does::IsLost);
    world.settle();
    assert_eq!(world.asked[2..], ["s-2 a action#1"]);
}

#[test]
fn a_question_that_nobody_waits_for_any_more_keeps_no_place_in_the_window() {
    let rules = Rules {
        window: 2,
        ..Rules::DEFAULT
    };
    let mut world = World::with(vec![sagas::beside()], rules)
        .gives("reserve", "1")
        .always("quote", Action, Does::IsLost);
    for saga in ["s-1", "s-2", "s-3"] {
        world.start("beside", saga, "0");
        world.settle();
        world.cancel(saga);
        world.run();
        assert_eq!(world.status(saga), Status::Compensated);
    }
    assert_eq!(
        world
            .asked
            .iter()
            .filter(|asked| asked.contains("reserve compensation"))
            .count(),
        3
    );
}

#[test]
fn at_the_limit_new_starts_are_refused_and_everything_else_goes_on() {
    let rules = Rules {
        live_max: 2,
        ..Rules::DEFAULT
    };
    let mut world = World::with(vec![sagas::three()], rules).when("a", Action, 1, Does::IsLost);
    world.start("three", "s-1", "0");
    world.start("three", "s-2", "0");
    world.settle();
    let refused = world.start("three", "s-3", "0");
    let same = world.start("three", "s-2", "0");
    world.settle();
    assert_eq!(world.answer(same), "recorded");
    assert_eq!(
        support::refusal_of(&world, refused),
        "the limit of sagas under way (2) is reached; try again when some have ended"
    );
    world.cancel("s-1");
    world.run();
    let accepted = world.start("three", "s-3", "0");
    world.settle();
    assert_eq!(world.answer(accepted), "recorded");
}

#[test]
fn payloads_over_the_limit_are_refused_or_park_their_node() {
    let rules = Rules {
        payload_max: 8,
        ..Rules::DEFAULT
    };
    let mut world = World::with(vec![sagas::doubling()], rules);
    let refused = world.start("doubling", "s", r#""1234567""#);
    world.start("doubling", "t", r#""1234""#);
    world.run();
    assert_eq!(
        support::refusal_of(&world, refused),
        "the payload has 9 bytes, at most 8 are accepted; store it elsewhere and send a reference"
    );
    insta::assert_snapshot!(world.story("t"), @r#"
    started "1234"
      park twice (Expression): the value has 10 bytes, a payload has at most 8
    "#);
}

#[test]
fn answers_of_any_size_are_accepted() {
    let rules = Rules {
        payload_max: 8,
        reason_max: 4,
        ..Rules::DEFAULT
    };
    let mut world = World::with(vec![sagas::three()], rules).gives("a", "123456789");
    world.start("three", "s", "0");
    world.settle();
    let reason = "größer".to_owned();
    world.reply(
        "s",
        "a",
        Action,
        1,
        sagalog_model::Outcome::Unknown { reason },
    );
    world.run();
    insta::assert_snapshot!(world.story("s"));
}

#[test]
fn ids_and_reasons_from_outside_have_bounds() {
    let rules = Rules {
        payload_max: 8,
        id_max: 4,
        ..Rules::DEFAULT
    };
    let mut world = World::with(vec![sagas::approval()], rules).gives("book", "1");
    world.start("approval", "s", "0");
    let tickets = [
        world.signal("s", "approval", "", "true"),
        world.signal("s", "approval", "12345", "true"),
        world.signal("s", "approval", "1", "123456789"),
        world.request(
            "s",
            "12345",
            Wish::Retry {
                node: "book".into(),
                reason: None,
            },
        ),
        world.request(
            "s",
            "1",
            Wish::Cancel {
                reason: "123456789".into(),
            },
        ),
    ];
    world.settle();
    let refusals = tickets.map(|ticket| support::refusal_of(&world, ticket));
    insta::assert_snapshot!(refusals.join("\n"));
}

#[test]
fn one_input_that_leads_to_too_much_parks_the_node_that_it_is_too_much_for() {
    let rules = Rules {
        decided_bytes_max: 20,
        ..Rules::DEFAULT
    };
    let mut world = World::with(vec![sagas::doubling()], rules);
    world.start("doubling", "s", r#""123456""#);
    world.run();
    world.request(
        "s",
        "r-1",
        Wish::Retry {
            node: "return".into(),
            reason: None,
        },
    );
    world.run();
    insta::assert_snapshot!(world.story("s"));
}

#[test]
fn the_clock_may_step_back_but_event_time_does_not() {
    let mut world = World::new(sagas::three())
        .gives("a", "1")
        .gives("b", "2")
        .gives("c", "3");
    world.start("three", "s", "0");
    world.settle();
    world.now = sagalog_model::log::Time::from_micros(5);
    world.start("three", "t", "0");
    world.settle();
    assert_eq!(world.status("t"), Status::Completed);
}
