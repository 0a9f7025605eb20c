//! Steps whose effect and outcome are one transaction, on a real PostgreSQL.

use std::{sync::Arc, time::Duration};

use sagalog::{
    Attempt, AttemptNumber, Command, Direction, Failure, Found, IdempotencyKey, Payload, SagaId,
    postgres::{
        Inbox,
        sqlx::{self, PgConnection, PgPool},
    },
};
use sagalog_eventlog::test_servers::PostgresServer;
use sagalog_model::log::Time;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// A bank with a table of payments, and an inbox beside it.
struct Bank {
    inbox: Inbox,
    pool: PgPool,
}

/// What the handler does after it has taken the money.
#[derive(Clone)]
enum Then {
    Give,
    Fail(Failure),
    Panic,
    Wait(Arc<Gate>),
}

#[derive(Default)]
struct Gate {
    reached: Notify,
    open: Notify,
}

async fn charge(bank: &mut PgConnection, at: Attempt<Then>, cents: i64) -> Result<i64, Failure> {
    let insert = sqlx::query_scalar("insert into payment (cents) values ($1) returning id");
    let id = insert.bind(cents).fetch_one(bank).await?;
    match at.state {
        Then::Give => Ok(id),
        Then::Fail(failure) => Err(failure),
        Then::Panic => panic!("it takes the money and falls"),
        Then::Wait(gate) => {
            gate.reached.notify_one();
            gate.open.notified().await;
            Ok(id)
        }
    }
}

async fn refund(bank: &mut PgConnection, _: Attempt, _: i64, id: i64) -> Result<(), Failure> {
    let delete = sqlx::query("delete from payment where id = $1").bind(id);
    match delete.execute(bank).await?.rows_affected() {
        1 => Ok(()),
        _ => Err(Failure::permanent("there is no such payment")),
    }
}

impl Bank {
    async fn new(name: &str) -> Self {
        Self::at(&PostgresServer::shared().new_database(name)).await
    }

    async fn at(url: &str) -> Self {
        let pool = PgPool::connect_lazy(url).expect("a fine address");
        let create = "create table payment (id bigint generated always as identity, cents bigint)";
        sqlx::raw_sql(create).execute(&pool).await.expect("room");
        let inbox = Inbox::open(url).await.expect("a database");
        Self { inbox, pool }
    }

    async fn act(&self, attempt: u32, then: Then) -> Result<i64, Failure> {
        let at = Attempt::of(then, &command(Direction::Action, attempt));
        self.inbox.action(charge)(at, 4_200).await
    }

    async fn undo(&self, attempt: u32, output: Option<i64>) -> Result<(), Failure> {
        let at = Attempt::of((), &command(Direction::Compensation, attempt));
        self.inbox.compensation(refund)(at, 4_200, output).await
    }

    async fn find(&self) -> Found<i64> {
        let at = Attempt::of((), &command(Direction::Probe, 1));
        let probe = self.inbox.probe::<(), i64, i64>();
        probe(at, 4_200).await.expect("a record")
    }

    async fn payments(&self) -> i64 {
        self.number("select count(*) from payment").await
    }

    async fn number(&self, select: &'static str) -> i64 {
        let number = sqlx::query_scalar(select).fetch_one(&self.pool).await;
        number.expect("a number")
    }

    /// Waits until somebody waits for a key.
    async fn somebody_waits(&self) {
        let waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted \
                       and database = (select oid from pg_database where datname = current_database())";
        while self.number(waiting).await == 0 {}
    }
}

fn command(direction: Direction, attempt: u32) -> Command {
    let saga = SagaId::new("order-7").expect("a fine id");
    Command {
        node: "charge".into(),
        step: "bank.charge".into(),
        direction,
        attempt: AttemptNumber(attempt),
        deadline: Time::from_micros(4_102_444_800_000_000),
        key: IdempotencyKey::of(&saga, "charge", direction),
        action_key: IdempotencyKey::of(&saga, "charge", Direction::Action),
        input: Payload::null(),
        output: None,
        heartbeat: None,
        saga,
    }
}

#[tokio::test]
async fn a_command_that_comes_again_is_answered_from_the_record() {
    let bank = Bank::new("comes_again").await;
    assert_eq!(bank.find().await, Found::NotDone);
    for attempt in [1, 1, 2] {
        assert_eq!(bank.act(attempt, Then::Give).await, Ok(1));
    }
    assert_eq!(bank.payments().await, 1);
    assert_eq!(bank.find().await, Found::Succeeded(1));
}

#[tokio::test]
async fn a_handler_that_dies_between_effect_and_commit_leaves_nothing() {
    let bank = Arc::new(Bank::new("dies").await);
    let gate = Arc::new(Gate::default());
    let dying = tokio::spawn({
        let (bank, then) = (bank.clone(), Then::Wait(gate.clone()));
        async move { bank.act(1, then).await }
    });
    gate.reached.notified().await;
    dying.abort();
    assert!(dying.await.expect_err("it was given up").is_cancelled());
    let panicking = tokio::spawn({
        let bank = bank.clone();
        async move { bank.act(2, Then::Panic).await }
    });
    assert!(panicking.await.expect_err("it falls").is_panic());
    assert_eq!(bank.find().await, Found::NotDone);
    assert_eq!(bank.payments().await, 0);
    bank.act(3, Then::Give).await.expect("it is asked again");
    assert_eq!(bank.payments().await, 1);
}

