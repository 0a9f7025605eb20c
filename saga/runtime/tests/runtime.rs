//! The whole runtime, on a log in memory and on a file: what a user meets.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use insta::assert_snapshot;
use sagalog::{
    Attempt, CallError, Ended, EventLog, Failure, MemoryLog, Payload, Refusal, Retry, Runtime,
    RuntimeBuilder, Saga, Signal, SqliteLog, StartError, Status, Step, Worker,
};
use tokio::sync::Semaphore;

const TRIP: Saga<String, String> = Saga::new("trip");
const HOTEL: Step<String, String> = Step::new("hotel.book").compensatable();
const FLIGHT: Step<String, String> = Step::new("flight.book")
    .compensatable()
    .retry(Retry::fixed(Duration::from_millis(1)).attempts(3));
const MAIL: Step<String, ()> = Step::new("mail.send").retryable();
const APPROVAL: Signal<bool> = Signal::new("approval");

fn trip() -> sagalog::AnyDefinition {
    let (mut saga, to) = TRIP.define(1);
    let hotel = saga.step("hotel", HOTEL, to);
    let flight = saga.step("flight", FLIGHT, to);
    saga.pivot();
    saga.step(
        "mail",
        MAIL,
        hotel
            .and(flight)
            .map(|hotel, flight| format!("{hotel} and {flight}")),
    );
    saga.returns(
        hotel
            .and(flight)
            .map(|hotel, flight| format!("{hotel}, {flight}")),
    )
    .expect("a good definition")
    .into()
}

/// What the handlers did, and how they are held back.
#[derive(Clone, Default)]
struct Agency {
    booked: Arc<AtomicU32>,
    released: Arc<AtomicU32>,
}

async fn book_hotel(at: Attempt<Agency>, to: String) -> Result<String, Failure> {
    at.state.booked.fetch_add(1, Ordering::Relaxed);
    Ok(format!("a room in {to}"))
}

