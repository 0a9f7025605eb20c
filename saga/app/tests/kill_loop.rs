//! The demo is killed with SIGKILL again and again, and in the end nothing is missing and nothing
//! happened twice.

mod demo_support;

use demo_support::{BUNDLED, Place, Recorded, assert_exactly_right, random};

/// How often it is killed.
const KILLS: u64 = 20;

/// Orders started in a second: slow enough for a kill to find something under way each time.
const RATE: u32 = 400;

#[tokio::test]
async fn killed_at_any_moment_it_ends_with_the_effects_of_a_run_that_was_not() {
    let orders: String = BUNDLED
        .lines()
        .take(300)
        .map(|line| format!("{line}\n"))
        .collect();
    let place = Place::with(&orders);
    let (mut with_unfinished, mut before_a_reply) = (0, 0);
    for run in 0..KILLS {
        let mut demo = place.start(RATE);
        let began = demo.position().await.expect("it says where it begins");
        let moment = began + 20 + random(run) % 200;
        assert!(
            demo.reaches(moment).await,
            "run {run}: it ended before position {moment}"
        );
        demo.kill().await;
        let recorded = place.recorded().await;
        with_unfinished += u64::from(recorded.unfinished() > 0);
        before_a_reply += u64::from(not_answered(&place, &recorded, &orders).await > 0);
    }
    println!(
        "{KILLS} kills: {with_unfinished} with sagas under way, {before_a_reply} between an effect and its reply"
    );
    assert!(
        with_unfinished >= 15,
        "{with_unfinished} of {KILLS} kills hit an unfinished saga"
    );
    assert!(
        before_a_reply >= 5,
        "{before_a_reply} of {KILLS} kills hit between an effect and its reply"
    );
    assert!(place.start(RATE).end().await.success());
    assert_exactly_right(&place, &orders).await;
    place.verify().await;
}

/// Effects that have happened and whose replies the log does not have. Those of cards whose answer
/// never comes do not count: they would be there without a kill.
async fn not_answered(place: &Place, recorded: &Recorded, orders: &str) -> usize {
    let lost = |saga: &str| {
        let id = format!(r#"{{"id":"{saga}","#);
        orders
            .lines()
            .any(|order| order.starts_with(&id) && order.contains("tok_lost"))
    };
    let effects = place.effects().await;
    let asked_for = effects.iter().all(|deed| recorded.asked.contains(deed));
    assert!(
        asked_for,
        "nothing happens that the log has not asked for before"
    );
    effects
        .iter()
        .filter(|deed| !recorded.succeeded.contains(deed) && !lost(&deed.0))
        .count()
}
