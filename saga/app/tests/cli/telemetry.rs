//! What a node tells over HTTP, and what watches it.

use std::{
    io::{BufRead, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::program::sagalog;

/// A node of the program, which tells about itself.
struct Node {
    process: Child,
    http: String,
    /// What it says, as it goes on.
    talk: BufReader<std::process::ChildStderr>,
}

impl Node {
    fn of(log: &Path, options: &[&str]) -> Self {
        let process = Command::new(env!("CARGO_BIN_EXE_sagalog"))
            .args(["node", "--http", "0", "--log"])
            .arg(log)
            .args(options)
            .stderr(Stdio::piped())
            .spawn();
        let mut process = process.expect("the program is built");
        let talk = BufReader::new(process.stderr.take().expect("it is piped"));
        let mut node = Self {
            process,
            http: String::new(),
            talk,
        };
        node.http = node.says("metrics and health at http://");
        // Then it drives.
        node.says("requests are taken at ");
        node
    }

    /// The rest of the next line that begins like this.
    fn says(&mut self, beginning: &str) -> String {
        let mut line = String::new();
        while self.talk.read_line(&mut line).expect("text") > 0 {
            if let Some(rest) = line.strip_prefix(beginning) {
                return rest.trim().to_owned();
            }
            line.clear();
        }
        panic!("it ends and does not say: {beginning}");
    }

    /// The status and the body of what is there.
    fn get(&self, path: &str) -> (u16, String) {
        self.ask("GET", path, "")
    }

    fn ask(&self, verb: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.http).expect("it listens");
        let length = body.len();
        write!(
            stream,
            "{verb} {path} HTTP/1.1\r\nhost: node\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .expect("it takes it");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer");
        let status = head.split(' ').nth(1).expect("a status");
        (status.parse().expect("a number"), body.to_owned())
    }

    fn stop(mut self) -> String {
        let pid = self.process.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(told.expect("it is there").success());
        let mut said = String::new();
        self.talk.read_to_string(&mut said).expect("text");
        assert!(self.process.wait().expect("it runs").success(), "{said}");
        said
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // One that was told to stop has ended already.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// The first of the bundled orders, all of which goes well.
fn order(log: &Path) {
    let orders = include_str!("../../orders/orders.jsonl");
    let order = orders.lines().next().expect("an order");
    let ran = Command::new(env!("CARGO_BIN_EXE_sagalog"))
        .args(["saga", "start", "o-1", "order", "--wait", "--input", order])
        .env("SAGALOG_LOG", log)
        .output();
    let ran = ran.expect("the program is built");
    assert!(ran.status.success(), "{ran:?}");
}

#[test]
fn a_node_shows_what_it_did_and_how_it_is() {
    let folder = TempDir::new().expect("room");
    let log = folder.path().join("log.db");
    let node = Node::of(&log, &[]);
    order(&log);

    let (status, text) = node.get("/metrics");
    assert_eq!(status, 200);
    for line in [
        r#"sagalog_sagas_started_total{saga="order"} 1"#,
        r#"sagalog_sagas_ended_total{saga="order",status="Completed"} 1"#,
        r#"sagalog_attempts_total{participant="payments",outcome="succeeded"} 1"#,
        r#"sagalog_partition_owned{partition="0"} 1"#,
        "sagalog_partitions{} 1",
    ] {
        assert!(
            text.lines().any(|it| it == line),
            "{line} is not in\n{text}"
        );
    }
    let took = text
        .lines()
        .filter(|line| line.starts_with("sagalog_attempt_seconds_bucket"));
    let example = |line: &str| {
        line.contains(r#"participant="payments""#) && line.contains(r#"# {saga_id="o-1"}"#)
    };
    assert!(took.clone().any(example), "no saga is named in\n{text}");

    assert_eq!(
        node.get("/health/live"),
        (200, r#"{"status":"up"}"#.to_owned())
    );
    let (status, ready) = node.get("/health/ready");
    let ready: Value = serde_json::from_str(&ready).expect("JSON");
    assert_eq!((status, &ready["status"]), (200, &"up".into()));
    assert_eq!(
        ready["checks"]["partitions"]["owned"],
        serde_json::json!([0])
    );
    assert_eq!(ready["checks"]["log"]["status"], "up");
    assert!(ready["checks"].get("broker").is_none(), "there is none");
    let (status, deep) = node.get("/health/deep");
    let deep: Value = serde_json::from_str(&deep).expect("JSON");
    assert_eq!(
        (status, &deep["checks"]["sagas"]["status"]),
        (200, &"up".into())
    );
    assert_eq!(deep["at"], ready["at"], "an answer stands for a while");
    assert_eq!(node.get("/nothing").0, 404);
    let said = node.stop();
    assert!(said.contains("stopped in peace"), "{said}");
}

#[tokio::test]
async fn a_place_that_is_taken_is_refused_before_anything_begins() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let folder = TempDir::new().expect("room");
    let log = folder.path().join("log.db");
    let address = taken.local_addr().expect("it has one");
    let refused = sagalog(&log, &format!("node --http {address}"))
        .await
        .failed(1);
    assert!(refused.contains("nothing can be served at"), "{refused}");
    assert!(!log.exists(), "no log was made");
}

/// Prometheus' own tool, of the Debian package `prometheus`.
fn promtool(words: &[&str], file: &Path) {
    let ran = Command::new("promtool").args(words).arg(file).output();
    let ran = ran.expect("promtool is installed: ./test does it");
    let said = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
}

fn of_the_project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn the_alert_rules_are_those_of_prometheus_and_fire_when_they_should() {
    let rules = of_the_project("../../docs/deploy/prometheus/alerts.yaml");
    promtool(&["check", "rules"], &rules);
    promtool(&["test", "rules"], &of_the_project("tests/cli/alerts.yaml"));
}
