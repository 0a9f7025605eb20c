//! What is tried, in which order, how far, and what a finding is reduced to.

use std::{collections::BTreeSet, sync::Arc, sync::Mutex, time::Duration};

use sagalog_model::{AnyDefinition, Retry, Saga, Step};
use sagalog_sim::{Explore, Fault, Plan, Point, Report, Sim, Site, World};

const SECOND: Duration = Duration::from_secs(1);
const DO: Step<u32, u32> = Step::new("x.do")
    .compensatable()
    .timeout(SECOND)
    .retry(Retry::fixed(SECOND).attempts(3));

fn definition() -> AnyDefinition {
    const SAGA: Saga<u32, u32> = Saga::new("row");
    let (mut saga, n) = SAGA.define(1);
    let a = saga.step("a", DO, n);
    let b = saga.step("b", DO, a);
    saga.returns(b).expect("a good definition").into()
}

fn sim() -> Sim {
    Sim::of(definition(), &1).gives(DO, |n| n + 1)
}

/// The plans that an exploration tries, in order; as many as it counts runs.
fn tried(budget: Explore) -> Vec<Plan> {
    let plans = Arc::new(Mutex::new(Vec::new()));
    let notes = plans.clone();
    let sim = sim().eventually("it is noted", move |world| {
        // A run that others begin with is played again, which counts as nothing new.
        let mut plans = notes.lock().expect("nobody panics");
        if !plans.contains(world.plan()) {
            plans.push(world.plan().clone());
        }
        true
    });
    let explored = sim.explore(budget);
    explored.check();
    let plans = plans.lock().expect("nobody panics").clone();
    if explored.report().swarm == 0 {
        assert_eq!(explored.report().runs as usize, plans.len());
    }
    plans
}

/// How often anything of the kind was asked.
fn asked(world: &World, node: &str) -> u32 {
    let saga = world.saga("s1");
    saga.map_or(0, |saga| {
        let mut steps = saga.steps();
        let step = steps.find(|(index, _, _)| &*saga.graph().node(*index).id == node);
        step.map_or(0, |(_, _, step)| step.action.asked)
    })
}

#[test]
fn no_plan_is_tried_twice_and_fewer_faults_come_first() {
    let plans = tried(Explore::exhaustive(2));
    assert!(plans.is_sorted_by_key(Plan::len));
    assert_eq!(plans.first(), Some(&Plan::healthy()));
}

#[test]
fn faults_of_the_core_are_tried_together_and_the_others_alone() {
    let plans = tried(Explore::exhaustive(2));
    let is_core = |plan: &Plan| plan.iter().all(|(site, fault)| fault.is_core(site.point));
    assert!(plans.iter().filter(|plan| plan.len() == 2).all(is_core));
    assert!(plans.iter().any(|plan| plan.len() == 1 && !is_core(plan)));
}

#[test]
fn every_pair_of_core_faults_at_places_of_the_run_is_tried() {
    let plans: BTreeSet<_> = tried(Explore::exhaustive(2)).into_iter().collect();
    let singles: Vec<_> = plans.iter().filter(|plan| plan.len() == 1).collect();
    for single in singles {
        let (first, fault) = single.iter().next().expect("it has one");
        if !fault.is_core(first.point) {
            continue;
        }
        let world = sim().play(single);
        let place = world.visited().iter().position(|site| site == first);
        for site in &world.visited()[place.expect("it was visited") + 1..] {
            for fault in Fault::at_site(site).filter(|fault| fault.is_core(site.point)) {
                let plan = single.with(site.clone(), fault);
                assert!(plans.contains(&plan), "{plan}");
            }
        }
    }
}

#[test]
fn a_budget_of_runs_is_kept_and_the_bound_that_was_reached_is_told() {
    let all = sim().explore(Explore::exhaustive(2));
    let pairs = all.report().exhausted[2];
    assert!(pairs.1);
    let runs = all.report().runs - 10;
    let cut = sim().explore(Explore::exhaustive(2).at_most(runs));
    assert_eq!(cut.report().runs, runs);
    assert_eq!(cut.report().exhausted[2], (pairs.0 - 10, false));
}

