//! A connection for one transaction.

use sqlx::{Connection as _, PgPool, Postgres, Transaction, pool::PoolConnection};

/// A connection that goes back to its pool only when its work has ended in order. One that is dropped
/// before is closed, and the server rolls back: a call may be given up at any wait, and a connection
/// that was given up while it began a transaction would be in it for its next user.
pub(super) struct Session(Option<PoolConnection<Postgres>>);

impl Session {
    pub(super) async fn open(pool: &PgPool) -> Result<Self, sqlx::Error> {
        Ok(Self(Some(pool.acquire().await?)))
    }

    /// Begins a transaction whose statements see what was committed before each of them, whatever
    /// the database's default is.
    pub(super) async fn begin(&mut self) -> Result<Transaction<'_, Postgres>, sqlx::Error> {
        let connection = self.0.as_mut().expect("it is taken only at the end");
        let begin = "begin isolation level read committed read write";
        connection.begin_with(begin).await
    }

    /// The work has ended: others may use the connection.
    pub(super) fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}
