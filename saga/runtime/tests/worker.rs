//! The worker host keeps the participant's contract around its handlers.

#[path = "worker/later.rs"]
mod later;

use std::{
    collections::HashMap,
    future::{Ready, ready},
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sagalog::{
    clock::ManualClock,
    worker::{Attempt, Failure, Found, HostError, Worker, WorkerHost, command_queue},
};
use sagalog_model::{
    AttemptNumber, Command, Direction, FailureClass, Graph, IdempotencyKey, Outcome, Payload,
    Reply, SagaId, Step, Undo,
    graph::{DefinitionVersion, Node, Source},
    log::Time,
};
use sagalog_transport::{
    ConsumeError, Consumer, ConsumerError, DeclareError, Delivery, InProcess, Kind, Message,
    MessageId, Nack, PublishError, Queue, Tag, Transport,
};
use serde::{Deserialize, Serialize, Serializer};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

const CHARGE: Step<u64, String> = Step::new("payments.charge")
    .compensatable()
    .probed()
    .or(REFUND_BY_HAND);
const REFUND_BY_HAND: Step<Undo<u64, String>, ()> =
    Step::new("payments.refund_by_hand").read_only();
const BROKEN: Step<u64, Unwritable> = Step::new("payments.broken").read_only();

#[tokio::test]
async fn an_action_is_answered_with_its_output() {
    let mut shop = Shop::open(worker()).await;
    shop.ask(action("a")).await;
    assert_eq!(shop.outcome().await, ok(r#""paid 100""#));
}

#[tokio::test]
async fn a_reply_names_what_it_answers() {
    let mut shop = Shop::open(worker()).await;
    let request = shop
        .ask(Command {
            attempt: AttemptNumber(3),
            ..action("a")
        })
        .await;
    let (message, reply) = shop.reply().await;
    assert_eq!(message.kind, Kind::Response);
    assert_eq!(message.correlation, Some(request));
    assert_eq!(
        message.from,
        command_queue(CHARGE.name()).expect("a good name")
    );
    assert_eq!((reply.saga.as_str(), &*reply.node), ("order-1", "a"));
    assert_eq!(
        (reply.direction, reply.attempt),
        (Direction::Action, AttemptNumber(3))
    );
}

#[tokio::test]
async fn a_handler_learns_what_it_serves() {
    let seen: Arc<Mutex<Option<Attempt<&str>>>> = Arc::default();
    let note = seen.clone();
    let worker = Worker::with("state").action(CHARGE, move |attempt, _| {
        *note.lock().expect("not poisoned") = Some(attempt);
        async { Ok(String::new()) }
    });
    let mut shop = Shop::open(worker).await;
    shop.ask(action("a")).await;
    shop.outcome().await;
    let attempt = seen
        .lock()
        .expect("not poisoned")
        .take()
        .expect("it was called");
    assert_eq!(attempt.state, "state");
    assert_eq!(attempt.key.as_str(), "default/order-1/a/action");
    assert_eq!(
        (&*attempt.step, attempt.deadline),
        ("payments.charge", DEADLINE)
    );
}

#[tokio::test]
async fn a_compensation_gets_the_output_if_it_is_known() {
    let calls = Calls::default();
    let mut shop = Shop::open(noting(&calls)).await;
    shop.ask(Command {
        output: Some(Payload::from_json_text(r#""paid 100""#)),
        ..compensation("a")
    })
    .await;
    assert_eq!(shop.outcome().await, ok("null"));
    shop.ask(compensation("b")).await;
    assert_eq!(shop.outcome().await, ok("null"));
    assert_eq!(calls.list(), ["undo Some(\"paid 100\")", "undo None"]);
}

#[tokio::test]
async fn a_compensation_runs_although_its_action_is_not_known_here() {
    let calls = Calls::default();
    let mut shop = Shop::open(noting(&calls)).await;
    shop.ask(compensation("a")).await;
    assert_eq!(shop.outcome().await, ok("null"));
    assert_eq!(calls.list(), ["undo None"]);
}

#[tokio::test]
async fn an_action_is_refused_after_its_compensation_succeeded() {
    let calls = Calls::default();
    let mut shop = Shop::open(noting(&calls)).await;
    shop.ask(compensation("a")).await;
    shop.outcome().await;
    shop.ask(action("a")).await;
    assert!(matches!(
        shop.outcome().await,
        Outcome::Failed {
            class: FailureClass::Permanent,
            ..
        }
    ));
    assert_eq!(calls.list(), ["undo None"]);
}

#[tokio::test]
async fn an_alternative_is_an_action_of_its_own_step() {
    let calls = Calls::default();
    let mut shop = Shop::open(noting(&calls)).await;
    let input = Payload::from_json_text(r#"{"input":100,"output":"paid 100"}"#);
    let step = REFUND_BY_HAND.name().into();
    shop.ask(Command {
        step,
        input,
        ..command("a", Direction::Alternative)
    })
    .await;
    assert_eq!(shop.outcome().await, ok("null"));
    assert_eq!(calls.list(), ["refund Some(\"paid 100\")"]);
}

#[tokio::test]
async fn a_probe_tells_what_it_found() {
    for (found, expected) in [
        (Found::Succeeded("paid".to_string()), ok(r#""paid""#)),
        (Found::NotDone, Outcome::NotDone),
        (Found::Unknown, unknown("the probe could not find out")),
    ] {
        let worker = Worker::new().probe(CHARGE, move |_, _| {
            let found = found.clone();
            async { Ok(found) }
        });
        let mut shop = Shop::open(worker).await;
        shop.ask(probe("a")).await;
        assert_eq!(shop.outcome().await, expected);
    }
}

#[tokio::test]
async fn a_failed_probe_says_nothing_about_the_action() {
    let worker = Worker::new().probe(CHARGE, async |_, _| Err(Failure::permanent("no route")));
    let mut shop = Shop::open(worker).await;
    shop.ask(probe("a")).await;
    assert_eq!(shop.outcome().await, unknown("no route"));
}

#[tokio::test]
async fn failures_keep_their_class_and_reason() {
    for (failure, expected) in [
        (
            Failure::permanent("no money"),
            failed(FailureClass::Permanent, "no money"),
        ),
        (
            Failure::transient("too busy"),
            failed(FailureClass::Transient, "too busy"),
        ),
        (Failure::unknown("timed out"), unknown("timed out")),
    ] {
        let mut shop = Shop::open(Worker::new().action(CHARGE, fails(failure))).await;
        shop.ask(action("a")).await;
        assert_eq!(shop.outcome().await, expected);
    }
}

#[tokio::test]
async fn a_panic_is_unknown_and_the_worker_lives() {
    let worker = Worker::new().action(CHARGE, async |_, cents| match cents {
        1 => panic!("at once"),
        2 => {
            tokio::task::yield_now().await;
            panic!("after a wait of {cents}")
        }
        _ => Ok(String::new()),
    });
    let mut shop = Shop::open(worker).await;
    for (cents, expected) in [
        (1, unknown("the handler panicked: at once")),
        (2, unknown("the handler panicked: after a wait of 2")),
        (3, ok(r#""""#)),
    ] {
        shop.ask(Command {
            input: number(cents),
            ..action(&format!("n{cents}"))
        })
        .await;
        assert_eq!(shop.outcome().await, expected);
    }
}

#[tokio::test]
async fn an_output_that_cannot_be_written_is_unknown() {
    let worker = Worker::new().action(BROKEN, async |_, _| Ok(Unwritable));
    let mut shop = Shop::open(worker).await;
    shop.ask(Command {
        step: BROKEN.name().into(),
        ..action("a")
    })
    .await;
    let expected = unknown("the output cannot be written as JSON: it never can");
    assert_eq!(shop.outcome().await, expected);
}

#[tokio::test]
async fn an_output_beyond_the_bound_is_unknown_and_one_at_the_bound_is_not() {
    let worker = Worker::new().action(CHARGE, async |_, bytes| Ok("x".repeat(bytes as usize - 2)));
    let mut shop = Shop::open(worker).await;
    shop.ask(Command {
        input: number(256 * 1024),
        ..action("a")
    })
    .await;
    assert!(matches!(shop.outcome().await, Outcome::Succeeded(_)));
    shop.ask(Command {
        input: number(256 * 1024 + 1),
        ..action("b")
    })
    .await;
    assert_eq!(
        shop.outcome().await,
        unknown("the output is larger than 262144 bytes")
    );
}

#[tokio::test]
async fn an_input_that_cannot_be_read_failed_for_good() {
    let calls = Calls::default();
    let mut shop = Shop::open(noting(&calls)).await;
    shop.ask(Command {
        input: Payload::from_json_text(r#""many""#),
        ..action("a")
    })
    .await;
    let reason =
        "the input cannot be read: invalid type: string \"many\", expected u64 at line 1 column 6";
    assert_eq!(
        shop.outcome().await,
        failed(FailureClass::Permanent, reason)
    );
    shop.ask(Command {
        output: Some(number(1)),
        ..compensation("a")
    })
    .await;
    let reason = "the output cannot be read: invalid type: integer `1`, expected a string at line 1 column 1";
    assert_eq!(
        shop.outcome().await,
        failed(FailureClass::Permanent, reason)
    );
    assert!(calls.list().is_empty());
}

#[tokio::test]
async fn a_step_without_a_handler_here_may_be_asked_again_elsewhere() {
    let mut shop = Shop::open(worker()).await;
    shop.ask(Command {
        step: "payments.void".into(),
        ..action("a")
    })
    .await;
    let reason = "this worker has no action handler for step `payments.void`";
    assert_eq!(
        shop.outcome().await,
        failed(FailureClass::Transient, reason)
    );
}

#[tokio::test]
async fn what_is_no_command_goes_to_the_dead_letters() {
    let shop = Shop::open(worker()).await;
    shop.send("{}", Kind::Request).await;
    shop.send("{}", Kind::Event).await;
    shop.send("{}", Kind::Control).await;
    let mut dead = shop
        .transport
        .consume(&Queue::dead_letters(), 10)
        .await
        .expect("always there");
    let mut reasons = Vec::new();
    while reasons.len() < 3 {
        let mut letters = Vec::new();
        dead.receive(&mut letters, 10).await.expect("it is open");
        let dead_letters = letters.iter().filter_map(|it| it.message.dead_letter());
        reasons.extend(dead_letters.map(|it| it.reason.clone()));
    }
    insta::assert_debug_snapshot!(reasons, @r#"
    [
        "not a command: missing field `saga` at line 1 column 2",
        "not a command: its kind is not request",
        "not a withdrawal: missing field `saga` at line 1 column 2",
    ]
    "#);
}

#[tokio::test]
async fn a_success_is_answered_again_and_not_run_again() {
    let calls = Calls::default();
    let mut shop = Shop::open(noting(&calls)).await;
    for attempt in [1, 1, 2] {
        shop.ask(Command {
            attempt: AttemptNumber(attempt),
            ..action("a")
        })
        .await;
        assert_eq!(shop.outcome().await, ok(r#""paid 100""#));
    }
    assert_eq!(calls.list(), ["charge 100"]);
}

#[tokio::test]
async fn the_same_answer_to_the_same_command_is_the_same_message() {
    let mut shop = Shop::open(worker()).await;
    let mut ids = Vec::new();
    for attempt in [1, 1, 2] {
        shop.ask(Command {
            attempt: AttemptNumber(attempt),
            ..action("a")
        })
        .await;
        ids.push(shop.reply().await.0.id);
    }
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0], ids[2]);
}

#[tokio::test]
async fn a_failure_is_answered_again_to_its_attempt_only() {
    for failure in [Failure::permanent("no"), Failure::transient("no")] {
        let count = Arc::<AtomicUsize>::default();
        let handler = counts(count.clone(), failure);
        let mut shop = Shop::open(Worker::new().action(CHARGE, handler)).await;
        for attempt in [1, 1, 2] {
            shop.ask(Command {
                attempt: AttemptNumber(attempt),
                ..action("a")
            })
            .await;
            shop.outcome().await;
        }
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test]
async fn what_ended_unknown_is_run_again() {
    let count = Arc::<AtomicUsize>::default();
    let handler = counts(count.clone(), Failure::unknown("who knows"));
    let mut shop = Shop::open(Worker::new().action(CHARGE, handler)).await;
    for _ in 0..2 {
        shop.ask(action("a")).await;
        assert_eq!(shop.outcome().await, unknown("who knows"));
    }
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_command_is_not_started_at_its_deadline_nor_answered() {
    let calls = Calls::default();
    let mut shop = Shop::open(noting(&calls)).await;
    shop.ask(Command {
        deadline: START,
        ..action("late")
    })
    .await;
    shop.ask(Command {
        deadline: START.after(Duration::from_micros(1)),
        ..action("in-time")
    })
    .await;
    assert_eq!(&*shop.reply().await.1.node, "in-time");
    assert_eq!(calls.list(), ["charge 100"]);
    assert!(shop.left().await.is_empty(), "both were acknowledged");
}

#[tokio::test]
async fn a_call_is_cancelled_at_its_deadline_and_reported_unknown() {
    let gates = Gates::default();
    let mut shop = Shop::open(gates.worker()).await;
    shop.ask(action("a")).await;
    gates.entered("a", 1).await;
    shop.clock.advance(DEADLINE.since(START));
    assert_eq!(
        shop.outcome().await,
        unknown("it was cancelled at its deadline")
    );
    gates.cancelled("a").await;
}

#[tokio::test]
async fn a_call_runs_until_just_before_its_deadline() {
    let gates = Gates::default();
    let mut shop = Shop::open(gates.worker()).await;
    shop.ask(action("a")).await;
    gates.entered("a", 1).await;
    shop.clock
        .advance(DEADLINE.since(START) - Duration::from_micros(1));
    gates.open("a");
    assert_eq!(shop.outcome().await, ok(r#""a""#));
}

#[tokio::test]
async fn one_key_has_one_call_at_a_time() {
    let gates = Gates::default();
    let mut shop = Shop::open(gates.worker()).await;
    shop.ask(action("a")).await;
    gates.entered("a", 1).await;
    shop.ask(Command {
        attempt: AttemptNumber(2),
        ..action("a")
    })
    .await;
    shop.ask(probe("a")).await;
    shop.ask(compensation("a")).await;
    // The host has seen all of them once it has started this one.
    shop.ask(action("b")).await;
    gates.entered("b", 1).await;
    assert_eq!(gates.log(), ["action a", "action b"]);

    gates.open("a");
    let mut outcomes = Vec::new();
    for _ in 0..4 {
        outcomes.push(shop.outcome().await);
    }
    // The second attempt is answered by the first one's success.
    assert_eq!(
        outcomes,
        [ok(r#""a""#), ok(r#""a""#), Outcome::NotDone, ok("null")]
    );
    assert_eq!(
        gates.log(),
        ["action a", "action b", "probe a", "compensation a"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_attempt_waits_until_a_cancelled_call_is_gone() {
    // This handler holds something whose drop can be held up: it is gone only after that.
    let (dropping, may_drop) = std::sync::mpsc::channel::<()>();
    let may_drop = Arc::new(Mutex::new(may_drop));
    let worker = Worker::new().action(CHARGE, move |attempt: Attempt, _| {
        let slow = SlowDrop(may_drop.clone());
        async move {
            if attempt.number == AttemptNumber(1) {
                std::future::pending::<()>().await;
            }
            std::mem::forget(slow);
            Ok(attempt.number.to_string())
        }
    });
    let mut shop = Shop::open(worker).await;
    shop.ask(action("a")).await;
    until(|| shop.clock.next_wake().is_some()).await;
    shop.clock.advance(DEADLINE.since(START));
    assert_eq!(
        shop.outcome().await,
        unknown("it was cancelled at its deadline")
    );

    let deadline = DEADLINE.after(Duration::from_secs(1));
    shop.ask(Command {
        attempt: AttemptNumber(2),
        deadline,
        ..action("a")
    })
    .await;
    shop.ask(Command {
        attempt: AttemptNumber(2),
        deadline,
        ..action("b")
    })
    .await;
    assert_eq!(&*shop.reply().await.1.node, "b");
    dropping.send(()).expect("the first attempt waits for it");
    assert_eq!(&*shop.reply().await.1.node, "a");
}

#[tokio::test]
async fn a_waiting_command_whose_deadline_passes_is_not_started() {
    let gates = Gates::default();
    let mut shop = Shop::open(gates.worker()).await;
    shop.ask(action("a")).await;
    gates.entered("a", 1).await;
    shop.ask(Command {
        attempt: AttemptNumber(2),
        ..action("a")
    })
    .await;
    shop.clock.advance(DEADLINE.since(START));
    assert_eq!(
        shop.outcome().await,
        unknown("it was cancelled at its deadline")
    );
    shop.ask(Command {
        deadline: Time::from_micros(u64::MAX),
        ..action("b")
    })
    .await;
    gates.open("b");
    assert_eq!(&*shop.reply().await.1.node, "b");
    assert_eq!(gates.log(), ["action a", "action b"]);
}

#[tokio::test]
async fn a_step_runs_no_more_calls_than_its_limit() {
    let gates = Gates::default();
    let two = NonZeroUsize::new(2).expect("not zero");
    let mut shop = Shop::open(gates.worker().limit(CHARGE, two)).await;
    for node in ["a", "b", "c", "d"] {
        shop.ask(action(node)).await;
    }
    let step = REFUND_BY_HAND.name().into();
    let input = Payload::from_json_text(r#"{"input":100,"output":null}"#);
    shop.ask(Command {
        step,
        input,
        ..command("e", Direction::Alternative)
    })
    .await;
    assert_eq!(
        &*shop.reply().await.1.node,
        "e",
        "another step has its own limit"
    );
    assert_eq!(gates.log(), ["action a", "action b"]);

    gates.open("b");
    assert_eq!(&*shop.reply().await.1.node, "b");
    gates.entered("c", 1).await;
    assert_eq!(gates.log(), ["action a", "action b", "action c"]);
    for node in ["a", "c", "d"] {
        gates.open(node);
        shop.outcome().await;
    }
}

#[tokio::test]
async fn no_more_commands_are_taken_than_allowed() {
    let gates = Gates::default();
    let two = NonZeroUsize::new(2).expect("not zero");
    let mut shop = Shop::open_with(gates.worker(), |host| host.at_most(two)).await;
    for node in ["a", "b", "c"] {
        shop.ask(action(node)).await;
    }
    gates.entered("b", 1).await;
    assert_eq!(gates.log(), ["action a", "action b"]);
    gates.open("a");
    shop.outcome().await;
    gates.entered("c", 1).await;
}

#[tokio::test]
async fn a_full_inbox_holds_replies_back_and_loses_none() {
    let mut shop = Shop::open_with_inbox(worker(), 2, |host| host).await;
    let nodes = ["a", "b", "c", "d", "e"];
    for node in nodes {
        shop.ask(action(node)).await;
    }
    let mut answered = Vec::new();
    for _ in nodes {
        answered.push(shop.reply().await.1.node.to_string());
    }
    answered.sort();
    assert_eq!(answered, nodes);
    assert!(shop.left().await.is_empty(), "all were acknowledged");
}

#[tokio::test]
async fn a_command_whose_inbox_does_not_exist_goes_to_the_dead_letters() {
    let shop = Shop::open(worker()).await;
    let mut message = shop.message(action("a"));
    message.from = Queue::inbox(7);
    shop.publish(message).await;
    let mut dead = shop
        .transport
        .consume(&Queue::dead_letters(), 10)
        .await
        .expect("always there");
    let mut letters = Vec::new();
    dead.receive(&mut letters, 10).await.expect("it is open");
    let dead_letter = letters[0].message.dead_letter().expect("it is one");
    assert_eq!(
        dead_letter.reason,
        "its reply to inbox.7 was not taken: there is no such queue"
    );
}

#[tokio::test]
async fn a_stopping_host_lets_running_calls_end() {
    let gates = Gates::default();
    let mut shop = Shop::open(gates.worker()).await;
    shop.ask(action("a")).await;
    gates.entered("a", 1).await;
    shop.stop.cancel();
    until(|| shop.clock.next_wake() != Some(DEADLINE)).await;
    shop.ask(action("b")).await;
    gates.open("a");
    assert_eq!(shop.outcome().await, ok(r#""a""#));
    assert_eq!(shop.left().await, ["b"], "it takes no more commands");
}

#[tokio::test]
async fn a_call_that_outlasts_the_grace_is_cancelled_and_delivered_again() {
    let gates = Gates::default();
    let grace = Duration::from_millis(5);
    let mut shop = Shop::open_with(gates.worker(), |host| host.grace(grace)).await;
    shop.ask(action("a")).await;
    gates.entered("a", 1).await;
    shop.ask(Command {
        attempt: AttemptNumber(2),
        ..action("a")
    })
    .await;
    shop.stop.cancel();
    until(|| shop.clock.next_wake() == Some(START.after(grace))).await;
    shop.clock.advance(grace);
    gates.cancelled("a").await;
    assert_eq!(shop.left().await, ["a", "a"]);
}

#[tokio::test]
async fn a_lost_connection_is_made_again_and_what_runs_goes_on() {
    let gates = Gates::default();
    let transport = Arc::new(Flaky::default());
    let mut shop = Shop::open_on(transport.clone(), gates.worker(), 100, |host| host).await;
    shop.ask(action("a")).await;
    gates.entered("a", 1).await;
    transport.lose_consumers();
    shop.ask(action("b")).await;
    gates.entered("b", 1).await;
    gates.open("a");
    gates.open("b");
    // The first command was delivered twice, ran once, and is answered twice.
    let mut answered = Vec::new();
    for _ in 0..3 {
        answered.push(shop.reply().await.1.node.to_string());
    }
    answered.sort();
    assert_eq!(answered, ["a", "a", "b"]);
    assert_eq!(gates.log(), ["action a", "action b"]);
    assert!(shop.left().await.is_empty(), "all were acknowledged");
}

#[tokio::test]
async fn a_host_ends_with_its_transport() {
    let mut shop = Shop::open(worker()).await;
    shop.ask(action("a")).await;
    shop.outcome().await;
    shop.transport.close().await;
    shop.host.await.expect("no panic").expect("an orderly end");
}

#[test]
fn missing_handlers_are_told_at_the_start() {
    let graph = graph();
    let told = |worker: Worker<Calls>| -> Vec<String> {
        worker
            .faults(&graph)
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    insta::assert_debug_snapshot!(told(Worker::with(Calls::default())), @r#"
    [
        "node `pay`: step `payments.charge` has no action handler",
        "node `pay`: step `payments.charge` has no compensation handler",
        "node `pay`: step `payments.charge` has no probe handler",
        "node `pay`: the alternative `payments.refund_by_hand` has no action handler",
    ]
    "#);
    assert!(told(worker()).is_empty());
    insta::assert_debug_snapshot!(told(worker().action(CHARGE, charge)), @r#"
    [
        "step `payments.charge` has more than one action handler",
    ]
    "#);
}

#[tokio::test]
async fn workers_with_other_states_become_one() {
    let calls = Calls::default();
    let probes = Worker::with(7).probe(CHARGE, async |attempt: Attempt<i32>, _| {
        Ok(Found::Succeeded(attempt.state.to_string()))
    });
    let refunds = Worker::with("nobody").action(REFUND_BY_HAND, async |_, _| Ok(()));
    let charges = Worker::with(calls).action(CHARGE, charge);
    let mut shop = Shop::open(probes.and(refunds).and(charges)).await;
    shop.ask(probe("a")).await;
    assert_eq!(shop.outcome().await, ok(r#""7""#));
    shop.ask(action("a")).await;
    assert_eq!(shop.outcome().await, ok(r#""paid 100""#));

    let told: Vec<_> = worker().and(worker()).faults(&graph());
    let told: Vec<_> = told.iter().map(|fault| fault.wrong).collect();
    assert_eq!(told.len(), 4, "each handler is there twice: {told:?}");
}

#[test]
fn handlers_of_one_step_have_the_same_types() {
    const OTHER: Step<u64, u64> = Step::new("payments.charge").compensatable();
    let worker = Worker::new()
        .action(OTHER, async |_, cents| Ok(cents))
        .compensation(CHARGE, async |_, _, _| Ok(()));
    let transport = Arc::new(InProcess::new());
    let host = WorkerHost::new(worker, transport, Arc::new(ManualClock::default()));
    let Err(HostError::Handlers(faults)) = host else {
        panic!("it must be refused");
    };
    insta::assert_snapshot!(faults[0], @"the handlers of step `payments.charge` are for steps with different input or output types");
}

// A participant that notes what it is asked.

#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    fn note(&self, call: String) {
        self.0.lock().expect("not poisoned").push(call);
    }

    fn list(&self) -> Vec<String> {
        self.0.lock().expect("not poisoned").clone()
    }
}

fn worker() -> Worker<Calls> {
    noting(&Calls::default())
}

fn noting(calls: &Calls) -> Worker<Calls> {
    Worker::with(calls.clone())
        .action(CHARGE, charge)
        .compensation(CHARGE, async |attempt: Attempt<Calls>, _, output| {
            attempt.state.note(format!("undo {output:?}"));
            Ok(())
        })
        .probe(CHARGE, async |_, _| Ok(Found::NotDone))
        .action(REFUND_BY_HAND, async |attempt: Attempt<Calls>, undo| {
            attempt.state.note(format!("refund {:?}", undo.output));
            Ok(())
        })
}

async fn charge(attempt: Attempt<Calls>, cents: u64) -> Result<String, Failure> {
    attempt.state.note(format!("charge {cents}"));
    Ok(format!("paid {cents}"))
}

fn fails(failure: Failure) -> impl Fn(Attempt, u64) -> Ready<Result<String, Failure>> {
    move |_, _| ready(Err(failure.clone()))
}

/// Fails, and counts how often.
fn counts(
    count: Arc<AtomicUsize>,
    failure: Failure,
) -> impl Fn(Attempt, u64) -> Ready<Result<String, Failure>> {
    move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        ready(Err(failure.clone()))
    }
}

#[derive(Deserialize)]
struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("it never can"))
    }
}

/// Cannot be dropped before it may.
struct SlowDrop(Arc<Mutex<std::sync::mpsc::Receiver<()>>>);

impl Drop for SlowDrop {
    fn drop(&mut self) {
        let may_drop = self.0.lock().expect("not poisoned");
        may_drop.recv().expect("the test says when");
    }
}

// A participant whose actions wait until the test lets them go on.

#[derive(Clone, Default)]
struct Gates {
    calls: Calls,
    cancelled: Calls,
    gates: Arc<Mutex<HashMap<String, Arc<Notify>>>>,
}

impl Gates {
    fn worker(&self) -> Worker<Self> {
        Worker::with(self.clone())
            .action(CHARGE, Self::action)
            .compensation(CHARGE, async |attempt: Attempt<Self>, _, _| {
                let call = format!("compensation {}", attempt.node);
                attempt.state.calls.note(call);
                Ok(())
            })
            .probe(CHARGE, async |attempt: Attempt<Self>, _| {
                attempt.state.calls.note(format!("probe {}", attempt.node));
                Ok(Found::NotDone)
            })
            .action(REFUND_BY_HAND, async |_, _| Ok(()))
    }

    async fn action(attempt: Attempt<Self>, _: u64) -> Result<String, Failure> {
        let node = attempt.node.to_string();
        let gates = attempt.state;
        gates.calls.note(format!("action {node}"));
        let gate = gates.gate(&node);
        let running = Running(Some((gates, node.clone())));
        gate.notified().await;
        running.ended();
        Ok(node)
    }

    /// Lets one call of this node go on, now or when it comes.
    fn open(&self, node: &str) {
        self.gate(node).notify_one();
    }

    async fn entered(&self, node: &str, times: usize) {
        let call = format!("action {node}");
        until(|| self.log().iter().filter(|it| **it == call).count() == times).await;
    }

    async fn cancelled(&self, node: &str) {
        until(|| self.cancelled.list() == [node]).await;
    }

    fn log(&self) -> Vec<String> {
        self.calls.list()
    }

    fn gate(&self, node: &str) -> Arc<Notify> {
        let mut gates = self.gates.lock().expect("not poisoned");
        gates.entry(node.into()).or_default().clone()
    }
}

struct Running(Option<(Gates, String)>);

impl Running {
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some((gates, node)) = self.0.take() {
            gates.cancelled.note(node);
        }
    }
}

// A transport whose connections can be lost.

#[derive(Default)]
struct Flaky {
    inner: InProcess,
    lost: Arc<Lost>,
}

#[derive(Default)]
struct Lost {
    /// How often connections were lost.
    times: AtomicUsize,
    again: Notify,
}

impl Flaky {
    fn lose_consumers(&self) {
        self.lost.times.fetch_add(1, Ordering::SeqCst);
        self.lost.again.notify_waiters();
    }
}

#[async_trait]
impl Transport for Flaky {
    async fn declare(&self, queue: &Queue, capacity: usize) -> Result<(), DeclareError> {
        self.inner.declare(queue, capacity).await
    }

    async fn publish(&self, messages: Vec<Message>) -> Result<(), PublishError> {
        self.inner.publish(messages).await
    }

    async fn room(&self, queue: &Queue) {
        self.inner.room(queue).await;
    }

    async fn consume(
        &self,
        queue: &Queue,
        prefetch: usize,
    ) -> Result<Box<dyn Consumer>, ConsumeError> {
        let inner = self.inner.consume(queue, prefetch).await?;
        if queue.as_str().starts_with("inbox") {
            return Ok(inner);
        }
        Ok(Box::new(FlakyConsumer {
            inner: Some(inner),
            since: self.lost.times.load(Ordering::SeqCst),
            lost: self.lost.clone(),
        }))
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

struct FlakyConsumer {
    inner: Option<Box<dyn Consumer>>,
    since: usize,
    lost: Arc<Lost>,
}

impl FlakyConsumer {
    fn inner(&mut self) -> Result<&mut Box<dyn Consumer>, ConsumerError> {
        if self.lost.times.load(Ordering::SeqCst) > self.since {
            self.inner = None;
        }
        self.inner.as_mut().ok_or(ConsumerError::Lost)
    }
}

#[async_trait]
impl Consumer for FlakyConsumer {
    async fn receive(&mut self, into: &mut Vec<Delivery>, max: usize) -> Result<(), ConsumerError> {
        let lost = self.lost.clone();
        let lost = lost.again.notified();
        let received = tokio::select! {
            received = self.inner()?.receive(into, max) => Some(received),
            () = lost => None,
        };
        match received {
            Some(received) => received,
            None => self.inner().map(|_| ()),
        }
    }

    async fn is_empty(&mut self) -> Result<bool, ConsumerError> {
        self.inner()?.is_empty().await
    }

    async fn ack(&mut self, tags: &[Tag]) -> Result<(), ConsumerError> {
        self.inner()?.ack(tags).await
    }

    async fn nack(&mut self, tag: Tag, reason: &str, then: Nack) -> Result<(), ConsumerError> {
        self.inner()?.nack(tag, reason, then).await
    }
}

// The other side: a runtime with one partition and a clock that stands still.

const START: Time = Time::from_micros(1_000_000);
const DEADLINE: Time = Time::from_micros(31_000_000);

struct Shop {
    transport: Arc<dyn Transport>,
    clock: ManualClock,
    inbox: Box<dyn Consumer>,
    stop: CancellationToken,
    host: JoinHandle<Result<(), HostError>>,
}

impl Shop {
    async fn open<S: Clone + Send + Sync + 'static>(worker: Worker<S>) -> Self {
        Self::open_with(worker, |host| host).await
    }

    async fn open_with<S: Clone + Send + Sync + 'static>(
        worker: Worker<S>,
        configure: impl FnOnce(WorkerHost) -> WorkerHost,
    ) -> Self {
        Self::open_with_inbox(worker, 100, configure).await
    }

    async fn open_with_inbox<S: Clone + Send + Sync + 'static>(
        worker: Worker<S>,
        capacity: usize,
        configure: impl FnOnce(WorkerHost) -> WorkerHost,
    ) -> Self {
        Self::open_on(Arc::new(InProcess::new()), worker, capacity, configure).await
    }

    async fn open_on<S: Clone + Send + Sync + 'static>(
        transport: Arc<dyn Transport>,
        worker: Worker<S>,
        capacity: usize,
        configure: impl FnOnce(WorkerHost) -> WorkerHost,
    ) -> Self {
        let clock = ManualClock::at(START);
        let host = WorkerHost::new(worker, transport.clone(), Arc::new(clock.clone()));
        let host = configure(host.expect("good handlers"));
        host.declare().await.expect("new queues");
        let queue = Queue::inbox(0);
        transport.declare(&queue, capacity).await.expect("new");
        let inbox = transport.consume(&queue, 1).await.expect("declared");
        let stop = CancellationToken::new();
        Self {
            transport,
            clock,
            inbox,
            host: tokio::spawn(host.run(stop.clone())),
            stop,
        }
    }

    async fn ask(&self, command: Command) -> MessageId {
        let message = self.message(command);
        let id = message.id;
        self.publish(message).await;
        id
    }

    fn message(&self, command: Command) -> Message {
        let content = serde_json::to_string(&command).expect("plain data");
        // The time of the first command, then a number derived from what is asked.
        let attempt = u128::from(command.attempt.0);
        let asked = command.key.as_str().bytes().map(u128::from).sum::<u128>();
        let id = MessageId((START.as_micros() as u128 / 1000) << 80 | asked << 32 | attempt);
        let to = command_queue(CHARGE.name()).expect("a good name");
        let mut message = Message::new(id, Kind::Request, Queue::inbox(0), to, content);
        message.deadline = Some(command.deadline);
        message
    }

    async fn send(&self, content: &str, kind: Kind) {
        let to = command_queue(CHARGE.name()).expect("a good name");
        let message = Message::new(MessageId(1), kind, Queue::inbox(0), to, content.into());
        self.publish(message).await;
    }

    async fn publish(&self, message: Message) {
        let published = self.transport.publish(vec![message]).await;
        published.expect("there is room");
    }

    async fn outcome(&mut self) -> Outcome {
        self.reply().await.1.outcome
    }

    async fn reply(&mut self) -> (Arc<Message>, Reply) {
        let mut deliveries: Vec<Delivery> = Vec::new();
        let received = self.inbox.receive(&mut deliveries, 1).await;
        received.expect("it is open");
        let Delivery { tag, message, .. } = deliveries.remove(0);
        self.inbox.ack(&[tag]).await.expect("it is open");
        let reply = serde_json::from_str(&message.content).expect("a reply");
        (message, reply)
    }

    /// Stops the host; the nodes of the commands that it did not acknowledge.
    async fn left(&mut self) -> Vec<String> {
        self.stop.cancel();
        let ended = (&mut self.host).await.expect("no panic");
        ended.expect("an orderly end");
        let queue = command_queue(CHARGE.name()).expect("a good name");
        let commands = self.transport.consume(&queue, 100).await;
        let mut commands = commands.expect("declared");
        let mut left = Vec::new();
        while !commands.is_empty().await.expect("it is open") {
            let received = commands.receive(&mut left, 100).await;
            received.expect("it is open");
        }
        let nodes = left.iter().map(|delivery| {
            let command: Command =
                serde_json::from_str(&delivery.message.content).expect("a command");
            command.node.to_string()
        });
        nodes.collect()
    }
}

fn action(node: &str) -> Command {
    command(node, Direction::Action)
}

fn compensation(node: &str) -> Command {
    command(node, Direction::Compensation)
}

fn probe(node: &str) -> Command {
    command(node, Direction::Probe)
}

fn command(node: &str, direction: Direction) -> Command {
    let saga = SagaId::new("order-1").expect("a good id");
    Command {
        key: IdempotencyKey::of(&saga, node, direction),
        action_key: IdempotencyKey::of(&saga, node, Direction::Action),
        saga,
        node: node.into(),
        step: CHARGE.name().into(),
        direction,
        attempt: AttemptNumber(1),
        deadline: DEADLINE,
        input: number(100),
        output: None,
        heartbeat: None,
    }
}

fn number(number: u64) -> Payload {
    Payload::of(&number).expect("a number is JSON")
}

fn ok(output: &str) -> Outcome {
    Outcome::Succeeded(Payload::from_json_text(output))
}

fn failed(class: FailureClass, reason: &str) -> Outcome {
    let reason = reason.into();
    Outcome::Failed { class, reason }
}

fn unknown(reason: &str) -> Outcome {
    let reason = reason.into();
    Outcome::Unknown { reason }
}

/// Lets the other tasks run until something is so.
async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

/// A graph with one step, which is asked all that a contract can ask.
fn graph() -> Graph {
    Graph {
        saga: "order".into(),
        version: DefinitionVersion(1),
        deadline: None,
        nodes: vec![Node {
            id: "pay".into(),
            block: Graph::MAIN,
            kind: sagalog_model::Kind::Step {
                spec: CHARGE.spec(),
                input: Source::Copy(Graph::START),
            },
        }],
        blocks: Vec::new(),
    }
}
