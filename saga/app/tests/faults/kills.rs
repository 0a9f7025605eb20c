//! `kill -9` at random moments of the log, which only the round says, each while work is under way.

use std::{collections::BTreeSet, time::Duration};

use sagalog_eventlog::test_servers::signal;
use sagalog_model::log::{PartitionId, Time};

use crate::{
    seen::{Seen, Unanswered},
    servers::Servers,
    shop::{PROMPT, SHIPPED, Shop, now},
};

/// How often each is killed.
const KILLS: u64 = 10;

/// How often a node is stopped for longer than its lease.
const STOPS: u64 = 1;

/// What is asked for, three times: the machine may be busy.
const AFTER_A_PROCESS: Duration = Duration::from_secs(3 * 5);
const AFTER_A_SERVER: Duration = Duration::from_secs(3 * 10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_are_killed_and_stopped_leave_the_effects_of_a_run_without() {
    let servers = Servers::turn().await;
    let mut shop = Shop::open(&servers, "nodes").await;
    for round in 0..KILLS + STOPS {
        let victim = round as usize % 2;
        let (owned, unfinished) = freeze_at_work(&mut shop, victim, round).await;
        let process = shop.nodes[victim].process;
        let other = shop.nodes[1 - victim].name.clone();
        let is_kill = round < KILLS;
        let at = if is_kill {
            shop.kill_node(victim)
        } else {
            now()
        };
        let followed = |seen: &Seen| {
            let follows = |id: &PartitionId| {
                let (owner, _, first) = seen.part(*id).owners.last().expect("it was owned");
                *owner == other && (first.is_some() || seen.part(*id).open.is_empty())
            };
            owned.iter().all(follows)
        };
        shop.seen.until("the other node to follow", followed).await;
        let took = tell(&shop.seen, &owned, at, (is_kill, unfinished));
        assert!(took < AFTER_A_PROCESS, "it took {took:?}");
        if is_kill {
            shop.nodes.remove(victim).killed().await;
            shop.start_node(victim).await;
        } else {
            signal("CONT", &[process]);
        }
    }
    shop.closes_right().await;
}

/// Stops a node for good, or for the moment, with sagas under way in its partitions.
async fn freeze_at_work(
    shop: &mut Shop,
    victim: usize,
    round: u64,
) -> (BTreeSet<PartitionId>, usize) {
    loop {
        shop.comes_to_moment(round).await;
        let node = &shop.nodes[victim];
        signal("STOP", &[node.process]);
        // What it had done is in the log, and more does not come from it.
        shop.seen.all().await;
        let owned = shop.seen.owned_by(&node.name);
        let unfinished = shop.seen.open_in(&owned);
        if unfinished > 0 {
            return (owned, unfinished);
        }
        // It was faster than this reader.
        signal("CONT", &[node.process]);
    }
}

fn tell(
    seen: &Seen,
    owned: &BTreeSet<PartitionId>,
    at: Time,
    (is_kill, unfinished): (bool, usize),
) -> Duration {
    let owners = owned
        .iter()
        .filter_map(|id| seen.part(*id).owners.last())
        .collect::<Vec<_>>();
    let mut taken: Vec<_> = owners.iter().map(|(_, taken, _)| taken.since(at)).collect();
    let firsts = owners.iter().filter_map(|(_, _, first)| *first);
    let first = firsts.map(|first| first.since(at)).min();
    taken.sort();
    let last = taken.last().copied().unwrap_or_default();
    println!(
        "a node {} with {} partitions and {unfinished} sagas under way: the first was taken after {:?}, the last after {last:?}, first event of a saga after {:?}",
        if is_kill { "killed" } else { "stopped" },
        owned.len(),
        taken.first().copied().unwrap_or_default(),
        first.unwrap_or_default(),
    );
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_with_commands_in_hand_leaves_them_to_the_next() {
    let servers = Servers::turn().await;
    let mut shop = Shop::open(&servers, "workers").await;
    for round in 0..KILLS {
        let held = loop {
            shop.comes_to_moment(round).await;
            signal("STOP", &[shop.worker()]);
            let at = now();
            // What it had answered may still be on its way into the log.
            shop.seen.all().await;
            let held = shop.seen.unanswered(at, &SHIPPED);
            if held.count() > 0 {
                break held;
            }
            signal("CONT", &[shop.worker()]);
        };
        let at = shop.kill_worker().await;
        shop.start_worker();
        let took = until_answered(&mut shop.seen, &held, at).await;
        println!(
            "the worker killed with {} of its steps under way: the last was answered after {took:?}",
            held.count()
        );
        assert!(took < AFTER_A_PROCESS, "it took {took:?}");
    }
    shop.closes_right().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_killed_under_load_loses_nothing_that_was_answered() {
    let mut servers = Servers::turn().await;
    let mut shop = Shop::open(&servers, "database").await;
    for round in 0..KILLS {
        shop.comes_to_moment(round).await;
        let at = now();
        servers.kill_database();
        servers.start_database();
        goes_on(&mut shop, "PostgreSQL", at).await;
    }
    shop.closes_right().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_under_load_loses_no_step_and_repeats_none() {
    let mut servers = Servers::turn().await;
    let mut shop = Shop::open(&servers, "broker").await;
    servers.wait_until_written(shop.place().servers()[3]);
    // It takes some seconds to start, and more on a busy machine.
    shop.may_give_up = true;
    for round in 0..KILLS {
        shop.comes_to_moment(round).await;
        let at = now();
        servers.kill_broker();
        servers.start_broker();
        goes_on(&mut shop, "RabbitMQ", at).await;
    }
    shop.closes_right().await;
}

/// A server that was killed is back: waits until what was asked before is answered.
async fn goes_on(shop: &mut Shop, server: &str, killed: Time) {
    let back = now();
    shop.seen.all().await;
    let held = shop.seen.unanswered(killed, &PROMPT);
    let took = until_answered(&mut shop.seen, &held, back).await;
    let open = shop.seen.open_at(killed);
    println!(
        "{server} killed with {open} sagas under way and {} steps without an answer, back after {:?}: the last was answered {took:?} later",
        held.count(),
        back.since(killed)
    );
    assert!(open > 0, "nothing was under way");
    assert!(took < AFTER_A_SERVER, "it took {took:?}");
    shop.assert_alive();
}

/// Waits until all of this work is answered, and says how long that took from this moment on.
async fn until_answered(seen: &mut Seen, work: &Unanswered, since: Time) -> Duration {
    let answered = |seen: &Seen| seen.answered(work).is_some();
    seen.until("the answers of what was asked", answered).await;
    let last = seen.answered(work).expect("it waited for that");
    last.since(since)
}
