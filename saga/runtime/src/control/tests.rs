//! Requests over a socket reach the owner, and answers come back.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc, time::Duration};

use sagalog_eventlog::MemoryLog;
use sagalog_model::{Payload, Saga, Signal};
use sagalog_projections::Status;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
};

use super::{Answer, Control, ControlError, Request};
use crate::Runtime;

const LUNCH: Saga<String, bool> = Saga::new("lunch");
const HUNGRY: Signal<bool> = Signal::new("hungry");

/// A runtime that is reached over a socket, with one saga, `l-1`, that waits for a signal.
struct Kitchen {
    runtime: Runtime,
    socket: PathBuf,
    _folder: TempDir,
}

impl Kitchen {
    async fn open() -> Self {
        let folder = TempDir::new().expect("room");
        Self::at(folder.path().join("log.db.sock"), folder).await
    }

    async fn at(socket: PathBuf, folder: TempDir) -> Self {
        let (mut saga, _) = LUNCH.define(1);
        let hungry = saga
            .signal("asked", HUNGRY)
            .within(Duration::from_secs(3_600));
        let lunch = saga
            .returns(hungry.map(|hungry| hungry == Some(true)))
            .expect("it is sound");
        let runtime = Runtime::on(Arc::new(MemoryLog::new()))
            .definition(lunch)
            .node("kitchen");
        let runtime = runtime
            .control_socket(&socket)
            .start()
            .await
            .expect("it starts");
        runtime
            .client()
            .start(LUNCH, "l-1", &"soup".to_owned())
            .await
            .expect("it is started");
        Self {
            runtime,
            socket,
            _folder: folder,
        }
    }

    async fn connect(&self) -> Control {
        Control::connect(&self.socket)
            .await
            .expect("it can be reached")
            .expect("somebody listens")
    }

    /// What is answered to this text, line by line, until the connection ends or `lines` came.
    async fn raw(&self, text: &[u8], lines: usize) -> Vec<String> {
        let mut stream = UnixStream::connect(&self.socket)
            .await
            .expect("somebody listens");
        stream.write_all(text).await.expect("it is taken");
        let mut answers = BufReader::new(stream).lines();
        let mut got = Vec::new();
        while got.len() < lines {
            match answers.next_line().await.expect("text") {
                Some(line) => got.push(line),
                None => break,
            }
        }
        got
    }
}

fn cancel(saga: &str) -> Request {
    Request::Cancel {
        saga: saga.into(),
        id: "c-1".into(),
        by: "ann".into(),
        until: None,
        reason: "no soup".into(),
    }
}

fn hungry(id: &str) -> Request {
    Request::Signal {
        saga: "l-1".into(),
        signal: "hungry".into(),
        id: id.into(),
        until: None,
        payload: Payload::from_json_text("true"),
    }
}

fn code(error: ControlError) -> String {
    match error {
        ControlError::Refused(refused) => refused.code().to_owned(),
        other => panic!("a refusal was expected, got {other:?}"),
    }
}

#[tokio::test]
async fn what_is_answered_as_done_has_happened() {
    let kitchen = Kitchen::open().await;
    kitchen
        .connect()
        .await
        .request(&hungry("s-1"))
        .await
        .expect("it is done");
    let state = kitchen.runtime.client().end("l-1").await.expect("it ends");
    assert_eq!(state.output().map(Payload::as_str), Some("true"));
}

#[tokio::test]
async fn a_request_carries_who_wants_it() {
    let kitchen = Kitchen::open().await;
    kitchen
        .connect()
        .await
        .request(&cancel("l-1"))
        .await
        .expect("it is done");
    let state = kitchen.runtime.client().end("l-1").await.expect("it ends");
    assert_eq!(state.status(), Status::Compensated);
    assert!(
        state
            .turn()
            .is_some_and(|turn| turn.reason.contains("no soup"))
    );
}

#[tokio::test]
async fn a_refusal_is_data_with_a_stable_code() {
    let kitchen = Kitchen::open().await;
    let mut control = kitchen.connect().await;
    let unknown = Request::Signal {
        saga: "l-1".into(),
        signal: "thirsty".into(),
        id: "s".into(),
        until: None,
        payload: Payload::null(),
    };
    let retry = Request::Retry {
        saga: "l-1".into(),
        id: "r".into(),
        by: "ann".into(),
        until: None,
        node: "asked".into(),
        reason: None,
    };
    let mut codes = Vec::new();
    for request in [cancel("l-2"), cancel("not an id"), unknown, retry] {
        codes.push(code(
            control.request(&request).await.expect_err("it is refused"),
        ));
    }
    assert_eq!(
        codes,
        ["no_such_saga", "bad_id", "unknown_signal", "not_parked"]
    );
    // The connection is still good.
    control.request(&cancel("l-1")).await.expect("it is done");
}

