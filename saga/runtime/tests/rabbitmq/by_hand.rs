//! Participants and a producer that write their messages by hand: replies come in another order than they were
//! asked for, and a producer is asked for numbers that did not come.

use std::{sync::Arc, time::Duration};

use sagalog::{
    Client, Ended, Gaps, MemoryLog, Retry, Runtime, RuntimeBuilder, Saga, Signal, Step, Transport,
    worker::COMMANDS_MAX,
};
use sagalog_model::{Command, FailureClass, Missing, Outcome, Payload, Reply};
use sagalog_transport::{Consumer, Delivery, Kind, Message, MessageId, Queue};

use crate::{
    broker::Broker,
    trip::{in_time, transport},
};

const ASK: Saga<u32, u32> = Saga::new("ask");
const LOOK: Step<u32, u32> = Step::new("looks.look")
    .read_only()
    .timeout(Duration::from_secs(60));
/// Asked again and again, as nobody answers in time.
const HASTY: Step<u32, u32> = Step::new("looks.look")
    .read_only()
    .timeout(Duration::from_millis(200))
    .retry(Retry::fixed(Duration::from_millis(1)).attempts(1_000));

fn asking(step: Step<u32, u32>, transport: Arc<dyn Transport>) -> RuntimeBuilder {
    let (mut saga, number) = ASK.define(1);
    let seen = saga.step("look", step, number);
    Runtime::on(Arc::new(MemoryLog::new()))
        .transport(transport)
        .definition(saga.returns(seen).expect("a good definition"))
        .elsewhere("looks")
}

/// What comes to a participant.
struct Received(Box<dyn Consumer>);

impl Received {
    async fn by(participant: &str, transport: &dyn Transport) -> Self {
        let queue = Queue::commands(participant).expect("a name");
        let declared = transport.declare(&queue, COMMANDS_MAX).await;
        declared.expect("it is there");
        Self(transport.consume(&queue, 1_024).await.expect("it is there"))
    }

    async fn next(&mut self, count: usize) -> Vec<Delivery> {
        let mut got = Vec::new();
        while got.len() < count {
            let received = self.0.receive(&mut got, count).await;
            received.expect("the broker is there");
        }
        let tags: Vec<_> = got.iter().map(|delivery| delivery.tag).collect();
        self.0.ack(&tags).await.expect("the broker is there");
        got
    }
}

fn command(asked: &Delivery) -> Command {
    serde_json::from_str(&asked.message.content).expect("a command")
}

/// The message that answers a command. The same outcome is the same message.
fn reply(asked: &Delivery, outcome: Outcome) -> Message {
    let command = command(asked);
    let reply = Reply {
        saga: command.saga,
        node: command.node,
        direction: command.direction,
        attempt: command.attempt,
        outcome,
    };
    let Message { id, from, to, .. } = &*asked.message;
    let content = serde_json::to_string(&reply).expect("plain data");
    let id = MessageId(!id.0);
    Message::new(id, Kind::Response, to.clone(), from.clone(), content)
}

fn seen(number: u32) -> Outcome {
    Outcome::Succeeded(Payload::from_json_text(number.to_string()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_in_reverse_and_twice_reach_the_sagas_that_asked() {
    in_time(async {
        let transport = transport(&Broker::shared().url()).await;
        let mut received = Received::by("looks", &*transport).await;
        let runtime = asking(LOOK, transport.clone()).start().await;
        let client = runtime.as_ref().expect("it starts").client();
        for number in 0..20 {
            let started = client.start(ASK, &format!("a-{number}"), &number).await;
            started.expect("it is recorded");
        }
        let asked = received.next(20).await;
        let answer = |asked: &Delivery| {
            let number: u32 = command(asked).input.read::<u32>().expect("its input");
            reply(asked, seen(10 * number))
        };
        let back = asked.iter().rev().chain(&asked);
        let published = transport.publish(back.map(answer).collect()).await;
        published.expect("there is room");
        for number in 0..20 {
            let ended = client.result(ASK, &format!("a-{number}")).await;
            assert_eq!(ended.expect("it ends"), Ended::Completed(10 * number));
        }
        runtime.expect("it started").stop().await.expect("in peace");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_attempt_that_succeeded_counts_though_the_second_was_answered_before_it() {
    in_time(async {
        let transport = transport(&Broker::shared().url()).await;
        let mut received = Received::by("looks", &*transport).await;
        let runtime = asking(HASTY, transport.clone()).start().await;
        let runtime = runtime.expect("it starts");
        let client = runtime.client();
        client.start(ASK, "a-1", &1).await.expect("it is recorded");
        let asked = received.next(2).await;
        let attempts = [&asked[0], &asked[1]].map(|asked| command(asked).attempt.0);
        assert_eq!(attempts, [1, 2]);
        let busy = Outcome::Failed {
            class: FailureClass::Transient,
            reason: "too busy to look".into(),
        };
        let replies = vec![reply(&asked[1], busy), reply(&asked[0], seen(7))];
        transport.publish(replies).await.expect("there is room");
        let ended = client.result(ASK, "a-1").await;
        assert_eq!(ended.expect("it ends"), Ended::Completed(7));
        runtime.stop().await.expect("in peace");
    })
    .await;
}

const OFFER: Saga<(), Vec<Option<u64>>> = Saga::new("offer");
const PRICE: Signal<u64> =
    Signal::new("price").gaps(Gaps::within(Duration::from_millis(100)).asking(10_000));

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_is_asked_for_the_numbers_that_did_not_come_and_sends_them() {
    in_time(async {
        let url = Broker::shared().url();
        let (mut saga, _) = OFFER.define(1);
        let day = Duration::from_secs(24 * 3_600);
        let prices = ["first", "second", "third"].map(|id| saga.signal(id, PRICE).within(day));
        let [first, second, third] = prices;
        let all = first.and(second).and(third);
        let all = all.map(|first, second, third| vec![first, second, third]);
        let runtime = Runtime::on(Arc::new(MemoryLog::new()))
            .transport(transport(&url).await)
            .definition(saga.returns(all).expect("a good definition"))
            .start();
        let runtime = runtime.await.expect("it starts");
        let over = transport(&url).await;
        let pricing = Client::connect(over.clone());
        let mut received = Received::by("pricing", &*over).await;
        pricing.start(OFFER, "offer-7", &()).await.expect("done");
        let send = async |number: u64| {
            let producer = ("pricing", number);
            let price = 100 * number;
            let sent = pricing.signal_in_order(PRICE, "offer-7", producer, &price);
            sent.await.expect("it is recorded");
        };
        send(3).await;
        let asked = received.next(1).await;
        let missing: Missing =
            serde_json::from_str(&asked[0].message.content).expect("numbers that are missing");
        assert_eq!(asked[0].message.kind, Kind::Control);
        assert_eq!(missing.saga.as_str(), "offer-7");
        assert_eq!((missing.from, missing.to), (1, 2));
        for number in missing.from..=missing.to {
            send(number).await;
        }
        let ended = pricing.result(OFFER, "offer-7").await;
        let prices = [100, 200, 300].map(Some).to_vec();
        assert_eq!(ended.expect("it ends"), Ended::Completed(prices));
        runtime.stop().await.expect("in peace");
    })
    .await;
}
