//! What a node tells over HTTP, and what watches it.

use std::{
    io::{BufRead, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value, trace::v1::Span,
};
use prost::Message as _;
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
    let ready: serde_json::Value = serde_json::from_str(&ready).expect("JSON");
    assert_eq!((status, &ready["status"]), (200, &"up".into()));
    assert_eq!(
        ready["checks"]["partitions"]["owned"],
        serde_json::json!([0])
    );
    assert_eq!(ready["checks"]["log"]["status"], "up");
    assert!(ready["checks"].get("broker").is_none(), "there is none");
    let (status, deep) = node.get("/health/deep");
    let deep: serde_json::Value = serde_json::from_str(&deep).expect("JSON");
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

/// What a collector got.
#[derive(Clone, Default)]
struct Collected(Arc<Mutex<Vec<Span>>>);

impl Collected {
    /// Takes spans at a port of this machine, as OTLP over HTTP has it.
    async fn begin(&self) -> String {
        let spans = self.0.clone();
        let take = async move |body: axum::body::Bytes| {
            let request = ExportTraceServiceRequest::decode(body).expect("it is OTLP");
            for resource in request.resource_spans {
                let about = resource
                    .resource
                    .expect("it says whose they are")
                    .attributes;
                assert!(about.iter().any(|it| it.key == "service.name"));
                let of = resource
                    .scope_spans
                    .into_iter()
                    .flat_map(|scope| scope.spans);
                spans.lock().expect("nobody panics").extend(of);
            }
            ([("content-type", "application/x-protobuf")], Vec::new())
        };
        let routes = axum::Router::new().route("/v1/traces", axum::routing::post(take));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("it has one");
        tokio::spawn(async move { axum::serve(listener, routes).await });
        format!("http://{address}")
    }

    /// The one span of this name.
    fn one(&self, name: &str) -> Span {
        let spans = self.0.lock().expect("nobody panics");
        let mut named = spans.iter().filter(|span| span.name == name);
        let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
        let one = named
            .next()
            .unwrap_or_else(|| panic!("no {name} in {names:?}"));
        assert!(named.next().is_none(), "several {name} in {names:?}");
        one.clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saga_is_a_trace_of_its_steps_and_attempts_and_of_what_workers_did() {
    let collected = Collected::default();
    let collector = collected.begin().await;
    let folder = TempDir::new().expect("room");
    let log = folder.path().join("log.db");
    let told = tokio::task::spawn_blocking(move || {
        let options = ["--otlp", &collector, "--otlp-sample", "order=1"];
        let node = Node::of(&log, &options);
        order(&log);
        let metrics = node.get("/metrics").1;
        node.stop();
        metrics
    });
    let metrics = told.await.expect("it does not panic");

    let saga = collected.one("saga order");
    assert!(saga.parent_span_id.is_empty());
    let attribute = |span: &Span, key: &str| {
        let found = span.attributes.iter().find(|it| it.key == key);
        let value = found.and_then(|it| it.value.clone()?.value);
        match value {
            Some(Value::StringValue(text)) => text,
            other => panic!("{key} is {other:?}"),
        }
    };
    assert_eq!(attribute(&saga, "sagalog.saga"), "o-1");
    assert_eq!(attribute(&saga, "sagalog.status"), "Completed");
    let step = collected.one("action charge");
    let attempt = collected.one("attempt charge action");
    let call = collected.one("payments.charge action");
    for (below, above) in [(&step, &saga), (&attempt, &step), (&call, &attempt)] {
        assert_eq!(below.trace_id, saga.trace_id);
        assert_eq!(
            below.parent_span_id, above.span_id,
            "{} is not below {}",
            below.name, above.name
        );
        assert!(below.start_time_unix_nano <= below.end_time_unix_nano);
    }
    let trace: String = saga
        .trace_id
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let example = format!(r#"# {{saga_id="o-1",trace_id="{trace}"}}"#);
    assert!(metrics.contains(&example), "{example} is not in\n{metrics}");
}

#[test]
fn log_lines_are_json_with_ids_and_their_levels_change_while_it_runs() {
    let folder = TempDir::new().expect("room");
    let log = folder.path().join("log.db");
    let node = Node::of(&log, &["--log-format", "json"]);
    let (status, levels) = node.get("/log-level");
    assert_eq!((status, levels.contains("warn")), (200, true), "{levels}");
    assert_eq!(node.ask("PUT", "/log-level", "sagalog=loud").0, 400);
    assert_eq!(node.get("/log-level").1, levels, "what was shown stays");
    let (status, levels) = node.ask("PUT", "/log-level", "warn,sagalog=info");
    assert_eq!(
        (status, levels.contains("sagalog=info")),
        (200, true),
        "{levels}"
    );
    let said = node.stop();
    let line = said.lines().find(|line| line.starts_with('{'));
    let line: serde_json::Value = serde_json::from_str(line.expect("a line")).expect("JSON");
    assert_eq!(line["message"], "stopped in peace", "{said}");
    assert_eq!(line["target"], "sagalog::driver::finishing");
    assert_eq!(line["partition"], 0);
}

#[test]
fn a_breaker_that_a_person_opened_keeps_sagas_waiting_over_a_restart() {
    let folder = TempDir::new().expect("room");
    let log = folder.path().join("log.db");
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sagalog"));
        let ran = command
            .args(words)
            .env("SAGALOG_LOG", &log)
            .env("USER", "ann")
            .output();
        let ran = ran.expect("the program is built");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (ran.status.code(), text(ran.stdout), text(ran.stderr))
    };
    let node = Node::of(&log, &[]);
    let open = [
        "breaker",
        "open",
        "payments",
        "--reason",
        "it charges twice",
    ];
    let (status, said, _) = run(&open);
    assert_eq!(status, Some(0));
    assert!(
        said.starts_with("open: payments in 1 partitions; request "),
        "{said}"
    );
    let (status, _, why) = run(&["breaker", "open", "paiments", "--reason", "no"]);
    assert_eq!(status, Some(3));
    assert!(
        why.contains("no saga of this program asks a participant `paiments`"),
        "{why}"
    );
    let listed = run(&["breaker", "list"]).1;
    assert!(listed.contains("open by hand"), "{listed}");
    assert!(listed.contains("by ann: it charges twice"), "{listed}");
    node.stop();

    // At rest the log says it.
    let (_, listed, said) = run(&["breaker", "list"]);
    assert!(said.contains("nobody drives the log"), "{said}");
    assert!(listed.contains("by ann: it charges twice"), "{listed}");

    let node = Node::of(&log, &[]);
    let orders = include_str!("../../orders/orders.jsonl");
    let order = orders.lines().next().expect("an order");
    let (status, _, why) = run(&["saga", "start", "o-1", "order", "--input", order]);
    assert_eq!(status, Some(0), "{why}");
    let reset = run(&["-o", "json", "breaker", "reset", "payments"]).1;
    assert!(
        reset.contains(r#""did":"reset","participant":"payments""#),
        "{reset}"
    );
    // The same start again is the same saga.
    let (status, _, why) = run(&["saga", "start", "o-1", "order", "--wait", "--input", order]);
    assert_eq!(status, Some(0), "{why}");
    let (_, history, _) = run(&["log", "read"]);
    assert!(
        history.contains("BreakerOpened") && history.contains("BreakerReset"),
        "{history}"
    );
    node.stop();
}
