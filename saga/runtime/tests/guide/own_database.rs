//! The section about data of one's own in PostgreSQL.

use std::sync::Arc;

use sagalog::{
    Attempt, BadDefinition, Definition, Ended, Failure, MemoryLog, Runtime, Saga, Step, Worker,
    postgres::{
        Inbox, Requests,
        sqlx::{self, PgConnection, PgPool},
    },
};
use sagalog_eventlog::test_servers::PostgresServer;

use super::Done;

const PURCHASE: Saga<i64, i64> = Saga::new("purchase");
const CHARGE: Step<i64, i64> = Step::new("money.charge").compensatable().probed();

fn purchase() -> Result<Definition<i64, i64>, BadDefinition> {
    let (mut saga, cents) = PURCHASE.define(1);
    let paid = saga.step("charge", CHARGE, cents);
    saga.returns(paid)
}

async fn charge(money: &mut PgConnection, _: Attempt, cents: i64) -> Result<i64, Failure> {
    let insert = sqlx::query_scalar("insert into payment (cents) values ($1) returning id");
    Ok(insert.bind(cents).fetch_one(money).await?)
}

async fn refund(money: &mut PgConnection, _: Attempt, _: i64, id: i64) -> Result<(), Failure> {
    let delete = sqlx::query("delete from payment where id = $1").bind(id);
    delete.execute(money).await?;
    Ok(())
}

#[tokio::test]
async fn a_purchase_is_paid_once() -> Done {
    let url = PostgresServer::shared().new_database("guide");
    let pool = PgPool::connect(&url).await?;
    let tables = "create table payment (id bigint generated always as identity, cents bigint); \
                  create table purchase (id bigint generated always as identity, cents bigint);";
    sqlx::raw_sql(tables).execute(&pool).await?;

    let inbox = Inbox::open(&url).await?;
    let worker = Worker::new()
        .action(CHARGE, inbox.action(charge))
        .compensation(CHARGE, inbox.compensation(refund))
        .probe(CHARGE, inbox.probe());

    let requests = Requests::open(&url).await?;
    let runtime = Runtime::on(Arc::new(MemoryLog::new()))
        .definition(purchase()?)
        .worker(worker)
        .requests(requests.clone())
        .start()
        .await?;

    let mut shop = pool.begin().await?;
    let insert = "insert into purchase (cents) values ($1) returning id";
    let insert = sqlx::query_scalar(insert).bind(4_200);
    let id: i64 = insert.fetch_one(&mut *shop).await?;
    let saga = format!("purchase-{id}");
    requests.start(&mut shop, PURCHASE, &saga, &4_200).await?;
    shop.commit().await?;

    let ended = loop {
        if let Ok(ended) = runtime.client().result(PURCHASE, &saga).await {
            break ended;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(ended, Ended::Completed(1));
    runtime.stop().await?;
    Ok(())
}
