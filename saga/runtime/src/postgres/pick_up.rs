//! Picking requests up: each goes to the runtime, and its row goes when the answer is durable.

use std::time::Duration;

use sagalog_engine::Refusal;
use sagalog_model::{Numbered, Payload, log::Time};
use sqlx::{AssertSqlSafe, PgConnection, Row as _, postgres::PgRow};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{error, warn};

use super::{requests::Requests, session::Session};
use crate::client::{CallError, Client};

/// How many requests are under way at a time, each of another saga.
const BATCH: usize = 64;
/// How long to wait before looking again when there was nothing to do.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How long the runtime may take for an answer; the request stays, and is asked again.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request that is held by this transaction.
struct Claimed {
    number: i64,
    saga: String,
    name: String,
    known_by: KnownBy,
    payload: Payload,
}

/// What a request is, by what it is known by.
enum KnownBy {
    /// A start, by its saga.
    Saga,
    /// A signal, by its id; and until when it may come again.
    Id(String, Option<Time>),
    /// A signal, by who numbers it and its number.
    Numbered(String, u64),
}

/// What became of a request.
enum Picked {
    /// The log has it.
    Recorded,
    /// It cannot be done, for this reason.
    Refused(String),
    /// Not now, or not here.
    Left,
}

impl Requests {
    /// Picks up until it is dropped, which may be at any time.
    pub(crate) async fn pick_up(self, client: Client) {
        loop {
            match self.sweep(&client).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => warn!(%error, "requests cannot be picked up now"),
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Looks at every request that waits and behind no other, and says whether any was settled. What must
    /// be left does not keep others from being looked at.
    async fn sweep(&self, client: &Client) -> Result<bool, sqlx::Error> {
        let (mut after, mut settled) = (0, false);
        loop {
            let mut session = Session::open(&self.place.pool).await?;
            let mut transaction = session.begin().await?;
            let claimed = self.claim(&mut transaction, after).await?;
            let count = claimed.len();
            after = claimed.last().map_or(after, |last| last.number);
            let (done, refused) = ask(client, claimed).await;
            self.settle(&mut transaction, &done, &refused).await?;
            transaction.commit().await?;
            session.give_back();
            settled |= !(done.is_empty() && refused.is_empty());
            if count < BATCH {
                return Ok(settled);
            }
        }
    }

    /// Rows that another process holds are passed by. What nobody numbers waits behind earlier rows of its
    /// saga that nobody numbers; what a producer numbers behind those too, and behind its lower numbers.
    /// So what must be left, because lower numbers are missing, keeps nothing from coming that ends that.
    async fn claim(
        &self,
        transaction: &mut PgConnection,
        after: i64,
    ) -> Result<Vec<Claimed>, sqlx::Error> {
        let select = self.place.sql(
            "select number, saga, name, id, payload::text, until, producer, producer_number \
             from $schema.request r \
             where refused is null and number > $1 and not exists (select from $schema.request e \
             where e.saga = r.saga and e.refused is null and (\
             e.producer is null and e.number < r.number or \
             e.producer = r.producer and e.producer_number < r.producer_number)) \
             order by number limit $2 for update of r skip locked",
        );
        let rows = sqlx::query(AssertSqlSafe(select))
            .bind(after)
            .bind(BATCH as i64);
        let rows = rows.fetch_all(transaction).await?;
        rows.iter().map(Claimed::read).collect()
    }

    async fn settle(
        &self,
        transaction: &mut PgConnection,
        done: &[i64],
        refused: &[(i64, String)],
    ) -> Result<(), sqlx::Error> {
        if !done.is_empty() {
            let delete = self
                .place
                .sql("delete from $schema.request where number = any($1)");
            let delete = sqlx::query(AssertSqlSafe(delete)).bind(done);
            delete.execute(&mut *transaction).await?;
        }
        for (number, why) in refused {
            let update = self
                .place
                .sql("update $schema.request set refused = $2 where number = $1");
            let update = sqlx::query(AssertSqlSafe(update)).bind(number).bind(why);
            update.execute(&mut *transaction).await?;
        }
        Ok(())
    }
}

impl Claimed {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            number: row.try_get(0)?,
            saga: row.try_get(1)?,
            name: row.try_get(2)?,
            known_by: KnownBy::read(row)?,
            payload: Payload::from_json_text(row.try_get::<String, _>(4)?.trim()),
        })
    }

    async fn ask(self, client: &Client) -> Picked {
        let Self {
            saga,
            name,
            known_by,
            payload,
            number,
        } = self;
        let asked = async {
            match known_by {
                KnownBy::Saga => client.start_payload(&name, &saga, payload).await,
                KnownBy::Id(id, until) => {
                    let client = client.said_until(until);
                    client.signal_payload(&name, &saga, &id, payload).await
                }
                KnownBy::Numbered(producer, number) => {
                    let numbered = Numbered {
                        signal: name.as_str().into(),
                        producer: producer.into(),
                        number,
                        payload,
                    };
                    client.numbered(&saga, numbered).await
                }
            }
        };
        match timeout(PATIENCE, asked).await {
            Ok(Ok(())) => Picked::Recorded,
            Ok(Err(why)) if is_for_good(&why) => {
                error!(number, saga, name, %why, "a request is refused");
                Picked::Refused(why.to_string())
            }
            Ok(Err(_)) | Err(_) => Picked::Left,
        }
    }
}

impl KnownBy {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        if let Some(producer) = row.try_get(6)? {
            let number: i64 = row.try_get(7)?;
            return Ok(Self::Numbered(producer, number as u64));
        }
        let until: Option<i64> = row.try_get(5)?;
        let until = until.map(|micros| Time::from_micros(micros as u64));
        let id: Option<String> = row.try_get(3)?;
        Ok(id.map_or(Self::Saga, |id| Self::Id(id, until)))
    }
}

/// Gives the numbers of those that the log has, and of those that are refused with the reasons.
async fn ask(client: &Client, claimed: Vec<Claimed>) -> (Vec<i64>, Vec<(i64, String)>) {
    let mut asked = JoinSet::new();
    for request in claimed {
        let client = client.clone();
        asked.spawn(async move { (request.number, request.ask(&client).await) });
    }
    let (mut done, mut refused) = (Vec::new(), Vec::new());
    for (number, picked) in asked.join_all().await {
        match picked {
            Picked::Recorded => done.push(number),
            Picked::Refused(why) => refused.push((number, why)),
            Picked::Left => {}
        }
    }
    (done, refused)
}

/// Whether asking again cannot help before somebody has put something right.
fn is_for_good(error: &CallError) -> bool {
    match error {
        CallError::Refused(refusal) => !matches!(
            refusal,
            Refusal::Busy { .. }
                | Refusal::TooManyWaiting
                | Refusal::TooManyRemembered { .. }
                | Refusal::TooFarAhead { .. }
        ),
        CallError::BadId(..) => true,
        // Of these only the last two are told to who starts or signals.
        CallError::Unwritable { .. }
        | CallError::Unreadable { .. }
        | CallError::OtherSaga { .. }
        | CallError::NoSuchPartition { .. }
        | CallError::Elsewhere { .. }
        | CallError::NoAnswer { .. }
        | CallError::RefusedThere(_)
        | CallError::NoLog
        | CallError::History(_)
        | CallError::Stopped { .. } => false,
    }
}
