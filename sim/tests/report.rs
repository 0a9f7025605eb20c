//! What is told of runs and explorations: text for people, JSON for programs, one page to look at.

use std::time::Duration;

use sagalog_model::{AnyDefinition, Retry, Saga, Step};
use sagalog_sim::{
    ExplorationDocument, Explore, Explored, Fault, Plan, Point, Run, Sim, Site, Tried,
};
use serde_json::Value;

const SECOND: Duration = Duration::from_secs(1);
const ROOM: Step<String, String> = Step::new("hotel.room").compensatable().timeout(SECOND);
const CARD: Step<String, String> = Step::new("money.charge")
    .compensatable()
    .timeout(SECOND)
    .retry(Retry::fixed(SECOND).attempts(30));

fn trip() -> AnyDefinition {
    const TRIP: Saga<String, String> = Saga::new("trip");
    let (mut saga, guest) = TRIP.define(1);
    let room = saga.step("room", ROOM, guest);
    let paid = saga.step("charge", CARD, room);
    saga.returns(paid).expect("a good definition").into()
}

fn sim() -> Sim {
    sim_for("Ada")
}

fn sim_for(guest: &str) -> Sim {
    Sim::of(trip(), &guest.to_owned())
        .gives(ROOM, |guest| format!("room of {guest}"))
        .gives(CARD, |room| format!("paid for {room}"))
}

/// A property that two faults break, and no others: two certain answers that get lost.
fn two_answers_lost() -> Explored {
    sim()
        .always("not two answers get lost", |world| {
            let lost = |(site, fault): &(&Site, Fault)| {
                site.point == Point::Reply && *fault == Fault::Lost
            };
            world.bites().filter(lost).count() < 2
        })
        .explore(Explore::exhaustive(2))
}

/// With figures of its own: the real ones grow with the kinds of faults that there are.
fn with_figures(explored: &Explored) -> ExplorationDocument {
    let mut document = explored.document();
    let tried = [(0, 1, true), (1, 62, true), (2, 437, false)];
    document.tried = tried
        .map(|(faults, plans, all)| Tried::of(faults, plans, all))
        .into();
    (document.runs, document.completed, document.went_back) = (1_500, 1_350, 42);
    (document.random, document.random_faults) = (1_000, Some((1, 12)));
    document.bound = "what is tried holds".to_owned();
    for (bite, runs) in document.bites.iter_mut().zip(0..) {
        bite.runs = runs * 500;
    }
    for (way, runs) in document.coverage.iter_mut().zip(0..) {
        way.runs = runs;
    }
    document.bites.truncate(14);
    if let Some(failure) = &mut document.failure {
        failure.replays = 4;
    }
    document
}

fn run(plan: &str) -> Run {
    let plan: Plan = plan.parse().expect("a good plan");
    sim().run(&plan).expect("its places are visited")
}

#[test]
fn a_violation_is_told_with_its_plan_and_what_happened() {
    insta::assert_snapshot!(with_figures(&two_answers_lost()));
}

/// The author took the reservation of the lamp for a look at the stock, so nothing gives it back.
#[test]
fn a_saga_that_forgets_to_give_one_item_back_is_told_with_its_smallest_plan() {
    const ORDER: Saga<u32, String> = Saga::new("order");
    const BOOK: Step<u32, String> = Step::new("stock.reserve-book").compensatable();
    const LAMP: Step<u32, String> = Step::new("stock.reserve-lamp").read_only();
    const PAY: Step<String, String> = Step::new("money.charge").compensatable();
    let (mut saga, customer) = ORDER.define(1);
    let book = saga.step("book", BOOK, customer);
    let lamp = saga.step("lamp", LAMP, customer);
    let items = book
        .and(lamp)
        .map(|book, lamp| format!("{book} and {lamp}"));
    let paid = saga.step("charge", PAY, items);
    let explored = Sim::of(saga.returns(paid).expect("a good definition"), &7)
        .gives(BOOK, |_| "a book".to_owned())
        .gives(LAMP, |_| "a lamp".to_owned())
        .gives(PAY, |items| format!("paid {items}"))
        .eventually("whoever does not pay keeps nothing", |world| {
            world.net("charge") > 0 || world.net("book") + world.net("lamp") == 0
        })
        .explore(Explore::exhaustive(2));
    insta::assert_snapshot!(with_figures(&explored));
}

