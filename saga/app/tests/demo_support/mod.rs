//! The demo as a process, what it left behind, and what it should have.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fmt::Debug,
    fs,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
};

use sagalog::{Direction, EventLog, PostgresLog, PostgresOptions, SagaEvent, SqliteLog};
use sagalog_model::{
    FailureClass,
    event::TurnCause,
    log::{PartitionId, Position},
};
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
    /// Where log and broker are, if not in the folder and in the process.
    servers: Option<[String; 2]>,
    /// What the log's file is called in the folder.
    file: &'static str,
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
    /// Sagas that went back as a node had used its attempts up, and which node.
    pub(crate) gave_up: BTreeMap<String, String>,
    /// The nodes of sagas whose participant has said that it never will.
    refused: BTreeSet<(String, String)>,
    /// Events of all sagas.
    pub(crate) events: usize,
}

impl Place {
    pub(crate) fn with(orders: &str) -> Self {
        let place = Self {
            folder: tempfile::tempdir().expect("there is room for a folder"),
            servers: None,
            file: "log.db",
        };
        place.give(orders);
        place
    }

    /// The same with the log in PostgreSQL and with a broker.
    pub(crate) fn on_servers(orders: &str, log: String, broker: String) -> Self {
        Self {
            servers: Some([log, broker]),
            ..Self::with(orders)
        }
    }

    /// The same folder, whose log is in PostgreSQL by now.
    pub(crate) fn moved_to(self, log: &str) -> Self {
        Self {
            servers: Some([log.to_owned(), String::new()]),
            ..self
        }
    }

    /// The same folder, whose log is another file by now.
    pub(crate) fn moved_to_file(self, file: &'static str) -> Self {
        Self {
            servers: None,
            file,
            ..self
        }
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
        match &self.servers {
            Some([log, _]) => log.into(),
            None => self.demo().join(self.file),
        }
    }

    /// The options that name the servers.
    pub(crate) fn servers(&self) -> Vec<&str> {
        match &self.servers {
            Some([log, broker]) => vec!["--log", log, "--broker", broker],
            None => Vec::new(),
        }
    }

    /// Runs the demo to its end and gives what it says.
    pub(crate) async fn summary(&self) -> (Value, String) {
        self.run(&["--dir".as_ref(), self.demo().as_os_str()]).await
    }

    /// The same in a folder of the demo's choice.
    pub(crate) async fn summary_without_folder(&self) -> (Value, String) {
        self.run(&[]).await
    }

    pub(crate) async fn run(&self, options: &[&OsStr]) -> (Value, String) {
        let mut command = Command::new(program());
        command
            .args(["demo", "--json", "--orders"])
            .arg(self.orders())
            .args(options)
            .args(self.servers());
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
        Demo::begin(self.demo_as("demo", rate).args(self.servers()))
    }

