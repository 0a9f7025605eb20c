//! Connections that are cut, servers that refuse, statements that hang, rows that somebody changed.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use sagalog_eventlog::{
    AcquireError, AppendError, Conflict, PostgresLog, ReadError, Refusal, RenewError, Subscription,
    conformance::{Author, PARTITION, Subject},
    test_servers::PostgresServer,
    verify,
};
use sagalog_model::log::{Epoch, Position, StreamName};
use sqlx::{AssertSqlSafe, Connection, Row};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::Schema;

/// A way to the server that can be cut.
struct Wire {
    address: SocketAddr,
    server: SocketAddr,
    connections: Arc<Mutex<Vec<JoinHandle<()>>>>,
    door: Option<JoinHandle<()>>,
}

impl Wire {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mut wire = Self {
            address: listener.local_addr().expect("it is bound"),
            server: ([127, 0, 0, 1], PostgresServer::shared().port()).into(),
            connections: Arc::default(),
            door: None,
        };
        wire.open(listener);
        wire
    }

    fn open(&mut self, listener: TcpListener) {
        let (server, connections) = (self.server, self.connections.clone());
        self.door = Some(tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let connection = tokio::spawn(async move {
                    let mut server = TcpStream::connect(server).await.expect("a server");
                    drop(copy_bidirectional(&mut client, &mut server).await);
                });
                let mut connections = connections.lock().expect("nobody panics with it");
                connections.push(connection);
            }
        }));
    }

    /// Cuts what is connected.
    fn cut(&self) {
        let mut connections = self.connections.lock().expect("nobody panics with it");
        for connection in connections.drain(..) {
            connection.abort();
        }
    }

    /// Refuses to connect, and cuts what is connected.
    async fn close(&mut self) {
        let door = self.door.take().expect("it is open");
        door.abort();
        drop(door.await);
        self.cut();
    }

    async fn open_again(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("its own port");
        self.open(listener);
    }

    fn schema(&self) -> Schema {
        Schema::at(format!("postgres://sagalog@{}/postgres", self.address))
    }
}

/// Whether an append over a connection that was cut took place is not known. Acquiring settles it, and
/// the same append may then be sent again.
#[tokio::test]
async fn an_append_over_a_cut_connection_is_in_doubt_until_it_is_acquired_again() {
    let wire = Wire::new().await;
    let schema = wire.schema();
    let log = schema.open().await;
    for round in 0..10 {
        let mut author = Author::on(log.clone()).await;
        let batch = author.begin(&format!("stream-{round}"));
        let (epoch, sent) = (author.epoch(), batch.clone());
        let append = tokio::spawn({
            let log = log.clone();
            async move { log.append(PARTITION, epoch, vec![sent]).await }
        });
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        wire.cut();
        let mut appended = append.await.expect("it does not panic");
        while let Err(error) = &appended {
            assert!(matches!(error, AppendError::Unknown { .. }), "{error:?}");
            author = Author::on(log.clone()).await;
            appended = author.append(vec![batch.clone()]).await;
        }
    }
    let verified = verify(&*log, PARTITION).await.expect("it is whole");
    assert_eq!(verified.rows, 10);
}

#[tokio::test]
async fn names_are_looked_up_again_over_a_new_connection_when_one_was_cut() {
    let wire = Wire::new().await;
    let schema = wire.schema();
    let log = schema.open().await;
    let mut author = Author::on(log.clone()).await;
    let batch = author.begin("stream");
    author.append(vec![batch]).await.expect("it is owned");
    let names = [StreamName::new("stream").expect("a fine name")];
    for _ in 0..3 {
        let heads = log
            .heads(PARTITION, &names)
            .await
            .expect("it is read again");
        assert!(heads[0].is_some());
        wire.cut();
    }
}

#[tokio::test]
async fn a_server_that_refuses_for_a_while_is_waited_for() {
    let mut wire = Wire::new().await;
    let schema = wire.schema();
    let mut author = Author::of(&schema).await;
    let mut subscription = Subscription::after(author.log.clone(), PARTITION, Position::new(0))
        .await
        .expect("readable");
    author.stream("a").await;
    wire.close().await;
    let late = author.begin("b");
    let doubtful = author.append(vec![late]).await;
    assert!(
        matches!(doubtful, Err(AppendError::Unknown { .. })),
        "{doubtful:?}"
    );
    // All of these are asked while nobody listens.
    let (acquiring, reading) = tokio::join!(Author::on(author.log.clone()), async {
        let reading = author.log.read(PARTITION, Position::new(1), 10);
        let (rows, ()) = tokio::join!(reading, wire.open_again());
        rows.expect("the server is back").len()
    });
    assert_eq!(reading, 1);
    let mut author = acquiring;
    author.stream("b").await;
    for position in [1, 3] {
        let row = subscription.next().await.expect("nothing is missing");
        assert_eq!(row.position, Position::new(position));
    }
}

