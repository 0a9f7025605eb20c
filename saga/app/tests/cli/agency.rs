//! Trips as sagas: what goes wrong is said in what they are started with, and time passes only
//! when a step takes some or a test says so.

use std::{future::pending, path::PathBuf, sync::Arc, time::Duration};

use sagalog::{
    AnyDefinition, Attempt, EventLog, Failure, Found, InProcess, PostgresLog, RabbitMq, Retry,
    Runtime, Saga, SagaState, Signal, SqliteLog, Step, Transport, Why, Worker, clock::ManualClock,
    control::socket_of, just, log::Time,
};
use sagalog_cli::App;
use sagalog_eventlog::test_servers::PostgresServer;
use sagalog_projections::why::{WaitsFor, why};
use tempfile::TempDir;

pub(crate) const TRIP: Saga<String, String> = Saga::new("trip");
pub(crate) const APPROVAL: Signal<bool> = Signal::new("approval");
const ROOM: Step<String, String> = Step::new("hotel.book").compensatable();
const FLIGHT: Step<String, String> = Step::new("air.book")
    .compensatable()
    .probed()
    .timeout(Duration::from_secs(30))
    .retry(Retry::fixed(Duration::from_secs(1)).attempts(3))
    .undo_retry(Retry::fixed(Duration::from_secs(2)).attempts(2));
const TICKET: Step<String, String> = Step::new("desk.print").retryable();

/// 2026-11-20T20:00:00Z
const OPENING: Time = Time::from_micros(1_795_204_800_000_000);
const HOUR: Duration = Duration::from_secs(3_600);

/// An agency whose log is in a file.
pub(crate) struct Agency {
    pub(crate) log: PathBuf,
    pub(crate) clock: ManualClock,
    pub(crate) transport: Arc<dyn Transport>,
    runtime: Option<Runtime>,
    folder: TempDir,
    /// A participant that another process should perform, and none does.
    absent: Option<&'static str>,
}

impl Agency {
    /// Drives its log in this process, and is reached over a socket.
    pub(crate) async fn open() -> Self {
        Self::open_without(None).await
    }

    /// The same, whose participant of this name is nowhere.
    pub(crate) async fn open_without(absent: Option<&'static str>) -> Self {
        let folder = TempDir::new().expect("room");
        let mut agency = Self {
            log: folder.path().join("log.db"),
            clock: ManualClock::at(OPENING),
            transport: Arc::new(InProcess::new()),
            runtime: None,
            folder,
            absent,
        };
        agency.start(true).await;
        agency
    }

    /// One whose log is in PostgreSQL, which nobody reaches over a socket.
    pub(crate) async fn in_postgres(database: &str) -> Self {
        Self::shared(database, Arc::new(InProcess::new())).await
    }

    /// The same, whose owner is reached over the broker at this URL.
    pub(crate) async fn over(broker: &str, database: &str) -> Self {
        let broker = RabbitMq::connect(broker)
            .await
            .expect("the broker is there");
        Self::shared(database, Arc::new(broker)).await
    }

    async fn shared(database: &str, transport: Arc<dyn Transport>) -> Self {
        let mut agency = Self {
            log: PostgresServer::shared().new_database(database).into(),
            clock: ManualClock::at(OPENING),
            transport,
            runtime: None,
            folder: TempDir::new().expect("room"),
            absent: None,
        };
        let url = agency.log.to_str().expect("a text");
        let log = PostgresLog::open(url).await.expect("it opens");
        agency.drive(Arc::new(log), false).await;
        agency
    }

    pub(crate) async fn start(&mut self, with_socket: bool) {
        let log = SqliteLog::open(&self.log).await.expect("it opens");
        self.drive(Arc::new(log), with_socket).await;
    }

    async fn drive(&mut self, log: Arc<dyn EventLog>, with_socket: bool) {
        let mut runtime = Runtime::on(log)
            .definition(trip())
            .worker(worker(self.clock.clone()))
            .clock(Arc::new(self.clock.clone()))
            .transport(self.transport.clone())
            .node("agency");
        if let Some(absent) = self.absent {
            runtime = runtime.elsewhere(absent);
        }
        if with_socket {
            runtime = runtime.control_socket(socket_of(&self.log));
        }
        self.runtime = Some(runtime.start().await.expect("it starts"));
    }

