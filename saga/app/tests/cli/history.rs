//! `history`: captures, and sagas decided again.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use sagalog::{AnyDefinition, Runtime, Saga, SqliteLog, Step, Worker};
use sagalog_cli::{App, demo};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    agency::{Agency, TRIP, app, person},
    program::sagalog,
};

/// A folder with a log of trips, one of which is captured.
struct Captured {
    agency: Agency,
    file: String,
}

impl Captured {
    async fn trip(wrong: &str) -> Self {
        let agency = Agency::open().await;
        agency.ended("t-1", "nothing").await;
        agency.ended("t-2", wrong).await;
        let file = agency.folder().join("t-2.capture").display().to_string();
        let line = format!("history export t-2 --file {file}");
        let said = sagalog(&agency.log, &line).await.printed();
        assert_eq!(said, format!("{file}: 10 events of 4 inputs\n"));
        Self { agency, file }
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.file).expect("it was written")
    }

    fn edited(&self, text: &str) {
        fs::write(&self.file, text).expect("it can be written");
    }

    /// Runs a command about the file, with no log.
    async fn run(&self, command: &str) -> crate::program::Ran {
        sagalog(
            Path::new("no.db"),
            &format!("history {command} {}", self.file),
        )
        .await
    }

    /// What is said of a file that is no capture.
    async fn refused(&self) -> String {
        let said = self.run("verify").await.failed(1);
        assert_eq!(self.run("view").await.failed(1), said);
        said.replace(&self.file, "t-2.capture")
    }
}

#[tokio::test]
async fn a_captured_saga_is_viewed_as_the_log_shows_it() {
    let captured = Captured::trip("flight is full").await;
    let log = &captured.agency.log;
    for (view, show) in [
        ("view", "saga show t-2"),
        ("view --at 4", "saga show t-2 --at 4"),
        ("view --json", "saga show t-2 --json"),
    ] {
        let viewed = captured.run(view).await.printed();
        assert_eq!(viewed, sagalog(log, show).await.printed());
    }
    let said = captured.run("view --at 11").await.failed(3);
    assert_eq!(
        said,
        "error: saga `t-2` has versions 1 to 10, there is no version 11\n"
    );
}

#[tokio::test]
async fn a_whole_capture_says_what_it_is_and_where_its_log_has_the_same_chain() {
    let captured = Captured::trip("flight is full").await;
    let verified = captured.run("verify").await.printed();
    let (said, chain) = verified
        .split_once("chain ")
        .expect("it ends with the chain");
    insta::assert_snapshot!(said.replace(&captured.file, "t-2.capture"), @"
    t-2.capture is whole: 10 events of 4 inputs of `t-2`, Compensated
    it runs trip version 1 (1ac2bfb848152212), which this program does not define
    ");
    let read = sagalog(&captured.agency.log, "log read --json")
        .await
        .printed();
    let last = read.lines().last().expect("it has events");
    let last: Value = serde_json::from_str(last).expect("JSON");
    let chain = chain.split(' ').next();
    assert_eq!(chain, last["chain"].as_str());
    let json = captured.run("verify --json").await.printed();
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        (&json["whole"], &json["status"]),
        (&true.into(), &"Compensated".into())
    );
}