#[tokio::test]
async fn a_failure_is_the_answer_to_its_attempt_and_leaves_nothing() {
    let bank = Bank::new("fails").await;
    let blocked = Failure::permanent("the card is blocked\0");
    let recorded = Failure::permanent("the card is blocked\u{fffd}");
    assert_eq!(bank.act(1, Then::Fail(blocked.clone())).await, Err(blocked));
    assert_eq!(bank.act(1, Then::Give).await, Err(recorded));
    assert_eq!(bank.payments().await, 0);
    let busy = Failure::transient("the card network is busy");
    for _ in 0..2 {
        let then = Then::Fail(busy.clone());
        assert_eq!(bank.act(2, then).await, Err(busy.clone()));
    }
    assert!(bank.act(3, Then::Give).await.is_ok());
    assert_eq!(bank.payments().await, 1);
}

#[tokio::test]
async fn what_is_unknown_is_rolled_back_and_not_recorded() {
    let bank = Bank::new("unknown").await;
    let unknown = Failure::unknown("no answer");
    assert_eq!(bank.act(1, Then::Fail(unknown.clone())).await, Err(unknown));
    assert_eq!(bank.payments().await, 0);
    assert!(bank.act(1, Then::Give).await.is_ok());
    assert_eq!(bank.payments().await, 1);
}

#[tokio::test]
async fn a_handler_that_swallows_an_error_of_the_database_is_not_believed() {
    let bank = Bank::new("swallows").await;
    let swallowing = bank
        .inbox
        .action(async |bank: &mut PgConnection, _: Attempt, cents: i64| {
            let insert = sqlx::query("insert into payment (cents) values ($1)").bind(cents);
            insert.execute(&mut *bank).await?;
            drop(sqlx::query("select 1 / 0").execute(bank).await);
            Ok(cents)
        });
    let at = Attempt::of((), &command(Direction::Action, 1));
    let failure = swallowing(at, 1).await.expect_err("nothing was written");
    assert!(failure.reason().contains("aborted"), "{failure}");
    assert_eq!(bank.find().await, Found::NotDone);
}

#[tokio::test]
async fn an_output_that_cannot_be_sent_takes_its_effect_along() {
    let bank = Bank::new("too_large").await;
    let talking = bank
        .inbox
        .action(async |bank: &mut PgConnection, _: Attempt, length: usize| {
            sqlx::query("insert into payment default values")
                .execute(bank)
                .await?;
            Ok("x".repeat(length))
        });
    let at = |attempt| Attempt::of((), &command(Direction::Action, attempt));
    talking(at(1), 300_000).await.expect_err("256 KiB at most");
    assert_eq!(bank.payments().await, 0);
    assert_eq!(talking(at(2), 3).await, Ok("xxx".to_owned()));
}

#[tokio::test]
async fn a_compensation_that_comes_first_leaves_a_tombstone() {
    let bank = Bank::new("tombstone").await;
    for attempt in [1, 1, 2] {
        assert_eq!(bank.undo(attempt, None).await, Ok(()));
    }
    let refused = bank
        .act(1, Then::Give)
        .await
        .expect_err("it must not happen");
    assert_eq!(
        refused,
        Failure::permanent("it was made up for before it came, so it must not happen any more")
    );
    assert_eq!(bank.payments().await, 0);
    assert_eq!(bank.find().await, Found::NotDone);
}

#[tokio::test]
async fn a_compensation_knows_the_output_that_the_runtime_does_not() {
    let bank = Bank::new("knows").await;
    bank.act(1, Then::Give).await.expect("it takes the money");
    // The second would find no payment, if its handler ran.
    for attempt in [1, 2] {
        assert_eq!(bank.undo(attempt, None).await, Ok(()));
    }
    assert_eq!(bank.payments().await, 0);
    assert_eq!(bank.act(1, Then::Give).await, Ok(1));
    assert_eq!(bank.payments().await, 0);
    assert_eq!(bank.find().await, Found::NotDone);
}

#[tokio::test]
async fn of_two_workers_with_one_key_one_runs_and_the_other_answers_from_the_record() {
    let bank = Arc::new(Bank::new("two_workers").await);
    let gate = Arc::new(Gate::default());
    let running = tokio::spawn({
        let (bank, then) = (bank.clone(), Then::Wait(gate.clone()));
        async move { bank.act(1, then).await }
    });
    gate.reached.notified().await;
    let other = Inbox::on(bank.pool.clone(), "sagalog_inbox").await;
    let other = Bank {
        inbox: other.expect("it is there"),
        pool: bank.pool.clone(),
    };
    let waiting = tokio::spawn(async move {
        let undone = other.undo(1, None).await;
        (undone, other.act(2, Then::Panic).await)
    });
    bank.somebody_waits().await;
    gate.open.notify_one();
    assert_eq!(running.await.expect("it ends"), Ok(1));
    assert_eq!(waiting.await.expect("it ends"), (Ok(()), Ok(1)));
    assert_eq!(bank.payments().await, 0);
}

