//! Processes that are told to stop while orders keep coming.

use sagalog::PostgresOptions;
use sagalog_model::log::PartitionId;
use sqlx::{Connection as _, PgConnection};

use crate::{
    seen::Seen,
    servers::Servers,
    shop::{Shop, now},
};

/// How often a node is told to stop.
const STOPS: u64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_told_to_stop_under_load_leaves_no_lease_to_run_out() {
    let servers = Servers::turn().await;
    let mut shop = Shop::open(&servers, "stopping").await;
    let database = PgConnection::connect(&servers.database("stopping")).await;
    let mut database = database.expect("the server is there");
    for round in 0..STOPS {
        shop.comes_to_moment(round).await;
        let victim = round as usize % 2;
        let other = shop.nodes[1 - victim].name.clone();
        let node = shop.nodes.remove(victim);
        let (process, told) = (node.process, now());
        assert!(known(&mut database, process).await > 1);
        let owned = shop.seen.owned_by(&node.name);
        node.terminate().await;
        let gone = now();
        // Whoever looks next finds them free: nobody has to wait until this one is taken for dead.
        assert_eq!(known(&mut database, process).await, 0);
        let taken = |seen: &Seen| {
            let taken = |id: &PartitionId| seen.part(*id).owner() == other;
            owned.iter().all(taken)
        };
        shop.seen.until("the other node to take over", taken).await;
        let owners = owned
            .iter()
            .filter_map(|id| shop.seen.part(*id).owners.last());
        let last = owners
            .map(|(_, taken, _)| *taken)
            .max()
            .expect("it had some");
        let took = last.since(gone);
        println!(
            "a node with {} partitions stopped in peace after {:?}: the last of them was taken {took:?} later",
            owned.len(),
            gone.since(told)
        );
        assert!(took < PostgresOptions::default().lease, "it took {took:?}");
        shop.start_node(victim).await;
    }
    shop.closes_right().await;
}

/// In how many places a process is known to the others: as the owner of partitions, and as one that
/// shares them.
async fn known(database: &mut PgConnection, process: u32) -> i64 {
    let known = "select (select count(*) from sagalog.lease where owner like $1) \
                 + (select count(*) from sagalog.sharer where owner like $1)";
    let known = sqlx::query_scalar(known).bind(format!("pid {process}\n%"));
    known.fetch_one(database).await.expect("it is a log")
}
