//! How fast the sagas under way are checked against another build: `cargo run --release -p sagalog-cli
//! --example fleet_bench [SAGAS]`, 100,000 unless said otherwise.
//!
//! A log in a file with so many orders, each of which waits for its last step. The build has their version and a
//! newer one, which would have charged every second order otherwise. So each order is decided twice.

use std::{env, error::Error, sync::Arc, time::Instant};

use sagalog_cli::App;
use sagalog_eventlog::{EventLog, Owner, Row, SqliteLog};
use sagalog_model::{
    AnyDefinition, Saga, SagaId, Step,
    log::{Batch, NewEvent, PartitionId, Position, StreamKey, Time},
};
use sagalog_sim::{Plan, Sim};

const PARTITION: PartitionId = PartitionId::new(0);

const ORDER: Saga<u64, String> = Saga::new("order");
const RESERVE: Step<String, String> = Step::new("stock.reserve").compensatable();
const CHARGE: Step<u64, String> = Step::new("money.charge").compensatable();
const SHIP: Step<String, String> = Step::new("post.ship").retryable();

/// Version 2 charges more for what is dear.
fn order(version: u32) -> AnyDefinition {
    let (mut saga, cents) = ORDER.define(version);
    let reserved = saga.step(
        "reserve",
        RESERVE,
        cents.map(|cents| format!("{cents} cents")),
    );
    let price = match version {
        1 => cents.map(|cents| cents),
        _ => cents.map(|cents| if cents > 1_000 { cents + 1 } else { cents }),
    };
    let paid = saga.step("charge", CHARGE, price);
    saga.pivot();
    let label = saga.step("ship", SHIP, reserved);
    let receipt = paid
        .and(label)
        .map(|paid, label| format!("{paid}, {label}"));
    saga.returns(receipt).expect("it is sound").into()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let sagas = env::args()
        .nth(1)
        .map_or(Ok(100_000), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("log.db");
    let events = fill(&SqliteLog::open(&file).await?, sagas).await?;
    let build = App::new().saga(order(1)).saga(order(2));
    let log = Arc::new(SqliteLog::read_only(&file).await?);
    let began = Instant::now();
    let report = build.check_fleet(log).await?;
    let took = began.elapsed();
    println!("{report}");
    println!("{sagas} sagas with {events} events in {took:.2?}");
    Ok(())
}

/// Fills a log with orders side by side; how many events that are.
async fn fill(log: &SqliteLog, sagas: usize) -> Result<u64, Box<dyn Error>> {
    let (cheap, dear) = (under_way(500)?, under_way(5_000)?);
    let owner = Owner::this_process("fleet_bench", Time::default());
    let ownership = log.acquire(PARTITION, owner).await?;
    let mut streams = vec![StreamKey::default(); sagas];
    let mut next = Position::new(1);
    for (cheap, dear) in cheap.iter().zip(&dear) {
        for (chunk, streams) in streams.chunks_mut(500).enumerate() {
            let mut batches = Vec::new();
            for (number, stream) in streams.iter_mut().enumerate() {
                let row = if number % 2 == 0 { cheap } else { dear };
                if row.name.is_some() {
                    *stream = StreamKey::new(next.get());
                }
                batches.push(batch(row, chunk * 500 + number, *stream, next)?);
                next = Position::new(next.get() + row.events.len() as u64);
            }
            log.append(PARTITION, ownership.epoch, batches).await?;
        }
    }
    log.release(PARTITION).await?;
    Ok(next.get() - 1)
}

/// The batches of an order up to where it waits for its last step.
fn under_way(cents: u64) -> Result<Vec<Row>, Box<dyn Error>> {
    let run = Sim::of(order(1), &cents)
        .gives(RESERVE, |what| format!("{what} reserved"))
        .gives(CHARGE, |cents| format!("{cents} cents paid"))
        .gives(SHIP, |_| "IP-1".into())
        .run(&Plan::healthy())?;
    let capture = run.capture("s1").expect("it ran");
    let rows = capture.rows().iter().map(|row| row.row.clone());
    let is_shipped = |row: &Row| row.events[0].control.contains("ship");
    Ok(rows.take_while(|row| !is_shipped(row)).collect())
}

fn batch(
    row: &Row,
    number: usize,
    stream: StreamKey,
    position: Position,
) -> Result<Batch, Box<dyn Error>> {
    let events = row.events.iter().map(|event| NewEvent {
        kind: event.kind.clone(),
        schema: event.schema,
        control: event.control.clone(),
        data: event.data.clone(),
    });
    let name = SagaId::new(format!("order-{number}"))?.stream().clone();
    Ok(Batch {
        stream,
        name: row.name.as_ref().map(|_| name),
        version: row.version,
        position,
        at: row.at,
        id: row.id,
        input: row.input,
        digest: row.digest,
        state: row.state,
        events: events.collect(),
    })
}
