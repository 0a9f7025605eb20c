//! Processes that are killed or stopped. Each client runs this test program again as a child.

use std::{
    env,
    io::{BufRead, BufReader, Lines},
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use sagalog_eventlog::{
    AppendError, EventLog, PostgresLog, PostgresOptions,
    conformance::{Author, PARTITION},
    test_servers::{PostgresServer, signal},
    verify,
};
use sagalog_model::log::Position;

use tokio::sync::watch;

use crate::Schema;

/// Name the log to a child; without them the children below are no tests.
const URL: &str = "SAGALOG_TEST_URL";
const SCHEMA: &str = "SAGALOG_TEST_SCHEMA";

/// A killed server loses nothing that was answered, and the owner goes on as it does after every append
/// of unknown outcome: it acquires again and looks.
#[tokio::test]
async fn a_server_killed_ten_times_in_mid_append_loses_nothing_that_was_answered() {
    let mut server = PostgresServer::start();
    let schema = Schema::at(server.url("postgres"));
    let log: Arc<dyn EventLog> = Arc::new(schema.log().await);
    let mut author = Author::on(log.clone()).await;
    for round in 0..10 {
        let enough = author.ownership.tail.plus(60);
        let (answers, mut answered) = watch::channel(author.ownership.tail);
        let appending = tokio::spawn(until_it_fails(author, round, answers));
        answered
            .wait_for(|last| *last >= enough)
            .await
            .expect("it goes on");
        server.kill();
        let error = appending.await.expect("it does not panic");
        assert!(matches!(error, AppendError::Unknown { .. }), "{error:?}");
        server.restart();
        author = Author::on(log.clone()).await;
        let (tail, answered) = (author.ownership.tail, *answered.borrow());
        assert!(
            tail >= answered,
            "{tail} is stored, {answered} was answered"
        );
        assert_eq!(tail.get() % 6, 0, "an append is whole or absent");
    }
    let verified = verify(&*log, PARTITION).await.expect("it is whole");
    assert_eq!(verified.tail, author.ownership.tail);
    assert_eq!(verified.open, author.ownership.open.len() as u64);
}

async fn until_it_fails(
    mut author: Author,
    round: usize,
    answers: watch::Sender<Position>,
) -> AppendError {
    for count in 0.. {
        let batches = (0..3).map(|index| author.begin(&format!("{round}-{count}-{index}")));
        let batches = batches.collect();
        match author.append(batches).await {
            Ok(appended) => drop(answers.send_replace(appended.last)),
            Err(error) => return error,
        }
    }
    unreachable!("it counts for ever")
}

#[tokio::test]
async fn a_killed_owner_is_followed_and_loses_nothing_that_it_was_answered() {
    let schema = Schema::new();
    let log = schema.log().await;
    let mut child = Appender::begin(&schema, PostgresOptions::default().lease);
    child.wait_for(Position::new(300));

    child.process.kill().expect("it lives");
    let killed = Instant::now();
    // The lease that users get, not that of the other tests.
    let options = PostgresOptions {
        schema: schema.options.schema.clone(),
        ..PostgresOptions::default()
    };
    let other = PostgresLog::open_with(&schema.url, options).await;
    let author = Author::on(Arc::new(other.expect("a log"))).await;
    let taken = killed.elapsed();
    assert!(taken < Duration::from_secs(5), "it took {taken:?}");

    let answered = child.last_answer();
    assert!(author.ownership.tail >= answered);
    assert_eq!(
        author.ownership.tail.get() % 6,
        0,
        "an append is whole or absent"
    );
    let verified = verify(&log, PARTITION).await.expect("it is whole");
    assert_eq!(verified.tail, author.ownership.tail);
    assert_eq!(verified.open, author.ownership.open.len() as u64);
}

#[tokio::test]
async fn an_owner_that_was_stopped_past_its_lease_appends_no_more() {
    let schema = Schema::new();
    let mut child = Appender::begin(&schema, schema.options.lease);
    child.wait_for(Position::new(60));
    signal("STOP", &[child.process.id()]);

    let stopped = Instant::now();
    let mut author = Author::of(&schema).await;
    let taken = stopped.elapsed();
    assert!(taken < Duration::from_secs(15), "it took {taken:?}");
    author.stream("of-the-new-owner").await;

    signal("CONT", &[child.process.id()]);
    let mut said = child.lines.by_ref().map(|line| line.expect("text"));
    let end = said.find(|line| line.contains("stopped: "));
    let end = end.expect("it says why it ended");
    assert!(end.contains("no longer owns partition 0"), "{end}");
    child.process.wait().expect("it ended");
    let tail = author.log.tail(PARTITION).await.expect("readable");
    assert_eq!(tail, author.ownership.tail.plus(2));
    verify(&*author.log, PARTITION).await.expect("it is whole");
}

/// A child that appends until it cannot.
struct Appender {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Appender {
    fn begin(schema: &Schema, lease: Duration) -> Self {
        let mut command = Command::new(env::current_exe().expect("a test runs from a file"));
        let mut process = command
            .args(["process::child_appends", "--exact", "--nocapture"])
            .env(URL, &schema.url)
            .env(SCHEMA, &schema.options.schema)
            .env("SAGALOG_TEST_LEASE", lease.as_millis().to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let stdout = process.stdout.take().expect("it was piped");
        Self {
            process,
            lines: BufReader::new(stdout).lines(),
        }
    }

    fn wait_for(&mut self, position: Position) {
        while self.next_answer().expect("it appends for ever") < position {}
    }

    fn next_answer(&mut self) -> Option<Position> {
        let mut lines = self.lines.by_ref().map_while(Result::ok);
        lines.find_map(|line| {
            let (_, position) = line.split_once("answered ")?;
            Some(Position::new(position.parse().expect("a position")))
        })
    }

    /// Of a child that has ended.
    fn last_answer(&mut self) -> Position {
        let mut last = Position::default();
        while let Some(position) = self.next_answer() {
            last = position;
        }
        last
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Not a test of its own: what the killed and the stopped process do.
#[tokio::test]
async fn child_appends() {
    let (Ok(url), Ok(schema), Ok(lease)) = (
        env::var(URL),
        env::var(SCHEMA),
        env::var("SAGALOG_TEST_LEASE"),
    ) else {
        return;
    };
    let options = PostgresOptions {
        schema,
        lease: Duration::from_millis(lease.parse().expect("a number")),
        ..PostgresOptions::default()
    };
    let log = PostgresLog::open_with(&url, options).await.expect("a log");
    let mut author = Author::on(Arc::new(log)).await;
    for round in 0_u64.. {
        let batches = (0..3)
            .map(|index| author.begin(&format!("{round}-{index}")))
            .collect();
        match author.append(batches).await {
            Ok(appended) => println!("answered {}", appended.last),
            Err(error) => {
                println!("stopped: {error}");
                return;
            }
        }
    }
}
