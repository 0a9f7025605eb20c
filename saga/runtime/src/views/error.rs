//! What can go wrong with views.

use sagalog_eventlog::{ReadError, SubscriptionError};

use crate::history::HistoryError;

/// Why views cannot be made or read. The log is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] HistoryError),
    /// The log cannot be followed.
    #[error(transparent)]
    Subscription(#[from] SubscriptionError),
    /// Where the views are cannot be reached, or does not take them. They may be removed: they are made again.
    #[error("the views in {place} cannot be used")]
    Store {
        /// Where they are.
        place: String,
        /// What the database says.
        #[source]
        source: sqlx::Error,
    },
    /// A newer release has made them.
    #[error(
        "the views in {place} have format {found}, this release knows {known}: use the newer release, or remove them"
    )]
    Newer {
        /// Where they are.
        place: String,
        /// Their format.
        found: i64,
        /// That of this release.
        known: i64,
    },
}

impl From<ReadError> for ViewError {
    fn from(error: ReadError) -> Self {
        Self::Log(error.into())
    }
}
