//! The inbox: a step's effect and its outcome in one transaction.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use sagalog_model::{Json, Outcome, Payload};
use sqlx::{Acquire as _, AssertSqlSafe, PgPool, Postgres, Transaction};

use super::{
    handler::{TransactionalAction, TransactionalCompensation},
    place::{self, Place, PlaceError},
    record::Asked,
    session::Session,
};
use crate::worker::{Attempt, Failure, Found, output_as_sent};

/// The schema that the outcomes are in if nobody says otherwise.
const SCHEMA: &str = "sagalog_inbox";
/// How many calls have a transaction at a time on connections of the inbox's own.
const CONNECTIONS: u32 = 16;

/// Runs handlers in transactions of PostgreSQL, in which their outcomes are recorded too: an effect
/// and its outcome are there together, or neither is.
///
/// ```no_run
/// use sagalog::{Attempt, Failure, Step, Worker, postgres::{Inbox, sqlx::{self, PgConnection}}};
///
/// const CHARGE: Step<i64, i64> = Step::new("money.charge").compensatable().probed();
///
/// async fn charge(money: &mut PgConnection, _: Attempt, cents: i64) -> Result<i64, Failure> {
///     let insert = sqlx::query_scalar("insert into payment (cents) values ($1) returning id");
///     Ok(insert.bind(cents).fetch_one(money).await?)
/// }
///
/// async fn refund(money: &mut PgConnection, _: Attempt, _: i64, id: i64) -> Result<(), Failure> {
///     let delete = sqlx::query("delete from payment where id = $1").bind(id);
///     delete.execute(money).await?;
///     Ok(())
/// }
///
/// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
/// let inbox = Inbox::open("postgres://money@localhost/money").await?;
/// let worker = Worker::new()
///     .action(CHARGE, inbox.action(charge))
///     .compensation(CHARGE, inbox.compensation(refund))
///     .probe(CHARGE, inbox.probe());
/// # Ok(())
/// # }
/// ```
///
/// What it keeps of the participant's contract of `docs/protocol.md`, in any number of processes on
/// the same database:
/// - A success is the answer to every later attempt of its key, a failure to its own attempt; the
///   handler does not run again.
/// - A compensation of an action that never happened does not run: it leaves a tombstone and
///   succeeds, and the action is refused from then on.
/// - A compensation knows the action's output even if the runtime does not.
/// - One call at a time for each action key: others wait for the end of its transaction, each on a
///   connection of its own.
/// - What a handler wrote before it failed, panicked, was cancelled at its deadline or died with its
///   process is rolled back.
///
/// A handler vouches for what it does elsewhere as in every worker, so an error that comes up through
/// `?` is unknown. Who touches nothing but the transaction can vouch for it: it is rolled back.
///
/// If it is not known whether a transaction was committed, because the connection was lost or the
/// call was cancelled, the outcome is unknown: the next attempt, the probe and the compensation find
/// it in the record.
///
/// The transaction is `read committed`. Its statements may last as long as was left until the
/// deadline when it began, by this machine's clock. A handler must neither commit nor roll back;
/// `begin` on the connection it is given is a savepoint.
#[derive(Clone, Debug)]
pub struct Inbox {
    place: Place,
}

/// A call of a handler.
type Calling<O> = Pin<Box<dyn Future<Output = Result<O, Failure>> + Send>>;

impl Inbox {
    /// The inbox in the database that `url` names, in the schema `sagalog_inbox`, which is made if it
    /// is not there. It uses at most 16 connections.
    ///
    /// # Errors
    /// [`PlaceError`]
    pub async fn open(url: &str) -> Result<Self, PlaceError> {
        Self::on(place::connect(url, CONNECTIONS)?, SCHEMA).await
    }

    /// The inbox in a schema of the database that these connections lead to. Participants of two
    /// runtimes need two schemas, as the same saga ids may be used in both.
    ///
    /// A call takes a connection and waits for the key on it: with fewer connections than calls at a
    /// time ([`Worker::limit`](crate::Worker::limit)), the others wait for one until their deadline.
    ///
    /// # Errors
    /// [`PlaceError`]
    pub async fn on(pool: PgPool, schema: &str) -> Result<Self, PlaceError> {
        let place = Place::prepare(pool, schema, "outcome.at", include_str!("inbox.sql")).await?;
        Ok(Self { place })
    }

    /// The handler of [`Worker::action`](crate::Worker::action) that runs this one in a transaction.
    pub fn action<S, I, O, H>(
        &self,
        handler: H,
    ) -> impl Fn(Attempt<S>, I) -> Calling<O> + Send + Sync + use<S, I, O, H>
    where
        S: Send + 'static,
        I: Json + Send,
        O: Json + Send,
        H: for<'t> TransactionalAction<'t, S, I, O> + 'static,
    {
        let (inbox, handler) = (self.clone(), Arc::new(handler));
        move |at, input| {
            let (inbox, handler) = (inbox.clone(), handler.clone());
            Box::pin(async move { inbox.act(&*handler, at, input).await })
        }
    }

    /// The handler of [`Worker::compensation`](crate::Worker::compensation) that runs this one in a
    /// transaction, if there is something to undo.
    pub fn compensation<S, I, O, H>(
        &self,
        handler: H,
    ) -> impl Fn(Attempt<S>, I, Option<O>) -> Calling<()> + Send + Sync + use<S, I, O, H>
    where
        S: Send + 'static,
        I: Json + Send,
        O: Json + Send,
        H: for<'t> TransactionalCompensation<'t, S, I, O> + 'static,
    {
        let (inbox, handler) = (self.clone(), Arc::new(handler));
        move |at, input, output| {
            let (inbox, handler) = (inbox.clone(), handler.clone());
            Box::pin(async move { inbox.undo(&*handler, at, input, output).await })
        }
    }

