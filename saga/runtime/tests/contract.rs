//! The examination of participants finds what they keep and what they break.

use std::{
    collections::BTreeMap,
    future::ready,
    sync::{Arc, Mutex},
};

use sagalog::{
    Attempt, Found, InProcess, Outcome, Payload, Reply, Step, Transport, Worker,
    contract::{Finding, Rule, Sample, examine},
    worker::COMMANDS_MAX,
};
use sagalog_transport::{Kind, Message, MessageId, Queue};

const CHARGE: Step<u64, u64> = Step::new("payments.charge").compensatable();

fn sample() -> Sample {
    Sample {
        step: "payments.charge".to_owned(),
        input: Payload::of(&4200).expect("a number"),
        probed: true,
        run: "examined".to_owned(),
    }
}

#[tokio::test]
async fn the_worker_host_keeps_the_contract() {
    let transport = Arc::new(InProcess::new());
    let payments = Arc::new(Mutex::new(BTreeMap::new()));
    let paid = payments.clone();
    let charge = move |attempt: Attempt, _| {
        let mut payments = payments.lock().expect("nobody panics");
        let next = payments.len() as u64;
        let payment = *payments.entry(attempt.action_key.clone()).or_insert(next);
        ready(Ok(payment))
    };
    let find = move |attempt: Attempt, _| {
        let paid = paid.lock().expect("nobody panics");
        let payment = paid.get(&attempt.action_key);
        ready(Ok(
            payment.map_or(Found::NotDone, |payment| Found::Succeeded(*payment))
        ))
    };
    let worker = Worker::new()
        .action(CHARGE, charge)
        .probe(CHARGE, find)
        .compensation(CHARGE, async |_, _, _| Ok(()));
    let sample = sample();
    let serving = worker.serve(transport.clone(), std::future::pending());
    let findings = tokio::select! {
        served = serving => panic!("it serves for ever: {served:?}"),
        findings = examine(&*transport, &sample) => findings.expect("it can be examined"),
    };
    assert_eq!(findings, Rule::ALL.map(kept));
}

fn kept(rule: Rule) -> Finding {
    Finding { rule, broken: None }
}

#[tokio::test]
async fn whoever_does_as_he_is_told_each_time_breaks_nearly_all_of_it() {
    let transport = InProcess::new();
    let sample = sample();
    let findings = tokio::select! {
        () = obey(&transport) => panic!("he obeys for ever"),
        findings = examine(&transport, &sample) => findings.expect("he can be examined"),
    };
    let told: Vec<_> = findings
        .iter()
        .map(|it| format!("{}: {}", it.rule, it.broken.as_deref().unwrap_or("yes")))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    an action that comes again is answered as before: the action again was answered Succeeded(1), not Succeeded(0)
    an action that is asked several times at once takes effect once: the action, asked at once was answered Succeeded(3), not Succeeded(2)
    a probe tells what happened and changes nothing: the probe before the action was answered Succeeded(10), not NotDone
    a compensation works without the output, and again: yes
    an action whose compensation came first is refused for good: the action behind its compensation was answered Succeeded(16)
    an action that comes after its deadline is not done or answered: attempt 1 of the action, which nobody waits for was answered Succeeded(17)
    a message that is no command stops nobody: yes
    ");
}

/// Does everything that is asked, and remembers nothing.
async fn obey(transport: &InProcess) {
    let commands = Queue::commands("payments").expect("a good name");
    let declared = transport.declare(&commands, COMMANDS_MAX).await;
    declared.expect("there is room");
    let mut consumer = transport
        .consume(&commands, 100)
        .await
        .expect("it is there");
    for done in 0_u64.. {
        let mut one = Vec::new();
        consumer.receive(&mut one, 1).await.expect("it is there");
        let request = &one[0].message;
        let Ok(command) = serde_json::from_str::<sagalog::Command>(&request.content) else {
            continue;
        };
        let output = match command.direction {
            sagalog::Direction::Compensation => Payload::null(),
            _ => Payload::of(&done).expect("a number"),
        };
        let reply = Reply {
            saga: command.saga,
            node: command.node,
            direction: command.direction,
            attempt: command.attempt,
            outcome: Outcome::Succeeded(output),
        };
        let content = serde_json::to_string(&reply).expect("plain data");
        let id = MessageId(done.into());
        let to = request.from.clone();
        let mut message = Message::new(id, Kind::Response, commands.clone(), to, content);
        message.correlation = Some(request.id);
        transport
            .publish(vec![message])
            .await
            .expect("there is room");
        consumer.ack(&[one[0].tag]).await.expect("it is there");
    }
}
