//! A log that is not there before it is complete: it is made under another name and takes its own at the end.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use sagalog::{Clock, DriveError, SystemClock};
use sagalog_eventlog::{EventLog, OpenError, Owner, PostgresLog, PostgresOptions, SqliteLog};

use crate::{
    error::{CliError, Exit},
    log::{partitions, url},
};

/// What is behind the name of a file until it is complete.
const PART: &str = ".part";

/// The schema until it is complete.
const PART_SCHEMA: &str = "sagalog_part";

/// A log under construction.
pub(crate) enum NewLog {
    /// In a file.
    Sqlite {
        log: Arc<SqliteLog>,
        part: PathBuf,
        file: PathBuf,
    },
    /// In a database.
    Postgres {
        log: Arc<PostgresLog>,
        schema: String,
    },
}

impl NewLog {
    /// Begins one at a place where none is. What an earlier try left there is made anew.
    ///
    /// # Errors
    /// If there is a log already, one cannot have so many partitions, or another process makes one there now.
    pub(crate) async fn begin(place: &Path, partitions: Option<u32>) -> Result<Self, CliError> {
        refuse_one_that_is_there(place).await?;
        match url(place) {
            Some(url) => Self::in_postgres(url, partitions).await,
            None => Self::in_a_file(place, partitions).await,
        }
    }

    async fn in_a_file(file: &Path, partitions: Option<u32>) -> Result<Self, CliError> {
        if partitions.is_some_and(|count| count != 1) {
            let message = "a log in a file has one partition";
            return Err(CliError::new("bad_log", Exit::Usage, message)
                .fix("leave --partitions out, or name a log in PostgreSQL"));
        }
        let part = beside(file, PART);
        if part.exists() {
            let left = SqliteLog::open(&part).await?;
            take(&left).await?;
            left.close().await;
            remove(&part)?;
        }
        let log = Arc::new(SqliteLog::open(&part).await?);
        let file = file.to_owned();
        Ok(Self::Sqlite { log, part, file })
    }

    async fn in_postgres(url: &str, partitions: Option<u32>) -> Result<Self, CliError> {
        let options = PostgresOptions {
            schema: PART_SCHEMA.to_owned(),
            ..PostgresOptions::default()
        };
        match PostgresLog::read_only(url, options.clone()).await {
            Ok(_) => {
                let left = PostgresLog::open_with(url, options.clone()).await?;
                take(&left).await?;
                left.remove().await?;
            }
            Err(OpenError::Missing { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let schema = PostgresOptions::default().schema;
        let options = PostgresOptions {
            partitions,
            ..options
        };
        let log = Arc::new(PostgresLog::open_with(url, options).await?);
        Ok(Self::Postgres { log, schema })
    }

    /// The log, to write.
    pub(crate) fn log(&self) -> Arc<dyn EventLog> {
        match self {
            Self::Sqlite { log, .. } => log.clone(),
            Self::Postgres { log, .. } => log.clone(),
        }
    }

    /// Gives all partitions up, and the log its name.
    ///
    /// # Errors
    /// If meanwhile there is another of that name. What was made is left under the other one.
    pub(crate) async fn finish(self) -> Result<(), CliError> {
        let log = self.log();
        for partition in partitions(&*log) {
            log.release(partition).await?;
        }
        match self {
            Self::Sqlite { log, part, file } => {
                log.close().await;
                // Unlike a renaming, this never replaces a file.
                fs::hard_link(&part, &file)?;
                remove(&part)?;
                fs::File::open(crate::log::home(&file))?.sync_all()?;
            }
            Self::Postgres { log, schema } => log.rename(&schema).await?,
        }
        Ok(())
    }
}

async fn refuse_one_that_is_there(place: &Path) -> Result<(), CliError> {
    let fix = match url(place) {
        None if !place.exists() => return Ok(()),
        None => "name another file, or move that one away",
        Some(_) => "name another database, or remove that log: drop schema sagalog cascade",
    };
    let name = match crate::log::read(place).await {
        Ok(log) => log.name().to_owned(),
        Err(error) if error.code() == "no_such_log" && url(place).is_some() => return Ok(()),
        Err(error) => return Err(error),
    };
    let message = format!("there is a log already: {name}");
    Err(CliError::new("log_exists", Exit::Conflict, message).fix(fix))
}

/// Takes all partitions, which another process that makes a log here has.
async fn take(log: &dyn EventLog) -> Result<(), CliError> {
    for partition in partitions(log) {
        let owner = Owner::this_process("sagalog", SystemClock.now());
        let taken = log.acquire(partition, owner).await;
        taken.map_err(DriveError::Acquire)?;
    }
    Ok(())
}

fn beside(file: &Path, what: &str) -> PathBuf {
    let mut path = OsString::from(file);
    path.push(what);
    path.into()
}

/// Removes a file, and what locks it.
fn remove(part: &Path) -> Result<(), CliError> {
    fs::remove_file(part)?;
    match fs::remove_file(beside(part, ".lock")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