    /// The handler of [`Worker::probe`](crate::Worker::probe) that looks at the record. A call of
    /// the action that is under way is waited for.
    pub fn probe<S, I, O>(
        &self,
    ) -> impl Fn(Attempt<S>, I) -> Calling<Found<O>> + Send + Sync + use<S, I, O>
    where
        S: Send + 'static,
        I: Json + Send,
        O: Json + Send,
    {
        let inbox = self.clone();
        move |at, _| {
            let inbox = inbox.clone();
            Box::pin(async move { inbox.find(&Asked::of(&at)).await })
        }
    }

    /// Forgets the action keys of which nothing was recorded for so long, by the clock of the
    /// database, and says how many outcomes that were.
    ///
    /// A command of a forgotten key that is delivered again runs again, and a compensation that does
    /// not know the action's output leaves a tombstone instead of undoing it. So keep keys for longer
    /// than a saga lasts, with its deadlines and whatever waits for a person, and for longer than a
    /// broker may hold a command back.
    ///
    /// Nothing is forgotten on its own. It is one statement, so call it often rather than rarely.
    ///
    /// # Errors
    /// What the database says; then nothing was forgotten.
    pub async fn forget(&self, older_than: Duration) -> Result<u64, sqlx::Error> {
        let delete = self.place.sql(
            "delete from $schema.outcome o where at < now() - make_interval(secs => $1) \
             and not exists (select from $schema.outcome n where n.action_key = o.action_key \
             and n.at >= now() - make_interval(secs => $1))",
        );
        let delete = sqlx::query(AssertSqlSafe(delete)).bind(older_than.as_secs_f64());
        Ok(delete.execute(&self.place.pool).await?.rows_affected())
    }

    // Errors of the database come up through `?` and so are unknown, also before the handler began:
    // an earlier delivery of this attempt may have taken effect.

    async fn act<S, I, O: Json + Send, H>(
        &self,
        handler: &H,
        at: Attempt<S>,
        input: I,
    ) -> Result<O, Failure>
    where
        H: for<'t> TransactionalAction<'t, S, I, O>,
    {
        let asked = Asked::of(&at);
        let mut session = Session::open(&self.place.pool).await?;
        let mut transaction = session.begin().await?;
        let recorded = asked.look(&mut transaction, &self.place).await?;
        let answer = match recorded.answer {
            Some(answer) => {
                transaction.rollback().await?;
                answer.and_then(|output| read(&output))
            }
            None => {
                let mut work = transaction.begin().await?;
                let answer = handler.begin(&mut work, at, input).await;
                let answer = answer.and_then(|output| Ok((output_as_sent(&output)?, output)));
                let kept = answer.as_ref().map(|(sent, _)| sent);
                keep(work, kept.is_ok()).await?;
                self.end(transaction, &asked, kept).await?;
                answer.map(|(_, output)| output)
            }
        };
        session.give_back();
        answer
    }

    async fn undo<S, I, O: Json + Send, H>(
        &self,
        handler: &H,
        at: Attempt<S>,
        input: I,
        output: Option<O>,
    ) -> Result<(), Failure>
    where
        H: for<'t> TransactionalCompensation<'t, S, I, O>,
    {
        let asked = Asked::of(&at);
        let mut session = Session::open(&self.place.pool).await?;
        let mut transaction = session.begin().await?;
        let recorded = asked.look(&mut transaction, &self.place).await?;
        let answer = match recorded.answer {
            Some(answer) => {
                transaction.rollback().await?;
                answer.map(drop)
            }
            None => {
                let output = match (output, recorded.action) {
                    (None, Some(recorded)) => Some(read(&recorded)?),
                    (known, _) => known,
                };
                let nothing = Payload::null();
                let answer = match output {
                    Some(output) => {
                        let mut work = transaction.begin().await?;
                        let answer = handler.begin(&mut work, at, input, output).await;
                        keep(work, answer.is_ok()).await?;
                        answer
                    }
                    // The tombstone.
                    None => Ok(()),
                };
                let kept = answer.as_ref().map(|()| &nothing);
                self.end(transaction, &asked, kept).await?;
                answer
            }
        };
        session.give_back();
        answer
    }

    async fn find<O: Json>(&self, asked: &Asked) -> Result<Found<O>, Failure> {
        let mut session = Session::open(&self.place.pool).await?;
        let mut transaction = session.begin().await?;
        let recorded = asked.look(&mut transaction, &self.place).await?;
        transaction.rollback().await?;
        session.give_back();
        match recorded.action {
            Some(output) if !recorded.made_up_for => read(&output).map(Found::Succeeded),
            _ => Ok(Found::NotDone),
        }
    }

    /// Records what a call came to and commits.
    async fn end(
        &self,
        mut transaction: Transaction<'_, Postgres>,
        asked: &Asked,
        answer: Result<&Payload, &Failure>,
    ) -> Result<(), sqlx::Error> {
        let outcome = match answer {
            Ok(output) => Outcome::Succeeded(output.clone()),
            Err(failure) => failure.clone().into(),
        };
        asked
            .record(&mut transaction, &self.place, &outcome)
            .await?;
        transaction.commit().await
    }
}

/// Keeps what a handler wrote, or not.
async fn keep(work: Transaction<'_, Postgres>, keeps: bool) -> Result<(), sqlx::Error> {
    if keeps {
        work.commit().await
    } else {
        work.rollback().await
    }
}

/// What is recorded and cannot be read was written with other types: a person must look.
fn read<O: Json>(output: &Payload) -> Result<O, Failure> {
    let read = output.read();
    read.map_err(|error| Failure::unknown(format!("the recorded output cannot be read: {error}")))
}
