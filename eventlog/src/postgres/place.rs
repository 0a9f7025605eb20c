//! Where a log is, and how it is connected to.

use std::{future::Future, io, str::FromStr, sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgConnection,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode},
};
use tokio::time::{Instant, sleep, timeout};

use super::{
    failure::{self, Failure},
    migrate,
};
use crate::error::OpenError;

/// How many read at once; more wait.
const READERS: u32 = 4;
/// The pauses between two tries to connect.
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);
/// The pause before a read whose connection was lost is made again.
const PAUSE: Duration = Duration::from_millis(50);

/// A schema of a database.
#[derive(Clone, Debug)]
pub(super) struct Place {
    options: PgConnectOptions,
    /// What it is called in messages, without the password.
    pub(super) name: Arc<str>,
    pub(super) schema: Arc<str>,
    /// How long a server is waited for that does not answer.
    pub(super) patience: Duration,
}

impl Place {
    pub(super) fn new(url: &str, schema: &str, patience: Duration) -> Result<Self, OpenError> {
        // What the parser says may repeat the text, which has a password in it.
        let options = PgConnectOptions::from_str(url).map_err(|_| OpenError::BadOptions {
            why: "a PostgreSQL log is named like postgres://user:password@host:5432/database"
                .to_owned(),
        })?;
        if !matches!(
            options.get_ssl_mode(),
            PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer
        ) {
            return Err(OpenError::BadOptions {
                why: "connections to PostgreSQL have no TLS yet, and sslmode demands it: leave it away in a \
                      network that is trusted, or connect to a TLS proxy on this machine"
                    .to_owned(),
            });
        }
        check_schema(schema)?;
        let mut name = format!(
            "postgres://{}:{}/{}",
            options.get_host(),
            options.get_port(),
            database_of(&options),
        );
        if schema != super::SCHEMA {
            name.push_str(", schema ");
            name.push_str(schema);
        }
        let search_path = format!("\"{schema}\"");
        let options = options.application_name("sagalog").options([
            ("search_path", search_path.as_str()),
            // Whatever has an index here should be found by it. A plan is kept for as long as its
            // connection, and the first ones are made when the tables are still small.
            ("enable_seqscan", "off"),
            ("plan_cache_mode", "force_generic_plan"),
        ]);
        Ok(Self {
            options,
            name: name.into(),
            schema: schema.into(),
            patience,
        })
    }

    /// Makes one change to the schema.
    pub(super) async fn change(&self, statement: String) -> Result<(), OpenError> {
        let changing = async {
            let mut connection = self.connect().await?;
            let change = sqlx::raw_sql(AssertSqlSafe(statement));
            self.within(change.execute(&mut connection)).await?;
            connection.close().await
        };
        changing
            .await
            .map_err(|error| migrate::not_opened(self, error))
    }

    /// What its database is called.
    pub(super) fn database(&self) -> &str {
        database_of(&self.options)
    }

    /// Connects. A server that refuses, starts or has no connection left is asked again.
    pub(super) async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let (began, mut pause) = (Instant::now(), SHORTEST);
        loop {
            let error = match self.within(self.options.connect()).await {
                Err(error) if failure::of(&error) == Failure::Gone => error,
                settled => return settled,
            };
            if began.elapsed() + pause >= self.patience {
                return Err(error);
            }
            sleep(pause).await;
            pause = (2 * pause).min(LONGEST);
        }
    }

    /// Connects, to write: a lock is waited for at most so long, and a commit is on the disk.
    pub(super) async fn connect_to_write(
        &self,
        lock_timeout: Duration,
    ) -> Result<PgConnection, sqlx::Error> {
        let mut connection = self.connect().await?;
        let settings = sqlx::query(
            "select set_config('lock_timeout', $1, false), \
             set_config('synchronous_commit', case current_setting('synchronous_commit') \
             when 'off' then 'on' else current_setting('synchronous_commit') end, false)",
        );
        let settings = settings.bind(lock_timeout.as_millis().to_string());
        self.within(settings.execute(&mut connection)).await?;
        Ok(connection)
    }

    /// Connects, to read only.
    pub(super) async fn connect_to_read(&self) -> Result<PgConnection, sqlx::Error> {
        self.reading().connect().await
    }

    /// Waits a little after a read that lost its connection, as it may be made again: it changed nothing.
    ///
    /// # Errors
    /// The same error, if it says anything else, or if that has been tried for too long.
    pub(super) async fn before_again(
        &self,
        began: Instant,
        error: sqlx::Error,
    ) -> Result<(), sqlx::Error> {
        if failure::of(&error) != Failure::Gone || began.elapsed() >= self.patience {
            return Err(error);
        }
        sleep(PAUSE).await;
        Ok(())
    }

    fn reading(&self) -> PgConnectOptions {
        let options = self.options.clone();
        options.options([("default_transaction_read_only", "on")])
    }

    /// Connections that cannot write. They are kept: opening one again costs more than keeping it.
    pub(super) fn readers(&self) -> PgPool {
        PgPoolOptions::new()
            .max_connections(READERS)
            // A connection that was lost is found out by the read itself, which is made again.
            .test_before_acquire(false)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(self.patience)
            .connect_lazy_with(self.reading())
    }

    /// An answer, or that none came. Then the connection must be thrown away.
    pub(super) async fn within<T>(
        &self,
        answer: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        match timeout(self.patience, answer).await {
            Ok(answered) => answered,
            Err(_) => Err(sqlx::Error::Io(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no answer within {:?}", self.patience),
            ))),
        }
    }
}

/// # Errors
/// [`OpenError::BadOptions`] if no schema that a log is in can be called so.
pub(super) fn check_schema(schema: &str) -> Result<(), OpenError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if schema.is_empty() || schema.len() > 63 || !schema.chars().all(plain) {
        return Err(OpenError::BadOptions {
            why: format!(
                "a schema is named by 1 to 63 small letters, digits and underscores, not {schema:?}"
            ),
        });
    }
    Ok(())
}

/// One that is not named is called like the user.
fn database_of(options: &PgConnectOptions) -> &str {
    let named = options.get_database();
    named.unwrap_or_else(|| options.get_username())
}