async fn release_hotel(
    at: Attempt<Agency>,
    _: String,
    room: Option<String>,
) -> Result<(), Failure> {
    assert!(
        room.is_some_and(|room| room.starts_with("a room in ")),
        "a compensation gets the output"
    );
    at.state.released.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

async fn book_flight(_: Attempt<Agency>, to: String) -> Result<String, Failure> {
    match to.as_str() {
        "Atlantis" => Err(Failure::permanent("nobody flies to Atlantis")),
        "Bermuda" => panic!("lost over {to}"),
        _ => Ok(format!("a seat to {to}")),
    }
}

fn worker(agency: &Agency) -> Worker<Agency> {
    Worker::with(agency.clone())
        .action(HOTEL, book_hotel)
        .compensation(HOTEL, release_hotel)
        .action(FLIGHT, book_flight)
        .compensation(FLIGHT, async |_, _, _| Ok(()))
        .action(MAIL, async |_, _| Ok(()))
}

fn on(log: Arc<dyn EventLog>, agency: &Agency) -> RuntimeBuilder {
    Runtime::on(log).definition(trip()).worker(worker(agency))
}

fn memory() -> Arc<dyn EventLog> {
    Arc::new(MemoryLog::new())
}

async fn file(path: &Path) -> Arc<dyn EventLog> {
    Arc::new(SqliteLog::open(path).await.expect("a new log"))
}

#[tokio::test]
async fn a_saga_completes_and_answers_with_its_output() {
    let runtime = on(memory(), &Agency::default())
        .start()
        .await
        .expect("it starts");
    let ended = runtime
        .client()
        .run(TRIP, "t-1", &"Rome".to_owned())
        .await
        .expect("it runs");
    assert_eq!(
        ended,
        Ended::Completed("a room in Rome, a seat to Rome".to_owned())
    );
    runtime.stop().await.expect("it stops in peace");
}

#[tokio::test]
async fn a_permanent_failure_compensates_and_says_why() {
    let agency = Agency::default();
    let runtime = on(memory(), &agency).start().await.expect("it starts");
    let ended = runtime
        .client()
        .run(TRIP, "t-1", &"Atlantis".to_owned())
        .await
        .expect("it runs");
    assert_eq!(
        ended,
        Ended::Compensated {
            reason: "nobody flies to Atlantis".to_owned()
        }
    );
    assert_eq!(agency.released.load(Ordering::Relaxed), 1);
    let why = runtime.client().why("t-1").await.expect("it is known");
    assert_eq!((why.status, why.waiting.len()), ("Compensated", 0));
}

#[tokio::test]
async fn a_panicking_handler_is_in_doubt_and_the_process_lives() {
    let runtime = on(memory(), &Agency::default())
        .start()
        .await
        .expect("it starts");
    let client = runtime.client();
    let ended = client
        .run(TRIP, "t-1", &"Bermuda".to_owned())
        .await
        .expect("it runs");
    let Ended::Compensated { reason } = ended else {
        panic!("{ended:?}")
    };
    assert!(reason.contains("lost over Bermuda"), "{reason}");
    let next = client
        .run(TRIP, "t-2", &"Rome".to_owned())
        .await
        .expect("it runs");
    assert!(matches!(next, Ended::Completed(_)));
}

#[tokio::test]
async fn the_same_start_twice_is_one_saga_and_another_with_its_id_is_refused() {
    let agency = Agency::default();
    let runtime = on(memory(), &agency).start().await.expect("it starts");
    let client = runtime.client();
    for _ in 0..3 {
        client
            .run(TRIP, "t-1", &"Rome".to_owned())
            .await
            .expect("it is the same");
    }
    assert_eq!(agency.booked.load(Ordering::Relaxed), 1);
    let other = client
        .start(TRIP, "t-1", &"Oslo".to_owned())
        .await
        .expect_err("it is another");
    assert_snapshot!(other, @"saga `t-1` was started before, with another definition or input; choose another id");
}

#[tokio::test]
async fn bad_ids_and_payloads_are_refused_with_the_reason() {
    let runtime = on(memory(), &Agency::default())
        .start()
        .await
        .expect("it starts");
    let client = runtime.client();
    let mut refusals = Vec::new();
    for id in [
        "",
        "two words",
        "$partition-0",
        "tab\there",
        &"x".repeat(256),
    ] {
        let error = client
            .start(TRIP, id, &"Rome".to_owned())
            .await
            .expect_err("it is no id");
        let CallError::BadId(_, why) = error else {
            panic!("{error}")
        };
        refusals.push(why.to_string());
    }
    let large = "x".repeat(300 * 1024);
    let error = client
        .start(TRIP, "t-1", &large)
        .await
        .expect_err("it is too large");
    refusals.push(error.to_string());
    assert!(matches!(
        client.status("t-1").await,
        Err(CallError::Refused(Refusal::NoSuchSaga { .. }))
    ));
    assert_snapshot!(refusals.join("\n"), @r"
    an id needs at least one character
    an id has no spaces or control characters, this one has ' '
    ids that begin with `$` belong to the system
    an id has no spaces or control characters, this one has '\t'
    an id has at most 255 bytes, this one has 256
    the payload has 307202 bytes, at most 262144 are accepted; store it elsewhere and send a reference
    ");
}

#[tokio::test]
async fn a_missing_handler_is_found_at_the_start() {
    let half = Worker::new()
        .action(MAIL, async |_, _| Ok(()))
        .action(HOTEL, async |_, to| Ok(to));
    let Err(error) = Runtime::on(memory())
        .definition(trip())
        .worker(half)
        .start()
        .await
    else {
        panic!("it must not start");
    };
    assert!(matches!(error, StartError::Handlers(_)));
    let text = error.to_string();
    for lacking in ["hotel.book", "flight.book", "compensation", "action"] {
        assert!(text.contains(lacking), "{text}");
    }
    assert!(!text.contains("mail.send"), "{text}");
}

#[tokio::test]
async fn several_workers_may_share_a_participant() {
    let hotel = Worker::with(Agency::default())
        .action(HOTEL, book_hotel)
        .compensation(HOTEL, release_hotel);
    let others = Worker::with(Agency::default())
        .action(FLIGHT, book_flight)
        .compensation(FLIGHT, async |_, _, _| Ok(()))
        .action(MAIL, async |_, _| Ok(()));
    let runtime = Runtime::on(memory())
        .definition(trip())
        .worker(hotel)
        .worker(others);
    let runtime = runtime.start().await.expect("it starts");
    let ended = runtime
        .client()
        .run(TRIP, "t-1", &"Rome".to_owned())
        .await
        .expect("it runs");
    assert!(matches!(ended, Ended::Completed(_)));
}

#[tokio::test]
async fn a_definition_that_changed_without_a_new_version_is_refused() {
    let log = memory();
    on(log.clone(), &Agency::default())
        .start()
        .await
        .expect("it starts")
        .stop()
        .await
        .expect("it stops");
    let (mut saga, to) = TRIP.define(1);
    saga.step("post", MAIL_EARLY, to);
    let changed = saga.returns(to).expect("a good definition");
    let worker = Worker::new().action(MAIL_EARLY, async |_, _| Ok(()));
    let Err(error) = Runtime::on(log)
        .definition(changed)
        .worker(worker)
        .start()
        .await
    else {
        panic!("it must not start");
    };
    let text = error.to_string();
    assert!(
        text.contains("a changed definition needs a new version: `define(2)`"),
        "{text}"
    );
}

const MAIL_EARLY: Step<String, ()> = Step::new("mail.post").read_only();

#[tokio::test]
async fn an_output_that_its_reader_cannot_decode_parks_the_reader() {
    const NUMBERS: Saga<u32, u32> = Saga::new("numbers");
    const GIVE: Step<u32, u32> = Step::new("give.number").read_only();
    // The participant's release speaks of a text where the contract says a number.
    const GIVES_TEXT: Step<u32, String> = Step::new("give.number").read_only();
    let (mut saga, n) = NUMBERS.define(1);
    let number = saga.step("number", GIVE, n);
    let twice = saga.value("twice", number.map(|n| n * 2));
    let numbers = saga.returns(twice).expect("a good definition");
    let worker = Worker::new().action(GIVES_TEXT, async |_, n| Ok(format!("{n}")));
    let runtime = Runtime::on(memory())
        .definition(numbers)
        .worker(worker)
        .start()
        .await
        .expect("it starts");
    let client = runtime.client();
    client.start(NUMBERS, "n-1", &21).await.expect("it starts");
    let why = loop {
        let why = client.why("n-1").await.expect("it is known");
        if why.waiting.iter().any(|waiting| {
            matches!(
                waiting.what,
                sagalog_projections::why::WaitsFor::Person { .. }
            )
        }) {
            break why;
        }
    };
    let sagalog_projections::why::WaitsFor::Person { reason, .. } = &why.waiting[0].what else {
        unreachable!()
    };
    assert!(
        reason.contains("what `number` gave does not read as `u32`"),
        "{reason}"
    );
    assert_eq!(
        client.status("n-1").await.expect("it is known"),
        Status::Running
    );
    client
        .resolve("n-1", "by-hand", "twice", Payload::of(&42).expect("JSON"))
        .await
        .expect("it is parked");
    assert_eq!(
        client.result(NUMBERS, "n-1").await.expect("it ends"),
        Ended::Completed(42)
    );
}

/// A saga whose step is held back by the test.
fn held(gate: &Arc<Semaphore>) -> (sagalog::AnyDefinition, Worker<Arc<Semaphore>>) {
    let (mut saga, to) = HELD.define(1);
    let first = saga.step("first", HOLD, to);
    let approved = saga
        .signal("approved", APPROVAL)
        .within(Duration::from_secs(3_600));
    let result = first
        .and(approved)
        .map(|first, approved| format!("{first}: {approved:?}"));
    let definition = saga.returns(result).expect("a good definition");
    let worker =
        Worker::with(gate.clone()).action(HOLD, async |at: Attempt<Arc<Semaphore>>, to| {
            drop(at.state.acquire().await);
            Ok(format!("{to} #{}", at.number))
        });
    (definition.into(), worker)
}

const HELD: Saga<String, String> = Saga::new("held");
const HOLD: Step<String, String> = Step::new("gate.hold").read_only();

#[tokio::test]
async fn a_runtime_that_stops_goes_on_at_the_next_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log.db");
    let gate = Arc::new(Semaphore::new(0));
    let (definition, worker) = held(&gate);
    let runtime = Runtime::on(file(&path).await)
        .definition(definition)
        .worker(worker)
        .start()
        .await
        .expect("it starts");
    runtime
        .client()
        .start(HELD, "h-1", &"Rome".to_owned())
        .await
        .expect("it starts");
    runtime
        .client()
        .signal(APPROVAL, "h-1", "mail-1", &true)
        .await
        .expect("it is early");
    // Dropped in the middle of a call, as if killed.
    drop(runtime);
    gate.add_permits(1);
    let (definition, worker) = held(&gate);
    let runtime = loop {
        // The one before lets go of the log when its last append is done.
        let (definition, worker) = (definition.clone(), held(&gate).1);
        match Runtime::on(file(&path).await)
            .definition(definition)
            .worker(worker)
            .start()
            .await
        {
            Ok(runtime) => break runtime,
            Err(StartError::Drive(_)) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    drop(worker);
    let ended = runtime.client().result(HELD, "h-1").await.expect("it ends");
    assert_eq!(
        ended,
        Ended::Completed("Rome #1: Some(true)".to_owned()),
        "the same attempt was asked again"
    );
    runtime.stop().await.expect("it stops in peace");
}

#[tokio::test]
async fn a_second_runtime_on_the_same_log_is_refused_and_told_who_has_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log.db");
    let first = on(file(&path).await, &Agency::default())
        .node("the first")
        .start()
        .await
        .expect("it starts");
    let Err(error) = on(file(&path).await, &Agency::default()).start().await else {
        panic!("it must not start");
    };
    let text = error.to_string();
    assert!(
        text.contains("the first") && text.contains(&std::process::id().to_string()),
        "{text}"
    );
    first.stop().await.expect("it stops in peace");
    on(file(&path).await, &Agency::default())
        .start()
        .await
        .expect("it is free now");
}

#[tokio::test]
async fn callers_learn_that_the_runtime_has_stopped() {
    let gate = Arc::new(Semaphore::new(0));
    let (definition, worker) = held(&gate);
    let runtime = Runtime::on(memory())
        .definition(definition)
        .worker(worker)
        .start()
        .await
        .expect("it starts");
    let client = runtime.client();
    client
        .start(HELD, "h-1", &"Rome".to_owned())
        .await
        .expect("it starts");
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.result(HELD, "h-1").await }
    });
    client.status("h-1").await.expect("it is there");
    gate.add_permits(1);
    runtime.stop().await.expect("it stops in peace");
    let told = waiting.await.expect("no panic");
    assert!(
        matches!(told, Err(CallError::Stopped { why: None })),
        "{told:?}"
    );
    assert!(matches!(
        client.status("h-1").await,
        Err(CallError::Stopped { .. })
    ));
}

