//! A trip: hotel and flight side by side, paid by card or by points; what fails is undone.
//!
//! ```text
//! cargo run -p sagalog --example trip_booking
//! ```
//!
//! Look at the second trip. The card is declined, so the saga turns and undoes what it did: hotel
//! and flight are independent branches, so neither waits for the other. The hotel cannot be
//! cancelled any more, and its alternative, a resale, makes up for it.

use std::{error::Error, sync::Arc};

use sagalog::{
    Attempt, BadDefinition, Definition, Ended, Failure, MemoryLog, Runtime, Saga, Step, Undo,
    Worker,
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct Trip {
    to: String,
    pay: Pay,
}

#[derive(Clone, Serialize, Deserialize)]
enum Pay {
    Card(String),
    Points(u32),
}

const TRIP: Saga<Trip, String> = Saga::new("trip");
const HOTEL: Step<String, String> = Step::new("hotel.book").compensatable().or(RESELL);
const RESELL: Step<Undo<String, String>, ()> = Step::new("market.resell").retryable();
const FLIGHT: Step<String, String> = Step::new("air.book").compensatable();
const CHARGE: Step<String, String> = Step::new("money.charge").compensatable();
const REDEEM: Step<u32, String> = Step::new("points.redeem").compensatable();
const TICKETS: Step<String, ()> = Step::new("mail.tickets").retryable();

fn trip() -> Result<Definition<Trip, String>, BadDefinition> {
    let (mut saga, trip) = TRIP.define(1);
    let to = saga.value("to", trip.map(|trip| trip.to));
    let (room, seat) =
        saga.all(|all| (all.step("hotel", HOTEL, to), all.step("flight", FLIGHT, to)));
    let paid = saga.choose("pay", trip.map(|trip| trip.pay), |case| {
        let card = case.arm("card", |saga, card| saga.step("charge", CHARGE, card));
        let points = case.arm("points", |saga, points| saga.step("redeem", REDEEM, points));
        case.pick((card, points), |pay, (card, points)| match pay {
            Pay::Card(number) => card.with(number),
            Pay::Points(count) => points.with(count),
        })
    });
    let booked = saga.value(
        "booked",
        room.and(seat)
            .and(paid)
            .map(|room, seat, paid| format!("{room}, {seat}, {paid}")),
    );
    saga.pivot();
    saga.step("tickets", TICKETS, booked);
    saga.returns(booked)
}

fn worker() -> Worker {
    Worker::new()
        .action(HOTEL, async |_, to| {
            done("booked", format!("a room in {to}"))
        })
        .compensation(HOTEL, async |_, _, _| {
            println!("  the hotel does not take the room back");
            Err(Failure::permanent("it is too late to cancel"))
        })
        .action(RESELL, async |_, undo| {
            done("resold", undo.output.unwrap_or_default()).map(drop)
        })
        .action(FLIGHT, async |_, to| {
            done("booked", format!("a seat to {to}"))
        })
        .compensation(FLIGHT, async |_, _, seat| {
            done("cancelled", seat.unwrap_or_default()).map(drop)
        })
        .action(CHARGE, async |_, card: String| {
            if card == "stolen" {
                println!("  the card is declined");
                return Err(Failure::permanent("the card is declined"));
            }
            done("charged", format!("card {card}"))
        })
        .compensation(CHARGE, async |_: Attempt, _, _| Ok(()))
        .action(REDEEM, async |_, points| {
            done("redeemed", format!("{points} points"))
        })
        .compensation(REDEEM, async |_: Attempt, _, _| Ok(()))
        .action(TICKETS, async |_, booked| done("sent", booked).map(drop))
}

fn done(what: &str, of: String) -> Result<String, Failure> {
    println!("  {what}: {of}");
    Ok(of)
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let definition = trip()?;
    println!("{}", definition.graph().outline());
    let runtime = Runtime::on(Arc::new(MemoryLog::new()))
        .definition(definition)
        .worker(worker())
        .start()
        .await?;
    let client = runtime.client();

    println!("to Rome, for points:");
    let to_rome = Trip {
        to: "Rome".into(),
        pay: Pay::Points(4_000),
    };
    let ended = client.run(TRIP, "rome", &to_rome).await?;
    println!("  {ended:?}");
    assert!(matches!(ended, Ended::Completed(_)));

    println!("to Oslo, with a stolen card:");
    let to_oslo = Trip {
        to: "Oslo".into(),
        pay: Pay::Card("stolen".into()),
    };
    let ended = client.run(TRIP, "oslo", &to_oslo).await?;
    println!("  {ended:?}");
    let reason = "the card is declined".to_owned();
    assert_eq!(ended, Ended::Compensated { reason });

    runtime.stop().await?;
    Ok(())
}
