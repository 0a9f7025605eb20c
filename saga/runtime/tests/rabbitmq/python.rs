//! A participant in another language, written from `docs/protocol.md`: it keeps the contract, and takes
//! part in sagas.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::Arc,
};

use sagalog::{
    AnyDefinition, Client, Ended, Failure, MemoryLog, Payload, Runtime, Saga, Step, Worker,
    contract::{Finding, Rule, Sample, examine},
};
use serde::{Deserialize, Serialize};

use crate::{
    broker::Broker,
    trip::{in_time, transport},
};

const PYTHON: &str = "/usr/bin/python3";

#[derive(Clone, Serialize, Deserialize)]
struct Order {
    cents: u64,
    card: String,
}

#[derive(Serialize, Deserialize)]
struct Payment {
    payment: String,
}

const ORDER: Saga<Order, String> = Saga::new("order");
const CHARGE: Step<Order, Payment> = Step::new("payments.charge").compensatable();
const PACK: Step<Payment, String> = Step::new("parcels.pack").compensatable();

/// The payments are made by the Python process, the parcels are packed here.
fn order() -> AnyDefinition {
    let (mut saga, order) = ORDER.define(1);
    let payment = saga.step("charge", CHARGE, order);
    let parcel = saga.step("pack", PACK, payment);
    let returned = saga.returns(parcel);
    returned.expect("a good definition").into()
}

fn parcels() -> Worker {
    Worker::new()
        .action(PACK, async |_, paid: Payment| match &*paid.payment {
            "pay_2" => Err(Failure::permanent("it is sold out")),
            payment => Ok(format!("a parcel for {payment}")),
        })
        .compensation(PACK, async |_, _, _| Ok(()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_participant_in_python_takes_part_in_sagas_and_keeps_the_contract() {
    in_time(async {
        let broker = Broker::start(1);
        let url = broker.url();
        let folder = tempfile::tempdir().expect("a folder");
        let _payments = Payments::serving(&url, &folder.path().join("payments.db"));
        let transport = transport(&url).await;
        let runtime = Runtime::on(Arc::new(MemoryLog::new()))
            .transport(transport.clone())
            .definition(order())
            .worker(parcels())
            .elsewhere("payments")
            .start()
            .await
            .expect("it starts");
        let client = runtime.client();

        assert_eq!(
            buy(&client, "o-1", "tok_17").await,
            paid("a parcel for pay_1")
        );
        assert_eq!(
            buy(&client, "o-2", "tok_17").await,
            undone("it is sold out")
        );
        assert_eq!(
            buy(&client, "o-3", "blocked").await,
            undone("the card is blocked")
        );
        // Nothing was taken from the blocked card, and what was given back keeps its number.
        assert_eq!(
            buy(&client, "o-4", "tok_17").await,
            paid("a parcel for pay_3")
        );

        // Another program in Python starts one of them, and waits for its end.
        let url = url.clone();
        let standing = tokio::task::spawn_blocking(move || started_by_python(&url, "o-5"));
        assert_eq!(
            standing.await.expect("it does not panic"),
            r#"{"saga":"o-5","definition":"order","version":1,"status":"completed","output":"a parcel for pay_4"}"#
        );

        // It said that it is there, before it was asked for anything.
        let able = client.participants(Some("payments.charge")).await;
        let [seen] = &*able.expect("it is told") else {
            panic!("one instance charges");
        };
        assert!(seen.performs("payments.charge"), "{seen:?}");

        let order = Order {
            cents: 4200,
            card: "tok_17".to_owned(),
        };
        let sample = Sample {
            step: "payments.charge".to_owned(),
            input: Payload::of(&order).expect("plain data"),
            probed: true,
            run: "examined".to_owned(),
        };
        let findings = examine(&*transport, &sample).await;
        let kept = Rule::ALL.map(|rule| Finding { rule, broken: None });
        assert_eq!(findings.expect("it can be examined"), kept);
        runtime.stop().await.expect("it stops in peace");
    })
    .await;
}

async fn buy(client: &Client, id: &str, card: &str) -> Ended<String> {
    let order = Order {
        cents: 4200,
        card: card.to_owned(),
    };
    client.run(ORDER, id, &order).await.expect("it runs")
}

fn paid(parcel: &str) -> Ended<String> {
    Ended::Completed(parcel.to_owned())
}

fn undone(reason: &str) -> Ended<String> {
    Ended::Compensated {
        reason: reason.to_owned(),
    }
}

/// What the client in Python prints.
fn started_by_python(url: &str, id: &str) -> String {
    let ran = Command::new(PYTHON)
        .arg("-B")
        .arg(script("client.py"))
        .args([url, id, "order", r#"{"cents":4200,"card":"tok_17"}"#])
        .output();
    let ran = ran.expect("a Python: run ./test, which installs what it needs");
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let printed = String::from_utf8(ran.stdout).expect("text");
    printed.trim_end().to_owned()
}

fn script(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../transport/participants/python");
    folder.join(name)
}

/// The process of the participant.
struct Payments(Child);

impl Payments {
    fn serving(url: &str, file: &Path) -> Self {
        let child = Command::new(PYTHON)
            .arg("-B")
            .arg(script("payments.py"))
            .arg(url)
            .arg(file)
            .spawn();
        Self(child.expect("a Python: run ./test, which installs what it needs"))
    }
}

impl Drop for Payments {
    fn drop(&mut self) {
        self.0.kill().expect("it is there until it is waited for");
        self.0.wait().expect("it was killed");
    }
}