#[tokio::test]
async fn a_server_that_stays_away_is_said_to() {
    let mut wire = Wire::new().await;
    let mut schema = wire.schema();
    schema.options.patience = Duration::from_millis(300);
    let mut author = Author::of(&schema).await;
    wire.close().await;
    // The first finds its connection cut, or has none yet; the second cannot make one.
    let batch = author.begin("a");
    drop(author.append(vec![batch.clone()]).await);
    let refused = author.append(vec![batch]).await;
    assert!(
        matches!(
            refused,
            Err(AppendError::Refused(Refusal::Unreachable { .. }))
        ),
        "{refused:?}"
    );
    let renewed = author.log.renew(PARTITION, author.epoch()).await;
    assert!(
        matches!(renewed, Err(RenewError::Unavailable { .. })),
        "{renewed:?}"
    );
    let acquired = author.log.acquire(PARTITION, Author::owner()).await;
    assert!(
        matches!(acquired, Err(AcquireError::Unavailable { .. })),
        "{acquired:?}"
    );
    let read = author.log.tail(PARTITION).await;
    assert!(
        matches!(read, Err(ReadError::Unavailable { .. })),
        "{read:?}"
    );
    PostgresLog::open_with(&schema.url, schema.options.clone())
        .await
        .expect_err("nobody listens");
}

/// A client may be gone or frozen in the middle of a statement, whose transaction then holds the lease
/// row for as long as the server lets it. A successor ends it, and it leaves nothing behind.
#[tokio::test]
async fn a_statement_that_hangs_is_ended_by_the_next_owner() {
    let schema = Schema::new();
    let mut author = Author::of(&schema).await;
    author.stream("a").await;
    let mut hanging = schema.raw().await;
    sqlx::raw_sql(
        "begin; update lease set tail = tail + 2 where partition = 0; \
         insert into log select partition, 3, 3, 1, 2, state, at, epoch, id, input, digest, chain, 'hung', body from log",
    )
    .execute(&mut hanging)
    .await
    .expect("statements");
    let mut next = Author::of(&schema).await;
    assert_eq!(next.ownership.tail, Position::new(2));
    next.stream("b").await;
    hanging.ping().await.expect_err("it was ended");
    verify(&*next.log, PARTITION).await.expect("it is whole");
}

/// What another owner's statement holds is waited for if it ends by itself.
#[tokio::test]
async fn a_statement_that_ends_is_waited_for() {
    let schema = Schema::new();
    let author = Author::of(&schema).await;
    author
        .log
        .release(PARTITION)
        .await
        .expect("nothing is in the way");
    let mut slow = schema.raw().await;
    let statements = sqlx::raw_sql(
        "begin; update lease set epoch = epoch + 7 where partition = 0; select pg_sleep(0.3); commit",
    );
    let (done, next) = tokio::join!(statements.execute(&mut slow), Author::of(&schema));
    done.expect("it was let be");
    assert!(next.epoch() > author.epoch());
}

/// What the server says decides what the owner is told; what is refused can be appended once the
/// reason is gone.
#[tokio::test]
async fn a_refusal_of_the_server_says_why_and_writes_nothing() {
    let schema = Schema::new();
    let mut author = Author::of(&schema).await;
    for (code, reason) in [
        ("53100", "no room left"),
        ("25006", "may not be written: says so"),
        ("57014", "keeps"),
    ] {
        refuse(&schema, code, 1_000).await;
        let batch = author.begin(&format!("refused-{code}"));
        let refused = author.append(vec![batch.clone()]).await;
        assert!(
            matches!(&refused, Err(AppendError::Refused(why)) if why.to_string().contains(reason)),
            "{code}: {refused:?}"
        );
        change(&schema, "drop trigger refuse on log").await;
        author.store(vec![batch]).await;
    }
}

/// Two statements that wait for each other end one of them, which is nobody's fault.
#[tokio::test]
async fn a_statement_that_met_another_is_made_again() {
    let schema = Schema::new();
    let mut author = Author::of(&schema).await;
    refuse(&schema, "40P01", 3).await;
    author.stream("a").await;
}

/// Makes the server refuse so many appends.
async fn refuse(schema: &Schema, code: &str, times: u32) {
    let sql = format!(
        "create sequence if not exists refused; select setval('refused', 1); \
         create or replace function refuse() returns trigger language plpgsql as $$ begin \
         if nextval('{schema}.refused') <= {times} + 1 then raise 'says so' using errcode = '{code}'; end if; \
         return new; end $$; \
         create trigger refuse before insert on log for each row execute function refuse()",
        schema = schema.options.schema,
    );
    let mut raw = schema.raw().await;
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut raw)
        .await
        .expect("statements");
}

