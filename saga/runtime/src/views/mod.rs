//! Views: tables beside the log that answer questions about many sagas at once.
//!
//! [`Views`] makes them by following the log, with the folds of
//! [`sagalog_projections::views`], and keeps them in a [`ViewStore`]: a SQLite file or a schema of
//! PostgreSQL. Rows and how far they go are stored in one transaction that begins where the last one
//! ended, so whoever makes them may be killed anywhere, and several may make the same ones. They only
//! read the log, and can be removed at any time.
//!
//! A *generation* is a set of tables. Making them anew happens beside the live ones, which stay as they
//! are until the new ones are as far as the log.

mod error;
mod find;
mod link;
mod maker;
mod partition;
mod row;
mod store;
mod table;

pub use error::ViewError;
pub use find::{
    FoundLetter, FoundMessage, FoundNode, FoundSaga, MessageFilter, ParticipantTally, SagaFilter,
    Waiting,
};
pub use maker::{Lag, ViewStatus, Views};
pub use store::ViewStore;
