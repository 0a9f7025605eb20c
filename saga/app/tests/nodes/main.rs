//! Two processes of the program drive one log in PostgreSQL over RabbitMQ. They are killed and stopped
//! again and again, and in the end nothing is missing and nothing happened twice.
//!
//! Both servers are started for it, see `eventlog/src/test_servers.rs` and `transport/tests/broker`.

#[path = "../../../../transport/tests/broker/mod.rs"]
mod broker;
#[path = "../demo_support/mod.rs"]
mod demo_support;
mod seen;

use std::{
    collections::BTreeSet,
    process::{ExitStatus, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sagalog_eventlog::test_servers::{PostgresServer, signal};
use sagalog_model::log::{PartitionId, Time};
use tokio::{
    process::{ChildStdin, Command},
    task::JoinHandle,
};

use crate::{
    broker::Broker,
    demo_support::{BUNDLED, Place, assert_exactly_right, program},
    seen::Seen,
};

/// How often one is killed, and how often stopped for longer than its lease.
const KILLS: u64 = 4;
const STOPS: u64 = 1;

/// Orders that a process starts in a second: slow enough for work to be left for every kill.
const RATE: u32 = 40;

/// Sagas of a node's partitions that are under way when it is killed, at least.
const UNDER_WAY: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_are_killed_and_stopped_leave_the_effects_of_a_run_without() {
    let orders = orders(2_400);
    let broker = Broker::start(1);
    let database = PostgresServer::shared().new_database("nodes");
    let place = Place::on_servers(&orders, database, broker.url());
    // The log is made by the first of them.
    let mut nodes = [Node::start(&place, 0).await, Node::start(&place, 1).await];
    let mut seen = Seen::of(place.open_log().await).await;
    for round in 0..KILLS + STOPS {
        let victim = round as usize % 2;
        let [name, other] = [&nodes[victim], &nodes[1 - victim]].map(|node| node.name.clone());
        let moment = seen.events + 50 + 37 * round;
        let both_work = |seen: &Seen| {
            let owned = seen.owned_by(&name);
            seen.events >= moment
                && !seen.owned_by(&other).is_empty()
                && seen.open_in(&owned) >= UNDER_WAY
        };
        seen.until("both nodes at work", both_work).await;
        let node = &nodes[victim];
        let is_kill = round < KILLS;
        signal(if is_kill { "KILL" } else { "STOP" }, &[node.process]);
        let at = now();
        // What it had done is in the log, and more does not come from it.
        seen.all().await;
        let owned = seen.owned_by(&name);
        let unfinished = seen.open_in(&owned);
        assert!(unfinished > 0, "round {round}: nothing was left unfinished");
        let followed = |seen: &Seen| {
            let follows = |id: &PartitionId| {
                let (owner, _, first) = seen.part(*id).owners.last().expect("it was owned");
                *owner == other && (first.is_some() || seen.part(*id).open.is_empty())
            };
            owned.iter().all(follows)
        };
        seen.until("the other node to follow", followed).await;
        tell(&seen, &owned, at, (is_kill, unfinished));
        if is_kill {
            let next = Node::start(&place, 2 + round).await;
            std::mem::replace(&mut nodes[victim], next).killed().await;
        } else {
            signal("CONT", &[node.process]);
        }
    }
    // What is left is ended by a node that starts nothing, in whose favour both leave in peace.
    for node in nodes {
        node.leave().await;
    }
    the_program_ends_what_is_left(&place, &mut seen).await;
    assert!(place.start(10_000).end().await.success());
    assert_exactly_right(&place, &orders).await;
    place.verify().await;
}

#[tokio::test]
async fn the_demo_runs_on_both_servers_and_kills_one_of_two_processes() {
    let broker = Broker::start(1);
    let database = PostgresServer::shared().new_database("killing");
    let place = Place::on_servers(&orders(200), database, broker.url());
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

#[tokio::test]
async fn a_participant_may_be_a_process_of_its_own() {
    let orders = orders(60);
    let broker = Broker::start(1);
    let database = PostgresServer::shared().new_database("parting");
    let place = Place::on_servers(&orders, database, broker.url());
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

/// Runs `sagalog node` until nothing is under way, and stops it in peace.
async fn the_program_ends_what_is_left(place: &Place, seen: &mut Seen) {
    seen.all().await;
    let before = seen.open();
    let at = now();
    let mut node = Command::new(program())
        .args(["node", "--name", "last", "--home"])
        .arg(place.demo())
        .args(place.servers())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the program is built");
    let all = 16;
    seen.until("the last node to own everything and end it", |seen| {
        seen.owned_by("last").len() == all && seen.open() == 0
    })
    .await;
    println!(
        "after both had left, a third ended {before} sagas in {:?}",
        now().since(at)
    );
    signal("TERM", &[node.id().expect("it runs")]);
    let ended = node.wait().await.expect("it is a child of ours");
    assert!(ended.success(), "it stops in peace: {ended}");
}

fn tell(
    seen: &Seen,
    owned: &BTreeSet<PartitionId>,
    at: Time,
    (is_kill, unfinished): (bool, usize),
) {
    let owners = owned
        .iter()
        .filter_map(|id| seen.part(*id).owners.last())
        .collect::<Vec<_>>();
    let mut taken: Vec<_> = owners.iter().map(|(_, taken, _)| taken.since(at)).collect();
    let firsts = owners.iter().filter_map(|(_, _, first)| *first);
    let first = firsts.map(|first| first.since(at)).min();
    taken.sort();
    let none = Duration::ZERO;
    println!(
        "{} with {} partitions and {unfinished} sagas under way: the first was taken after {:?}, the last after {:?}, first event of a saga after {:?}",
        if is_kill { "killed" } else { "stopped" },
        owned.len(),
        taken.first().unwrap_or(&none),
        taken.last().unwrap_or(&none),
        first.unwrap_or_default(),
    );
}

/// A process that drives the log and starts orders.
struct Node {
    name: String,
    process: u32,
    /// It stops in peace when this is dropped.
    leash: Option<ChildStdin>,
    ended: JoinHandle<ExitStatus>,
}

impl Node {
    /// Starts one, and waits until it knows the log.
    async fn start(place: &Place, number: u64) -> Self {
        let name = format!("node-{number}");
        let mut running = place.start_as(&name, RATE);
        running.position().await.expect("it says where it begins");
        Self {
            name,
            process: running.process(),
            leash: running.leash(),
            ended: tokio::spawn(running.end()),
        }
    }

    async fn killed(self) {
        let ended = self.ended.await.expect("it is waited for");
        assert!(!ended.success(), "it was killed: {ended}");
    }

    async fn leave(self) {
        drop(self.leash);
        let ended = self.ended.await.expect("it is waited for");
        assert!(ended.success(), "{} leaves in peace: {ended}", self.name);
    }
}

/// So many orders, each with an id of its own.
fn orders(count: usize) -> String {
    let rounds = (0..).flat_map(|round| BUNDLED.lines().map(move |line| (round, line)));
    let own = |(round, line): (usize, &str)| {
        let line = line.replacen(r#"{"id":""#, &format!(r#"{{"id":"r{round}-"#), 1);
        format!("{line}\n")
    };
    rounds.take(count).map(own).collect()
}

fn now() -> Time {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Time::from_micros(now.expect("it is after 1970").as_micros() as u64)
}