    /// What starts it under a name, but for its servers.
    pub(crate) fn demo_as(&self, name: &str, rate: u32) -> Command {
        fs::create_dir_all(self.demo()).expect("the folder can be made");
        let mut command = Command::new(program());
        command
            .args(["demo", "--progress", "--name", name])
            .args(["--rate", &rate.to_string(), "--orders"])
            .arg(self.orders())
            .arg("--dir")
            .arg(self.demo());
        command
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

    /// What the program prints when it does this as it should.
    pub(crate) fn ran(&self, words: &[&str]) -> String {
        let ran = std::process::Command::new(program()).args(words).output();
        let ran = ran.expect("the program runs");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{words:?}: {said}");
        String::from_utf8_lossy(&ran.stdout).into_owned()
    }

    /// What the program says when it refuses to do this.
    pub(crate) fn failed(&self, words: &[&str]) -> String {
        let ran = std::process::Command::new(program()).args(words).output();
        let ran = ran.expect("the program runs");
        assert!(!ran.status.success(), "{words:?}");
        String::from_utf8_lossy(&ran.stderr).into_owned()
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
        let mut recorded = Recorded::default();
        for partition in partitions(&*log) {
            let (mut names, mut from) = (BTreeMap::new(), Position::new(1));
            loop {
                let page = log.read(partition, from, 1_000).await;
                let page = page.expect("the log reads");
                let Some(last) = page.last() else {
                    break;
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
        recorded
    }

    /// Proves that the log is whole.
    pub(crate) async fn verify(&self) {
        let log = self.open_log().await;
        for partition in partitions(&*log) {
            let verified = sagalog_eventlog::verify(&*log, partition).await;
            verified.expect("the log is what was appended");
        }
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

    pub(crate) async fn open_log(&self) -> Arc<dyn EventLog> {
        if let Some([log, _]) = &self.servers {
            let log = PostgresLog::read_only(log, PostgresOptions::default()).await;
            return Arc::new(log.expect("the log is there"));
        }
        Arc::new(
            SqliteLog::read_only(self.log())
                .await
                .expect("the log is there"),
        )
    }
}

impl Demo {
    pub(crate) fn begin(command: &mut Command) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().expect("the program starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let stdin = child.stdin.take();
        Self {
            child,
            lines,
            stdin,
        }
    }

    /// The last position of the log that it has read, as soon as it has moved; none at its end.
    pub(crate) async fn position(&mut self) -> Option<u64> {
        let line = self
            .lines
            .next_line()
            .await
            .expect("it writes to the pipe")?;
        let progress: Value = serde_json::from_str(&line).expect("a line is a JSON object");
        Some(progress["events"].as_u64().expect("a position is a number"))
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

    /// Its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id().expect("it was not waited for")
    }

    /// Kills it with SIGKILL.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("it is a child of ours");
    }

    /// Asks it to stop in peace, as its parent does.
    pub(crate) fn ask_to_stop(&mut self) {
        drop(self.stdin.take());
    }

    /// What must be dropped to ask it to stop in peace.
    pub(crate) fn leash(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
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
            SagaEvent::AttemptFailed(failed) if failed.class == FailureClass::Permanent => {
                self.refused.insert((saga.into(), failed.node.to_string()));
            }
            SagaEvent::Turned(turned) if turned.cause == TurnCause::StepFailed => {
                let node = turned.node.expect("a step has a node").to_string();
                if !self.refused.contains(&(saga.to_owned(), node.clone())) {
                    self.gave_up.insert(saga.into(), node);
                }
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

pub(crate) fn is_end(kind: &str) -> bool {
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
    let recorded = place.recorded().await;
    assert_eq!(recorded.last.len(), orders.lines().count());
    assert_right(place, orders, &recorded).await;
    assert!(recorded.gave_up.is_empty(), "{:?}", recorded.gave_up);
}

/// The same for the orders that the log knows. One whose charge did not work in as many attempts as it has
/// may go back instead; then all of it is undone.
pub(crate) async fn assert_right(place: &Place, orders: &str, recorded: &Recorded) {
    let effects = place.effects().await;
    let (mut right, mut ends) = (Vec::new(), BTreeMap::new());
    for order in orders.lines() {
        let order: Value = serde_json::from_str(order).expect("an order is JSON");
        let id = order["id"].as_str().expect("an id is a text");
        if !recorded.last.contains_key(id) {
            continue;
        }
        let (deeds, end) = match recorded.gave_up.get(id) {
            Some(node) if node == "charge" => given_up(id, &effects),
            _ => expected(&order),
        };
        right.extend(deeds);
        ends.insert(id.to_owned(), end.to_owned());
    }
    let ends: BTreeSet<_> = ends.into_iter().collect();
    let found = recorded.last.clone().into_iter().collect();
    assert_same("ends of sagas", &found, &ends);
    assert_eq!(effects.len(), right.len(), "effects, each once");
    let (found, right) = (effects.into_iter().collect(), right.into_iter().collect());
    assert_same("effects", &found, &right);
}

/// Shows the differences only: there are thousands of each.
fn assert_same<T: Ord + Debug>(what: &str, found: &BTreeSet<T>, right: &BTreeSet<T>) {
    let missing: Vec<_> = right.difference(found).collect();
    let wrong: Vec<_> = found.difference(right).collect();
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "{what}: {wrong:?}, where {missing:?} should be"
    );
}

/// What must have happened for an order that gave its charge up: if the card was charged all the same,
/// it has its money back.
fn given_up(id: &str, effects: &[Deed]) -> (Vec<Deed>, &'static str) {
    let deed = |step: &str, direction: &str| (id.into(), step.into(), direction.into());
    let mut deeds = vec![deed("quote", "action")];
    let mut undone = |step| deeds.extend(["action", "compensation"].map(|it| deed(step, it)));
    undone("reserve");
    if effects.contains(&deed("charge", "action")) {
        undone("charge");
    }
    (deeds, "Compensated")
}

/// splitmix64: the same numbers in every run of a test.
pub(crate) fn random(seed: u64) -> u64 {
    let mut z = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// So many orders, each with an id of its own.
pub(crate) fn orders(count: usize) -> String {
    let rounds = (0..).flat_map(|round| BUNDLED.lines().map(move |line| (round, line)));
    let own = |(round, line): (usize, &str)| {
        let line = line.replacen(r#"{"id":""#, &format!(r#"{{"id":"r{round}-"#), 1);
        format!("{line}\n")
    };
    rounds.take(count).map(own).collect()
}

pub(crate) fn program() -> &'static str {
    env!("CARGO_BIN_EXE_sagalog")
}

pub(crate) fn partitions(log: &dyn EventLog) -> impl Iterator<Item = PartitionId> + use<> {
    (0..log.partitions()).map(PartitionId::new)
}
