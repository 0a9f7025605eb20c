//! Requests: starts and signals that are part of the caller's own transaction.

use std::sync::Arc;

use sagalog_model::{
    Json, Payload, Saga, SagaId, Signal,
    log::{BadName, Time},
};
use sagalog_projections::sequence::Sequences;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row as _, postgres::PgRow};

use super::place::{self, Place, PlaceError};

/// The schema that requests are in if nobody says otherwise.
const SCHEMA: &str = "sagalog_requests";
/// What the newest release has added: with it all is there.
const NEWEST: &str = "request.until";
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
/// - Starts and signals of one saga are picked up in the order of their rows, among those that are
///   committed; a start and a signal in one transaction come in the order in which they were written.
/// - Signals that a producer [numbers](Self::signal_in_order) are picked up in the order of its numbers,
///   behind the rows before them that nobody numbers. What is missing is waited for by the saga, as
///   [`Signal::gaps`] says; what it rejects then is in its history, and has left the table.
/// - What the runtime refuses for good, such as a signal to a saga that was never started, stays in
///   the table with the reason and holds up nobody; see [`refused`](Self::refused), or
///   `sagalog request list`. What it cannot do now waits.
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
/// insert into sagalog_requests.request (kind, saga, name, producer, producer_number, payload)
/// values ('signal', 'order-7', 'price', 'pricing', 1, '4200');
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
    /// Of a signal its id, if nobody numbers it.
    pub id: Option<String>,
    /// Of a signal that is numbered: by whom, and its number.
    pub numbered: Option<(String, u64)>,
    /// When its transaction began, by the clock of the database.
    pub at: Time,
    /// Why.
    pub why: String,
}

/// What a signal is known by.
#[derive(Clone, Copy)]
enum Name<'a> {
    Id(&'a str),
    Numbered(&'a str, u64),
}

/// Why a request was not written. The transaction may go on without it, but for
/// [`Database`](Self::Database).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The text cannot be a saga's id.
    #[error("{0:?} cannot be a saga's id")]
    BadId(String, #[source] BadName),
    /// A number that no producer gives, or a producer without a name.
    #[error(
        "a producer has a name, and numbers what it sends from 1 to {}, not {number}",
        Sequences::NUMBER_MAX
    )]
    BadNumber {
        /// The number.
        number: u64,
    },
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
        let tables = include_str!("requests.sql");
        let place = Place::prepare(pool, schema, NEWEST, tables).await?;
        Ok(Self { place })
    }

    /// The requests in a schema that is there already, for whoever looks at them: nothing is made.
    ///
    /// # Errors
    /// [`PlaceError`]
    pub async fn existing(url: &str, schema: &str) -> Result<Self, PlaceError> {
        let pool = place::connect(url, CONNECTIONS)?;
        let place = Place::existing(pool, schema, NEWEST).await?;
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
        let id = Some(Name::Id(id));
        self.insert(transaction, saga, signal.name(), id, &value)
            .await
    }

    /// Sends a signal that its producer numbers for this saga, from 1, once the transaction is committed.
    /// The saga takes what one producer numbers in the order of the numbers, each once, as
    /// [`Client::signal_in_order`](crate::Client::signal_in_order) says.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn signal_in_order<T: Json + Sync>(
        &self,
        transaction: &mut PgConnection,
        signal: Signal<T>,
        saga: &str,
        (producer, number): (&str, u64),
        value: &T,
    ) -> Result<(), RequestError> {
        if producer.is_empty() || !(1..=Sequences::NUMBER_MAX).contains(&number) {
            return Err(RequestError::BadNumber { number });
        }
        let value = payload(value)?;
        let numbered = Some(Name::Numbered(producer, number));
        self.insert(transaction, saga, signal.name(), numbered, &value)
            .await
    }

    /// Requests that cannot be done, the oldest first. Put right what is wrong and let them be
    /// [tried again](Self::try_again), or [give them up](Self::give_up).
    ///
    /// # Errors
    /// What the database says.
    pub async fn refused(&self, at_most: u32) -> Result<Vec<Refused>, sqlx::Error> {
        let select = self.place.sql(
            "select number, saga, name, id, refused, producer, producer_number, \
             (extract(epoch from at) * 1000000)::bigint from $schema.request \
             where refused is not null order by number limit $1",
        );
        let rows = sqlx::query(AssertSqlSafe(select)).bind(i64::from(at_most));
        let rows = rows.fetch_all(&self.place.pool).await?;
        rows.iter().map(Refused::read).collect()
    }

    /// Has requests that were refused tried again, and gives the numbers of those that are.
    ///
    /// # Errors
    /// What the database says.
    pub async fn try_again(&self, numbers: &[i64]) -> Result<Vec<i64>, sqlx::Error> {
        let update = "update $schema.request set refused = null \
                      where number = any($1) and refused is not null returning number";
        self.settle_refused(update, numbers).await
    }

    /// Gives up requests that were refused: their rows are deleted. Gives the numbers of those that were.
    ///
    /// # Errors
    /// What the database says.
    pub async fn give_up(&self, numbers: &[i64]) -> Result<Vec<i64>, sqlx::Error> {
        let delete = "delete from $schema.request \
                      where number = any($1) and refused is not null returning number";
        self.settle_refused(delete, numbers).await
    }

    async fn settle_refused(&self, sql: &str, numbers: &[i64]) -> Result<Vec<i64>, sqlx::Error> {
        let sql = self.place.sql(sql);
        let settled = sqlx::query_scalar(AssertSqlSafe(sql)).bind(numbers);
        settled.fetch_all(&self.place.pool).await
    }

    async fn insert(
        &self,
        transaction: &mut PgConnection,
        saga: &str,
        name: &str,
        known_by: Option<Name<'_>>,
        payload: &Payload,
    ) -> Result<(), RequestError> {
        SagaId::new(Arc::from(saga)).map_err(|why| RequestError::BadId(saga.to_owned(), why))?;
        let insert = self.place.sql(
            "insert into $schema.request (kind, saga, name, id, payload, producer, producer_number) \
             values ($1, $2, $3, $4, $5::text::json, $6, $7)",
        );
        let (id, numbered) = match known_by {
            Some(Name::Id(id)) => (Some(id), None),
            Some(Name::Numbered(producer, number)) => (None, Some((producer, number as i64))),
            None => (None, None),
        };
        let (producer, number) = numbered.unzip();
        let kind = known_by.map_or("start", |_| "signal");
        sqlx::query(AssertSqlSafe(insert))
            .bind(kind)
            .bind(saga)
            .bind(name)
            .bind(id)
            .bind(payload.as_str())
            .bind(producer)
            .bind(number)
            .execute(transaction)
            .await?;
        Ok(())
    }
}

impl Refused {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        let numbered: (Option<String>, Option<i64>) = (row.try_get(5)?, row.try_get(6)?);
        let at: i64 = row.try_get(7)?;
        Ok(Self {
            number: row.try_get(0)?,
            saga: row.try_get(1)?,
            name: row.try_get(2)?,
            id: row.try_get(3)?,
            why: row.try_get(4)?,
            numbered: numbered.0.zip(numbered.1.map(|number| number as u64)),
            at: Time::from_micros(at.max(0) as u64),
        })
    }
}

fn payload<T: Json>(value: &T) -> Result<Payload, RequestError> {
    Payload::of(value).map_err(|error| RequestError::Unwritable(error.to_string()))
}
