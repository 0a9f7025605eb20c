//! Opening the log that a command is about.

use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use sagalog::views::{ViewStore, Views};
use sagalog_eventlog::{EventLog, PostgresLog, PostgresOptions, SqliteLog};
use sagalog_model::{SagaId, log::PartitionId};

use crate::error::{CliError, Exit};

/// The only partition of a log in a file.
pub(crate) const PARTITION: PartitionId = PartitionId::new(0);

/// How long a server is waited for that does not answer: somebody sits in front of this.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which log.
#[derive(Clone, Debug, Args)]
pub(crate) struct LogArg {
    /// The log's file, or postgres://USER:PASSWORD@HOST:PORT/DATABASE for a log in PostgreSQL
    // Its value may have a password in it, so the help does not show what the variable holds.
    #[arg(
        long = "log",
        env = "SAGALOG_LOG",
        hide_env_values = true,
        value_name = "PATH"
    )]
    place: Option<PathBuf>,
}

impl LogArg {
    /// Whether a log was named.
    pub(crate) fn is_given(&self) -> bool {
        self.place.is_some()
    }

    /// What was named, without a password.
    pub(crate) fn shown(&self) -> Option<String> {
        let place = self.place.as_deref()?;
        Some(match url(place) {
            Some(_) => "the log in PostgreSQL".to_owned(),
            None => place.display().to_string(),
        })
    }

    /// The file, if it is one.
    pub(crate) fn as_file(&self) -> Result<Option<&Path>, CliError> {
        let place = self.place()?;
        Ok(url(place).is_none().then_some(place))
    }

    /// The address of the database, if it is in one.
    pub(crate) fn as_url(&self) -> Result<Option<&str>, CliError> {
        Ok(url(self.place()?))
    }

    fn place(&self) -> Result<&Path, CliError> {
        self.place.as_deref().ok_or_else(|| {
            CliError::new("no_log_named", Exit::Usage, "no log was named")
                .fix("give it with --log PATH, or set SAGALOG_LOG")
        })
    }

    /// The log, to drive its sagas; made if it is not there.
    pub(crate) async fn open(&self) -> Result<Arc<dyn EventLog>, CliError> {
        open(self.place()?).await
    }

    /// The views of the log, with the log to read.
    pub(crate) async fn views(&self) -> Result<Views, CliError> {
        let log = self.read().await?;
        let place = self.place()?;
        let store = match url(place) {
            Some(url) => ViewStore::in_postgres(url, "sagalog_views"),
            None => ViewStore::beside(place),
        };
        Ok(Views::new(log, store))
    }

    /// The log, to read, whoever drives it.
    pub(crate) async fn read(&self) -> Result<Arc<dyn EventLog>, CliError> {
        read(self.place()?).await
    }
}

/// A log, to drive its sagas; made if it is not there.
pub(crate) async fn open(place: &Path) -> Result<Arc<dyn EventLog>, CliError> {
    Ok(match url(place) {
        Some(url) => Arc::new(PostgresLog::open(url).await?),
        None => Arc::new(SqliteLog::open(not_an_address(place)?).await?),
    })
}

/// A log, to read, whoever drives it.
pub(crate) async fn read(place: &Path) -> Result<Arc<dyn EventLog>, CliError> {
    let Some(url) = url(place) else {
        let file = not_an_address(place)?;
        return Ok(Arc::new(SqliteLog::read_only(file).await?));
    };
    let options = PostgresOptions {
        patience: PATIENCE,
        ..PostgresOptions::default()
    };
    Ok(Arc::new(PostgresLog::read_only(url, options).await?))
}

/// What looks like an address of something else is not taken for the name of a file.
fn not_an_address(place: &Path) -> Result<&Path, CliError> {
    let scheme = place.to_str().and_then(|text| text.split_once("://"));
    let Some((scheme, _)) = scheme else {
        return Ok(place);
    };
    let message = format!("a log is a file or postgres://…, and {scheme}:// is neither");
    Err(CliError::new("bad_log", Exit::Usage, message))
}

/// The address of a log in PostgreSQL, if it is one.
pub(crate) fn url(place: &Path) -> Option<&str> {
    let text = place.to_str()?;
    let is_url = text.starts_with("postgres://") || text.starts_with("postgresql://");
    is_url.then_some(text)
}

/// The partitions of a log.
pub(crate) fn partitions(log: &dyn EventLog) -> impl Iterator<Item = PartitionId> + use<> {
    (0..log.partitions()).map(PartitionId::new)
}

/// Where a saga is.
pub(crate) fn partition_of(log: &dyn EventLog, saga: &SagaId) -> PartitionId {
    NonZeroU32::new(log.partitions())
        .map_or(PARTITION, |count| PartitionId::of(saga.as_str(), count))
}

/// The folder that a log lives in.
pub(crate) fn home(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
