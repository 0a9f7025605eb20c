//! What an error of PostgreSQL means.

use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// Kinds of errors, by what follows from them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Failure {
    /// A unique key was violated: nothing was written.
    Constraint,
    /// No room: nothing was written.
    Full,
    /// Somebody else holds a lock for long: nothing was written.
    Busy,
    /// Two statements waited for each other, and this one was given up: nothing was written.
    Deadlock,
    /// The database may not be written: nothing was written.
    ReadOnly(String),
    /// What is stored contradicts itself.
    Corrupt(String),
    /// This user may not.
    Denied(String),
    /// There is no such database.
    NoDatabase,
    /// The server cannot be reached now, or the connection is gone. What a statement did is not known.
    Gone,
    /// Anything else.
    Other,
}

/// What went wrong.
pub(super) fn of(error: &sqlx::Error) -> Failure {
    let error = match error {
        sqlx::Error::Database(error) => error.downcast_ref::<PgDatabaseError>(),
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
            return Failure::Gone;
        }
        _ => return Failure::Other,
    };
    let what = error.message().to_owned();
    match error.code() {
        "23505" => Failure::Constraint,
        "53100" => Failure::Full,
        "55P03" | "57014" => Failure::Busy,
        "40P01" | "40001" => Failure::Deadlock,
        "25006" => Failure::ReadOnly(what),
        "XX001" | "XX002" => Failure::Corrupt(what),
        "42501" | "28000" | "28P01" => Failure::Denied(what),
        "3D000" => Failure::NoDatabase,
        // Shutting down, starting up, too many connections: it is worth trying again.
        "57P01" | "57P02" | "57P03" | "53300" => Failure::Gone,
        _ if matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic) => Failure::Gone,
        _ => Failure::Other,
    }
}
