//! What is recorded of an action key, and the lock around it.

use std::time::Duration;

use sagalog_model::{FailureClass, IdempotencyKey, Outcome, Payload, log::Time};
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Row as _, Transaction, postgres::PgRow};

use super::place::Place;
use crate::{
    clock::{Clock, SystemClock},
    worker::{Attempt, Failure},
};

/// One call: what is asked, by its keys.
pub(super) struct Asked {
    action_key: IdempotencyKey,
    key: IdempotencyKey,
    attempt: i64,
    /// When it is given up at the latest.
    deadline: Time,
}

/// What is recorded of an action key.
#[derive(Default)]
pub(super) struct Recorded {
    /// What is to be answered without asking a handler.
    pub(super) answer: Option<Result<Payload, Failure>>,
    /// The output of the action, if it took effect.
    pub(super) action: Option<Payload>,
    /// The action was undone, made up for, or must not happen.
    pub(super) made_up_for: bool,
}

/// Of one server, a statement may last this long, whatever the deadline is.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

impl Asked {
    pub(super) fn of<S>(at: &Attempt<S>) -> Self {
        Self {
            action_key: at.action_key.clone(),
            key: at.key.clone(),
            attempt: i64::from(at.number.0),
            deadline: at
                .heartbeat
                .map_or(at.deadline, |heartbeat| heartbeat.until),
        }
    }

    /// Waits until no other transaction is about this action key, and reads what is recorded. The key
    /// is this transaction's until its end.
    pub(super) async fn look(
        &self,
        transaction: &mut Transaction<'_, Postgres>,
        place: &Place,
    ) -> Result<Recorded, sqlx::Error> {
        self.settings(transaction).await?;
        let lock = sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
            .bind(format!("{} {}", place.schema, self.action_key));
        lock.execute(&mut **transaction).await?;
        // A statement of its own: it sees what was committed while the lock was waited for.
        let select = place.sql(
            "select key, attempt, output, class, reason from $schema.outcome \
             where action_key = $1 and (attempt = 0 or key = $2 and attempt = $3)",
        );
        let rows = sqlx::query(AssertSqlSafe(select))
            .bind(self.action_key.as_str())
            .bind(self.key.as_str())
            .bind(self.attempt)
            .fetch_all(&mut **transaction)
            .await?;
        self.recorded(&rows)
    }

    /// What is answered survives a crash of the server. Whatever was given up at the deadline does
    /// not keep the key for much longer: the server ends what nobody waits for.
    async fn settings(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let left = self.deadline.since(SystemClock.now());
        let left = left.clamp(SHORTEST, LONGEST).as_millis().to_string();
        sqlx::query(
            "select set_config('synchronous_commit', case current_setting('synchronous_commit') \
             when 'off' then 'on' else current_setting('synchronous_commit') end, true), \
             set_config('statement_timeout', $1, true), \
             set_config('idle_in_transaction_session_timeout', $1, true)",
        )
        .bind(left)
        .execute(connection)
        .await?;
        Ok(())
    }

    fn recorded(&self, rows: &[PgRow]) -> Result<Recorded, sqlx::Error> {
        let (mut recorded, mut failed) = (Recorded::default(), None);
        for row in rows {
            if row.try_get::<i64, _>(1)? > 0 {
                let reason: String = row.try_get(4)?;
                failed = Some(match row.try_get(3)? {
                    "transient" => Failure::transient(reason),
                    _ => Failure::permanent(reason),
                });
                continue;
            }
            let key: &str = row.try_get(0)?;
            let output = Payload::from_json_text(row.try_get::<String, _>(2)?);
            if key == self.key.as_str() {
                recorded.answer = Some(Ok(output.clone()));
            }
            if key == self.action_key.as_str() {
                recorded.action = Some(output);
            } else {
                recorded.made_up_for = true;
            }
        }
        let is_action = self.key == self.action_key;
        let too_late = (is_action && recorded.made_up_for).then(|| {
            Failure::permanent("it was made up for before it came, so it must not happen any more")
        });
        let refusal = failed.or(too_late).map(Err);
        recorded.answer = recorded.answer.or(refusal);
        Ok(recorded)
    }

    /// Records a success or a failure; there is nothing to record of anything else.
    pub(super) async fn record(
        &self,
        connection: &mut PgConnection,
        place: &Place,
        outcome: &Outcome,
    ) -> Result<(), sqlx::Error> {
        let (attempt, output, failure) = match outcome {
            Outcome::Succeeded(output) => (0, Some(output.as_str()), None),
            Outcome::Failed { class, reason } => {
                let class = match class {
                    FailureClass::Transient => "transient",
                    FailureClass::Permanent => "permanent",
                };
                // PostgreSQL has no text with a zero in it.
                let reason = reason.replace('\0', "\u{fffd}");
                (self.attempt, None, Some((class, reason)))
            }
            Outcome::Unknown { .. } | Outcome::NotDone | Outcome::Alive { .. } => return Ok(()),
        };
        let (class, reason) = failure.unzip();
        let insert = place.sql(
            "insert into $schema.outcome (action_key, key, attempt, output, class, reason) \
             values ($1, $2, $3, $4, $5, $6)",
        );
        sqlx::query(AssertSqlSafe(insert))
            .bind(self.action_key.as_str())
            .bind(self.key.as_str())
            .bind(attempt)
            .bind(output)
            .bind(class)
            .bind(reason)
            .execute(connection)
            .await?;
        Ok(())
    }
}
