//! What an error of SQLite means.

/// Kinds of errors, by what follows from them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Failure {
    /// A unique key was violated: nothing was written.
    Constraint,
    /// No room: nothing was written.
    Full,
    /// Somebody else holds the write lock: nothing was written.
    Busy,
    /// The file may not be written: nothing was written.
    ReadOnly(String),
    /// The file is no database.
    NotADatabase,
    /// Pages contradict each other.
    Corrupt(String),
    /// Reading, writing or syncing failed: what is on the disk is not known any more.
    Io(String),
    /// Anything else.
    Other(String),
}

/// What went wrong.
pub(super) fn of(error: &sqlx::Error) -> Failure {
    let what = error.to_string();
    let sqlx::Error::Database(error) = error else {
        return Failure::Other(what);
    };
    let Some(code) = error.code().and_then(|code| code.parse::<i32>().ok()) else {
        return Failure::Other(what);
    };
    // The low byte is the primary code of SQLite, the rest tells more.
    match (code & 0xff, code) {
        (19, _) => Failure::Constraint,
        // The shared-memory file beside the log could not grow, which needs a few kilobytes.
        (13, _) | (_, 4874) => Failure::Full,
        (5 | 6, _) => Failure::Busy,
        (3 | 8, _) => Failure::ReadOnly(what),
        (26, _) => Failure::NotADatabase,
        (11, _) => Failure::Corrupt(what),
        (10, _) => Failure::Io(what),
        _ => Failure::Other(what),
    }
}