#[tokio::test]
async fn what_is_no_capture_says_where_and_how_to_mend_it() {
    let captured = Captured::trip("flight is full").await;
    let text = captured.text();
    captured.edited(&text[..text.len() / 2]);
    let cut = captured.refused().await;
    captured.edited(&text.replacen("\"attempt\":1", "\"attempt\":2", 1));
    let edited = captured.refused().await;
    captured.edited(&text.replacen("\"sagalog_capture\":1", "\"sagalog_capture\":2", 1));
    let newer = captured.refused().await;
    captured.edited("{\"lines\":[]}");
    let other = captured.refused().await;
    let all = format!("{cut}{edited}{newer}{other}");
    let hash = |word: &str| word.len() >= 64 && word.chars().all(|c| c.is_ascii_hexdigit());
    let words = all.split_inclusive([' ', ',', '\n']).map(|word| {
        let bare = word.trim_end_matches([' ', ',', '\n']);
        if hash(bare) {
            word.replace(bare, "HASH")
        } else {
            word.to_owned()
        }
    });
    insta::assert_snapshot!(words.collect::<String>(), @"
    error: t-2.capture: it is cut off after line 3
      export it again, and pass the file on as it is: `history export SAGA --file FILE`
    error: t-2.capture: the batch at version 1 is not what the log holds: its chain value is HASH, its content gives HASH
      export it again, and pass the file on as it is: `history export SAGA --file FILE`
    error: t-2.capture: it has format 2, written by release 0.1.0; this release reads up to 1
      use release 0.1.0, or a newer one
    error: t-2.capture: line 1 is not the head of a capture: missing field `sagalog_capture` at line 1 column 12
      export it again, and pass the file on as it is: `history export SAGA --file FILE`
    ");
    fs::File::create(&captured.file)
        .and_then(|file| file.set_len(sagalog_sim::Capture::BYTES_MAX + 1))
        .expect("room");
    let long = captured.refused().await;
    assert!(
        long.contains("67108865 bytes, a capture has at most 67108864"),
        "{long}"
    );
    let said = sagalog(Path::new("no.db"), "history view nothing.capture").await;
    assert!(!said.failed(3).is_empty());
}

#[tokio::test]
async fn what_is_redacted_is_gone_and_the_rest_verifies() {
    let agency = Agency::open().await;
    agency.ended("t-1", "flight is full").await;
    let shown = sagalog(&agency.log, "history export t-1 --redact \"\"").await;
    shown.failed(2);
    let file = agency.folder().join("t-1.capture").display().to_string();
    let line = format!("history export t-1 --redact= --file {file}");
    let said = sagalog(&agency.log, &line).await.printed();
    assert_eq!(
        said,
        format!("{file}: 10 events of 4 inputs, 7 payloads redacted\n")
    );
    let text = fs::read_to_string(&file).expect("it was written");
    assert!(!text.contains("flight is full"), "{text}");
    let verified = sagalog(&agency.log, &format!("history verify {file}"))
        .await
        .printed();
    assert!(
        verified.contains("7 payloads redacted (``): the hashes fit, what is shown"),
        "{verified}"
    );
    let line = "history export t-1 --redact /card";
    let said = sagalog(&agency.log, line).await.failed(3);
    assert_eq!(
        said,
        "error: no payload of the saga has anything at `/card`\n  \
         `saga show` shows the payloads; nothing was written\n"
    );
    sagalog(&agency.log, "history export t-1 --redact card")
        .await
        .failed(2);
}

#[tokio::test]
async fn sagas_are_decided_again_by_the_program_that_defines_them() {
    let mut agency = Agency::open().await;
    agency.ended("t-1", "nothing").await;
    agency.ended("t-2", "flight is full").await;
    agency.waiting("t-3", "no ink", person).await;
    let file = agency.folder().join("t-2.capture").display().to_string();
    let line = format!("history export t-2 --file {file}");
    sagalog(&agency.log, &line).await.printed();
    agency.stop().await;
    agency.start(true).await;
    let line = "saga retry t-3 ticket";
    assert_eq!(sagalog(&agency.log, line).await.exit, 0);
    agency.until("t-3", person).await;
    for line in [
        "history replay",
        "history replay t-3",
        "history replay t-3 --at 5",
        "history replay --status parked",
        "history replay --definition trip --from 20",
        "history replay --from 2026-11-20T20:00:00.2Z",
        &format!("history replay {file}"),
        &format!("history verify {file}"),
    ] {
        assert_eq!(own(app(), &agency.log, line).await, exit(0), "{line}");
    }
    // Another definition of the same name and version.
    let other = || App::new().saga(another_trip());
    for line in [
        format!("history replay {file}"),
        format!("history verify {file}"),
    ] {
        assert_eq!(own(other(), &agency.log, &line).await, exit(5), "{line}");
    }
    assert_eq!(own(other(), &agency.log, "history replay").await, exit(1));
    // The demo knows no trips.
    sagalog(&agency.log, "history replay t-1").await.failed(3);
    let ran = sagalog(&agency.log, "history replay").await;
    assert_eq!(ran.exit, 3);
    insta::assert_snapshot!(ran.out, @"
    log.db: 0 events of 0 inputs of 0 sagas decided again as they are on record
    3 sagas of trip version 1, which this program does not define, not decided again
    ");
}

fn another_trip() -> AnyDefinition {
    let (mut saga, plan) = TRIP.define(1);
    saga.pivot();
    saga.returns(plan).expect("it is sound").into()
}

/// An order of the demo, decided again by the program itself.
#[tokio::test]
async fn a_whole_log_is_decided_again() {
    let folder = TempDir::new().expect("room");
    let path = folder.path().join("log.db");
    let log = SqliteLog::open(&path).await.expect("it opens");
    let runtime = demo::app().runtime(Arc::new(log), folder.path());
    let runtime = runtime
        .expect("its worker is made")
        .start()
        .await
        .expect("it starts");
    let client = runtime.client();
    for id in ["o-1", "o-2"] {
        client
            .start(demo::ORDER, id, &order(id))
            .await
            .expect("it starts");
        client.end(id).await.expect("it ends");
    }
    runtime.stop().await.expect("it stops in peace");
    let all = sagalog(&path, "history replay").await.printed();
    let one = sagalog(&path, "history replay o-2 --at 1").await.printed();
    insta::assert_snapshot!(all, @"log.db: 30 events of 12 inputs of 2 sagas decided again as they are on record");
    assert!(
        one.starts_with("o-2: ") && one.contains("decided again"),
        "{one}"
    );
    let json = sagalog(&path, "history replay --json").await.printed();
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["same"], &json["sagas"]), (&true.into(), &2.into()));
}

