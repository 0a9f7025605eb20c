//! Starts and signals in the caller's own transaction, on a real PostgreSQL.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use sagalog::{
    AnyDefinition, CallError, Ended, EventLog, Gaps, MemoryLog, PostgresLog, Refusal, Runtime,
    RuntimeBuilder, Saga, Signal, Step, Worker,
    postgres::{
        RequestError, Requests,
        sqlx::{self, PgConnection, PgPool},
    },
};
use sagalog_eventlog::test_servers::PostgresServer;
use sagalog_projections::sequence::Sequences;

const ORDER: Saga<i64, i64> = Saga::new("order");
const ASKED: Saga<i64, bool> = Saga::new("asked");
const PACK: Step<i64, i64> = Step::new("stock.pack").compensatable();
const APPROVAL: Signal<bool> = Signal::new("approval");
const OFFER: Saga<i64, Vec<Option<i64>>> = Saga::new("tender");
const PRICE: Signal<i64> = Signal::new("price");

fn order() -> AnyDefinition {
    let (mut saga, order) = ORDER.define(1);
    let packed = saga.step("pack", PACK, order);
    saga.returns(packed).expect("a good definition").into()
}

fn asked() -> AnyDefinition {
    let (mut saga, _) = ASKED.define(1);
    let answer = saga
        .signal("answer", APPROVAL)
        .within(Duration::from_secs(3_600));
    saga.returns(answer.map(Option::unwrap_or_default))
        .expect("a good definition")
        .into()
}

/// Waits for three prices, whose missing ones are waited for a day.
fn offer() -> AnyDefinition {
    let day = Duration::from_secs(24 * 3_600);
    let price = PRICE.gaps(Gaps::within(day));
    let (mut saga, _) = OFFER.define(1);
    let first = saga.signal("first", price).within(day);
    let second = saga.signal("second", price).within(day);
    let third = saga.signal("third", price).within(day);
    let all = first.and(second).and(third);
    let all = all.map(|first, second, third| vec![first, second, third]);
    saga.returns(all).expect("a good definition").into()
}

/// What was packed, by saga.
type Packed = Arc<Mutex<Vec<String>>>;

fn on(log: Arc<dyn EventLog>, packed: Packed) -> RuntimeBuilder {
    let worker = Worker::with(packed)
        .action(PACK, async |at, number| {
            at.state.lock().expect("fine").push(at.saga.to_string());
            Ok(number)
        })
        .compensation(PACK, async |_, _, _| Ok(()));
    Runtime::on(log)
        .definition(order())
        .definition(asked())
        .definition(offer())
        .worker(worker)
}

/// A shop with its own database.
struct Shop {
    pool: PgPool,
    requests: Requests,
}

impl Shop {
    async fn new(name: &str) -> Self {
        let url = PostgresServer::shared().new_database(name);
        Self {
            pool: PgPool::connect_lazy(&url).expect("a fine address"),
            requests: Requests::open(&url).await.expect("a database"),
        }
    }

    /// A runtime with a log of its own, which picks up from here.
    async fn runtime(&self) -> Runtime {
        let runtime = on(Arc::new(MemoryLog::new()), Packed::default());
        let runtime = runtime.requests(self.requests.clone()).start().await;
        runtime.expect("a log")
    }

    async fn start(&self, transaction: &mut PgConnection, id: &str) {
        let started = self.requests.start(transaction, ORDER, id, &7).await;
        started.expect("it is written");
    }

    async fn approve(&self, transaction: &mut PgConnection, saga: &str) {
        let sent = self
            .requests
            .signal(transaction, APPROVAL, saga, "mail-1", &true);
        sent.await.expect("it is written");
    }

    /// The price of this number, which is that many.
    async fn price(&self, transaction: &mut PgConnection, saga: &str, number: u64) {
        let (numbered, price) = (("pricing", number), number as i64);
        let requests = &self.requests;
        let sent = requests.signal_in_order(transaction, PRICE, saga, numbered, &price);
        sent.await.expect("it is written");
    }