#[tokio::test]
async fn a_cancel_reaches_a_running_saga_once() {
    let gate = Arc::new(Semaphore::new(0));
    let (definition, worker) = held(&gate);
    let runtime = Runtime::on(memory())
        .definition(definition)
        .worker(worker)
        .start()
        .await
        .expect("it starts");
    let client = runtime.client().acting_as("ada");
    client
        .start(HELD, "h-1", &"Rome".to_owned())
        .await
        .expect("it starts");
    client
        .cancel("h-1", "c-1", "changed her mind")
        .await
        .expect("it may be cancelled");
    client
        .cancel("h-1", "c-1", "changed her mind")
        .await
        .or_else(ended)
        .expect("it is the same");
    let ended = client.result(HELD, "h-1").await.expect("it ends");
    assert_eq!(
        ended,
        Ended::Compensated {
            reason: "changed her mind".to_owned()
        }
    );
}

/// The saga has nothing to undo, so it may have ended before the second request came.
fn ended(error: CallError) -> Result<(), CallError> {
    if matches!(error, CallError::Refused(Refusal::Ended { .. })) {
        Ok(())
    } else {
        Err(error)
    }
}

#[tokio::test]
async fn many_sagas_at_once_all_end_as_they_should() {
    let directory = tempfile::tempdir().expect("a directory");
    let agency = Agency::default();
    let runtime = on(file(&directory.path().join("log.db")).await, &agency)
        .start()
        .await
        .expect("it starts");
    let mut running = tokio::task::JoinSet::new();
    for n in 0..300 {
        let client = runtime.client();
        let to = if n % 3 == 0 { "Atlantis" } else { "Rome" };
        running
            .spawn(async move { (n, client.run(TRIP, &format!("t-{n}"), &to.to_owned()).await) });
    }
    while let Some(ended) = running.join_next().await {
        let (n, ended) = ended.expect("no panic");
        let ended = ended.expect("it runs");
        assert_eq!(
            matches!(ended, Ended::Completed(_)),
            n % 3 != 0,
            "t-{n}: {ended:?}"
        );
    }
    assert_eq!(agency.released.load(Ordering::Relaxed), 100);
    runtime.stop().await.expect("it stops in peace");
}
