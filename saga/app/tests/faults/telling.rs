//! What people tell sagas that another process drives, over the broker.

use std::process::{Output, Stdio};

use sagalog_eventlog::test_servers::signal;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use crate::{
    demo_support::{BUNDLED, Place, program},
    servers::Servers,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sagas_of_other_processes_are_started_awaited_and_told_things() {
    let servers = Servers::turn().await;
    let place = servers.new_place("telling", "");
    std::fs::create_dir_all(place.demo()).expect("the folder can be made");
    let mut node = Command::new(program())
        .args(["node", "--home"])
        .arg(place.demo())
        .args(place.servers())
        .kill_on_drop(true)
        .spawn()
        .expect("the program is built");
    let order = BUNDLED.lines().next().expect("an order");
    let start = ["saga", "start", "o-1", "order", "--wait", "--input", order];
    let started = tell_it(&place, &start).await;
    assert_eq!(started.status.code(), Some(0), "{started:?}");
    let said = String::from_utf8_lossy(&started.stdout).into_owned();
    assert!(said.starts_with("saga o-1 is Completed: {"), "{said}");
    let late = tell_it(&place, &["saga", "cancel", "o-1", "--reason", "late"]).await;
    assert_eq!(late.status.code(), Some(5), "{late:?}");
    let why = String::from_utf8_lossy(&late.stderr).into_owned();
    assert!(
        why.contains("saga `o-1` has ended: it is Completed"),
        "{why}"
    );
    signal("TERM", &[node.id().expect("it runs")]);
    assert!(node.wait().await.expect("it is ours").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_says_which_steps_nobody_performs() {
    let servers = Servers::turn().await;
    let place = servers.new_place("nobody", "");
    std::fs::create_dir_all(place.demo()).expect("the folder can be made");
    let started = |command: &mut Command| {
        command.arg("--home").arg(place.demo()).kill_on_drop(true);
        command.spawn().expect("the program is built")
    };
    let mut node = Command::new(program());
    node.args(["node", "--without", "shipping,mail"])
        .args(place.servers())
        .stderr(Stdio::piped());
    let mut node = started(&mut node);
    let mut lines = BufReader::new(node.stderr.take().expect("it is piped")).lines();
    let mut worker = None;
    let mut warnings = Vec::new();
    while let Some(line) = lines.next_line().await.expect("text") {
        if line.starts_with("driving") {
            let shipping = ["worker", "shipping", "--broker", place.servers()[3]];
            worker = Some(started(Command::new(program()).args(shipping)));
        }
        if line.contains("announced that it performs a step") {
            warnings.push(line);
            signal("TERM", &[node.id().expect("it runs")]);
        }
    }
    assert!(node.wait().await.expect("it is ours").success());
    assert!(worker.is_some(), "it drives");
    let [warning] = &*warnings else {
        panic!("{warnings:?}");
    };
    let (_, about) = warning.split_once("a step ").expect("it says which");
    assert_eq!(
        about,
        r#"step="mail.notify" saga="order" participant="mail""#
    );
}

/// What the program says to this on the place's servers. The node may still be about to start.
async fn tell_it(place: &Place, words: &[&str]) -> Output {
    let mut command = Command::new(program());
    command
        .args(words)
        .args(["--timeout", "120"])
        .args(place.servers());
    command.output().await.expect("the program is built")
}