    async fn sql(&self, statement: &'static str) {
        let done = sqlx::raw_sql(statement).execute(&self.pool).await;
        done.expect("a fine statement");
    }

    /// Waits until every request was picked up or refused.
    async fn nothing_waits(&self) {
        let waiting = "select count(*) from sagalog_requests.request where refused is null";
        while self.number(waiting).await > 0 {}
    }

    async fn number(&self, select: &'static str) -> i64 {
        let number = sqlx::query_scalar(select).fetch_one(&self.pool).await;
        number.expect("a number")
    }
}

#[tokio::test]
async fn what_commits_is_started_and_what_rolls_back_is_not() {
    let shop = Shop::new("commits").await;
    let runtime = shop.runtime().await;
    let mut given_up = shop.pool.begin().await.expect("a database");
    shop.start(&mut given_up, "order-1").await;
    given_up.rollback().await.expect("a database");
    let mut kept = shop.pool.begin().await.expect("a database");
    shop.start(&mut kept, "order-2").await;
    kept.commit().await.expect("a database");
    shop.nothing_waits().await;
    let client = runtime.client();
    assert_eq!(
        client.result(ORDER, "order-2").await.expect("it ends"),
        Ended::Completed(7)
    );
    let never = client.status("order-1").await;
    assert!(
        matches!(never, Err(CallError::Refused(Refusal::NoSuchSaga { .. }))),
        "{never:?}"
    );
    runtime.stop().await.expect("in peace");
}

#[tokio::test]
async fn a_request_that_is_picked_up_again_after_a_restart_starts_once() {
    let shop = Shop::new("restarts").await;
    shop.sql(
        "create function refuse() returns trigger language plpgsql as \
         $$ begin raise exception 'the row stays'; end $$; \
         create trigger stays before delete on sagalog_requests.request \
         for each row execute function refuse();",
    )
    .await;
    let mut connection = shop.pool.acquire().await.expect("a database");
    shop.start(&mut connection, "order-1").await;
    let log = Arc::new(MemoryLog::new());
    let packed = Packed::default();
    let first = on(log.clone(), packed.clone()).requests(shop.requests.clone());
    let first = first.start().await.expect("a log");
    // It is in the log, and the runtime cannot say so in the table.
    while first.client().result(ORDER, "order-1").await.is_err() {
        tokio::task::yield_now().await;
    }
    first.stop().await.expect("in peace");
    assert_eq!(
        shop.number("select count(*) from sagalog_requests.request")
            .await,
        1
    );
    shop.sql("drop trigger stays on sagalog_requests.request")
        .await;
    let second = on(log, packed.clone()).requests(shop.requests.clone());
    let second = second.start().await.expect("a log");
    shop.nothing_waits().await;
    assert_eq!(
        shop.number("select count(*) from sagalog_requests.request")
            .await,
        0
    );
    second.stop().await.expect("in peace");
    assert_eq!(*packed.lock().expect("fine"), ["order-1"]);
}

#[tokio::test]
async fn a_signal_comes_after_the_start_of_its_transaction() {
    let shop = Shop::new("in_order").await;
    let mut transaction = shop.pool.begin().await.expect("a database");
    for number in 0..100 {
        let id = format!("asked-{number}");
        let started = shop.requests.start(&mut transaction, ASKED, &id, &0);
        started.await.expect("it is written");
        shop.approve(&mut transaction, &id).await;
    }
    transaction.commit().await.expect("a database");
    let runtime = shop.runtime().await;
    shop.nothing_waits().await;
    assert_eq!(shop.requests.refused(10).await.expect("a database"), []);
    let ended = runtime.client().result(ASKED, "asked-99").await;
    assert_eq!(ended.expect("it ends"), Ended::Completed(true));
    runtime.stop().await.expect("in peace");
}

