//! What every place for views must do. Both backends run all of it.

use std::{sync::Arc, time::Duration};

use sagalog::{
    EventLog, MemoryLog,
    views::{MessageFilter, SagaFilter, ViewError, ViewStore, Views, Waiting},
};
use sagalog_model::log::{PartitionId, Position, StreamKey, Time};
use sagalog_projections::views::{MessageKind, Standing, WaitKind};

use crate::jobs::{folded, run};

/// A log, and any number of handles on one place for its views.
pub(crate) struct Place {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) store: Box<dyn Fn() -> ViewStore>,
}

impl Place {
    fn views(&self) -> Views {
        Views::new(self.log.clone(), (self.store)())
    }

    /// That the views say what folding every history says, under every filter.
    async fn agree(&self) {
        let views = self.views();
        for filter in filters() {
            let folded = folded(&self.log, &filter).await;
            let found = views.sagas(&filter, beginning(), 10_000).await;
            let found = found.expect("they can be read").expect("they are there");
            assert_eq!(found, folded, "{filter:?}");
            let count = views.count_sagas(&filter).await.expect("they can be read");
            assert_eq!(count, Some(folded.len() as u64), "{filter:?}");
        }
    }
}

fn beginning() -> (PartitionId, StreamKey) {
    Default::default()
}

fn filters() -> Vec<SagaFilter> {
    let all = SagaFilter::default;
    let waiting = |waiting| SagaFilter {
        waiting: Some(waiting),
        ..all()
    };
    let node = |kind, of: Option<&str>| waiting(Waiting::Node(kind, of.map(str::to_owned)));
    let standings = |standings: &[Standing]| SagaFilter {
        standings: standings.to_vec(),
        ..all()
    };
    vec![
        all(),
        standings(&[Standing::Running]),
        standings(&[Standing::Completed, Standing::Compensated]),
        SagaFilter {
            definition: Some("job".into()),
            version: Some(1),
            ..all()
        },
        SagaFilter {
            definition: Some("job".into()),
            version: Some(2),
            ..all()
        },
        SagaFilter {
            definition: Some("other".into()),
            ..all()
        },
        node(WaitKind::Signal, None),
        node(WaitKind::Signal, Some("go")),
        node(WaitKind::Signal, Some("stop")),
        node(WaitKind::Person, None),
        waiting(Waiting::Held),
        waiting(Waiting::Paused),
        SagaFilter {
            participant: Some("plant".into()),
            ..all()
        },
        SagaFilter {
            before: Some(Time::from_micros(1)),
            ..all()
        },
        SagaFilter {
            from: Some(Time::from_micros(1)),
            ..all()
        },
    ]
}

/// All of it.
pub(crate) async fn all(mut place: impl AsyncFnMut(&str) -> Place) {
    they_say_what_folding_every_history_says(place("folded").await).await;
    a_list_goes_on_behind_its_last_saga(place("pages").await).await;
    messages_and_participants_can_be_asked_for(place("messages").await).await;
    given_up_anywhere_they_are_made_without_a_gap_and_nothing_twice(place("given_up").await).await;
    two_makers_make_what_one_makes(place("two").await).await;
    a_rebuild_takes_over_while_the_log_grows(place("rebuild").await).await;
    lag_is_seen_and_catching_up_is_bounded(place("lag").await).await;
    views_of_another_log_are_made_anew(place("other").await).await;
}

async fn they_say_what_folding_every_history_says(place: Place) {
    let views = place.views();
    assert!(!views.are_there().await.expect("nothing is no error"));
    assert_eq!(
        views
            .sagas(&SagaFilter::default(), beginning(), 9)
            .await
            .expect("no error"),
        None
    );
    run(&place.log, 1..30).await;
    views.rebuild().await.expect("it is made");
    place.agree().await;
    run(&place.log, 30..40).await;
    assert_eq!(views.catch_up(u64::MAX).await.expect("it goes on"), Some(0));
    place.agree().await;
}

