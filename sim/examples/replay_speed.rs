//! How fast histories are verified and decided again: `cargo run --release -p sagalog-sim --example
//! replay_speed [EVENTS]`.
//!
//! One core: a log in a file with so many events of orders, its rows hashed from memory, verified from the
//! file, and decided again from memory and from the file.

use std::{
    collections::HashMap,
    env,
    error::Error,
    fs,
    hint::black_box,
    time::{Duration, Instant},
};

use sagalog_eventlog::{Chain, EventLog, Owner, Row, SqliteLog, verify};
use sagalog_model::{
    AnyDefinition, Retry, Saga, SagaId, Step,
    log::{Batch, Digest, NewEvent, PartitionId, Position, StreamKey, StreamState, Time},
};
use sagalog_sim::{Plan, Replay, Sim, Stored};
use serde::{Deserialize, Serialize};

const PARTITION: PartitionId = PartitionId::new(0);

/// Rows of one read.
const PAGE: usize = 1_000;

#[derive(Clone, Serialize, Deserialize)]
struct Order {
    sku: String,
    cents: u64,
}

const ORDER: Saga<Order, String> = Saga::new("order");
const SOON: Retry = Retry::fixed(Duration::from_secs(1)).attempts(3);
const RESERVE: Step<String, String> = Step::new("stock.reserve").compensatable().retry(SOON);
const CHARGE: Step<u64, String> = Step::new("money.charge").compensatable().retry(SOON);
const SHIP: Step<String, String> = Step::new("post.ship").retryable().retry(SOON);

fn order() -> AnyDefinition {
    let (mut saga, order) = ORDER.define(1);
    let reserved = saga.step("reserve", RESERVE, order.map(|order| order.sku));
    let paid = saga.step("charge", CHARGE, order.map(|order| order.cents));
    saga.pivot();
    let label = saga.step("ship", SHIP, reserved);
    let receipt = paid
        .and(label)
        .map(|paid, label| format!("{paid}, {label}"));
    saga.returns(receipt).expect("it is sound").into()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let events = env::args()
        .nth(1)
        .map_or(Ok(300_000), |text| text.parse())?;
    let rows = rows(events)?;
    let folder = env::temp_dir().join(format!("sagalog-replay-speed-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let measured = measure(&rows, &folder.join("log.db")).await;
    fs::remove_dir_all(&folder)?;
    measured
}

async fn measure(rows: &[Row], file: &std::path::Path) -> Result<(), Box<dyn Error>> {
    let events: usize = rows.iter().map(|row| row.events.len()).sum();
    let say = |what: &str, since: Instant| {
        let second = events as f64 / since.elapsed().as_secs_f64();
        println!("{what:<28} {second:>12.0} events/s");
    };
    let began = Instant::now();
    let mut chain = Chain::after(PARTITION, Digest::default());
    for row in rows {
        black_box(chain.next(row));
    }
    say("hashed from memory", began);

    let definition = order();
    let began = Instant::now();
    let mut deciding = Deciding::new(&definition);
    deciding.rows(rows);
    say("decided again from memory", began);

    let log = SqliteLog::open(file).await?;
    append(&log, rows).await?;
    let began = Instant::now();
    verify(&log, PARTITION).await?;
    say("verified from the file", began);

    let began = Instant::now();
    let mut deciding = Deciding::new(&definition);
    let mut page = log.read(PARTITION, Position::new(1), PAGE).await?;
    while let Some(last) = page.last() {
        let next = log.read(PARTITION, last.last_position().next(), PAGE);
        let (next, ()) = tokio::join!(next, async { deciding.rows(&page) });
        page = next?;
    }
    say("decided again from the file", began);
    Ok(())
}

/// The orders that are under way.
struct Deciding<'a> {
    definition: &'a AnyDefinition,
    open: HashMap<StreamKey, Replay<'a>>,
}

impl<'a> Deciding<'a> {
    fn new(definition: &'a AnyDefinition) -> Self {
        Self {
            definition,
            open: HashMap::new(),
        }
    }

    fn rows(&mut self, rows: &[Row]) {
        for row in rows {
            if let Some(name) = &row.name {
                let saga = SagaId::new(name.as_str()).expect("an order's id");
                self.open
                    .insert(row.stream, Replay::of(saga, self.definition));
            }
            let replay = self.open.get_mut(&row.stream).expect("it has begun");
            let stored: Vec<_> = row.events.iter().map(Stored::from).collect();
            if let Err(difference) = replay.batch(row.at, row.version, &stored) {
                panic!("{difference}");
            }
            if row.state == StreamState::Closed {
                self.open.remove(&row.stream);
            }
        }
    }
}

/// The rows of orders that all went well, side by side.
fn rows(events: usize) -> Result<Vec<Row>, Box<dyn Error>> {
    let input = Order {
        sku: "BOOK".into(),
        cents: 4_200,
    };
    let run = Sim::of(order(), &input)
        .gives(RESERVE, |sku| format!("{sku} is reserved"))
        .gives(CHARGE, |cents| format!("{cents} are paid"))
        .gives(SHIP, |_| "IP-1".into())
        .run(&Plan::healthy())?;
    let capture = run.capture("s1").expect("it ran");
    let orders = events / capture.events().len();
    let mut rows = Vec::with_capacity(orders * capture.rows().len());
    let mut next = Position::new(1);
    // All orders at once, because time does not run back.
    for captured in capture.rows() {
        for number in 0..orders {
            let mut row = captured.row.clone();
            let name = SagaId::new(format!("order-{number}"))?.stream().clone();
            row.name = row.name.map(|_| name);
            row.position = next;
            let first = rows.get(number).filter(|_| rows.len() >= orders);
            let new = StreamKey::new(next.get());
            row.stream = first.map_or(new, |first: &Row| first.stream);
            next = row.last_position().next();
            rows.push(row);
        }
    }
    Ok(rows)
}

async fn append(log: &SqliteLog, rows: &[Row]) -> Result<(), Box<dyn Error>> {
    let owner = Owner::this_process("replay_speed", Time::default());
    let ownership = log.acquire(PARTITION, owner).await?;
    for some in rows.chunks(500) {
        let batches = some.iter().map(batch).collect();
        log.append(PARTITION, ownership.epoch, batches).await?;
    }
    Ok(())
}

fn batch(row: &Row) -> Batch {
    let events = row.events.iter().map(|event| NewEvent {
        kind: event.kind.clone(),
        schema: event.schema,
        control: event.control.clone(),
        data: event.data.clone(),
    });
    Batch {
        stream: row.stream,
        name: row.name.clone(),
        version: row.version,
        position: row.position,
        at: row.at,
        id: row.id,
        input: row.input,
        digest: row.digest,
        state: row.state,
        events: events.collect(),
    }
}