#[tokio::test]
async fn a_server_that_is_killed_in_the_middle_leaves_all_or_nothing() {
    let mut server = PostgresServer::start();
    let bank = Arc::new(Bank::at(&server.url("postgres")).await);
    let gate = Arc::new(Gate::default());
    let running = tokio::spawn({
        let (bank, then) = (bank.clone(), Then::Wait(gate.clone()));
        async move { bank.act(1, then).await }
    });
    gate.reached.notified().await;
    server.kill();
    server.restart();
    gate.open.notify_one();
    let unknown = running.await.expect("it ends").expect_err("it is gone");
    assert_eq!(unknown, Failure::unknown(unknown.reason()));
    bank.act(1, Then::Give).await.expect("it is asked again");
    assert_eq!(bank.payments().await, 1);
    server.kill();
    server.restart();
    bank.act(2, Then::Panic).await.expect("it is recorded");
    assert_eq!(bank.payments().await, 1);
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_unknown_and_then_found() {
    let direct = Bank::new("lost_answer").await;
    let proxy = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = proxy.local_addr().expect("it is bound").port();
    tokio::spawn(lose_an_answer(proxy, PostgresServer::shared().port()));
    let url = format!("postgres://sagalog@127.0.0.1:{port}/lost_answer");
    let bank = Bank {
        inbox: Inbox::open(&url).await.expect("it is there"),
        pool: direct.pool.clone(),
    };
    let unknown = bank
        .act(1, Then::Give)
        .await
        .expect_err("its answer is lost");
    assert_eq!(unknown, Failure::unknown(unknown.reason()));
    assert_eq!(bank.act(1, Then::Panic).await, Ok(1));
    assert_eq!(bank.payments().await, 1);
}

/// Carries everything between clients and a server but the answer to the first commit, with which it
/// cuts the connection.
async fn lose_an_answer(proxy: TcpListener, server: u16) {
    let lost = Arc::new(std::sync::atomic::AtomicBool::new(false));
    while let Ok((client, _)) = proxy.accept().await {
        let to = TcpStream::connect(("127.0.0.1", server))
            .await
            .expect("it runs");
        tokio::spawn(carry(client, to, lost.clone()));
    }
}

async fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    lost: Arc<std::sync::atomic::AtomicBool>,
) {
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    let mut commits = false;
    loop {
        tokio::select! {
            length = client.read(&mut asked) => {
                let Ok(length @ 1..) = length else { return };
                commits = asked[..length].windows(7).any(|word| word == b"COMMIT\0");
                server.write_all(&asked[..length]).await.expect("it runs");
            }
            length = server.read(&mut answered) => {
                let Ok(length @ 1..) = length else { return };
                if commits && !lost.swap(true, std::sync::atomic::Ordering::SeqCst) {
                    return;
                }
                if client.write_all(&answered[..length]).await.is_err() { return }
            }
        }
    }
}

#[tokio::test]
async fn what_is_forgotten_runs_again() {
    let bank = Bank::new("forgets").await;
    bank.act(1, Then::Give).await.expect("it takes the money");
    let hour = Duration::from_secs(3_600);
    assert_eq!(bank.inbox.forget(hour).await.expect("a database"), 0);
    let forgotten = bank.inbox.forget(Duration::ZERO).await;
    assert_eq!(forgotten.expect("a database"), 1);
    assert_eq!(bank.act(1, Then::Give).await, Ok(2));
    // The runtime knows the output, so there is something to undo all the same.
    bank.inbox.forget(Duration::ZERO).await.expect("a database");
    assert_eq!(bank.undo(1, Some(2)).await, Ok(()));
    assert_eq!(bank.payments().await, 1);
}

#[tokio::test]
async fn many_processes_may_open_one_inbox_at_once() {
    let url = PostgresServer::shared().new_database("opened_often");
    let opening: tokio::task::JoinSet<_> = (0..8)
        .map(|_| {
            let url = url.clone();
            async move { Inbox::open(&url).await.map(drop) }
        })
        .collect();
    for opened in opening.join_all().await {
        opened.expect("one of them makes the table");
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_used_is_refused() {
    let error = Inbox::open("sqlite://here").await.expect_err("no server");
    assert!(!error.to_string().is_empty(), "{error}");
    let pool = PgPool::connect_lazy(&PostgresServer::shared().url("postgres")).expect("fine");
    for schema in ["", "Inbox", "7th", "a\"b"] {
        let error = Inbox::on(pool.clone(), schema).await.expect_err("no name");
        assert!(
            error.to_string().contains(&format!("{schema:?}")),
            "{error}"
        );
    }
}
