//! What happens in which order: one story per paragraph of the engine's promises.

#[path = "support/sagas.rs"]
mod sagas;
mod support;

use std::time::Duration;

use insta::assert_snapshot;
use sagalog_engine::{Query, input::Wish};
use sagalog_model::{Direction::*, FailureClass, Outcome, Payload};
use sagalog_projections::Status;
use support::{Does, World, late_successes, refusal_of};

#[test]
fn a_saga_goes_through_its_steps_and_completes() {
    let mut world = World::new(sagas::order())
        .gives("quote", "5")
        .gives("charge", "77")
        .gives("ship", "9");
    let started = world.start("order", "o-1", "100");
    let ended = world.feed("o-1", Query::End);
    world.run();
    assert_eq!(
        (world.answer(started), world.answer(ended)),
        ("recorded", "Completed")
    );
    assert_snapshot!(world.story("o-1"));
}

#[test]
fn a_branch_that_is_not_taken_gives_null() {
    let mut world = World::new(sagas::order())
        .gives("quote", "5")
        .gives("ship", "9");
    world.start("order", "o-1", "0");
    world.run();
    assert_snapshot!(world.story("o-1"));
}

#[test]
fn a_permanent_failure_undoes_what_was_done_in_reverse_and_read_only_steps_not_at_all() {
    let mut world = World::new(sagas::three())
        .gives("a", "1")
        .gives("b", "2")
        .when("c", Action, 1, Does::Fails);
    world.start("three", "s", "0");
    world.run();
    assert_snapshot!(world.story("s"));
}

#[test]
fn a_transient_failure_is_asked_again_until_the_budget_is_spent() {
    let mut world =
        World::new(sagas::three())
            .gives("a", "1")
            .always("b", Action, Does::FailsForNow);
    world.start("three", "s", "0");
    world.run();
    assert_snapshot!(world.timed_story("s"));
}

#[test]
fn an_attempt_in_doubt_is_settled_by_the_probe() {
    let mut world = World::new(sagas::order())
        .gives("quote", "5")
        .gives("ship", "9")
        .when("charge", Action, 1, Does::IsLost)
        .when("charge", Probe, 1, Does::Succeeds("77"));
    world.start("order", "o-1", "100");
    world.run();
    assert_eq!(world.effects["default/o-1/charge/action"], 1);
    assert_snapshot!(world.timed_story("o-1"));
}

#[test]
fn a_probe_that_finds_nothing_leads_to_the_next_attempt_under_the_same_key() {
    let mut world = World::new(sagas::order())
        .gives("quote", "5")
        .gives("charge", "77")
        .gives("ship", "9")
        .when("charge", Action, 1, Does::Doubts)
        .when("charge", Probe, 1, Does::FindsNothing);
    world.start("order", "o-1", "100");
    world.run();
    assert_snapshot!(world.story("o-1"));
}

#[test]
fn a_step_in_doubt_is_undone_even_if_its_last_attempt_failed() {
    let mut world = World::new(sagas::three())
        .gives("a", "1")
        .when("b", Action, 1, Does::IsLost)
        .when("b", Action, 2, Does::Fails);
    world.start("three", "s", "0");
    world.run();
    assert_eq!(world.effects["default/s/b/compensation"], 1);
    assert_snapshot!(world.story("s"));
}

#[test]
fn a_stale_attempts_failure_settles_only_that_attempt_and_lifts_its_doubt() {
    let mut world = World::new(sagas::three())
        .gives("a", "1")
        .when("b", Action, 1, Does::IsLost);
    world.start("three", "s", "0");
    world.run_for(Duration::from_millis(1_500));
    let failed = Outcome::Failed {
        class: FailureClass::Transient,
        reason: "no".into(),
    };
    world.reply("s", "b", Action, 1, failed);
    world = world.when("b", Action, 2, Does::Fails);
    world.run();
    assert!(
        !world.effects.contains_key("default/s/b/compensation"),
        "every attempt was answered Failed"
    );
    assert_eq!(world.status("s"), Status::Compensated);
}