/// The lines that are marked as the one after which the failure was inevitable.
fn baked_in(run: &Run) -> Vec<String> {
    let lines = run.document().lines.into_iter();
    let marked = lines.filter(|line| line.baked_in);
    marked.map(|line| line.what).collect()
}

#[test]
fn the_event_after_which_a_failure_was_inevitable_is_marked_and_not_the_one_where_it_shows() {
    let unpaid = sim().eventually("whoever books pays", |world| world.net("charge") > 0);
    let run = unpaid.run(&"outcome s1 charge#1: fails".parse().expect("a good plan"));
    let run = run.expect("its place is visited");
    assert_eq!(baked_in(&run), ["ask room compensation#1"]);
    assert!(run.timeline().contains("room compensation#1 succeeded"));
    assert_eq!(run.timeline().matches("<<< baked in").count(), 1);
}

#[test]
fn what_could_be_averted_until_the_end_is_marked_nowhere() {
    let calm = sim()
        .cancel(60 * SECOND)
        .eventually("nobody calls twice", |world| {
            world.bites().all(|(_, fault)| fault != Fault::Duplicated)
        });
    let plan = "call s1 cancel: twice".parse().expect("a good plan");
    let run = calm.run(&plan).expect("its place is visited");
    assert!(run.violation().is_some());
    assert_eq!((run.baked_in(), baked_in(&run)), (None, vec![]));
}

#[test]
fn what_holds_has_no_mark() {
    assert_eq!(run("outcome s1 charge#1: fails").baked_in(), None);
}

#[test]
fn where_several_sagas_run_each_line_says_which_it_is_about() {
    let plan = "outcome s2 room#1: fails".parse().expect("a good plan");
    let run = sim().and_saga(&"Bob".to_owned()).run(&plan);
    insta::assert_snapshot!(run.expect("its places are visited").timeline());
}

#[test]
fn a_property_that_a_healthy_run_breaks_needs_no_fault() {
    let never = sim().eventually("nobody pays", |world| world.net("charge") == 0);
    let told = never.explore(Explore::exhaustive(1)).document().to_string();
    let headline = told.lines().next();
    assert_eq!(
        headline,
        Some("saga trip, version 1: with no fault it violates the author's property")
    );
}

#[test]
fn what_holds_is_told_with_its_figures() {
    let explored = sim().explore(Explore::exhaustive(1));
    insta::assert_snapshot!(with_figures(&explored));
}

#[test]
fn what_holds_is_said_of_as_many_plans_as_were_tried() {
    let document = sim()
        .explore(Explore::exhaustive(1).and_swarm(20))
        .document();
    let plans: u64 = document.tried.iter().map(|tried| tried.plans).sum();
    assert_eq!((document.holds, document.runs), (true, plans + 20));
    let (bound, _) = document.bound.rsplit_once(" of ").expect("how many faults");
    assert_eq!(
        bound,
        format!("all {plans} plans with at most 1 fault hold, and 20 random plans")
    );
}

#[test]
fn what_was_cut_short_does_not_claim_more() {
    let document = sim().explore(Explore::exhaustive(2).at_most(30)).document();
    assert_eq!(
        document.bound,
        "the healthy run holds, and 29 of the plans with 1 fault"
    );
}

#[test]
fn an_exploration_that_never_completes_shows_nothing() {
    let refuses = sim().answers(CARD, |_| Err("no card is taken".to_owned()));
    let document = refuses.explore(Explore::exhaustive(1)).document();
    assert_eq!(
        document.shows_nothing.as_deref(),
        Some("no saga completed in any run")
    );
    assert!(!document.holds);
}

#[test]
fn a_violation_as_json_keeps_its_field_names() {
    insta::assert_snapshot!(pretty(&with_figures(&two_answers_lost())));
}

#[test]
fn a_run_as_json_keeps_its_field_names() {
    let run = run("commit s1 room#1: crash after");
    insta::assert_snapshot!(pretty(&run.document()));
}