fn order(id: &str) -> demo::Order {
    demo::Order {
        id: id.into(),
        customer: "ada@example.org".into(),
        items: vec![demo::Item {
            sku: "BOOK".into(),
            quantity: 1,
            cents: 2_100,
        }],
        card: "tok_visa".into(),
        gift: false,
        address: demo::Address {
            country: "DE".into(),
            postcode: "10115".into(),
        },
    }
}

/// The words of a panic are on record, so a replay has to find the same.
#[tokio::test]
async fn a_function_that_panicked_panics_again_in_the_same_words() {
    const CLUMSY: Saga<u32, u32> = Saga::new("clumsy");
    const HALVE: Step<u32, u32> = Step::new("maths.halve").read_only();
    let clumsy = || -> AnyDefinition {
        let (mut saga, n) = CLUMSY.define(1);
        let half = saga.step("half", HALVE, n.map(|n| 100 / n));
        saga.returns(half).expect("it is sound").into()
    };
    let folder = TempDir::new().expect("room");
    let path = folder.path().join("log.db");
    let log = SqliteLog::open(&path).await.expect("it opens");
    let runtime = Runtime::on(Arc::new(log))
        .definition(clumsy())
        .worker(Worker::new().action(HALVE, async |_, n: u32| Ok(n / 2)));
    let runtime = runtime.start().await.expect("it starts");
    runtime
        .client()
        .start(CLUMSY, "c-1", &0)
        .await
        .expect("it starts");
    runtime.stop().await.expect("it stops in peace");
    let shown = sagalog(&path, "saga show c-1").await.printed();
    assert!(shown.contains("attempt to divide by zero"), "{shown}");
    let clumsy = App::new().saga(clumsy());
    assert_eq!(own(clumsy, &path, "history replay").await, exit(0));
}

/// Runs a program of one's own; the exit code, as `ExitCode` shows itself.
pub(crate) async fn own(app: App, log: &Path, line: &str) -> String {
    let mut words: Vec<OsString> = vec!["own".into()];
    words.extend(line.split_whitespace().map(OsString::from));
    words.extend(["--log".into(), log.into()]);
    let ran = tokio::task::spawn_blocking(move || sagalog_cli::main_with(app, words));
    format!("{:?}", ran.await.expect("it does not panic"))
}

pub(crate) fn exit(code: u8) -> String {
    format!("{:?}", ExitCode::from(code))
}

/// A log of the demo with an order that was shipped.
async fn shipped(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("log.db");
    let log = SqliteLog::open(&path).await.expect("it opens");
    let runtime = demo::app().runtime(Arc::new(log), folder.path());
    let runtime = runtime.expect("its worker is made").start().await;
    let runtime = runtime.expect("it starts");
    let client = runtime.client();
    let started = client.start(demo::ORDER, "o-1", &order("o-1")).await;
    started.expect("it starts");
    client.end("o-1").await.expect("it ends");
    runtime.stop().await.expect("it stops in peace");
    path
}

/// Forks that order.
async fn forked(log: &Path, at: &str, how: &[&str]) -> crate::program::Ran {
    let words = [&["history", "fork", "o-1", "--at", at], how].concat();
    let words = words.into_iter().map(str::to_owned).collect();
    crate::program::words(log, words).await
}

#[tokio::test]
async fn a_fork_shows_what_would_have_come_of_it() {
    let folder = TempDir::new().expect("room");
    let log = shipped(&folder).await;
    let refused = forked(&log, "5", &["--fault", "outcome s1 charge#1: fails"]).await;
    insta::assert_snapshot!(refused.printed());
    let cancelled = [
        "--json",
        "--fault",
        "commit s1 reserve#1: cancelled meanwhile",
    ];
    let cancelled = forked(&log, "5", &cancelled).await.printed();
    let cancelled: Value = serde_json::from_str(&cancelled).expect("JSON");
    assert_eq!(cancelled["same"], false);
    assert_eq!(cancelled["recorded"]["status"], "Completed");
    let then = cancelled["forked"]["then"].as_array().expect("a list");
    let is_cancelled = then.iter().any(|told| told["type"] == "CancelRequested");
    assert!(is_cancelled, "{cancelled}");
    let same = forked(&log, "5", &[]).await.printed();
    assert!(same.contains("the two ends are the same"), "{same}");
}

#[tokio::test]
async fn a_fork_behind_what_it_changes_is_refused() {
    let folder = TempDir::new().expect("room");
    let log = shipped(&folder).await;
    let late = forked(&log, "13", &["--fault", "outcome s1 charge#1: fails"]).await;
    insta::assert_snapshot!(late.failed(5));
    let beyond = forked(&log, "100", &[]).await.failed(3);
    assert!(beyond.contains("there is no version 100"), "{beyond}");
    let bad = forked(&log, "2", &["--fault", "outcome s1 charge#1: explodes"]).await;
    assert!(bad.failed(2).contains("explodes"));
    let none = forked(&log, "2", &["--definition-version", "99"])
        .await
        .failed(3);
    assert!(none.contains("version 99"), "{none}");
}
