//! The demo on both servers, as a person runs it.

use sagalog_eventlog::test_servers::signal;
use tokio::process::Command;

use crate::{
    demo_support::{assert_exactly_right, orders, program},
    servers::Servers,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_runs_on_both_servers_and_kills_one_of_two_processes() {
    let servers = Servers::turn().await;
    let place = servers.new_place("killing", &orders(200));
    let (summary, said) = place.summary_without_folder().await;
    let ended = ["completed", "compensated"].map(|field| summary[field].as_u64());
    let ended: u64 = ended.iter().flatten().sum();
    assert_eq!((ended, &summary["parked"]), (200, &0.into()));
    assert!(
        said.contains("with SIGKILL") && said.contains("on the same log"),
        "{said}"
    );
    place.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_participant_may_be_a_process_of_its_own() {
    let servers = Servers::turn().await;
    let orders = orders(60);
    let place = servers.new_place("parting", &orders);
    std::fs::create_dir_all(place.demo()).expect("the folder can be made");
    let mut worker = Command::new(program())
        .args([
            "worker",
            "shipping",
            "--broker",
            place.servers()[3],
            "--home",
        ])
        .arg(place.demo())
        .kill_on_drop(true)
        .spawn()
        .expect("the program is built");
    let folder = place.demo();
    let options = ["--without", "shipping", "--dir"].map(AsRef::as_ref);
    place
        .run(&[&options[..], &[folder.as_os_str()]].concat())
        .await;
    signal("TERM", &[worker.id().expect("it runs")]);
    assert!(worker.wait().await.expect("it is ours").success());
    assert_exactly_right(&place, &orders).await;
}