#[tokio::test]
async fn several_connections_are_served_at_once() {
    let kitchen = Kitchen::open().await;
    let (mut first, mut second) = (kitchen.connect().await, kitchen.connect().await);
    assert_eq!(second.who().await.expect("an answer").program, "kitchen");
    assert_eq!(
        first.who().await.expect("an answer").pid,
        std::process::id()
    );
}

#[tokio::test]
async fn connections_beyond_the_limit_are_told_so() {
    let kitchen = Kitchen::open().await;
    let mut open = Vec::new();
    for _ in 0..32 {
        let mut control = kitchen.connect().await;
        control.who().await.expect("an answer");
        open.push(control);
    }
    assert_eq!(
        code(
            kitchen
                .connect()
                .await
                .who()
                .await
                .expect_err("it is refused")
        ),
        "busy"
    );
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_next_line_is_read() {
    let kitchen = Kitchen::open().await;
    let answers = kitchen
        .raw(
            b"soup?\n{\"boil\":{}}\n{\"who\":{\"extra\":1}}\n{\"who\":{}}\n",
            4,
        )
        .await;
    let refused: Vec<_> = answers
        .iter()
        .map(|answer| answer.contains(r#""code":"bad_request""#))
        .collect();
    assert_eq!(refused, [true, true, true, false], "{answers:?}");
}

#[tokio::test]
async fn a_line_without_end_is_refused_at_its_bound() {
    let kitchen = Kitchen::open().await;
    let answers = kitchen
        .raw(&vec![b'x'; 256 * 1_024 + 64 * 1_024 + 1], 2)
        .await;
    assert_eq!(answers.len(), 1, "the connection ends");
    assert!(answers[0].contains("a request has at most"), "{answers:?}");
}

#[tokio::test]
async fn only_its_user_can_open_the_socket_and_it_goes_when_the_owner_stops() {
    let kitchen = Kitchen::open().await;
    let mode = fs::metadata(&kitchen.socket)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let beside = fs::read_dir(kitchen.socket.parent().expect("a folder"))
        .expect("it is there")
        .count();
    assert_eq!(beside, 1, "nothing else is left there");
    kitchen.runtime.stop().await.expect("it stops in peace");
    assert!(!kitchen.socket.exists());
    assert!(
        Control::connect(&kitchen.socket)
            .await
            .expect("nothing hinders it")
            .is_none(),
        "nobody is there"
    );
}

#[tokio::test]
async fn a_stale_socket_is_replaced() {
    let folder = TempDir::new().expect("room");
    let socket = folder.path().join("log.db.sock");
    drop(UnixListener::bind(&socket).expect("it is made"));
    assert!(
        Control::connect(&socket)
            .await
            .expect("nothing hinders it")
            .is_none(),
        "nobody is there"
    );
    let kitchen = Kitchen::at(socket, folder).await;
    kitchen.connect().await.who().await.expect("an answer");
}

#[tokio::test]
async fn a_socket_that_cannot_be_made_is_an_error_and_the_log_is_free_again() {
    let log = Arc::new(MemoryLog::new());
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("no-such-folder").join("log.db.sock");
    let failed = Runtime::on(log.clone())
        .control_socket(socket)
        .start()
        .await;
    let error = failed.err().expect("it does not start").to_string();
    assert!(error.contains("no socket can be made"), "{error}");
    Runtime::on(log).start().await.expect("it starts");
}

#[tokio::test]
async fn a_log_in_a_deep_folder_has_a_socket_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let deep = folder.path().join("d".repeat(100)).join("e".repeat(100));
    fs::create_dir_all(&deep).expect("it can be made");
    let kitchen = Kitchen::at(deep.join("log.db.sock"), folder).await;
    kitchen.connect().await.who().await.expect("an answer");
}

#[test]
fn requests_and_answers_are_what_the_documentation_says() {
    let written = |value: &dyn Fn() -> serde_json::Result<String>| value().expect("plain data");
    let resolve = Request::Resolve {
        saga: "s".into(),
        id: "i".into(),
        by: "b".into(),
        until: None,
        node: "n".into(),
        output: Payload::from_json_text("1.50"),
    };
    insta::assert_snapshot!(written(&|| serde_json::to_string(&resolve)), @r#"{"resolve":{"saga":"s","id":"i","by":"b","node":"n","output":1.50}}"#);
    assert_eq!(
        serde_json::from_str::<Request>(&written(&|| serde_json::to_string(&resolve)))
            .expect("it reads"),
        resolve
    );
    insta::assert_snapshot!(written(&|| serde_json::to_string(&Answer::Done {})), @r#"{"done":{}}"#);
}
