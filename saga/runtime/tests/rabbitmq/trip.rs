//! A trip: a hotel, a flight that not everybody gets, and a mail.

use std::{sync::Arc, time::Duration};

use sagalog::{
    AnyDefinition, Attempt, Client, Ended, Failure, RabbitMq, Saga, Step, Transport, Worker,
};

pub(crate) const TRIP: Saga<String, String> = Saga::new("trip");
const HOTEL: Step<String, String> = Step::new("hotel.book").compensatable();
const FLIGHT: Step<String, String> = Step::new("flight.book").compensatable();
const MAIL: Step<String, ()> = Step::new("mail.send").retryable();

/// Whose steps they are.
pub(crate) const PARTICIPANTS: [&str; 3] = ["hotel", "flight", "mail"];

pub(crate) fn trip() -> AnyDefinition {
    let (mut saga, to) = TRIP.define(1);
    let hotel = saga.step("hotel", HOTEL, to);
    let flight = saga.step("flight", FLIGHT, to);
    saga.pivot();
    saga.step(
        "mail",
        MAIL,
        hotel
            .and(flight)
            .map(|hotel, flight| format!("{hotel}, {flight}")),
    );
    let returned = saga.returns(
        hotel
            .and(flight)
            .map(|hotel, flight| format!("{hotel}, {flight}")),
    );
    returned.expect("a good definition").into()
}

pub(crate) fn worker() -> Worker {
    Worker::new()
        .action(HOTEL, async |_, to| Ok(format!("a room in {to}")))
        .compensation(HOTEL, async |_, _, _| Ok(()))
        .action(FLIGHT, fly)
        .compensation(FLIGHT, async |_, _, _| Ok(()))
        .action(MAIL, async |_, _| Ok(()))
}

async fn fly(_: Attempt, to: String) -> Result<String, Failure> {
    if to == "Atlantis" {
        return Err(Failure::permanent("nobody flies there"));
    }
    Ok(format!("a seat to {to}"))
}

pub(crate) async fn transport(url: &str) -> Arc<dyn Transport> {
    Arc::new(RabbitMq::connect(url).await.expect("the broker is there"))
}

/// Runs a trip to its right end: each third one goes where nobody flies.
pub(crate) async fn travel(client: &Client, number: usize) {
    let to = if number.is_multiple_of(3) {
        "Atlantis"
    } else {
        "Rome"
    };
    let ended = client
        .run(TRIP, &format!("t-{number}"), &to.to_owned())
        .await;
    let expected = if to == "Atlantis" {
        Ended::Compensated {
            reason: "nobody flies there".to_owned(),
        }
    } else {
        Ended::Completed("a room in Rome, a seat to Rome".to_owned())
    };
    assert_eq!(ended.expect("it runs"), expected, "trip {number}");
}

/// Far beyond what any of them needs on a busy machine.
pub(crate) async fn in_time<T>(work: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(Duration::from_secs(600), work).await;
    ended.expect("it came to an end")
}
