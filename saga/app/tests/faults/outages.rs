//! Servers that are away for a while, or take nothing, while orders keep coming.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::time::sleep;

use crate::{
    demo_support::orders,
    seen::Seen,
    servers::Servers,
    shop::{ORDERS, PROMPT, Shop, now},
};

/// How long the broker is away, and how long the database refuses everybody: that is the fault, and
/// nothing is waited for with it.
const BROKER_AWAY: Duration = Duration::from_secs(30);
const DATABASE_REFUSES: Duration = Duration::from_secs(10);

/// What is asked for, three times: the machine may be busy.
const BACK_TO_WORK: Duration = Duration::from_secs(3 * 10);

/// How often the network between a node and the broker is cut.
const CUTS: u64 = 10;

/// Steps without an answer while the broker takes nothing.
const WAITING: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_away_for_half_a_minute_delays_orders_and_loses_none() {
    let mut servers = Servers::turn().await;
    let mut shop = Shop::open(&servers, "away").await;
    shop.may_give_up = true;
    servers.wait_until_written(shop.place().servers()[3]);
    shop.comes_to_moment(0).await;
    let began = now();
    servers.kill_broker();
    sleep(BROKER_AWAY).await;
    shop.seen.all().await;
    let come = shop.seen.begun_after(began);
    assert!(come > 0, "orders kept coming");
    servers.start_broker();
    goes_on(
        &mut shop,
        &format!("RabbitMQ was away and {come} orders came"),
    )
    .await;
    shop.closes_right().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_short_of_memory_lets_sagas_wait_and_go_on() {
    let servers = Servers::turn().await;
    let mut shop = Shop::open(&servers, "alarm").await;
    shop.may_give_up = true;
    shop.comes_to_moment(0).await;
    servers.raise_alarm();
    let waiting = |seen: &Seen| seen.unanswered(now(), &PROMPT).count() >= WAITING;
    shop.seen.until("sagas that wait", waiting).await;
    servers.clear_alarm();
    goes_on(&mut shop, "RabbitMQ took nothing").await;
    shop.closes_right().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_refuses_everybody_for_a_while_is_waited_for() {
    let servers = Servers::turn().await;
    let mut shop = Shop::open(&servers, "refusing").await;
    shop.may_give_up = true;
    shop.comes_to_moment(0).await;
    let admin = PgConnection::connect(&servers.database("postgres")).await;
    let mut admin = admin.expect("the server is there");
    allow(&mut admin, false).await;
    let end = "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'refusing'";
    admin.execute(end).await.expect("this user may do that");
    sleep(DATABASE_REFUSES).await;
    allow(&mut admin, true).await;
    goes_on(&mut shop, "PostgreSQL refused everybody").await;
    shop.closes_right().await;
}

async fn allow(admin: &mut PgConnection, connections: bool) {
    let allow = format!("alter database refusing allow_connections {connections}");
    let allowed = admin.execute(AssertSqlSafe(allow)).await;
    allowed.expect("this user may do that");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_way_to_the_broker_is_cut_connects_again() {
    let servers = Servers::turn().await;
    let orders = orders(ORDERS);
    let place = servers.new_place("cut", &orders);
    let broker = place.servers()[3].to_owned();
    let (wire, over_wire) = servers.wire(&broker).await;
    let mut shop = Shop::begin("cut", place, orders, [broker, over_wire]).await;
    for round in 0..CUTS {
        shop.comes_to_moment(round).await;
        wire.cut();
        goes_on(&mut shop, "a node was cut off from RabbitMQ").await;
    }
    shop.closes_right().await;
}

/// All is well again: waits until every order that is under way now has ended.
async fn goes_on(shop: &mut Shop, what: &str) {
    let back = now();
    shop.seen.all().await;
    let open = shop.seen.open_at(back);
    assert!(open > 0, "nothing was under way");
    let work = shop.seen.unanswered(back, &PROMPT).count();
    let ended = |seen: &Seen| seen.last_end_of(back).is_some();
    shop.seen
        .until("the orders that were under way", ended)
        .await;
    let last = shop.seen.last_end_of(back).expect("it waited for that");
    let took = last.since(back);
    println!(
        "{what}, {open} sagas under way, {work} steps without an answer: the last of them ended after {took:?}"
    );
    assert!(took < BACK_TO_WORK, "it took {took:?}");
    shop.assert_alive();
}