#[tokio::test]
async fn an_epoch_that_somebody_raised_fences_the_next_append() {
    let schema = Schema::new();
    let mut author = Author::of(&schema).await;
    author.stream("a").await;
    change(&schema, "update lease set epoch = 9 where partition = 0").await;
    let batch = author.begin("b");
    match author.append(vec![batch]).await {
        Err(AppendError::Fenced { current, .. }) => assert_eq!(current, Epoch::new(9)),
        other => panic!("fenced expected, got {other:?}"),
    }
    assert_eq!(
        author.log.tail(PARTITION).await.expect("readable"),
        Position::new(2)
    );
}

#[tokio::test]
async fn rows_that_somebody_wrote_behind_the_tail_are_a_conflict() {
    let schema = Schema::new();
    let mut author = Author::of(&schema).await;
    author.stream("a").await;
    change(
        &schema,
        "insert into log select partition, 3, 3, 1, 2, state, at, epoch, id, input, digest, chain, 'c', body from log",
    )
    .await;
    let batch = author.begin("b");
    match author.append(vec![batch]).await {
        Err(AppendError::Conflict(conflict)) => assert_eq!(
            conflict,
            Conflict::Position {
                given: Position::new(3),
                tail: Position::new(2)
            }
        ),
        other => panic!("a conflict expected, got {other:?}"),
    }
}

#[tokio::test]
async fn a_lease_that_does_not_fit_the_rows_is_damage() {
    for change_one in [
        "delete from log where position = 3",
        "update log set chain = digest where position = 3",
        "update lease set tail = 2 where partition = 0",
    ] {
        let schema = Schema::new();
        let mut author = Author::of(&schema).await;
        author.stream("a").await;
        author.stream("b").await;
        change(&schema, change_one).await;
        let acquired = author.log.acquire(PARTITION, Author::owner()).await;
        assert!(
            matches!(acquired, Err(AcquireError::Damaged(_))),
            "{change_one}: {acquired:?}"
        );
    }
}

/// With and without a snapshot, whole or not, an owner finds the same open streams.
#[tokio::test]
async fn open_streams_are_found_whatever_became_of_the_snapshot() {
    let mut schema = Schema::new();
    schema.options.snapshot_every = 50;
    let mut author = Author::of(&schema).await;
    let mut open = Vec::new();
    for index in 0..40 {
        let stream = author.stream(&format!("stream-{index}")).await;
        if index % 3 == 0 {
            open.push(stream);
        } else {
            let closing = author.close(stream);
            author.store(vec![closing]).await;
        }
    }
    let found = sqlx::query("select position from recovery where partition = 0")
        .fetch_one(&mut schema.raw().await)
        .await
        .expect("one was due");
    let tail = author.log.tail(PARTITION).await.expect("readable");
    assert!(
        found.get::<i64, _>(0) < tail.get() as i64,
        "rows are behind it"
    );
    for damage in [
        "select",
        "update recovery set open = substr(open, 17)",
        "update recovery set digest = substr(digest, 2)",
        "delete from recovery",
    ] {
        change(&schema, damage).await;
        let again = Author::on(author.log.clone()).await;
        assert_eq!(again.ownership.open, open, "{damage}");
    }
    change(
        &schema,
        "insert into recovery select 0, position, digest, ''::bytea, sha256(int8send(position) || digest) from log where position = 3",
    )
    .await;
    let acquired = author.log.acquire(PARTITION, Author::owner()).await;
    assert!(
        matches!(acquired, Err(AcquireError::Damaged(_))),
        "a snapshot of another log: {acquired:?}"
    );
}

#[tokio::test]
async fn a_page_of_large_rows_ends_early_and_the_next_goes_on() {
    const LARGE: usize = 1 << 20;
    let schema = Schema::new();
    let mut author = Author::of(&schema).await;
    let rows = 2 * sagalog_eventlog::PAGE_BYTES / LARGE;
    for index in 0..rows {
        let mut batch = author.begin(&format!("stream-{index}"));
        let data = format!("\"{}\"", "x".repeat(LARGE));
        batch.events[0].data = sagalog_model::log::Data::Inline(data.into());
        author.store(vec![batch]).await;
    }
    let (mut from, mut pages) = (Position::new(1), Vec::new());
    while let page = author
        .log
        .read(PARTITION, from, 100)
        .await
        .expect("readable")
        && let Some(last) = page.last()
    {
        from = last.last_position().next();
        pages.push(page.len());
    }
    assert_eq!(pages, [rows / 2, rows / 2]);
}

async fn change(schema: &Schema, sql: &'static str) {
    let mut raw = schema.raw().await;
    sqlx::raw_sql(sql)
        .execute(&mut raw)
        .await
        .expect("a statement");
    raw.close().await.expect("nothing is in the way");
}