async fn a_list_goes_on_behind_its_last_saga(place: Place) {
    run(&place.log, 1..20).await;
    let views = place.views();
    views.rebuild().await.expect("it is made");
    let (mut after, mut listed) = (beginning(), Vec::new());
    loop {
        let page = views.sagas(&SagaFilter::default(), after, 4).await;
        let page = page.expect("they can be read").expect("they are there");
        let Some(last) = page.last() else { break };
        after = (last.partition, last.stream);
        listed.extend(page);
    }
    assert_eq!(listed, folded(&place.log, &SagaFilter::default()).await);
}

async fn messages_and_participants_can_be_asked_for(place: Place) {
    run(&place.log, 1..3).await;
    let views = place.views();
    views.rebuild().await.expect("it is made");
    let messages = async |filter: MessageFilter| {
        let found = views.messages(&filter, Default::default(), 100).await;
        let found = found.expect("they can be read").expect("they are there");
        let said = |it: sagalog::views::FoundMessage| (it.kind, it.name, it.party);
        found.into_iter().map(said).collect::<Vec<_>>()
    };
    let said =
        |kind, name: &str, party: Option<&str>| (kind, name.to_owned(), party.map(str::to_owned));
    let of_saga = MessageFilter {
        saga: Some("j-1".into()),
        ..Default::default()
    };
    let plant = Some("plant");
    assert_eq!(
        messages(of_saga.clone()).await,
        [
            said(MessageKind::Request, "start", None),
            said(MessageKind::Command, "plant.work", plant),
            said(MessageKind::Succeeded, "plant.work", plant),
        ]
    );
    let to_plant = MessageFilter {
        party: Some("plant".into()),
        is_sent: Some(true),
        ..of_saga
    };
    assert_eq!(
        messages(to_plant).await,
        [said(MessageKind::Command, "plant.work", plant)]
    );
    let signals = MessageFilter {
        name: Some("go".into()),
        ..Default::default()
    };
    assert_eq!(
        messages(signals).await,
        [said(MessageKind::Signal, "go", None)]
    );
    let never = MessageFilter {
        from: Some(Time::from_micros(1 << 52)),
        ..Default::default()
    };
    assert_eq!(messages(never).await, []);
    let tallies = views
        .participants()
        .await
        .expect("they can be read")
        .expect("they are there");
    let counted = tallies
        .iter()
        .map(|it| (it.participant.as_str(), it.asked, it.succeeded, it.failed));
    assert_eq!(
        counted.collect::<Vec<_>>(),
        [("docks", 1, 1, 0), ("plant", 2, 2, 0)]
    );
    assert!(
        tallies
            .iter()
            .all(|it| it.average.is_some_and(|average| average <= it.longest))
    );
}

/// Every message is a new row, so one that is stored twice is an error; one that is missing is missed.
async fn given_up_anywhere_they_are_made_without_a_gap_and_nothing_twice(place: Place) {
    place.views().rebuild().await.expect("it is made");
    for (round, steps) in (0..8).map(|round| (round, 3_u32.pow(round))) {
        run(&place.log, 4 * round + 1..4 * round + 5).await;
        given_up_after(steps, place.views().catch_up(u64::MAX)).await;
    }
    place.views().catch_up(u64::MAX).await.expect("it goes on");
    place.agree().await;
    let anew = place.views();
    let before = anew
        .messages(&MessageFilter::default(), Default::default(), 10_000)
        .await;
    anew.rebuild().await.expect("it is made");
    let after = anew
        .messages(&MessageFilter::default(), Default::default(), 10_000)
        .await;
    assert_eq!(
        before.expect("they can be read"),
        after.expect("they can be read")
    );
}

/// Lets work go on for so many turns, and then drops it as it is.
async fn given_up_after(turns: u32, work: impl Future) {
    let mut work = std::pin::pin!(work);
    let mut turn = 0;
    std::future::poll_fn(|context| {
        turn += 1;
        let is_done = work.as_mut().poll(context).is_ready();
        if is_done || turn >= turns {
            return std::task::Poll::Ready(());
        }
        std::task::Poll::Pending
    })
    .await;
}

