//! `node`, also called `serve`

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use sagalog::control::socket_of;
use tempfile::TempDir;

use crate::program::sagalog;

#[tokio::test]
async fn serving_takes_requests_and_stops_in_peace_when_told() {
    let folder = TempDir::new().expect("room");
    let log = folder.path().join("log.db");
    let mut serving = Command::new(env!("CARGO_BIN_EXE_sagalog"))
        .args(["serve", "--log"])
        .arg(&log)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program is built");
    let talk = BufReader::new(serving.stderr.take().expect("it is piped")).lines();
    let mut talk = talk.map(|line| {
        line.expect("text")
            .replace(&log.display().to_string(), "log.db")
    });
    let mut said: Vec<_> = talk.by_ref().take(2).collect();

    let refused = sagalog(&log, "saga cancel o-9 --reason no").await.failed(3);
    assert_eq!(refused, "error: there is no saga `o-9`\n");

    let pid = serving.id().to_string();
    let told = Command::new("kill")
        .args(["-TERM", &pid])
        .status()
        .expect("it is there");
    assert!(told.success());
    assert!(serving.wait().expect("it runs").success());
    assert!(!socket_of(&log).exists(), "the socket is cleared");
    said.extend(talk);
    insta::assert_snapshot!(said.join("\n").replace(&pid, "PID"), @r#"
    driving log.db as process PID
    requests are taken at log.db.sock; ctrl-c stops
    stopping: what runs may finish
    stopped in peace; the next start goes on from here
    "#);
}

#[tokio::test]
async fn what_is_neither_a_file_nor_a_log_in_postgres_is_refused() {
    for line in ["node", "log verify"] {
        let refused = sagalog(Path::new("mysql://ann:secret@db/log"), line).await;
        assert_eq!(
            refused.failed(2),
            "error: a log is a file or postgres://…, and mysql:// is neither\n"
        );
    }
}

#[tokio::test]
async fn whoever_does_not_say_where_the_broker_is_gets_told_how() {
    let (folder, nowhere) = (TempDir::new().expect("room"), Path::new("unused.db"));
    let home = folder.path().display();
    let worker = async |options: &str| {
        let line = format!("worker --home {home} {options}");
        sagalog(nowhere, &line).await
    };
    insta::assert_snapshot!(worker("shipping").await.failed(2), @"
    error: no broker was named
      give it with --broker amqp://…, or set SAGALOG_BROKER
    ");
    let refused = worker("--broker http://ann:secret@mq").await;
    let refused = refused.failed(2);
    assert!(
        refused.contains("amqp://user:password@host:5672/vhost"),
        "{refused}"
    );
    assert!(!refused.contains("secret"), "{refused}");
}

#[tokio::test]
async fn servers_that_must_be_reached_over_tls_are_refused_with_what_to_do_instead() {
    let folder = TempDir::new().expect("room");
    let (home, log) = (folder.path().display(), folder.path().join("log.db"));
    let over_tls = Path::new("postgres://ann:secret@db/log?sslmode=require");
    insta::assert_snapshot!(sagalog(over_tls, "node").await.failed(2), @"error: the log cannot be opened like this: connections to PostgreSQL have no TLS yet, and sslmode demands it: leave it away in a network that is trusted, or connect to a TLS proxy on this machine");
    let broker = "--broker amqps://ann:secret@mq/%2f";
    insta::assert_snapshot!(sagalog(&log, &format!("node {broker}")).await.failed(2), @"error: the broker's URL cannot be used: amqps is not supported yet: use amqp to a TLS proxy on this machine; it looks like amqp://user:password@host:5672/vhost, with %2f for the vhost /");
    let worker = format!("worker --home {home} {broker}");
    insta::assert_snapshot!(sagalog(&log, &worker).await.failed(2), @"error: the broker's URL cannot be used: amqps is not supported yet: use amqp to a TLS proxy on this machine; it looks like amqp://user:password@host:5672/vhost, with %2f for the vhost /");
}

#[tokio::test]
async fn what_a_stream_cannot_keep_is_refused() {
    let (folder, nowhere) = (TempDir::new().expect("room"), Path::new("unused.db"));
    let home = folder.path().display();
    let refused = async |options: &str| {
        let line = format!("node --home {home} --broker amqp://mq {options}");
        sagalog(nowhere, &line).await.failed(2)
    };
    for (options, why) in [
        (
            "--published-size 1GB",
            "'--published-size <SIZE>': it is no size, as 512MiB or 10GiB",
        ),
        (
            "--published-size 1MiB",
            "'--published-size <SIZE>': a stream keeps 4MiB at least",
        ),
        (
            "--published-age 0d",
            "'--published-age <AGE>': a stream keeps what came in the last second at least",
        ),
        (
            "--published-age soon",
            "'--published-age <AGE>': it is no span, as 90s, 15m, 12h or 30d",
        ),
        (
            "--no-published-log --published-age 1d",
            "'--no-published-log' cannot be used with '--published-age <AGE>'",
        ),
    ] {
        let said = refused(options).await;
        assert!(said.contains(why), "{options}: {said}");
    }
}
