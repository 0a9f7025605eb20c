//! Requests: starts and signals that are part of the caller's own transaction.

use std::sync::Arc;

use sagalog_model::{Json, Payload, Saga, SagaId, Signal, log::BadName};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row as _};

use super::place::{self, Place, PlaceError};

/// The schema that requests are in if nobody says otherwise.
const SCHEMA: &str = "sagalog_requests";
/// Those of the runtime that picks up, and of whoever looks at what was refused.
const CONNECTIONS: u32 = 2;

/// Starts and signals that are written in the caller's own transaction: if it commits, they are done
/// exactly once, and if it rolls back, never.
///
/// ```no_run
/// use std::sync::Arc;
/// use sagalog::{MemoryLog, Runtime, Saga, postgres::{Requests, sqlx::{self, PgPool}}};
///
/// const ORDER: Saga<i64, ()> = Saga::new("order");
///
/// # async fn shop(pool: PgPool) -> Result<(), Box<dyn std::error::Error>> {
/// let requests = Requests::open("postgres://shop@localhost/shop").await?;
/// let runtime = Runtime::on(Arc::new(MemoryLog::new())).requests(requests.clone());
///
/// let mut shop = pool.begin().await?;
/// let insert = sqlx::query_scalar("insert into purchase default values returning id");
/// let id: i64 = insert.fetch_one(&mut *shop).await?;
/// requests.start(&mut shop, ORDER, &format!("order-{id}"), &id).await?;
/// shop.commit().await?;
/// # Ok(())
/// # }
/// ```
///
/// They stand in the table `request` until a runtime that was
/// [given them](crate::RuntimeBuilder::requests) has them in its log; then the row is deleted. A
/// crash in between picks them up again, which does nothing, as they carry the caller's ids.
///
/// - Requests of one saga are picked up in the order of their numbers, among those that are
///   committed; a start and a signal in one transaction come in the order in which they were written.
/// - What the runtime refuses for good, such as a signal to a saga that was never started, stays in
///   the table with the reason and holds up nobody; see [`refused`](Self::refused). What it cannot do
///   now waits.
/// - The table is looked at every 200 ms while nothing is in it. Nothing is notified: that would make
///   the commits of the callers wait for each other.
/// - Several runtimes of one log may pick up from one table. Those of two logs need two schemas.
///
/// Any language can insert a row; its columns are described in the database.
///
/// ```sql
/// insert into sagalog_requests.request (kind, saga, name, payload)
/// values ('start', 'order-7', 'order', '{"sku":"tea"}');
/// insert into sagalog_requests.request (kind, saga, name, id, payload)
/// values ('signal', 'order-7', 'approval', 'mail-93', 'true');
/// ```
#[derive(Clone, Debug)]
pub struct Requests {
    pub(super) place: Place,
}

/// A request that cannot be done.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Refused {
    /// Its number in the table.
    pub number: i64,
    /// The saga that it is about.
    pub saga: String,
    /// Of a start the name of the definition, of a signal the signal's.
    pub name: String,
    /// Of a signal its id.
    pub id: Option<String>,
    /// Why.
    pub why: String,
}

/// Why a request was not written. The transaction may go on without it, but for
/// [`Database`](Self::Database).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The text cannot be a saga's id.
    #[error("{0:?} cannot be a saga's id")]
    BadId(String, #[source] BadName),
    /// The value cannot be written as JSON.
    #[error("the payload cannot be written as JSON: {0}")]
    Unwritable(String),
    /// The database did not take it.
    #[error("the request cannot be written")]
    Database(#[from] sqlx::Error),
}

impl Requests {
    /// The requests in the database that `url` names, in the schema `sagalog_requests`, which is made
    /// if it is not there.
    ///
    /// # Errors
    /// [`PlaceError`]
    pub async fn open(url: &str) -> Result<Self, PlaceError> {
        Self::on(place::connect(url, CONNECTIONS)?, SCHEMA).await
    }

    /// The requests in a schema of the database that these connections lead to.
    ///
    /// # Errors
    /// [`PlaceError`]
    pub async fn on(pool: PgPool, schema: &str) -> Result<Self, PlaceError> {
        let place = Place::prepare(pool, schema, "request", include_str!("requests.sql")).await?;
        Ok(Self { place })
    }

    /// Starts a saga under this id, once the transaction is committed.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn start<I: Json + Sync, O>(
        &self,
        transaction: &mut PgConnection,
        saga: Saga<I, O>,
        id: &str,
        input: &I,
    ) -> Result<(), RequestError> {
        let input = payload(input)?;
        self.insert(transaction, id, saga.name(), None, &input)
            .await
    }

    /// Sends a signal under this id, once the transaction is committed.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn signal<T: Json + Sync>(
        &self,
        transaction: &mut PgConnection,
        signal: Signal<T>,
        saga: &str,
        id: &str,
        value: &T,
    ) -> Result<(), RequestError> {
        let value = payload(value)?;
        self.insert(transaction, saga, signal.name(), Some(id), &value)
            .await
    }

    /// Requests that cannot be done, the oldest first. Put right what is wrong and set their column
    /// `refused` to null, or delete the rows.
    ///
    /// # Errors
    /// What the database says.
    pub async fn refused(&self, at_most: u32) -> Result<Vec<Refused>, sqlx::Error> {
        let select = self.place.sql(
            "select number, saga, name, id, refused from $schema.request \
             where refused is not null order by number limit $1",
        );
        let rows = sqlx::query(AssertSqlSafe(select)).bind(i64::from(at_most));
        let rows = rows.fetch_all(&self.place.pool).await?;
        rows.iter()
            .map(|row| {
                Ok(Refused {
                    number: row.try_get(0)?,
                    saga: row.try_get(1)?,
                    name: row.try_get(2)?,
                    id: row.try_get(3)?,
                    why: row.try_get(4)?,
                })
            })
            .collect()
    }

    async fn insert(
        &self,
        transaction: &mut PgConnection,
        saga: &str,
        name: &str,
        id: Option<&str>,
        payload: &Payload,
    ) -> Result<(), RequestError> {
        SagaId::new(Arc::from(saga)).map_err(|why| RequestError::BadId(saga.to_owned(), why))?;
        let insert = self.place.sql(
            "insert into $schema.request (kind, saga, name, id, payload) \
             values (case when $3::text is null then 'start' else 'signal' end, $1, $2, $3, $4::text::json)",
        );
        sqlx::query(AssertSqlSafe(insert))
            .bind(saga)
            .bind(name)
            .bind(id)
            .bind(payload.as_str())
            .execute(transaction)
            .await?;
        Ok(())
    }
}

fn payload<T: Json>(value: &T) -> Result<Payload, RequestError> {
    Payload::of(value).map_err(|error| RequestError::Unwritable(error.to_string()))
}