#[test]
fn random_plans_have_many_faults_of_many_kinds_and_are_the_same_every_time() {
    let budget = Explore::exhaustive(0).and_swarm(300);
    let plans = tried(budget);
    assert_eq!(plans, tried(budget));
    let kinds: BTreeSet<_> = plans
        .iter()
        .flat_map(|plan| plan.iter().map(|(_, fault)| fault))
        .collect();
    assert!(kinds.len() > 25, "only {kinds:?}");
    assert!(plans.len() > 200, "many are the same: {}", plans.len());
    assert!(plans.iter().any(|plan| plan.len() > 5));
    let sagas = |plan: &Plan| plan.iter().any(|(_, fault)| fault == Fault::OneMoreSaga);
    assert!(plans.iter().any(sagas), "some have more than one saga");
}

/// Two sagas, which are cancelled long after their end.
fn crowded() -> Sim {
    sim().and_saga(&2).cancel(60 * SECOND)
}

#[test]
fn what_a_failure_does_not_need_is_left_out_of_its_world() {
    let once = |world: &World| asked(world, "b") < 2;
    let explored = crowded().eventually("b is asked once", once);
    let explored = explored.explore(Explore::exhaustive(1));
    let failure = explored.report().failure.as_ref().expect("it fails");
    assert_eq!((failure.plan.faults(), failure.needed), (1, true));
    let left_out = failure.plan.iter().filter(|(_, fault)| !fault.is_tried());
    let left_out: Vec<_> = left_out.map(|(site, _)| site.to_string()).collect();
    assert_eq!(
        left_out,
        ["call s1 cancel", "call s2 cancel", "call s2 start"]
    );
    assert_eq!(explored.run().world().sagas().count(), 1);
    let told = explored.document().to_string();
    assert!(told.contains("with 1 fault, which is necessary,"), "{told}");
}

#[test]
fn what_a_failure_needs_stays_in_its_world() {
    let alone = |world: &World| asked(world, "b") < 2 || world.sagas().count() < 2;
    let explored = crowded().always("b is asked again only alone", alone);
    let explored = explored.explore(Explore::exhaustive(1));
    let failure = explored.report().failure.as_ref().expect("it fails");
    let second = "call s2 start".parse().expect("a place");
    assert_eq!(failure.plan.at(&second), None, "{}", failure.plan);
}

#[test]
fn no_exploration_leaves_calls_out() {
    let budget = Explore::exhaustive(1)
        .and_swarm(100)
        .and_schedules(100)
        .and_guided(100);
    let explored = sim().and_saga(&2).explore(budget);
    explored.check();
    let bites = &explored.report().bites;
    assert!(bites.keys().all(|fault| fault.is_tried()), "{bites:?}");
}

#[test]
fn a_random_plan_that_fails_comes_back_with_what_is_needed_alone() {
    let explored = sim()
        .always("nobody tries three times", |world| asked(world, "b") < 3)
        .explore(Explore::exhaustive(0).and_swarm(2_000));
    let failure = explored.report().failure.as_ref().expect("somebody does");
    assert!(failure.needed);
    assert!(failure.plan.len() <= 4, "{}", failure.plan);
    assert!(failure.replays <= 500);
    for (site, _) in failure.plan.iter() {
        let world = sim().play(&failure.plan.without(site));
        assert!(asked(&world, "b") < 3, "{site} is needed");
    }
}

#[test]
fn what_else_can_happen_is_tried_from_the_middle_of_a_run() {
    let plan: Plan = "reply s1 a#1: lost".parse().expect("a good plan");
    let run = sim().run(&plan).expect("the run comes there");
    let all = run.explore_after(0, Explore::exhaustive(1));
    let late = run.explore_after(6, Explore::exhaustive(1));
    all.check();
    late.check();
    assert!(late.report().runs > 1);
    assert!(late.report().runs < all.report().runs);
    let healthy = sim().play(&plan);
    assert!(healthy.events() > 6);
}