#[test]
fn any_attempts_success_settles_the_step() {
    let mut world = World::new(sagas::three())
        .when(
            "a",
            Action,
            1,
            Does::IsLate(Duration::from_millis(2_500), "1"),
        )
        .when("a", Action, 2, Does::IsLost)
        .gives("b", "2")
        .gives("c", "3");
    world.start("three", "s", "0");
    world.run();
    assert_snapshot!(world.timed_story("s"));
}

#[test]
fn an_answer_to_what_was_never_asked_is_refused() {
    let mut world = World::new(sagas::three()).when("a", Action, 1, Does::IsLost);
    world.start("three", "s", "0");
    world.settle();
    let ok = || Outcome::Succeeded(Payload::null());
    let attempt = world.reply("s", "a", Action, 2, ok());
    let node = world.reply("s", "b", Action, 1, ok());
    let direction = world.reply("s", "a", Compensation, 1, ok());
    let saga = world.reply("t", "a", Action, 1, ok());
    let not_done = world.reply("s", "a", Action, 1, Outcome::NotDone);
    world.settle();
    let refusals =
        [attempt, node, direction, saga, not_done].map(|ticket| refusal_of(&world, ticket));
    assert_snapshot!(refusals.join("\n"), @r"
    attempt 2 of the action of `a` was never asked
    attempt 1 of the action of `b` was never asked
    attempt 1 of the compensation of `a` was never asked
    there is no saga `t`
    the action of `a` was answered with `not_done`, which only a probe can be
    ");
}

#[test]
fn independent_branches_do_not_wait_for_each_other_on_the_way_back() {
    let mut world = World::new(sagas::fork())
        .gives("before", "1")
        .gives("left-1", "2")
        .gives("left-2", "3")
        .gives("right", "4")
        .when("last", Action, 1, Does::Fails)
        .when("right", Compensation, 1, Does::FailsForNow);
    world.start("fork", "s", "0");
    world.run();
    assert_snapshot!(world.timed_story("s"));
}

#[test]
fn a_branch_in_flight_is_waited_for_and_its_late_success_is_undone() {
    let mut world = World::new(sagas::fork())
        .gives("before", "1")
        .when("left-1", Action, 1, Does::Fails)
        .when(
            "right",
            Action,
            1,
            Does::IsLate(Duration::from_millis(700), "4"),
        );
    world.start("fork", "s", "0");
    world.run();
    assert_snapshot!(world.timed_story("s"));
}

#[test]
fn a_branch_that_never_answers_is_undone_without_its_output_after_its_deadline() {
    let mut world = World::new(sagas::fork())
        .gives("before", "1")
        .when("left-1", Action, 1, Does::Fails)
        .when("right", Action, 1, Does::IsLost);
    world.start("fork", "s", "0");
    world.run();
    assert_snapshot!(world.timed_story("s"));
}

#[test]
fn a_compensation_that_fails_for_good_is_replaced_by_its_alternative() {
    let mut world = World::new(sagas::refund(false))
        .gives("first", "1")
        .gives("charge", "2")
        .when("last", Action, 1, Does::Fails)
        .always("charge", Compensation, Does::FailsForNow);
    world.start("refund", "s", "0");
    world.run();
    assert_eq!(world.effects["default/s/charge/alternative"], 1);
    assert_snapshot!(world.story("s"));
}

#[test]
fn a_compensation_that_may_be_skipped_is_named_in_the_end() {
    let mut world = World::new(sagas::refund(true))
        .gives("first", "1")
        .gives("charge", "2")
        .when("last", Action, 1, Does::Fails)
        .always("charge", Compensation, Does::Fails);
    world.start("refund", "s", "0");
    world.run();
    assert_snapshot!(world.story("s"));
}

#[test]
fn a_compensation_without_a_way_out_waits_for_a_person_who_may_retry_it() {
    let mut world = World::new(sagas::refund(false))
        .gives("first", "1")
        .gives("charge", "2")
        .when("last", Action, 1, Does::Fails)
        .when("charge", Compensation, 1, Does::Fails)
        .when("charge", Alternative, 1, Does::Fails);
    world.start("refund", "s", "0");
    world.run();
    assert_eq!(world.status("s"), Status::Compensating);
    let retried = world.request(
        "s",
        "r-1",
        Wish::Retry {
            node: "charge".into(),
            reason: None,
        },
    );
    let again = world.request(
        "s",
        "r-1",
        Wish::Retry {
            node: "charge".into(),
            reason: None,
        },
    );
    world.run();
    assert_eq!(
        (world.answer(retried), world.answer(again)),
        ("recorded", "recorded")
    );
    assert_snapshot!(world.story("s"));
}

#[test]
fn a_parked_compensation_may_be_resolved_or_skipped_by_hand() {
    let parked = || {
        let mut world = World::new(sagas::refund(false))
            .gives("first", "1")
            .gives("charge", "2")
            .when("last", Action, 1, Does::Fails)
            .when("charge", Compensation, 1, Does::Fails)
            .when("charge", Alternative, 1, Does::Fails);
        world.start("refund", "s", "0");
        world.run();
        world
    };
    let mut resolved = parked();
    resolved.request(
        "s",
        "r-1",
        Wish::Resolve {
            node: "charge".into(),
            output: Payload::null(),
        },
    );
    resolved.run();
    assert_eq!(resolved.status("s"), Status::Compensated);
    let mut skipped = parked();
    skipped.request(
        "s",
        "r-1",
        Wish::Skip {
            node: "charge".into(),
            reason: "it was a test".into(),
        },
    );
    skipped.run();
    assert_eq!(skipped.status("s"), Status::PartlyCompensated);
    let left = skipped.fold("s").expect("it is there").left().to_vec();
    assert_eq!(
        left.iter().map(|node| &**node).collect::<Vec<_>>(),
        ["charge"]
    );
}

#[test]
fn only_parked_nodes_are_mended() {
    let mut world = World::new(sagas::three()).when("a", Action, 1, Does::IsLost);
    world.start("three", "s", "0");
    world.settle();
    let retry = world.request(
        "s",
        "1",
        Wish::Retry {
            node: "a".into(),
            reason: None,
        },
    );
    let unknown = world.request(
        "s",
        "2",
        Wish::Skip {
            node: "z".into(),
            reason: "x".into(),
        },
    );
    world.settle();
    assert_eq!(
        refusal_of(&world, retry),
        "node `a` is not parked; no node of this saga is"
    );
    assert_eq!(
        refusal_of(&world, unknown),
        "the definition has no node `z`"
    );
}

#[test]
fn after_the_pivot_a_step_that_fails_for_good_waits_for_a_person() {
    let mut world = World::new(sagas::order())
        .gives("quote", "5")
        .gives("charge", "1")
        .when("ship", Action, 1, Does::Fails);
    world.start("order", "o-1", "100");
    world.run();
    assert_eq!(world.status("o-1"), Status::Running);
    let cancelled = world.cancel("o-1");
    world.settle();
    assert_eq!(
        refusal_of(&world, cancelled),
        "saga `o-1` has passed its pivot: from there on it only goes forward"
    );
    world.request(
        "o-1",
        "r-1",
        Wish::Resolve {
            node: "ship".into(),
            output: Payload::parse("42").expect("JSON"),
        },
    );
    world.run();
    assert_snapshot!(world.story("o-1"));
}

#[test]
fn a_cancel_turns_the_saga_and_its_compensations_do_not_inherit_it() {
    let mut world = World::new(sagas::three())
        .gives("a", "1")
        .when(
            "b",
            Action,
            1,
            Does::IsLate(Duration::from_millis(500), "2"),
        )
        .when("a", Compensation, 1, Does::FailsForNow);
    world.start("three", "s", "0");
    world.run_for(Duration::from_millis(100));
    let cancelled = world.cancel("s");
    let again = world.cancel("s");
    world.run();
    assert_eq!(
        (world.answer(cancelled), world.answer(again)),
        ("recorded", "recorded")
    );
    assert_snapshot!(world.timed_story("s"));
}

#[test]
fn a_panicking_expression_parks_its_node_and_nothing_else() {
    let mut world = World::new(sagas::panicking())
        .gives("reserve", "13")
        .gives("last", "1");
    world.start("panicking", "s", "0");
    world.start("panicking", "t", "0");
    world.run();
    assert_eq!(world.status("s"), Status::Running);
    let resolve = Wish::Resolve {
        node: "risky".into(),
        output: Payload::parse("14").expect("JSON"),
    };
    world.request("s", "r-1", resolve);
    world.run();
    assert_eq!(world.status("s"), Status::Completed);
    world.cancel("t");
    world.run();
    assert_snapshot!(world.story("t"));
}

#[test]
fn a_wait_takes_its_signal_and_goes_on() {
    let mut world = World::new(sagas::approval()).gives("book", "1");
    world.start("approval", "s", "0");
    world.run_for(Duration::from_secs(3));
    let sent = world.signal("s", "approval", "mail-1", "true");
    let twice = world.signal("s", "approval", "mail-1", "true");
    world.run();
    assert_eq!(
        (world.answer(sent), world.answer(twice)),
        ("recorded", "recorded")
    );
    assert_snapshot!(world.timed_story("s"));
}

#[test]
fn an_early_signal_waits_for_its_wait() {
    let mut world = World::new(sagas::approval()).gives("book", "1");
    world.start("approval", "s", "0");
    world.signal("s", "approval", "mail-1", "false");
    world.signal("s", "approval", "mail-2", "true");
    world.run();
    assert_snapshot!(world.story("s"));
}

#[test]
fn against_a_deadline_the_first_in_the_log_wins_and_the_later_is_late() {
    let mut world =
        World::new(sagas::approval())
            .gives("book", "1")
            .always("book", Compensation, Does::IsLost);
    world.start("approval", "s", "0");
    world.run_for(Duration::from_millis(12_500));
    let late = world.signal("s", "approval", "mail-1", "true");
    let unknown = world.signal("s", "rumour", "mail-2", "true");
    world.settle();
    assert_eq!(world.answer(late), "recorded");
    assert_eq!(
        refusal_of(&world, unknown),
        "the definition waits for no signal `rumour`; it waits for: approval"
    );
    assert_snapshot!(world.timed_story("s"));
}

#[test]
fn a_steps_own_deadline_turns_the_saga() {
    let mut world =
        World::new(sagas::hurried())
            .gives("first", "1")
            .always("slow", Action, Does::FailsForNow);
    world.start("hurried", "s", "0");
    world.run();
    assert_snapshot!(world.timed_story("s"));
}

#[test]
fn the_sagas_deadline_turns_it_before_the_pivot_and_only_alerts_after_it() {
    let mut before = World::new(sagas::hurried()).gives("first", "60");
    before.start("hurried", "s", "0");
    before.run();
    assert_snapshot!(before.timed_story("s"));
    let mut after = World::new(sagas::hurried())
        .gives("first", "1")
        .gives("slow", "2")
        .when("ship", Action, 1, Does::Fails);
    after.start("hurried", "s", "0");
    after.run();
    assert_snapshot!(after.timed_story("s"));
}

#[test]
fn the_same_start_twice_is_one_start_and_another_with_its_id_is_refused() {
    let mut world = World::new(sagas::constant());
    let first = world.start("constant", "s", "1");
    let same = world.start("constant", "s", "1");
    let other = world.start("constant", "s", "2");
    world.run();
    let after_the_end = world.start("constant", "s", "1");
    let other_after_the_end = world.start("constant", "s", "2");
    let unknown = world.start("nothing", "t", "1");
    world.run();
    for recorded in [first, same, after_the_end] {
        assert_eq!(world.answer(recorded), "recorded");
    }
    for refused in [other, other_after_the_end] {
        assert_eq!(
            refusal_of(&world, refused),
            "saga `s` was started before, with another definition or input; choose another id"
        );
    }
    assert_eq!(
        refusal_of(&world, unknown),
        "no definition of saga `nothing` is registered"
    );
    assert!(world.story("s").starts_with("started 1\n"));
}

#[test]
fn a_success_that_contradicts_the_end_is_recorded_once() {
    let mut world = World::new(sagas::three())
        .gives("a", "1")
        .when("b", Action, 1, Does::IsLate(Duration::from_secs(60), "2"))
        .when("b", Action, 2, Does::Fails);
    world.start("three", "s", "0");
    world.run();
    assert_eq!(world.status("s"), Status::Compensated);
    let again = world.reply("s", "b", Action, 1, Outcome::Succeeded(Payload::null()));
    world.die();
    let after_a_restart = world.reply("s", "b", Action, 1, Outcome::Succeeded(Payload::null()));
    world.run();
    assert_eq!(
        (world.answer(again), world.answer(after_a_restart)),
        ("recorded", "recorded")
    );
    let late = late_successes(&world.rows);
    assert_eq!(late.len(), 1);
    assert_eq!((late[0].saga.as_str(), &*late[0].node), ("s", "b"));
}

#[test]
fn an_ended_saga_is_forgotten_and_answers_from_the_log() {
    let mut world = World::new(sagas::three())
        .gives("a", "1")
        .gives("b", "2")
        .gives("c", "3");
    world.start("three", "s", "0");
    world.run();
    assert_eq!(world.machine.live(), 0);
    assert_eq!(world.machine.sagas().count(), 0);
    let end = world.feed("s", Query::End);
    let state = world.feed("s", Query::State);
    let cancel = world.cancel("s");
    world.run();
    assert_eq!(
        (world.answer(end), world.answer(state)),
        ("Completed", "Completed")
    );
    assert_eq!(
        refusal_of(&world, cancel),
        "saga `s` has ended: it is Completed"
    );
    assert_eq!(world.states[&end].output().map(Payload::as_str), Some("3"));
    assert_eq!(world.machine.sagas().count(), 0);
}

#[test]
fn a_return_that_a_person_resolves_ends_the_saga() {
    for skip in [false, true] {
        let mut world = World::new(sagas::panicking_return());
        world.start("panicking-return", "s", "13");
        world.run();
        let node = "return".into();
        let wish = match skip {
            false => Wish::Resolve {
                node,
                output: Payload::parse("14").expect("JSON"),
            },
            true => Wish::Skip {
                node,
                reason: "nobody reads it".into(),
            },
        };
        world.request("s", "r-1", wish);
        world.run();
        assert_eq!(world.status("s"), Status::Completed);
    }
}

#[test]
fn what_a_person_did_for_a_step_that_was_never_asked_is_named_in_the_end() {
    let mut world = World::new(sagas::panicking_input());
    world.start("panicking-input", "s", "13");
    world.run();
    let output = Payload::parse("1").expect("JSON");
    let node = "risky".into();
    world.request("s", "r-1", Wish::Resolve { node, output });
    world = world.when("last", Action, 1, Does::Fails);
    world.run();
    assert_snapshot!(world.story("s"));
}

#[test]
fn an_id_that_was_used_for_something_else_is_refused() {
    let mut world = World::new(sagas::approval()).gives("book", "1");
    world.start("approval", "s", "0");
    world.signal("s", "approval", "x", "true");
    world.settle();
    let other_signal = world.signal("s", "approval", "x", "false");
    let cancelled = world.cancel("s");
    let node = "book".into();
    let other_request = world.request("s", "cancel-1", Wish::Retry { node, reason: None });
    world.settle();
    assert_eq!(world.answer(cancelled), "recorded");
    let refusals = [other_signal, other_request].map(|ticket| refusal_of(&world, ticket));
    assert_snapshot!(refusals.join("\n"), @r"
    the id `x` was used before for something else, or with another time; choose another id
    the id `cancel-1` was used before for something else, or with another time; choose another id
    ");
}

#[test]
fn an_answer_after_the_end_to_a_question_that_changes_nothing_is_no_contradiction() {
    let mut world = World::new(sagas::order()).when("quote", Action, 1, Does::IsLost);
    world.start("order", "o-1", "100");
    world.settle();
    world.cancel("o-1");
    world.settle();
    assert_eq!(world.status("o-1"), Status::Compensated);
    let late = world.reply(
        "o-1",
        "quote",
        Action,
        1,
        Outcome::Succeeded(Payload::null()),
    );
    world.settle();
    assert_eq!(world.answer(late), "recorded");
    assert_eq!(late_successes(&world.rows), []);
}

#[test]
fn what_was_left_and_turns_out_to_be_undone_is_not_named_in_the_end() {
    let mut world = World::new(sagas::refund(true))
        .when(
            "first",
            Compensation,
            1,
            Does::IsLate(Duration::from_secs(20), "null"),
        )
        .always("charge", Compensation, Does::IsLost)
        .when("last", Action, 1, Does::Fails);
    world.start("refund", "s", "0");
    world.run_for(Duration::from_secs(15));
    let undone = Outcome::Succeeded(Payload::null());
    world.reply("s", "charge", Compensation, 1, undone);
    world.run();
    assert_snapshot!(world.story("s"), @r"
    started 0
      ask first#1 0
    succeeded first#1 null
      ask charge#1 null
    succeeded charge#1 null
      ask last#1 null
    failed last#1 (Permanent)
      TURN StepFailed last
      ask charge compensation#1
    timed out charge compensation#1
      retry charge later
    retry due charge
      ask charge compensation#2
    timed out charge compensation#2
      retry charge later
    retry due charge
      ask charge compensation#3
    timed out charge compensation#3
      skip charge: the fee is small
      ask first compensation#1
    succeeded charge compensation#1
    succeeded first compensation#1
      COMPENSATED
    ");
}

fn alive(progress: &str) -> Outcome {
    let progress = progress.to_owned();
    Outcome::Alive { progress }
}

#[test]
fn an_action_that_is_accepted_is_waited_for_as_long_as_it_is_alive() {
    let seven = Duration::from_secs(7);
    let mut world = World::new(sagas::lab()).gives("sample", "3").when(
        "scan",
        Action,
        1,
        Does::Accepts(seven, "9"),
    );
    world.start("lab", "l-1", "1");
    world.run();
    assert_snapshot!(world.timed_story("l-1"));
}

#[test]
fn an_accepted_action_that_falls_silent_is_in_doubt_and_asked_again() {
    let mut world = World::new(sagas::lab()).when("scan", Action, 1, Does::IsLost);
    world.start("lab", "l-1", "1");
    world.run_for(Duration::from_millis(500));
    world.reply("l-1", "scan", Action, 1, alive("begun"));
    world.run();
    assert_snapshot!(world.timed_story("l-1"));
}

#[test]
fn a_heartbeat_that_gives_little_is_acknowledged_without_an_event() {
    let mut world = World::new(sagas::lab()).when("scan", Action, 1, Does::IsLost);
    world.start("lab", "l-1", "1");
    world.settle();
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(world.reply("l-1", "scan", Action, 1, alive("")));
        world.run_for(Duration::from_millis(500));
    }
    for answer in answers {
        assert_eq!(world.answer(answer), "recorded");
    }
    let alive = world.timed_story("l-1");
    let alive: Vec<_> = alive
        .lines()
        .filter(|line| line.contains("alive"))
        .collect();
    assert_snapshot!(alive.join("\n"));
}

#[test]
fn nothing_keeps_an_action_alive_beyond_the_deadline_of_its_step() {
    let hour = Duration::from_secs(3_600);
    let mut world = World::new(sagas::lab()).when("scan", Action, 1, Does::Accepts(hour, "9"));
    world.start("lab", "l-1", "1");
    world.run();
    assert_snapshot!(world.timed_story("l-1"));
}

#[test]
fn behind_the_pivot_no_attempt_takes_longer_than_all_of_them_were_to_take() {
    let hour = Duration::from_secs(3_600);
    let mut world = World::new(sagas::shipped_lab())
        .when("scan", Action, 1, Does::Accepts(hour, "8"))
        .when("scan", Action, 2, Does::Accepts(hour, "9"));
    world.start("shipped_lab", "l-1", "1");
    world.run_for(Duration::from_secs(25));
    assert_snapshot!(world.timed_story("l-1"));
}

#[test]
fn after_the_turn_an_accepted_action_is_told_and_waited_for_but_not_extended() {
    let mut world = World::new(sagas::lab()).when("scan", Action, 1, Does::IsLost);
    world.start("lab", "l-1", "1");
    world.settle();
    world.reply("l-1", "scan", Action, 1, alive("begun"));
    world.run_for(Duration::from_secs(2));
    world.cancel("l-1");
    world.settle();
    assert_eq!(world.withdrawn, ["l-1 scan#1"]);
    let heartbeat = world.reply("l-1", "scan", Action, 1, alive("winding up"));
    world.run();
    assert_eq!(world.answer(heartbeat), "recorded");
    assert_snapshot!(world.timed_story("l-1"));
}

#[test]
fn what_an_accepted_action_gives_after_its_time_counts_as_any_late_answer() {
    let mut world = World::new(sagas::lab()).when("scan", Action, 1, Does::IsLost);
    world.start("lab", "l-1", "1");
    world.settle();
    world.reply("l-1", "scan", Action, 1, alive(""));
    world.run_for(Duration::from_millis(4_500));
    let stale = world.reply("l-1", "scan", Action, 1, alive("still here"));
    let nine = Outcome::Succeeded(Payload::parse("9").expect("good JSON"));
    let late = world.reply("l-1", "scan", Action, 1, nine);
    world.run();
    assert_eq!(
        (world.answer(stale), world.answer(late)),
        ("recorded", "recorded")
    );
    assert_snapshot!(world.timed_story("l-1"));
}

#[test]
fn a_heartbeat_of_what_was_never_asked_or_has_none_is_refused() {
    let mut world = World::new(sagas::lab()).when("scan", Action, 1, Does::IsLost);
    world.start("lab", "l-1", "1");
    world.settle();
    let refused = [
        world.reply("l-1", "scan", Action, 2, alive("")),
        world.reply("l-1", "scan", Compensation, 1, alive("")),
        world.reply("l-1", "sample", Action, 1, alive("")),
    ];
    world.settle();
    let told = refused.map(|ticket| refusal_of(&world, ticket));
    assert_snapshot!(told.join("\n"));
}

/// Whoever takes over waits until the deadline on record, and tells again what has turned.
#[test]
fn an_extension_survives_a_crash() {
    let mut world = World::new(sagas::lab()).when("scan", Action, 1, Does::IsLost);
    world.start("lab", "l-1", "1");
    world.settle();
    world.reply("l-1", "scan", Action, 1, alive(""));
    world.run_for(Duration::from_secs(2));
    world.die();
    world.run_for(Duration::from_secs(1));
    world.cancel("l-1");
    world.settle();
    world.die();
    world.run();
    assert_eq!(world.withdrawn, ["l-1 scan#1"; 2]);
    assert_snapshot!(world.timed_story("l-1"));
}

/// One command may be unanswered at a time: what is accepted does not keep the next from being asked.
#[test]
fn what_is_accepted_has_no_place_in_the_window() {
    let rules = sagalog_engine::Rules {
        window: 1,
        ..sagalog_engine::Rules::DEFAULT
    };
    let seven = Duration::from_secs(7);
    let mut world =
        World::with(vec![sagas::lab()], rules).when("scan", Action, 1, Does::Accepts(seven, "9"));
    world.start("lab", "l-1", "1");
    world.settle();
    world.start("lab", "l-2", "1");
    world.settle();
    assert!(
        world.asked.contains(&"l-2 sample action#1".to_owned()),
        "{:?}",
        world.asked
    );
}
