//! The demo on both servers, as a person runs it.

use std::path::Path;

use sagalog_eventlog::test_servers::signal;
use sqlx::{ConnectOptions as _, sqlite::SqliteConnectOptions};
use tokio::process::Command;

use crate::{
    demo_support::{assert_exactly_right, expected, orders, program},
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

/// As a person runs it: the demo kills one of its own processes in the middle, and the participant in
/// Python is started beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_participant_in_python_ships_what_the_demo_sells() {
    const PYTHON: &str = "/usr/bin/python3";
    let servers = Servers::turn().await;
    let orders = orders(200);
    let place = servers.new_place("python", &orders);
    std::fs::create_dir_all(place.demo()).expect("the folder can be made");
    let file = place.demo().join("shipping.db");
    let script = "../../transport/participants/python/shipping.py";
    let mut shipping = Command::new(PYTHON)
        .arg("-B")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script))
        .arg(place.servers()[3])
        .arg(&file)
        .kill_on_drop(true)
        .spawn()
        .expect("a Python: run ./test, which installs what it needs");
    let options = ["--without", "shipping"].map(AsRef::as_ref);
    let (summary, said) = place.run(&options).await;
    assert!(said.contains("with SIGKILL"), "{said}");
    shipping.kill().await.expect("it is a child of ours");

    let orders = orders.lines().map(serde_json::from_str);
    let orders = orders.map(|order| expected(&order.expect("an order is JSON")));
    let (mut shipped, mut completed) = (Vec::new(), 0);
    for (deeds, end) in orders {
        completed += u64::from(end == "Completed");
        let parcels = deeds.into_iter().filter(|(_, step, _)| step == "ship");
        shipped.extend(parcels.map(|(order, ..)| format!("res-{order}")));
    }
    shipped.sort();
    assert_eq!(summary["completed"], completed);
    assert_eq!(summary["compensated"], 200 - completed);
    let mut file = SqliteConnectOptions::new().filename(file).connect().await;
    let parcels = sqlx::query_scalar("select reservation from parcel order by 1");
    let parcels: Vec<String> = parcels
        .fetch_all(file.as_mut().expect("it is there"))
        .await
        .expect("it has this table");
    assert_eq!(parcels, shipped);
    place.verify().await;
}