    pub(crate) async fn stop(&mut self) {
        let runtime = self.runtime.take().expect("it runs");
        runtime.stop().await.expect("it stops in peace");
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it runs")
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Begins a trip on which this goes wrong.
    pub(crate) async fn begin(&self, id: &str, wrong: &str) {
        let begun = self
            .runtime()
            .client()
            .start(TRIP, id, &wrong.to_owned())
            .await;
        begun.expect("it is started");
    }

    /// A trip that has ended.
    pub(crate) async fn ended(&self, id: &str, wrong: &str) {
        self.begin(id, wrong).await;
        self.end(id).await;
    }

    pub(crate) async fn end(&self, id: &str) -> Arc<SagaState> {
        self.runtime().client().end(id).await.expect("it ends")
    }

    /// Begins a trip and lets it come to where it waits for this.
    pub(crate) async fn waiting(&self, id: &str, wrong: &str, for_what: fn(&WaitsFor) -> bool) {
        self.begin(id, wrong).await;
        self.until(id, for_what).await;
    }

    pub(crate) async fn until(&self, id: &str, for_what: fn(&WaitsFor) -> bool) -> Why {
        loop {
            let state = self
                .runtime()
                .client()
                .state(id)
                .await
                .expect("it is known");
            let why = why(&state);
            if why.waiting.iter().any(|waiting| for_what(&waiting.what)) {
                return why;
            }
            assert!(!state.status().is_terminal(), "{id} is {}", state.status());
            tokio::task::yield_now().await;
        }
    }
}

/// An app that knows trips, by the system's clock.
pub(crate) fn app() -> App {
    App::new()
        .saga(trip())
        .worker_in(|_| Ok::<_, std::io::Error>(worker(ManualClock::at(OPENING))))
}

pub(crate) fn reply(what: &WaitsFor) -> bool {
    matches!(what, WaitsFor::Reply { step, .. } if &**step == "air.book")
}

pub(crate) fn retry(what: &WaitsFor) -> bool {
    matches!(what, WaitsFor::Retry { .. })
}

pub(crate) fn sleep(what: &WaitsFor) -> bool {
    matches!(what, WaitsFor::Sleep)
}

pub(crate) fn signal(what: &WaitsFor) -> bool {
    matches!(what, WaitsFor::Signal { .. })
}

pub(crate) fn person(what: &WaitsFor) -> bool {
    matches!(what, WaitsFor::Person { .. })
}

fn trip() -> AnyDefinition {
    let (mut saga, plan) = TRIP.define(1);
    saga.deadline(48 * HOUR);
    let room = saga.step("room", ROOM, plan);
    saga.when("tired", plan.map(|plan| plan.contains("tired")), |saga| {
        saga.sleep("nap", Duration::from_secs(90));
        just(())
    });
    let flight = saga.step("flight", FLIGHT, plan);
    saga.when("ask", plan.map(|plan| plan.contains("approval")), |saga| {
        let approved = saga.signal("approved", APPROVAL).within(72 * HOUR);
        saga.check(
            "yes",
            approved.map(|yes| {
                yes.filter(|yes| *yes)
                    .ok_or_else(|| "the boss says no".to_owned())
            }),
        );
        just(())
    });
    saga.pivot();
    let ticket = saga.step(
        "ticket",
        TICKET,
        plan.and(room).and(flight).map(|plan, _, _| plan),
    );
    saga.returns(ticket).expect("it is sound").into()
}

fn worker(clock: ManualClock) -> Worker<ManualClock> {
    Worker::with(clock)
        .action(ROOM, room)
        .compensation(ROOM, leave_room)
        .action(FLIGHT, flight)
        .compensation(FLIGHT, leave_flight)
        .probe(FLIGHT, find_flight)
        .action(TICKET, ticket)
}

async fn room(attempt: Attempt<ManualClock>, _: String) -> Result<String, Failure> {
    attempt.state.advance(Duration::from_millis(120));
    Ok("room 12".into())
}

async fn leave_room(
    attempt: Attempt<ManualClock>,
    _: String,
    _: Option<String>,
) -> Result<(), Failure> {
    attempt.state.advance(Duration::from_millis(40));
    Ok(())
}

async fn flight(attempt: Attempt<ManualClock>, plan: String) -> Result<String, Failure> {
    if plan.contains("silent") {
        return pending().await;
    }
    attempt.state.advance(Duration::from_millis(300));
    match attempt.number.0 {
        1 if plan.contains("queue") => Err(Failure::transient("all lines are busy")),
        _ if plan.contains("full") => Err(Failure::permanent("no seat is left")),
        _ => Ok("seat 4A".into()),
    }
}

async fn leave_flight(
    attempt: Attempt<ManualClock>,
    plan: String,
    _: Option<String>,
) -> Result<(), Failure> {
    attempt.state.advance(Duration::from_millis(60));
    if plan.contains("no refund") {
        Err(Failure::permanent("the fare has no refund"))
    } else {
        Ok(())
    }
}

async fn find_flight(_: Attempt<ManualClock>, _: String) -> Result<Found<String>, Failure> {
    Ok(Found::NotDone)
}

async fn ticket(attempt: Attempt<ManualClock>, plan: String) -> Result<String, Failure> {
    attempt.state.advance(Duration::from_micros(350));
    if plan.contains("no ink") {
        Err(Failure::permanent("the printer has no ink"))
    } else {
        Ok("ticket 7".into())
    }
}
