//! Commands are admitted to participants: what is not waits, and nothing is lost by it.

#[path = "support/sagas.rs"]
mod sagas;
mod support;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use insta::assert_snapshot;
use proptest::{collection::vec, prelude::*};
use sagalog_engine::{
    Rules,
    admission::{
        Admission, Breaker, BreakerPolicy, Bulkhead, BulkheadPolicy, Class, Ended, Pass, Permit,
        Policies, Policy, Standing,
    },
};
use sagalog_model::{Direction::*, log::Time};
use sagalog_projections::Status;
use support::{Does, World, refusal_of};

const SECOND: Duration = Duration::from_secs(1);

/// Opens when two of two attempts failed.
fn breaker(open: Duration) -> BreakerPolicy {
    BreakerPolicy::DEFAULT
        .opens_at(60, 2)
        .open_for(open, open * 4)
        .trials(1)
}

fn with_breaker(open: Duration) -> Policies {
    Policies::of_all(Policy::DEFAULT.breaker(Class::Begins, Some(breaker(open))))
}

fn with_permits(permits: u32, reserved: u32) -> Policies {
    Policies::of_all(Policy::DEFAULT.bulkhead(BulkheadPolicy::DEFAULT.permits(permits, reserved)))
}

#[test]
fn an_open_breaker_delays_an_attempt_and_does_not_spend_it() {
    let mut world = World::new(sagas::three())
        .admitting(with_breaker(Duration::from_secs(60)))
        .when("a", Action, 1, Does::IsLost)
        .when("a", Action, 2, Does::IsLost);
    world.start("three", "s", "0");
    world.run();
    assert_snapshot!(world.timed_story("s"), @r"
        0 started 0
        0   ask a#1 0
     1000 timed out a#1
     1000   retry a later
     2000 retry due a
     2000   ask a#2
     3000 timed out a#2
     3000   retry a later
     4000 retry due a
     4000   ask a#3
     5000 delayed a#3
    63000 admitted a#3
    63000 succeeded a#3 null
    63000   ask b#1 null
    63000 succeeded b#1 null
    63000   ask c#1 null
    63000 succeeded c#1 null
    63000   COMPLETED null
    ");
}

#[test]
fn what_waits_is_asked_again_by_the_next_owner_with_its_whole_time() {
    let mut world = World::new(sagas::three())
        .admitting(with_breaker(Duration::from_secs(600)))
        .when("a", Action, 1, Does::IsLost)
        .when("a", Action, 2, Does::IsLost);
    world.start("three", "s", "0");
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.asked, ["s a action#1", "s a action#2"]);
    world.die();
    world.run();
    assert_snapshot!(world.timed_story("s"), @r"
        0 started 0
        0   ask a#1 0
     1000 timed out a#1
     1000   retry a later
     2000 retry due a
     2000   ask a#2
     3000 timed out a#2
     3000   retry a later
     4000 retry due a
     4000   ask a#3
     5000 delayed a#3
    10000 admitted a#3
    10000 succeeded a#3 null
    10000   ask b#1 null
    10000 succeeded b#1 null
    10000   ask c#1 null
    10000 succeeded c#1 null
    10000   COMPLETED null
    ");
}

#[test]
fn a_turn_ends_the_wait_of_an_action() {
    let mut world = World::new(sagas::three())
        .admitting(with_breaker(Duration::from_secs(600)))
        .when("b", Action, 1, Does::IsLost)
        .when("b", Action, 2, Does::IsLost);
    world.start("three", "s", "0");
    world.run_for(Duration::from_secs(10));
    world.cancel("s");
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.status("s"), Status::Compensated);
    assert!(!world.asked.contains(&"s b action#3".to_owned()));
    assert_snapshot!(world.timed_story("s"), @r"
        0 started 0
        0   ask a#1 0
        0 succeeded a#1 null
        0   ask b#1 null
     1000 timed out b#1
     1000   retry b later
     2000 retry due b
     2000   ask b#2
     3000 timed out b#2
     3000   retry b later
     4000 retry due b
     4000   ask b#3
     5000 delayed b#3
    10000 cancel by ada: changed her mind
    10000   TURN Cancelled -
    10000 timed out b#3
    10000   ask b compensation#1
    10000 succeeded b compensation#1
    10000   ask a compensation#1
    10000 succeeded a compensation#1
    10000   COMPENSATED
    ");
}

#[test]
fn a_refusal_for_good_opens_nothing() {
    let mut world = World::new(sagas::three()).admitting(with_breaker(Duration::from_secs(600)));
    for n in 0..5 {
        let saga = format!("s{n}");
        world = world.when("a", Action, 1, Does::Fails);
        world.start("three", &saga, "0");
    }
    world.run();
    assert!(
        world
            .machine
            .loads()
            .all(|load| load.breaker == Standing::Closed)
    );
}

#[test]
fn as_many_commands_are_under_way_as_there_are_permits_and_what_settles_has_its_own() {
    let mut world = World::new(sagas::three())
        .admitting(with_permits(3, 1))
        .when("a", Action, 1, Does::IsLost);
    for n in 0..4 {
        world.start("three", &format!("s{n}"), "0");
        world.settle();
    }
    assert_eq!(world.asked, ["s0 a action#1", "s1 a action#1"]);
    world.run();
    assert!((0..4).all(|n| world.status(&format!("s{n}")) == Status::Completed));
    let under_way: u32 = world.machine.loads().map(|load| load.under_way).sum();
    assert_eq!(under_way, 0);
}

#[test]
fn sagas_that_need_a_participant_are_not_started_while_too_much_waits_for_it() {
    let bulkhead = BulkheadPolicy::DEFAULT.permits(1, 0).waiting(1);
    let mut world = World::with(vec![sagas::three(), sagas::order()], Rules::DEFAULT)
        .admitting(Policies::default().with("x", Policy::DEFAULT.bulkhead(bulkhead)))
        .when("a", Action, 1, Does::IsLost)
        .gives("quote", "5")
        .gives("charge", "77")
        .gives("ship", "9");
    for saga in ["s0", "s1"] {
        world.start("three", saga, "0");
        world.settle();
    }
    let refused = world.start("three", "s2", "0");
    let other = world.start("order", "o", "100");
    world.settle();
    assert_eq!(world.answer(other), "recorded");
    assert_snapshot!(refusal_of(&world, refused), @"the limit of commands that wait for `x` (1) is reached; try again when some have ended");
    world.run();
    world.start("three", "s2", "0");
    world.run();
    assert_eq!(world.status("s2"), Status::Completed);
}

/// What a breaker is told.
#[derive(Clone, Debug)]
enum Told {
    Waits(u64),
    Passes,
    Ends(usize, bool),
    SaysNothing(usize),
    OpensByHand,
    Resets,
}

fn told() -> impl Strategy<Value = Told> {
    prop_oneof![
        2 => (0_u64..2_500).prop_map(Told::Waits),
        6 => Just(Told::Passes),
        5 => (any::<usize>(), any::<bool>()).prop_map(|(nth, well)| Told::Ends(nth, well)),
        1 => any::<usize>().prop_map(Told::SaysNothing),
        1 => prop_oneof![1 => Just(Told::OpensByHand), 2 => Just(Told::Resets)],
    ]
}

/// A breaker without any thought of cost: it remembers everything that ended.
struct Model {
    phase: Phase,
    /// How often it changed: what was let through before says nothing.
    changes: u32,
}

enum Phase {
    Closed(Vec<(u64, bool)>),
    Open(Time, Duration),
    Trying(Duration, u32, u32),
    ByHand,
}

const TRIALS: u32 = 2;

impl Model {
    fn becomes(&mut self, phase: Phase) {
        self.phase = phase;
        self.changes += 1;
    }

    fn tick(&mut self, now: Time) {
        if let Phase::Open(until, span) = self.phase
            && until <= now
        {
            self.becomes(Phase::Trying(span, 0, 0));
        }
    }

    fn lets_through(&self) -> bool {
        match &self.phase {
            Phase::Closed(_) => true,
            Phase::Trying(_, under_way, well) => under_way + well < TRIALS,
            Phase::Open(..) | Phase::ByHand => false,
        }
    }

    fn ended(&mut self, passed: u32, well: Option<bool>, now: Time) {
        if passed != self.changes {
            return;
        }
        match (&mut self.phase, well) {
            (Phase::Closed(ends), Some(well)) => {
                let slice = now.as_micros() / 100_000;
                ends.push((slice, well));
                let counted = ends.iter().filter(|(at, _)| at + 10 > slice);
                let all = counted.clone().count();
                let bad = counted.filter(|(_, well)| !well).count();
                if !well && all >= 4 && bad * 2 >= all {
                    self.becomes(Phase::Open(now.after(SECOND), SECOND));
                }
            }
            (Phase::Trying(_, under_way, _), None) => *under_way -= 1,
            (Phase::Trying(_, under_way, went_well), Some(true)) => {
                *under_way -= 1;
                *went_well += 1;
                if *went_well == TRIALS {
                    self.becomes(Phase::Closed(Vec::new()));
                }
            }
            (Phase::Trying(span, ..), Some(false)) => {
                let span = (*span * 2).min(SECOND * 3);
                self.becomes(Phase::Open(now.after(span), span));
            }
            _ => {}
        }
    }

    fn standing(&self) -> Standing {
        match self.phase {
            Phase::Closed(_) => Standing::Closed,
            Phase::Open(until, _) => Standing::Open { until },
            Phase::Trying(..) => Standing::HalfOpen,
            Phase::ByHand => Standing::OpenByHand,
        }
    }
}

proptest! {
    #[test]
    fn a_breaker_does_as_one_that_remembers_everything(all in vec(told(), 1..200)) {
        let policy = BreakerPolicy::DEFAULT
            .opens_at(50, 4)
            .within(SECOND)
            .open_for(SECOND, SECOND * 3)
            .trials(TRIALS);
        let mut breaker = Breaker::new(Some(policy));
        let mut model = Model { phase: Phase::Closed(Vec::new()), changes: 0 };
        let mut now = Time::from_micros(1_000_000_000);
        let mut passed: Vec<(Pass, u32)> = Vec::new();
        for told in all {
            match told {
                Told::Waits(ms) => now = now.after(Duration::from_millis(ms)),
                Told::Passes if breaker.lets_through() => {
                    if let Phase::Trying(_, under_way, _) = &mut model.phase {
                        *under_way += 1;
                    }
                    passed.push((breaker.pass(), model.changes));
                }
                Told::Passes => {}
                Told::Ends(nth, _) | Told::SaysNothing(nth) if !passed.is_empty() => {
                    let (pass, changes) = passed.swap_remove(nth % passed.len());
                    let (how, well) = match told {
                        Told::Ends(_, true) => (Ended::Well, Some(true)),
                        Told::Ends(_, false) => (Ended::Badly, Some(false)),
                        _ => (Ended::Unsaid, None),
                    };
                    breaker.ended(pass, how, now);
                    model.ended(changes, well, now);
                }
                Told::Ends(..) | Told::SaysNothing(_) => {}
                Told::OpensByHand => {
                    breaker.open_by_hand();
                    model.becomes(Phase::ByHand);
                }
                Told::Resets => {
                    breaker.reset();
                    model.becomes(Phase::Closed(Vec::new()));
                }
            }
            breaker.tick(now);
            model.tick(now);
            prop_assert_eq!(breaker.standing(), model.standing());
            prop_assert_eq!(breaker.lets_through(), model.lets_through());
        }
    }

    #[test]
    fn a_bulkhead_keeps_its_permits_and_the_order_of_each_class(
        moves in vec((any::<bool>(), any::<bool>()), 1..200),
    ) {
        let mut bulkhead = Bulkhead::new(BulkheadPolicy::DEFAULT.permits(5, 2).waiting(8));
        let mut model: [VecDeque<usize>; 2] = Default::default();
        let mut under_way = [0_u32; 2];
        for (number, (settles, comes)) in moves.into_iter().enumerate() {
            let class = Class::ALL[usize::from(settles)];
            let of = class as usize;
            if comes {
                if bulkhead.has_room(class) {
                    bulkhead.take(class);
                    under_way[of] += 1;
                } else {
                    bulkhead.wait(class, number);
                    model[of].push_back(number);
                }
            } else if under_way[of] > 0 {
                bulkhead.give_back(class);
                under_way[of] -= 1;
                if bulkhead.has_room(class) {
                    prop_assert_eq!(bulkhead.next(class), model[of].pop_front());
                }
            }
            prop_assert!(under_way[0] + under_way[1] <= 5 && under_way[0] <= 3);
            prop_assert_eq!(Class::ALL.map(|class| bulkhead.under_way(class)), under_way);
            let waiting = model[0].len() + model[1].len();
            prop_assert_eq!(bulkhead.is_full(), (waiting >= 8).then_some(8));
        }
    }

    /// Whatever happened, when participants work again everything that waits leaves: once, and in
    /// the order of its class.
    #[test]
    fn nothing_that_waits_is_lost(
        moves in vec((0_usize..3, any::<bool>(), 0_u8..6, 0_u64..1_500), 1..300),
    ) {
        let policy = Policy::DEFAULT
            .bulkhead(BulkheadPolicy::DEFAULT.permits(3, 1))
            .breaker(Class::Begins, Some(breaker(SECOND)))
            .breaker(Class::Settles, Some(breaker(SECOND)));
        let mut admission = Admission::new(std::sync::Arc::new(Policies::of_all(policy)));
        let mut now = Time::from_micros(1_000_000_000);
        let mut under_way: VecDeque<Permit> = VecDeque::new();
        let mut waits: BTreeMap<(usize, Class), VecDeque<usize>> = BTreeMap::new();
        let names = ["c", "a", "b"];
        for (number, (at, settles, what, ms)) in moves.into_iter().enumerate() {
            let class = Class::ALL[usize::from(settles)];
            match what {
                0 => now = now.after(Duration::from_millis(ms)),
                1..=3 => match admission.admit(names[at], class, now) {
                    Some(permit) => under_way.push_back(permit),
                    None => {
                        admission.wait(names[at], class, (at, class, number));
                        waits.entry((at, class)).or_default().push_back(number);
                    }
                },
                how => {
                    if let Some(permit) = under_way.pop_front() {
                        let how = if how == 4 { Ended::Badly } else { Ended::Well };
                        admission.ended(permit, how, now);
                    }
                }
            }
        }
        for _ in 0..1_000 {
            while let Some((permit, (at, class, number))) = admission.next(now) {
                prop_assert_eq!(waits.entry((at, class)).or_default().pop_front(), Some(number));
                under_way.push_back(permit);
            }
            for permit in under_way.drain(..) {
                admission.ended(permit, Ended::Well, now);
            }
            now = admission.next_trial().unwrap_or(now).max(now);
        }
        prop_assert_eq!(admission.waiting(), 0);
        prop_assert!(waits.values().all(VecDeque::is_empty));
        prop_assert!(admission.loads().all(|load| load.under_way == 0));
    }
}