/// Thirty attempts are more than a page; the fault in the middle of them is what one looks for.
#[test]
fn a_long_run_leaves_out_what_is_healthy_and_keeps_its_faults() {
    let mut plan = String::from("commit s1 charge#15: crash after\n");
    for attempt in 1..=20 {
        plan.push_str(&format!("outcome s1 charge#{attempt}: fails for now\n"));
    }
    let timeline = run(&plan).timeline();
    assert!(timeline.lines().count() <= 60, "{timeline}");
    for line in timeline.lines() {
        assert!(line.chars().count() <= 120, "{line}");
    }
    insta::assert_snapshot!(timeline);
}

#[test]
fn a_text_from_outside_breaks_no_lane() {
    let long = format!("{}\n{}", "x".repeat(200), "y".repeat(200));
    let run = sim_for(&long).run(&Plan::healthy()).expect("it runs");
    for line in run.timeline().lines() {
        assert!(
            line.chars().count() <= 120 && !line.starts_with('y'),
            "{line}"
        );
    }
}

#[test]
fn a_page_holds_the_run_and_needs_nothing_else() {
    let run = run("commit s1 room#1: crash after");
    let page = run.html();
    assert_eq!(
        data(&page)["run"],
        serde_json::to_value(run.document()).expect("JSON")
    );
    assert!(data(&page)["exploration"].is_null());
    for outside in ["://", "src=", "href=", "@import", "url("] {
        assert!(!page.contains(outside), "the page goes outside: {outside}");
    }
    for kept in [
        "<!doctype html>",
        "prefers-color-scheme: dark",
        "Content-Security-Policy",
    ] {
        assert!(page.contains(kept), "the page lacks {kept}");
    }
}

#[test]
fn a_page_closes_what_it_opens() {
    let page = run("").html();
    for tag in [
        "html", "head", "title", "style", "body", "noscript", "pre", "header", "h1", "main",
        "section", "div", "table", "thead", "tr", "th", "tbody", "aside", "script", "button",
        "output",
    ] {
        let opened =
            page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert!(opened > 0, "there is no {tag}");
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn a_payload_is_never_markup() {
    let evil = "</script><script>alert(1)</script><!--";
    let run = sim_for(evil).run(&Plan::healthy()).expect("it runs");
    let (page, plain) = (
        run.html(),
        sim().run(&Plan::healthy()).expect("it runs").html(),
    );
    assert_eq!(page.matches('<').count(), plain.matches('<').count());
    assert!(!page.contains("<script>alert"));
    let shown = data(&page).to_string();
    assert!(
        shown.contains("</script><script>alert(1)</script><!--"),
        "{shown}"
    );
}

#[test]
fn a_page_of_an_exploration_shows_its_figures_and_a_run() {
    let failing = data(&two_answers_lost().html());
    assert_eq!(failing["exploration"]["failure"]["all_necessary"], true);
    assert_eq!(failing["run"], failing["exploration"]["failure"]["run"]);
    let healthy = data(&sim().explore(Explore::exhaustive(1)).html());
    assert_eq!(healthy["exploration"]["holds"], true);
    assert_eq!(healthy["run"]["plan"], Value::Array(Vec::new()));
}

/// What its page says of a node after each event is what the engine's fold says in the end.
#[test]
fn the_changes_of_a_run_add_up_to_its_end() {
    let document = run("outcome s1 charge#1: fails\nreply s1 room compensation#1: lost").document();
    let end = &document.sagas[0];
    assert_eq!(end.status, "Compensated");
    for node in &end.nodes {
        let changes = document
            .lines
            .iter()
            .filter_map(|line| line.changed.as_ref());
        let last = changes
            .filter_map(|changed| changed.nodes.get(&node.node))
            .next_back();
        assert_eq!(last, Some(&node.phase), "{}", node.node);
    }
}

fn pretty(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).expect("it is plain data")
}

/// The data of a page.
fn data(page: &str) -> Value {
    let (_, rest) = page
        .split_once("<script type=\"application/json\" id=\"data\">")
        .expect("data");
    let (data, _) = rest.split_once("</script>").expect("its end");
    serde_json::from_str(data).expect("JSON")
}
