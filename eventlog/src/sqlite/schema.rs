//! What makes a file a Sagalog log, and of which format.

use std::path::{Path, PathBuf};

use sqlx::{ConnectOptions, Connection, Row as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::failure::{self, Failure};
use crate::error::Damage;

/// "Sagl".
const APPLICATION_ID: i64 = 0x5361_676c;
/// The format that this version of the program writes.
const FORMAT: i64 = 1;

const CREATE: &str = include_str!("schema.sql");

/// Why a file cannot be opened as a log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no such file.
    #[error("there is no log at {file}")]
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// The file is something else. It was not changed.
    #[error("{file} is not a Sagalog log")]
    NotALog {
        /// The file.
        file: PathBuf,
    },
    /// The file was written by a newer program. It was not changed.
    #[error(
        "{file} has log format {found}, this program knows formats up to {known}: use a newer program"
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// What is stored contradicts itself.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The file could not be opened now.
    #[error("{file} cannot be opened")]
    Unavailable {
        /// The file.
        file: PathBuf,
        /// What the store said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

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
                file: file.to_owned(),
                source: error.into(),
            });
        }
    }
    let looking = async {
        let mut connection = SqliteConnectOptions::new()
            .filename(file)
            .read_only(true)
            .connect()
            .await?;
        let found = identify(&mut connection).await;
        connection.close().await?;
        found
    };
    let (application, format, tables) = looking.await.map_err(|error| unreadable(file, error))?;
    match (application, format) {
        (0, 0) if tables == 0 => Ok(Found::Nothing),
        (APPLICATION_ID, FORMAT) => Ok(Found::Log),
        (APPLICATION_ID, found) if found > FORMAT => Err(OpenError::Newer {
            file: file.to_owned(),
            found,
            known: FORMAT,
        }),
        // An older format would be brought forward here; format 1 is the first.
        _ => Err(OpenError::NotALog {
            file: file.to_owned(),
        }),
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

pub(super) fn unreadable(file: &Path, error: sqlx::Error) -> OpenError {
    match failure::of(&error) {
        Failure::NotADatabase => OpenError::NotALog {
            file: file.to_owned(),
        },
        Failure::Corrupt(what) => Damage {
            log: file.display().to_string(),
            position: None,
            what,
        }
        .into(),
        _ => OpenError::Unavailable {
            file: file.to_owned(),
            source: error.into(),
        },
    }
}