#[tokio::test]
async fn what_is_refused_stays_with_its_reason_and_stops_nobody() {
    let shop = Shop::new("refuses").await;
    let mut connection = shop.pool.acquire().await.expect("a database");
    shop.approve(&mut connection, "asked-1").await;
    // Another language may write what the functions here do not.
    shop.sql(
        "insert into sagalog_requests.request (kind, saga, name, payload) \
         values ('start', 'an id', 'order', ' 1 '), ('start', 'order-1', 'offer', '1')",
    )
    .await;
    shop.start(&mut connection, "order-2").await;
    let runtime = shop.runtime().await;
    shop.nothing_waits().await;
    let ended = runtime.client().result(ORDER, "order-2").await;
    assert_eq!(ended.expect("it ends"), Ended::Completed(7));
    let refused = shop.requests.refused(10).await.expect("a database");
    let whys: Vec<_> = refused
        .iter()
        .map(|it| format!("{}: {}", it.saga, it.why))
        .collect();
    insta::assert_snapshot!(whys.join("\n"), @r#"
    asked-1: there is no saga `asked-1`
    an id: "an id" cannot be a saga's id
    order-1: no definition of saga `offer` is registered
    "#);
    // Once it can be done, it is.
    let started = shop.requests.start(&mut connection, ASKED, "asked-1", &0);
    started.await.expect("it is written");
    shop.nothing_waits().await;
    shop.sql("update sagalog_requests.request set refused = null where kind = 'signal'")
        .await;
    shop.nothing_waits().await;
    let ended = runtime.client().result(ASKED, "asked-1").await;
    assert_eq!(ended.expect("it ends"), Ended::Completed(true));
    runtime.stop().await.expect("in peace");
}

#[tokio::test]
async fn of_two_runtimes_the_one_that_drives_the_saga_starts_it() {
    let shop = Shop::new("two_runtimes").await;
    let url = PostgresServer::shared().url("two_runtimes");
    let packed = Packed::default();
    let mut runtimes = Vec::new();
    for node in ["first", "second"] {
        let log = Arc::new(PostgresLog::open(&url).await.expect("a log"));
        let runtime = on(log, packed.clone())
            .node(node)
            .requests(shop.requests.clone());
        runtimes.push(runtime.start().await.expect("a log to share"));
    }
    let mut transaction = shop.pool.begin().await.expect("a database");
    for number in 0..100 {
        shop.start(&mut transaction, &format!("order-{number}"))
            .await;
    }
    transaction.commit().await.expect("a database");
    shop.nothing_waits().await;
    assert_eq!(shop.requests.refused(10).await.expect("a database"), []);
    for runtime in runtimes {
        runtime.stop().await.expect("in peace");
    }
    let started = "select count(*) from sagalog.log where name like 'order-%'";
    assert_eq!(shop.number(started).await, 100);
}

#[tokio::test]
async fn what_cannot_be_a_request_is_refused_before_it_is_written() {
    let shop = Shop::new("not_written").await;
    let mut transaction = shop.pool.begin().await.expect("a database");
    let refused = shop
        .requests
        .start(&mut transaction, ORDER, "an id", &7)
        .await;
    assert!(
        matches!(refused, Err(RequestError::BadId(..))),
        "{refused:?}"
    );
    shop.start(&mut transaction, "order-1").await;
    transaction.commit().await.expect("it goes on without it");
}

#[tokio::test]
async fn numbered_signals_are_taken_in_order_in_whichever_order_they_commit() {
    let shop = Shop::new("numbered").await;
    let mut early = shop.pool.begin().await.expect("a database");
    let started = shop.requests.start(&mut early, OFFER, "offer-1", &0);
    started.await.expect("it is written");
    for number in [3, 2] {
        shop.price(&mut early, "offer-1", number).await;
    }
    early.commit().await.expect("a database");
    let runtime = shop.runtime().await;
    // They are kept in the log until the first is committed.
    shop.nothing_waits().await;
    let state = runtime.client().state("offer-1").await.expect("it runs");
    assert_eq!(state.sequences().ahead(), 2);
    let mut late = shop.pool.begin().await.expect("a database");
    shop.price(&mut late, "offer-1", 1).await;
    shop.price(&mut late, "offer-1", 1).await;
    late.commit().await.expect("a database");
    shop.nothing_waits().await;
    let ended = runtime.client().result(OFFER, "offer-1").await;
    let prices = [1, 2, 3].map(Some).into();
    assert_eq!(ended.expect("it ends"), Ended::Completed(prices));
    assert_eq!(shop.requests.refused(10).await.expect("a database"), []);
    runtime.stop().await.expect("in peace");
}

#[tokio::test]
async fn what_is_too_far_ahead_waits_in_the_table_and_holds_up_nothing_that_is_missing() {
    let shop = Shop::new("far_ahead").await;
    let mut transaction = shop.pool.begin().await.expect("a database");
    let started = shop.requests.start(&mut transaction, OFFER, "offer-1", &0);
    started.await.expect("it is written");
    let kept = Sequences::AHEAD_MAX as u64;
    for number in (2..kept + 5).rev() {
        shop.price(&mut transaction, "offer-1", number).await;
    }
    transaction.commit().await.expect("a database");
    let runtime = shop.runtime().await;
    let waiting = "select count(*) from sagalog_requests.request where refused is null";
    while shop.number(waiting).await > 3 {}
    let mut first = shop.pool.begin().await.expect("a database");
    shop.price(&mut first, "offer-1", 1).await;
    first.commit().await.expect("a database");
    let ended = runtime.client().result(OFFER, "offer-1").await;
    let prices = [1, 2, 3].map(Some).into();
    assert_eq!(ended.expect("it ends"), Ended::Completed(prices));
    shop.nothing_waits().await;
    // Those that were left are refused now, as the saga has ended.
    let refused = shop.requests.refused(10).await.expect("a database");
    let numbers: Vec<_> = refused.iter().map(|it| it.numbered.clone()).collect();
    let left = (kept + 2..kept + 5).map(|number| Some(("pricing".to_owned(), number)));
    assert_eq!(numbers, left.rev().collect::<Vec<_>>());
    runtime.stop().await.expect("in peace");
}

#[tokio::test]
async fn what_was_refused_is_tried_again_or_given_up() {
    let shop = Shop::new("put_right").await;
    let mut connection = shop.pool.acquire().await.expect("a database");
    shop.price(&mut connection, "offer-1", 1).await;
    shop.approve(&mut connection, "asked-1").await;
    let runtime = shop.runtime().await;
    shop.nothing_waits().await;
    let refused = shop.requests.refused(10).await.expect("a database");
    let known_by: Vec<_> = refused
        .iter()
        .map(|it| (it.saga.as_str(), it.id.as_deref(), it.numbered.clone()))
        .collect();
    let numbered = Some(("pricing".to_owned(), 1));
    assert_eq!(
        known_by,
        [
            ("offer-1", None, numbered),
            ("asked-1", Some("mail-1"), None)
        ]
    );
    let [price, approval] = [refused[0].number, refused[1].number];
    let started = shop.requests.start(&mut connection, OFFER, "offer-1", &0);
    started.await.expect("it is written");
    shop.nothing_waits().await;
    let again = shop.requests.try_again(&[price]).await;
    assert_eq!(again.expect("a database"), [price]);
    shop.nothing_waits().await;
    let state = runtime.client().state("offer-1").await.expect("it runs");
    let (_, pricing) = state.sequences().find("pricing").expect("it numbers");
    assert_eq!(pricing.watermark, 1);
    let gone = shop.requests.give_up(&[price, approval]).await;
    assert_eq!(gone.expect("a database"), [approval]);
    assert_eq!(shop.requests.refused(10).await.expect("a database"), []);
    runtime.stop().await.expect("in peace");
}

#[tokio::test]
async fn a_signal_with_a_time_is_known_with_it() {
    let shop = Shop::new("with_a_time").await;
    shop.sql(
        "insert into sagalog_requests.request (kind, saga, name, payload) values ('start', 'offer-1', 'tender', '0'); \
         insert into sagalog_requests.request (kind, saga, name, id, until, payload) values \
         ('signal', 'offer-1', 'price', 'mail-1', 9000000000000000, '7'), \
         ('signal', 'offer-1', 'price', 'mail-1', 9000000000000000, '7'), \
         ('signal', 'offer-1', 'price', 'mail-1', null, '7')",
    )
    .await;
    let runtime = shop.runtime().await;
    shop.nothing_waits().await;
    let refused = shop.requests.refused(10).await.expect("a database");
    insta::assert_snapshot!(refused[0].why, @"the id `mail-1` was used before for something else, or with another time; choose another id");
    assert_eq!(refused.len(), 1);
    let state = runtime.client().state("offer-1").await.expect("it runs");
    assert_eq!(state.signals().ids().in_window(), 1);
    runtime.stop().await.expect("in peace");
}

/// The table as the release before made it.
const BEFORE: &str = "create schema sagalog_requests; \
    create table sagalog_requests.request ( \
        number bigint generated always as identity primary key, \
        kind text not null check (kind in ('start', 'signal')), \
        saga text collate \"C\" not null, name text not null, id text, payload json not null, \
        refused text, at timestamptz not null default now(), \
        check ((kind = 'signal') = (id is not null))); \
    insert into sagalog_requests.request (kind, saga, name, payload) \
        values ('start', 'offer-1', 'tender', '0'); \
    insert into sagalog_requests.request (kind, saga, name, id, payload) \
        values ('signal', 'offer-1', 'price', 'mail-1', '7');";

#[tokio::test]
async fn a_table_of_the_release_before_takes_numbered_signals_and_keeps_what_it_has() {
    let url = PostgresServer::shared().new_database("migrates");
    let pool = PgPool::connect_lazy(&url).expect("a fine address");
    let made = sqlx::raw_sql(BEFORE).execute(&pool).await;
    made.expect("a fine statement");
    let looked = Requests::existing(&url, "sagalog_requests").await;
    let why = looked.expect_err("it is of the release before").to_string();
    insta::assert_snapshot!(why, @"the schema `sagalog_requests` is not there, or has no `request.until` yet: a runtime of this release makes it");
    // Any number of processes at once.
    let opened = tokio::join!(Requests::open(&url), Requests::open(&url));
    let requests = opened.0.expect("a database");
    opened.1.expect("a database");
    let shop = Shop { pool, requests };
    let mut connection = shop.pool.acquire().await.expect("a database");
    for number in [2, 1] {
        shop.price(&mut connection, "offer-1", number).await;
    }
    let neither = "insert into sagalog_requests.request (kind, saga, name, payload) \
                   values ('signal', 'offer-1', 'price', '7')";
    let neither = sqlx::query(neither).execute(&mut *connection).await;
    neither.expect_err("a signal has an id or a number");
    let runtime = shop.runtime().await;
    shop.nothing_waits().await;
    let ended = runtime.client().result(OFFER, "offer-1").await;
    let prices = [7, 1, 2].map(Some).into();
    assert_eq!(ended.expect("it ends"), Ended::Completed(prices));
    Requests::existing(&url, "sagalog_requests")
        .await
        .expect("it is there");
    runtime.stop().await.expect("in peace");
}

#[tokio::test]
async fn a_number_that_no_producer_gives_is_not_written() {
    let shop = Shop::new("bad_number").await;
    let mut connection = shop.pool.acquire().await.expect("a database");
    for numbered in [("pricing", 0), ("pricing", 1 << 53), ("", 1)] {
        let sent = shop
            .requests
            .signal_in_order(&mut connection, PRICE, "offer-1", numbered, &7)
            .await;
        assert!(
            matches!(sent, Err(RequestError::BadNumber { .. })),
            "{sent:?}"
        );
    }
}
