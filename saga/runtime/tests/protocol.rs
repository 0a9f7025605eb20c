//! What `docs/protocol.md` shows is what is sent.

use std::collections::BTreeSet;

use sagalog::request::{Answer, Request, Roll};
use sagalog_model::{Command, FailureClass, IdempotencyKey, Missing, Outcome, Reply, Withdrawal};
use serde::{Serialize, de::DeserializeOwned};

const PROTOCOL: &str = include_str!("../../../docs/protocol.md");

#[test]
fn every_command_of_the_document_is_one() {
    let commands: Vec<Command> =
        samples(|sample| sample.contains("\"input\"") && sample.contains("\"action_key\""));
    for command in &commands {
        let key = |direction| IdempotencyKey::of(&command.saga, &command.node, direction);
        assert_eq!(command.key, key(command.direction));
        assert_eq!(command.action_key, key(sagalog_model::Direction::Action));
    }
    let directions: BTreeSet<_> = commands.iter().map(|it| it.direction.as_str()).collect();
    let all = ["action", "probe", "compensation", "alternative"];
    assert_eq!(directions, BTreeSet::from(all));
    assert!(commands.iter().any(|it| it.output.is_some()));
    assert!(commands.iter().any(|it| it.heartbeat.is_some()));
}

#[test]
fn every_reply_of_the_document_is_one() {
    let replies: Vec<Reply> = samples(|sample| sample.contains("\"outcome\""));
    let outcomes: BTreeSet<_> = replies
        .iter()
        .map(|reply| match &reply.outcome {
            Outcome::Succeeded(_) => "succeeded",
            Outcome::Failed { class, .. } => match class {
                FailureClass::Transient => "transient",
                FailureClass::Permanent => "permanent",
            },
            Outcome::Unknown { .. } => "unknown",
            Outcome::NotDone => "not done",
            Outcome::Alive { .. } => "alive",
        })
        .collect();
    let all = [
        "succeeded",
        "transient",
        "permanent",
        "unknown",
        "not done",
        "alive",
    ];
    assert_eq!(outcomes, BTreeSet::from(all));
}

#[test]
fn the_withdrawal_of_the_document_is_one() {
    let says_nothing_else =
        |sample: &str| !sample.contains("\"input\"") && sample.contains("\"action_key\"");
    let withdrawals: Vec<Withdrawal> = samples(says_nothing_else);
    let [withdrawal] = &*withdrawals else {
        panic!("one is shown: {withdrawals:?}")
    };
    let (saga, node) = (&withdrawal.saga, &withdrawal.node);
    let key = IdempotencyKey::of(saga, node, sagalog_model::Direction::Action);
    assert_eq!(withdrawal.action_key, key);
}

#[test]
fn what_is_missing_in_the_document_is_what_is_asked_for() {
    let missing: Vec<Missing> = samples(|sample| sample.contains("\"producer\""));
    let [missing] = &*missing else {
        panic!("one is shown: {missing:?}")
    };
    assert!(missing.from <= missing.to);
}

#[test]
fn the_request_and_the_answer_of_the_document_are_some() {
    let requests: Vec<Request> = samples(|sample| sample.starts_with("{\"start\""));
    assert!(
        matches!(&*requests, [Request::Start { .. }]),
        "{requests:?}"
    );
    let rolls: Vec<Request> = samples(|sample| sample.starts_with("{\"participants\""));
    let announces = |request: &Request| matches!(request, Request::Participants(Roll::Announce(_)));
    assert!(rolls.len() == 1 && rolls.iter().all(announces), "{rolls:?}");
    let answers: Vec<Answer> = samples(|sample| sample.starts_with("{\"standing\""));
    assert!(matches!(&*answers, [Answer::Standing(_)]), "{answers:?}");
}

/// The JSON blocks of the document, each of which must say the same when it is written again.
fn samples<T: Serialize + DeserializeOwned>(wanted: impl Fn(&str) -> bool) -> Vec<T> {
    let blocks = PROTOCOL.split("```json\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().expect("split gives at least one"));
    let samples = blocks.filter(|block| wanted(block)).map(|block| {
        let sample: T = serde_json::from_str(block).expect(block);
        let again: serde_json::Value = serde_json::to_value(&sample).expect("plain data");
        let shown: serde_json::Value = serde_json::from_str(block).expect("it was read before");
        assert_eq!(again, shown);
        sample
    });
    samples.collect()
}
