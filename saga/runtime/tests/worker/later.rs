//! Work that takes long: accepted now and ended later, kept alive, and told of the turn.

use std::future::pending;

use sagalog::worker::Given;
use sagalog_model::{Heartbeat, Withdrawal};
use tokio::sync::mpsc::unbounded_channel;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const SCAN: Step<u64, u64> = Step::new("payments.scan")
    .compensatable()
    .heartbeat(MINUTE)
    .deadline(Duration::from_secs(3_600));
const HEARTBEAT: Heartbeat = Heartbeat {
    silence: MINUTE,
    until: Time::from_micros(u64::MAX),
};

#[tokio::test]
async fn what_is_accepted_is_answered_alive_again_and_runs_once() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let mut shop = Shop::open(Worker::new().accepts(SCAN, move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Ok(Given::Later) }
    }))
    .await;
    for _ in 0..2 {
        shop.ask(scan()).await;
        assert_eq!(shop.outcome().await, alive(""));
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    shop.ask(Command {
        attempt: AttemptNumber(2),
        ..scan()
    })
    .await;
    assert_eq!(shop.outcome().await, alive(""));
    assert_eq!(
        calls.load(Ordering::SeqCst),
        2,
        "another attempt is asked anew"
    );
}

#[tokio::test]
async fn a_token_names_the_attempt() {
    let (tokens, mut taken) = unbounded_channel();
    let mut shop = Shop::open(Worker::new().accepts(SCAN, move |attempt, _| {
        _ = tokens.send(attempt.token().to_string());
        async { Ok(Given::Later) }
    }))
    .await;
    shop.ask(scan()).await;
    shop.outcome().await;
    let token = taken.recv().await.expect("it was called");
    assert_eq!(token, "default/0/action/1/a/order-1");
}

/// A call that says that it goes on is cancelled when the attempt may end, and not before.
#[tokio::test]
async fn a_heartbeat_moves_the_deadline_of_a_call() {
    let (attempts, mut taken) = unbounded_channel::<Attempt>();
    let worker = Worker::new().action(SCAN, move |attempt, _| {
        _ = attempts.send(attempt);
        pending()
    });
    let mut shop = Shop::open(worker).await;
    shop.ask(scan()).await;
    let attempt = taken.recv().await.expect("it was called");
    let second = Duration::from_secs(1);
    shop.clock.advance(DEADLINE.since(START) - second);
    attempt.heartbeat("3 of 7");
    assert_eq!(shop.outcome().await, alive("3 of 7"));
    shop.clock.advance(2 * second);
    attempt.heartbeat("4 of 7");
    assert_eq!(
        shop.outcome().await,
        alive("4 of 7"),
        "its first deadline has passed"
    );
    shop.clock.advance(MINUTE / 4 * 3);
    assert_eq!(
        shop.outcome().await,
        unknown("it was cancelled at its deadline")
    );
}

#[tokio::test]
async fn no_heartbeat_keeps_a_call_alive_beyond_the_end_of_the_attempt() {
    let (attempts, mut taken) = unbounded_channel::<Attempt>();
    let worker = Worker::new().action(SCAN, move |attempt, _| {
        _ = attempts.send(attempt);
        pending()
    });
    let mut shop = Shop::open(worker).await;
    let until = DEADLINE.after(Duration::from_secs(5));
    let heartbeat = Some(Heartbeat { until, ..HEARTBEAT });
    shop.ask(Command {
        heartbeat,
        ..scan()
    })
    .await;
    let attempt = taken.recv().await.expect("it was called");
    attempt.heartbeat("");
    assert_eq!(shop.outcome().await, alive(""));
    shop.clock.advance(until.since(START));
    assert_eq!(
        shop.outcome().await,
        unknown("it was cancelled at its deadline")
    );
}

/// Many at once are one message: the last.
#[tokio::test]
async fn of_several_heartbeats_the_last_is_sent() {
    let worker = Worker::new().action(SCAN, |attempt, _| {
        for done in 1..=1_000 {
            attempt.heartbeat(done);
        }
        async { Ok(7) }
    });
    let mut shop = Shop::open(worker).await;
    shop.ask(scan()).await;
    let told = [shop.outcome().await, shop.outcome().await];
    assert!(
        told.contains(&ok("7")) && told.contains(&alive("1000")),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_withdrawal_reaches_the_handler_that_runs() {
    let worker = Worker::new().action(SCAN, |attempt: Attempt, _| async move {
        attempt.cancelled().await;
        Err(Failure::transient("it was put back"))
    });
    let mut shop = Shop::open(worker).await;
    shop.ask(scan()).await;
    shop.withdraw().await;
    let put_back = failed(FailureClass::Transient, "it was put back");
    assert_eq!(shop.outcome().await, put_back);
}

#[tokio::test]
async fn a_withdrawal_reaches_whoever_does_what_was_accepted() {
    let (attempts, mut taken) = unbounded_channel::<Attempt>();
    let worker = Worker::new().accepts(SCAN, move |attempt, _| {
        _ = attempts.send(attempt);
        async { Ok(Given::Later) }
    });
    let mut shop = Shop::open(worker).await;
    shop.ask(scan()).await;
    assert_eq!(shop.outcome().await, alive(""));
    let attempt = taken.recv().await.expect("it was called");
    assert!(!attempt.is_cancelled());
    shop.withdraw().await;
    attempt.cancelled().await;
}

#[tokio::test]
async fn the_compensation_stops_what_was_accepted() {
    let (attempts, mut taken) = unbounded_channel::<Attempt>();
    let worker = Worker::new()
        .accepts(SCAN, move |attempt, _| {
            _ = attempts.send(attempt);
            async { Ok(Given::Later) }
        })
        .compensation(SCAN, |_, _, _| async { Ok(()) });
    let mut shop = Shop::open(worker).await;
    shop.ask(scan()).await;
    shop.outcome().await;
    let attempt = taken.recv().await.expect("it was called");
    shop.ask(Command {
        step: SCAN.name().into(),
        ..compensation("a")
    })
    .await;
    assert_eq!(shop.outcome().await, ok("null"));
    assert!(attempt.is_cancelled());
}

#[test]
fn a_handler_that_answers_later_needs_a_heartbeat() {
    let worker = Worker::new().accepts(CHARGE, |_, _| async { Ok(Given::Later) });
    let faults = worker.faults(&graph());
    assert_eq!(
        faults[0].to_string(),
        "step `payments.charge` has a handler that may answer later, and no heartbeat; add \
         `.heartbeat(span)` to it, or use `.action(..)`"
    );
}

impl Shop {
    async fn withdraw(&self) {
        let scan = scan();
        let withdrawal = Withdrawal {
            saga: scan.saga,
            node: scan.node,
            step: scan.step,
            attempt: scan.attempt,
            action_key: scan.action_key,
        };
        let content = serde_json::to_string(&withdrawal).expect("plain data");
        self.send(&content, Kind::Control).await;
    }
}

fn scan() -> Command {
    Command {
        step: SCAN.name().into(),
        heartbeat: Some(HEARTBEAT),
        ..action("a")
    }
}

fn alive(progress: &str) -> Outcome {
    let progress = progress.into();
    Outcome::Alive { progress }
}