async fn two_makers_make_what_one_makes(place: Place) {
    place.views().rebuild().await.expect("it is made");
    run(&place.log, 1..40).await;
    let (one, other) = (place.views(), place.views());
    let (one, other) = tokio::join!(one.catch_up(u64::MAX), other.catch_up(u64::MAX));
    assert_eq!(
        (one.expect("it goes on"), other.expect("it goes on")),
        (Some(0), Some(0))
    );
    place.agree().await;
    let tallies = place
        .views()
        .participants()
        .await
        .expect("they can be read");
    let work = tallies
        .expect("they are there")
        .into_iter()
        .find(|it| it.contract == "plant.work");
    let work = work.expect("it was asked");
    assert_eq!((work.asked, work.succeeded, work.failed), (39, 26, 13));
}

async fn a_rebuild_takes_over_while_the_log_grows(place: Place) {
    run(&place.log, 1..20).await;
    let views = place.views();
    views.rebuild().await.expect("it is made");
    // Half-way, the new tables are beside the live ones, which answer as before.
    given_up_after(40, place.views().rebuild()).await;
    place.agree().await;
    let growing = async {
        run(&place.log, 20..50).await;
    };
    let (rebuilt, ()) = tokio::join!(views.rebuild(), growing);
    rebuilt.expect("it is made");
    assert_eq!(views.status_of_rebuild().await.expect("it can be read"), []);
    assert_eq!(views.catch_up(u64::MAX).await.expect("it goes on"), Some(0));
    place.agree().await;
}

async fn lag_is_seen_and_catching_up_is_bounded(place: Place) {
    run(&place.log, 1..30).await;
    let views = place.views();
    views.rebuild().await.expect("it is made");
    let behind = async || {
        let status = views.status().await.expect("it can be read");
        let now = status.iter().map(|it| it.at).max().unwrap_or_default();
        let now = now.after(Duration::from_secs(60));
        let lags: Vec<_> = status.iter().map(|it| it.lag(now)).collect();
        let events: u64 = lags.iter().map(|lag| lag.events).sum();
        (
            events,
            lags.iter().map(|lag| lag.span).max().unwrap_or_default(),
        )
    };
    assert_eq!(behind().await, (0, Duration::ZERO));
    run(&place.log, 30..60).await;
    let (events, span) = behind().await;
    assert!(
        events > 0 && span >= Duration::from_secs(60),
        "{events} events, {span:?}"
    );
    let left = views.catch_up(0).await.expect("it does nothing");
    assert_eq!(left, Some(events));
    views.catch_up(u64::MAX).await.expect("it goes on");
    assert_eq!(behind().await, (0, Duration::ZERO));
}

async fn views_of_another_log_are_made_anew(mut place: Place) {
    run(&place.log, 1..20).await;
    place.views().rebuild().await.expect("it is made");
    let other: Arc<dyn EventLog> = Arc::new(MemoryLog::with_partitions(place.log.partitions()));
    run(&other, 1..60).await;
    place.log = other;
    let views = place.views();
    assert_eq!(views.catch_up(u64::MAX).await.expect("no error"), None);
    let made = async {
        loop {
            let left = views.catch_up(u64::MAX).await;
            if left.as_ref().is_ok_and(|left| *left == Some(0)) {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        followed = views.follow() => { let Err(error) = followed; panic!("{error}") },
        () = made => {}
    }
    place.agree().await;
    let position =
        |status: Vec<sagalog::views::ViewStatus>| status.iter().map(|it| it.position).max();
    let status = views.status().await.expect("it can be read");
    assert!(position(status) > Some(Position::default()));
}

/// Whoever finds tables of a newer release leaves them alone; those of an older one are made anew.
pub(crate) async fn formats(place: Place, mut set_format: impl AsyncFnMut(i64)) {
    run(&place.log, 1..10).await;
    place.views().rebuild().await.expect("it is made");
    set_format(0).await;
    let views = place.views();
    assert!(
        !views
            .are_there()
            .await
            .expect("an older format is no error")
    );
    views.rebuild().await.expect("it is made");
    place.agree().await;
    set_format(99).await;
    let refused = place.views().rebuild().await.expect_err("it is left alone");
    assert!(
        matches!(refused, ViewError::Newer { found: 99, .. }),
        "{refused}"
    );
}
