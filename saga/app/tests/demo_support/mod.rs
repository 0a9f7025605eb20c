//! The demo as a process, what it left behind, and what it should have.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
};

use sagalog::{Direction, EventLog, SagaEvent, SqliteLog};
use sagalog_model::log::{PartitionId, Position};
use serde_json::Value;
use sqlx::{ConnectOptions, Row as _, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// The orders that the program brings along.
pub(crate) const BUNDLED: &str = include_str!("../../orders/orders.jsonl");

/// A folder for a demo, with its file of orders.
pub(crate) struct Place {
    folder: TempDir,
}

/// A demo that runs in a process of its own and says how far it is.
pub(crate) struct Demo {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    stdin: Option<ChildStdin>,
}

/// Something that happened outside, or that an event is about: saga, node, direction.
pub(crate) type Deed = (String, String, String);

/// What the log says, in the terms of the world.
#[derive(Default)]
pub(crate) struct Recorded {
    /// What was asked for.
    pub(crate) asked: BTreeSet<Deed>,
    /// What the log knows to have taken effect.
    pub(crate) succeeded: BTreeSet<Deed>,
    /// The sagas, each with the type of its last event.
    pub(crate) last: BTreeMap<String, String>,
    /// Events of all sagas.
    pub(crate) events: usize,
}

impl Place {
    pub(crate) fn with(orders: &str) -> Self {
        let place = Self {
            folder: tempfile::tempdir().expect("there is room for a folder"),
        };
        place.give(orders);
        place
    }

    /// Replaces the file of orders.
    pub(crate) fn give(&self, orders: &str) {
        fs::write(self.orders(), orders).expect("the file can be written");
    }

    pub(crate) fn orders(&self) -> PathBuf {
        self.folder.path().join("orders.jsonl")
    }

    pub(crate) fn demo(&self) -> PathBuf {
        self.folder.path().join("demo")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.demo().join("log.db")
    }

    /// Runs the demo to its end and gives what it says.
    pub(crate) async fn summary(&self) -> (Value, String) {
        self.run(&["--dir".as_ref(), self.demo().as_os_str()]).await
    }

    /// The same in a folder of the demo's choice.
    pub(crate) async fn summary_without_folder(&self) -> (Value, String) {
        self.run(&[]).await
    }

    async fn run(&self, options: &[&OsStr]) -> (Value, String) {
        let mut command = Command::new(program());
        command
            .args(["demo", "--json", "--orders"])
            .arg(self.orders())
            .args(options);
        let ran = command.output().await.expect("the program starts");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(ran.status.success(), "{said}");
        (
            serde_json::from_slice(&ran.stdout).expect("it is JSON"),
            said,
        )
    }

    /// Starts the demo in the background.
    pub(crate) fn start(&self, rate: u32) -> Demo {
        let mut command = Command::new(program());
        command
            .args([
                "demo",
                "--progress",
                "--rate",
                &rate.to_string(),
                "--orders",
            ])
            .arg(self.orders());
        command
            .arg("--dir")
            .arg(self.demo())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        fs::create_dir_all(self.demo()).expect("the folder can be made");
        let mut child = command.spawn().expect("the program starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let stdin = child.stdin.take();
        Demo {
            child,
            lines,
            stdin,
        }
    }

    /// What another process says that asks for something of the log's sagas.
    pub(crate) fn sagalog(&self, words: &[&str]) -> String {
        let asked = std::process::Command::new(program())
            .args(words)
            .arg("--log")
            .arg(self.log())
            .output()
            .expect("the program runs");
        String::from_utf8_lossy(&asked.stderr).into_owned()
    }

    /// What happened outside, each key once.
    pub(crate) async fn effects(&self) -> Vec<Deed> {
        let options = SqliteConnectOptions::new().filename(self.demo().join("world.db"));
        let mut world = options.connect().await.expect("the world is there");
        let effects = sqlx::query("select saga, step, direction from effects order by 1, 2, 3");
        let rows = effects
            .fetch_all(&mut world)
            .await
            .expect("it has this table");
        rows.iter()
            .map(|row| (row.get(0), row.get(1), row.get(2)))
            .collect()
    }

    /// What the log says.
    pub(crate) async fn recorded(&self) -> Recorded {
        let log = self.open_log().await;
        let (mut recorded, mut names) = (Recorded::default(), BTreeMap::new());
        let mut from = Position::new(1);
        loop {
            let page = log
                .read(PARTITION, from, 1_000)
                .await
                .expect("the log reads");
            let Some(last) = page.last() else {
                return recorded;
            };
            from = last.last_position().next();
            for row in &page {
                if let Some(name) = &row.name {
                    names.insert(row.stream, name.as_str().to_owned());
                }
                let name = &names[&row.stream];
                if !name.starts_with('$') {
                    row.events
                        .iter()
                        .for_each(|event| recorded.note(name, event));
                }
            }
        }
    }

    /// Proves that the log is whole.
    pub(crate) async fn verify(&self) {
        let log = self.open_log().await;
        sagalog_eventlog::verify(&*log, PARTITION)
            .await
            .expect("the log is what was appended");
        let mut command = Command::new(program());
        let verified = command
            .args(["log", "verify", "--log"])
            .arg(self.log())
            .output()
            .await
            .expect("the program starts");
        assert!(
            verified.status.success(),
            "{}",
            String::from_utf8_lossy(&verified.stderr)
        );
    }

    async fn open_log(&self) -> Arc<dyn EventLog> {
        Arc::new(
            SqliteLog::read_only(self.log())
                .await
                .expect("the log is there"),
        )
    }
}

impl Demo {
    /// The last position of the log that it has read, as soon as it has moved; none at its end.
    pub(crate) async fn position(&mut self) -> Option<u64> {
        let line = self
            .lines
            .next_line()
            .await
            .expect("it writes to the pipe")?;
        let progress: Value = serde_json::from_str(&line).expect("a line is a JSON object");
        Some(
            progress["position"]
                .as_u64()
                .expect("a position is a number"),
        )
    }

    /// Follows it until the log has reached a position; whether it did.
    pub(crate) async fn reaches(&mut self, position: u64) -> bool {
        while let Some(reached) = self.position().await {
            if reached >= position {
                return true;
            }
        }
        false
    }

    /// Kills it with SIGKILL.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("it is a child of ours");
    }

    /// Asks it to stop in peace, as its parent does.
    pub(crate) fn ask_to_stop(&mut self) {
        drop(self.stdin.take());
    }

    /// Waits for its end.
    pub(crate) async fn end(mut self) -> ExitStatus {
        while self.position().await.is_some() {}
        self.child.wait().await.expect("it is a child of ours")
    }
}

impl Recorded {
    fn note(&mut self, saga: &str, event: &sagalog_eventlog::Recorded) {
        let decoded = SagaEvent::decode(&event.kind, event.schema, &event.control, &event.data);
        match decoded.expect("this program wrote it") {
            SagaEvent::AttemptAsked(asked) if asked.direction != Direction::Probe => {
                self.asked.insert(deed(saga, &asked.node, asked.direction));
            }
            // What a probe found is that the action took effect.
            SagaEvent::AttemptSucceeded(succeeded) => {
                self.succeeded
                    .insert(deed(saga, &succeeded.node, succeeded.direction));
            }
            _ => {}
        }
        self.last.insert(saga.into(), event.kind.to_string());
        self.events += 1;
    }

    /// How many sagas have not ended.
    pub(crate) fn unfinished(&self) -> usize {
        self.last.values().filter(|last| !is_end(last)).count()
    }
}

fn deed(saga: &str, node: &str, direction: Direction) -> Deed {
    let direction = if direction == Direction::Probe {
        Direction::Action
    } else {
        direction
    };
    (saga.into(), node.into(), direction.as_str().into())
}

fn is_end(kind: &str) -> bool {
    matches!(kind, "Completed" | "Compensated" | "PartlyCompensated")
}

/// What must have happened outside for an order, and how it must end. The rules of the shop once
/// more, independent of the program's.
pub(crate) fn expected(order: &Value) -> (Vec<Deed>, &'static str) {
    let items = order["items"].as_array().expect("items are a list");
    let out = items.iter().any(|item| {
        item["sku"]
            .as_str()
            .is_some_and(|sku| sku.starts_with("OUT-"))
    });
    let declined = order["card"] == "tok_declined" && order["gift"] == false;
    let (steps, end): (&[_], _) = if order["address"]["country"] == "AQ" {
        (&[], "Compensated")
    } else if out {
        (&["quote"], "Compensated")
    } else if declined {
        (&["quote", "reserve", "-reserve"], "Compensated")
    } else if order["gift"] == true {
        (&["quote", "reserve", "ship", "notify"], "Completed")
    } else {
        (
            &["quote", "reserve", "charge", "ship", "notify"],
            "Completed",
        )
    };
    let id = order["id"].as_str().expect("an id is a text");
    let deeds = steps.iter().map(|step| match step.strip_prefix('-') {
        Some(step) => (id.into(), step.into(), "compensation".into()),
        None => (id.into(), (*step).into(), "action".into()),
    });
    (deeds.collect(), end)
}

/// Compares what happened with what should have, order for order.
pub(crate) async fn assert_exactly_right(place: &Place, orders: &str) {
    let (mut effects, mut ends) = (Vec::new(), BTreeMap::new());
    for order in orders.lines() {
        let order: Value = serde_json::from_str(order).expect("an order is JSON");
        let (deeds, end) = expected(&order);
        effects.extend(deeds);
        ends.insert(
            order["id"].as_str().expect("an id is a text").to_owned(),
            end.to_owned(),
        );
    }
    effects.sort();
    assert_eq!(place.recorded().await.last, ends);
    assert_eq!(place.effects().await, effects);
}

fn program() -> &'static str {
    env!("CARGO_BIN_EXE_sagalog")
}

const PARTITION: PartitionId = PartitionId::new(0);
