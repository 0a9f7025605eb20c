//! Opening the log that a command is about.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use sagalog_eventlog::SqliteLog;
use sagalog_model::log::PartitionId;

use crate::error::{CliError, Exit};

/// A log in a file has one partition.
pub(crate) const PARTITION: PartitionId = PartitionId::new(0);

/// Which log.
#[derive(Clone, Debug, Args)]
pub(crate) struct LogArg {
    /// The log's file
    #[arg(long = "log", env = "SAGALOG_LOG", value_name = "PATH")]
    file: Option<PathBuf>,
}

impl LogArg {
    /// The file that was named, if one was.
    pub(crate) fn given(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The file.
    pub(crate) fn file(&self) -> Result<&Path, CliError> {
        self.given().ok_or_else(|| {
            CliError::new("no_log_named", Exit::Usage, "no log was named")
                .fix("give it with --log PATH, or set SAGALOG_LOG")
        })
    }

    /// The log, to read, whoever drives it.
    pub(crate) async fn read(&self) -> Result<Arc<SqliteLog>, CliError> {
        Ok(Arc::new(SqliteLog::read_only(self.file()?).await?))
    }
}

/// The folder that a log lives in.
pub(crate) fn home(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
