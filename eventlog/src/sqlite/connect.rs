//! Connecting to a file that several processes may be making at once.

use std::time::Duration;

use sqlx::{ConnectOptions as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::time::{Instant, sleep};

use super::failure::{self, Failure};

/// Between two attempts; what the other process does in that time is one write.
const PAUSE: Duration = Duration::from_millis(5);

/// Connects, and waits up to `patience` while another process is making the file or is reading it
/// back after a crash.
///
/// The busy timeout of SQLite does not cover these moments: whoever waited for the lock while
/// holding the one to read could wait for ever, so SQLite says "locked" at once
/// ([`sqlite3_busy_handler`](https://www.sqlite.org/c3ref/busy_handler.html)). Switching a new
/// file to a write-ahead log is such a moment.
///
/// # Errors
/// What the last attempt said.
pub async fn connect(
    options: SqliteConnectOptions,
    patience: Duration,
) -> Result<SqliteConnection, sqlx::Error> {
    let options = options.busy_timeout(patience);
    let until = Instant::now() + patience;
    loop {
        match options.connect().await {
            Err(error) if failure::of(&error) == Failure::Busy && Instant::now() < until => {
                sleep(PAUSE).await;
            }
            connected => return connected,
        }
    }
}