/// Two sagas that have nothing to do with each other.
fn two() -> Sim {
    sim().and_saga(&2)
}

fn is_done(world: &World, saga: &str) -> bool {
    world.saga(saga).is_some_and(|saga| saga.output().is_some())
}

#[test]
fn what_is_under_way_is_tried_in_other_orders() {
    let is_order = |site: &Site| [Point::Queue, Point::Inbox].contains(&site.point);
    let first = two().always("the first is first", move |world| {
        let fails = world.bites().any(|(site, _)| !is_order(site));
        fails || is_done(world, "s1") || !is_done(world, "s2")
    });
    let explored = first.explore(Explore::exhaustive(0).and_schedules(100));
    let failure = explored.report().failure.as_ref().expect("it is not");
    assert_eq!(failure.plan.len(), 1, "{}", failure.plan);
    let text = failure.plan.to_string();
    assert_eq!(text.parse().as_ref(), Ok(&failure.plan), "{text}");
    assert!(failure.plan.is_masked(), "an order is nobody's failure");
}

#[test]
fn random_orders_are_the_same_every_time_and_leave_each_saga_its_story() {
    let budget = Explore::exhaustive(0).and_schedules(200);
    let explored = two().explore(budget);
    explored.check();
    assert_eq!(explored.report().schedules, 200);
    let again = two().explore(budget);
    assert_eq!(explored.report().bites, again.report().bites);
    let bites = |fault| explored.report().bites.get(&fault).copied();
    assert!(bites(Fault::StepsAside) > Some(20) && bites(Fault::Waits) > Some(20));
}

#[test]
fn alone_nothing_has_an_order() {
    let world = sim().play(&Plan::healthy());
    let is_order = |site: &&Site| [Point::Queue, Point::Inbox].contains(&site.point);
    assert_eq!(world.visited().iter().find(is_order), None);
}

#[test]
fn plans_grow_where_they_lead_to_something_new() {
    let deep = sim().always("nobody goes back who tried both twice", |world| {
        let saga = world.saga("s1");
        let turned = saga.is_some_and(|saga| saga.turn().is_some());
        !turned || asked(world, "a") != 2 || asked(world, "b") != 2
    });
    let guided = deep.explore(Explore::exhaustive(0).and_guided(5_000));
    let report = guided.report();
    let failure = report.failure.as_ref().expect("somebody does");
    assert!(failure.plan.len() >= 3, "{}", failure.plan);
    assert!(report.situations > 50, "{}", report.situations);
    let exhaustive = deep.explore(Explore::exhaustive(3).at_most(report.runs));
    assert!(exhaustive.report().failure.is_none(), "{}", report.runs);
    let again = deep.explore(Explore::exhaustive(0).and_guided(5_000));
    let figures = |report: &Report| (report.runs, report.guided, report.situations);
    assert_eq!(figures(report), figures(again.report()));
}

#[test]
fn what_is_sometimes_true_must_be_so_in_one_run_at_least() {
    let sim = sim()
        .sometimes("somebody tries again", |world| asked(world, "b") == 2)
        .sometimes("somebody tries ten times", |world| asked(world, "b") == 10);
    let explored = sim.explore(Explore::exhaustive(1));
    let report = explored.report();
    assert!(report.failure.is_none());
    let (name, runs) = &report.sometimes[0];
    assert_eq!(name, "somebody tries again");
    assert!((1..report.runs).contains(runs), "{runs}");
    let document = explored.document();
    assert!(!document.holds);
    let why = document.shows_nothing.as_deref();
    assert_eq!(why, Some("\"somebody tries ten times\" was never true"));
    let told = document.to_string();
    assert!(told.contains("true    \"somebody tries again\" "), "{told}");
}
