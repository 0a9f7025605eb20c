//! What people tell sagas that another process drives, over the broker.

use std::process::Output;

use sagalog_eventlog::test_servers::signal;
use tokio::process::Command;

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

/// What the program says to this on the place's servers. The node may still be about to start.
async fn tell_it(place: &Place, words: &[&str]) -> Output {
    let mut command = Command::new(program());
    command
        .args(words)
        .args(["--timeout", "120"])
        .args(place.servers());
    command.output().await.expect("the program is built")
}
