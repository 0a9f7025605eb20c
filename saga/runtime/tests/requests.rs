//! Starts and signals in the caller's own transaction, on a real PostgreSQL.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use sagalog::{
    AnyDefinition, CallError, Ended, EventLog, MemoryLog, PostgresLog, Refusal, Runtime,
    RuntimeBuilder, Saga, Signal, Step, Worker,
    postgres::{
        RequestError, Requests,
        sqlx::{self, PgConnection, PgPool},
    },
};
use sagalog_eventlog::test_servers::PostgresServer;

const ORDER: Saga<i64, i64> = Saga::new("order");
const ASKED: Saga<i64, bool> = Saga::new("asked");
const PACK: Step<i64, i64> = Step::new("stock.pack").compensatable();
const APPROVAL: Signal<bool> = Signal::new("approval");

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
    let runtime = on(Arc::new(MemoryLog::new()), Packed::default());
    let runtime = runtime
        .requests(shop.requests.clone())
        .start()
        .await
        .expect("a log");
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
    let runtime = on(Arc::new(MemoryLog::new()), Packed::default());
    let runtime = runtime
        .requests(shop.requests.clone())
        .start()
        .await
        .expect("a log");
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
    let runtime = on(Arc::new(MemoryLog::new()), Packed::default());
    let runtime = runtime
        .requests(shop.requests.clone())
        .start()
        .await
        .expect("a log");
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
