//! Dead letters and held inputs of a log in PostgreSQL, whose owner is reached over RabbitMQ alone.

use std::sync::Arc;

use sagalog::{Status, history::Reader, log::PartitionId};
use sagalog_eventlog::PostgresLog;
use sagalog_projections::{DeadLetters, dead_letters::Phase};
use sagalog_transport::{Kind, Message, MessageId, Queue};
use serde_json::Value;

use crate::{
    agency::{Agency, signal},
    broker::Broker,
    program::sagalog,
};

/// Runs a command over the broker, and reads what it prints.
async fn run(agency: &Agency, broker: &str, line: &str) -> Value {
    let said = sagalog(&agency.log, &format!("{line} --broker {broker} --json")).await;
    serde_json::from_str(&said.printed()).expect("JSON")
}

/// Waits until the letters are as wanted.
async fn until(agency: &Agency, wanted: impl Fn(&DeadLetters) -> bool) {
    let url = agency.log.to_str().expect("a text");
    let log = PostgresLog::open(url).await.expect("it opens");
    let reader = Reader::new(Arc::new(log), PartitionId::new(0));
    while !wanted(&reader.dead_letters().await.expect("they can be read")) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn dead_letters_are_sent_again_and_given_up() {
    let broker = Broker::shared().url();
    let agency = Agency::over(&broker, "letters_over_broker").await;
    let from = Queue::commands("hotel").expect("a good name");
    let letter = |number: u128| {
        let (id, to) = (MessageId(number), Queue::inbox(0));
        Message::new(id, Kind::Response, from.clone(), to, "{}".to_owned())
    };
    let letters: Vec<_> = (1..=40).map(letter).collect();
    let sent = agency.transport.publish(letters).await;
    sent.expect("the inbox is there");
    until(&agency, |letters| letters.count(Phase::Waiting) == 40).await;
    let again = run(&agency, &broker, "dlq retry-all --request-id r-1").await;
    assert_eq!((&again["done"], &again["refused"]), (&40.into(), &0.into()));
    let results = again["letters"].as_array().expect("a list");
    assert!(results.iter().all(|letter| letter["result"] == "done"));
    // Nothing has changed, so they die of the same.
    until(&agency, |letters| {
        letters.iter().all(|letter| letter.deaths == 2)
    })
    .await;
    let again = run(&agency, &broker, "dlq retry-all --request-id r-1").await;
    assert_eq!(again["done"], 40, "it is the same request");
    let purge = "dlq purge --all --reason of-no-use";
    assert_eq!(run(&agency, &broker, purge).await["done"], 40);
    until(&agency, DeadLetters::is_empty).await;
}

#[tokio::test]
async fn a_held_input_is_put_right() {
    let broker = Broker::shared().url();
    let agency = Agency::over(&broker, "held_over_broker").await;
    agency.waiting("t-1", "approval", signal).await;
    let signal = "saga signal t-1 approval --payload 7 --id boss-1";
    run(&agency, &broker, signal).await;
    let listed = sagalog(&agency.log, "held list").await.printed();
    assert!(listed.contains("signal approval, id boss-1"), "{listed}");
    run(&agency, &broker, "held edit t-1 1 --content true").await;
    assert_eq!(agency.end("t-1").await.status(), Status::Completed);
}
