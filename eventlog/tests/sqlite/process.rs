//! Processes that are killed, and writes that fail. Each runs this test program again as a child.

use std::{
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use sagalog_eventlog::{
    AcquireError, AppendError, Holder, SqliteLog,
    conformance::{Author, PARTITION, Subject},
    verify,
};
use sagalog_model::log::Position;

use crate::File;

/// Names the file to a child; without it the children below are no tests.
const FILE: &str = "SAGALOG_TEST_LOG";

#[tokio::test]
async fn a_killed_owner_loses_nothing_that_it_was_answered() {
    let file = File::new();
    let mut child = child("process::child_appends_for_ever", &file.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let mut lines = BufReader::new(child.stdout.take().expect("it was piped")).lines();
    let mut answered = Position::new(0);
    while answered < Position::new(300) {
        let line = lines.next().expect("it goes on for ever").expect("text");
        let Some(position) = line.split_once("answered ").map(|(_, position)| position) else {
            continue;
        };
        answered = Position::new(position.parse().expect("a position"));
    }

    // While it lives it is named, and the log can be read all the same.
    let other = file.open().await;
    match other.acquire(PARTITION, Author::owner()).await {
        Err(AcquireError::Held {
            by: Holder::Known(owner),
            ..
        }) => assert_eq!(owner.pid, child.id()),
        other => panic!("held expected, got {other:?}"),
    }
    assert!(other.tail(PARTITION).await.expect("readable") >= answered);

    child.kill().expect("it lives");
    child.wait().expect("it was killed");
    for line in lines.map_while(Result::ok) {
        if let Some((_, position)) = line.split_once("answered ") {
            answered = Position::new(position.parse().expect("a position"));
        }
    }
    // The system frees the lock with the process, so nobody has to be told.
    let author = Author::on(other).await;
    assert!(
        author.ownership.tail >= answered,
        "{} is stored, {answered} was answered",
        author.ownership.tail
    );
    assert_eq!(
        author.ownership.tail.get() % 6,
        0,
        "an append is whole or absent"
    );
    let verified = verify(&*author.log, PARTITION).await.expect("it is whole");
    assert_eq!(verified.tail, author.ownership.tail);
    assert_eq!(verified.open, author.ownership.open.len() as u64);
}

#[tokio::test]
async fn after_a_failed_write_the_process_must_exit_and_nothing_is_lost() {
    let file = File::new();
    let mut author = Author::of(&file).await;
    author.stream("before").await;
    author
        .log
        .release(PARTITION)
        .await
        .expect("nothing is in the way");
    drop(author);

    // A limit on the size of files makes write(2) fail with another error than that of a full disk.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 600; exec \"$0\" \"$@\""]);
    let child = child("process::child_appends_until_it_fails", &file.path());
    let output = limited
        .arg(child.get_program())
        .args(child.get_args())
        .env(FILE, file.path())
        .output()
        .expect("a child");
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    let answered = output
        .lines()
        .filter_map(|line| line.split_once("answered "))
        .next_back()
        .expect("some were stored");
    assert!(output.contains("this process must exit"), "{output}");
    assert!(output.contains("and so does the next append"), "{output}");

    let author = Author::of(&file).await;
    assert!(author.ownership.tail.get() >= answered.1.parse().expect("a position"));
    assert_eq!(
        verify(&*author.log, PARTITION)
            .await
            .expect("it is whole")
            .tail,
        author.ownership.tail
    );
}

/// Not a test of its own: what the killed process does.
#[tokio::test]
async fn child_appends_for_ever() {
    let Some(file) = env::var_os(FILE) else {
        return;
    };
    let mut author = Author::on(Arc::new(SqliteLog::open(file).await.expect("a log"))).await;
    for round in 0_u64.. {
        let batches = (0..3)
            .map(|index| author.begin(&format!("{round}-{index}")))
            .collect();
        let last = author.store(batches).await;
        println!("answered {last}");
    }
}

/// Not a test of its own: what the process does whose files may not grow.
#[tokio::test]
async fn child_appends_until_it_fails() {
    let Some(file) = env::var_os(FILE) else {
        return;
    };
    let mut author = Author::on(Arc::new(SqliteLog::open(file).await.expect("a log"))).await;
    for round in 0_u64.. {
        let batches: Vec<_> = (0..100)
            .map(|index| author.begin(&format!("{round}-{index}")))
            .collect();
        match author.append(batches.clone()).await {
            Ok(appended) => println!("answered {}", appended.last),
            Err(error) => {
                println!("{error}");
                assert!(matches!(error, AppendError::Broken(_)), "{error:?}");
                // A small one would find room, but nothing is certain any more.
                let small = author.append(batches[..1].to_vec()).await;
                assert!(matches!(small, Err(AppendError::Broken(_))), "{small:?}");
                let acquired = author.log.acquire(PARTITION, Author::owner()).await;
                assert!(
                    matches!(acquired, Err(AcquireError::Broken(_))),
                    "{acquired:?}"
                );
                println!("and so does the next append");
                return;
            }
        }
    }
}

fn child(test: &str, file: &Path) -> Command {
    let mut command = Command::new(env::current_exe().expect("a test runs from a file"));
    command
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(FILE, file);
    command
}
