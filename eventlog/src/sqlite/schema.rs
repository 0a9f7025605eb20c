//! What makes a file a Sagalog log, and of which format.

use std::{path::Path, time::Duration};

use sqlx::{Connection, Row as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    connect::connect,
    failure::{self, Failure},
};
use crate::error::{Damage, OpenError};

/// "Sagl".
const APPLICATION_ID: i64 = 0x5361_676c;
/// The format that this version of the program writes.
const FORMAT: i64 = 1;

/// How long to wait for another process that is making the file.
const PATIENCE: Duration = Duration::from_secs(5);

const CREATE: &str = include_str!("schema.sql");

/// What a file is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Found {
    /// A log of the current format.
    Log,
    /// Nothing yet.
    Nothing,
}

/// Looks at a file and changes nothing.
pub(super) async fn look(file: &Path) -> Result<Found, OpenError> {
    match std::fs::metadata(file) {
        Ok(metadata) if metadata.len() > 0 => {}
        Ok(_) => return Ok(Found::Nothing),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => {
            return Err(OpenError::Unavailable {
                log: name(file),
                source: error.into(),
            });
        }
    }
    let looking = async {
        let options = SqliteConnectOptions::new().filename(file).read_only(true);
        let mut connection = connect(options, PATIENCE).await?;
        let found = identify(&mut connection).await;
        connection.close().await?;
        found
    };
    let (application, format, tables) = looking.await.map_err(|error| unreadable(file, error))?;
    match (application, format) {
        (0, 0) if tables == 0 => Ok(Found::Nothing),
        (APPLICATION_ID, FORMAT) => Ok(Found::Log),
        (APPLICATION_ID, found) if found > FORMAT => Err(OpenError::Newer {
            log: name(file),
            found,
            known: FORMAT,
        }),
        // An older format would be brought forward here; format 1 is the first.
        _ => Err(OpenError::NotALog { log: name(file) }),
    }
}

/// Makes an empty file a log.
pub(super) async fn create(
    file: &Path,
    connection: &mut SqliteConnection,
) -> Result<(), OpenError> {
    if let Err(error) = sqlx::raw_sql(CREATE).execute(&mut *connection).await {
        // Another process may have been first; then what it made is there now.
        let _ = sqlx::raw_sql("rollback").execute(connection).await;
        if look(file).await? == Found::Nothing {
            return Err(unreadable(file, error));
        }
    }
    Ok(())
}

async fn identify(connection: &mut SqliteConnection) -> Result<(i64, i64, i64), sqlx::Error> {
    let row = sqlx::query(
        "select (select application_id from pragma_application_id), (select user_version from pragma_user_version), \
         (select count(*) from sqlite_schema)",
    )
    .fetch_one(connection)
    .await?;
    Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
}

/// What a file is called in messages.
pub(super) fn name(file: &Path) -> String {
    file.display().to_string()
}

pub(super) fn unreadable(file: &Path, error: sqlx::Error) -> OpenError {
    match failure::of(&error) {
        Failure::NotADatabase => OpenError::NotALog { log: name(file) },
        Failure::Corrupt(what) => Damage {
            log: name(file),
            position: None,
            what,
        }
        .into(),
        _ => OpenError::Unavailable {
            log: name(file),
            source: error.into(),
        },
    }
}
