//! The append-only event log of Sagalog: what it promises, and the backends that keep it.
//!
//! [`EventLog`] is the contract. [`MemoryLog`], [`SqliteLog`] and, with the feature `postgres`,
//! `PostgresLog` keep it; [`conformance`] proves that they do, and is public so that any other
//! backend can prove the same. The bytes on disk and under the hash are in `docs/log-format.md`.
//!
//! A log knows streams and bytes. What they mean is not its business.

mod contract;
mod error;
mod owner;
mod row;
mod sharing;

mod body;
mod chain;
mod leaf;
mod ledger;

mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod sql;
mod sqlite;

mod checkpoint;
mod names;
mod page;
mod subscription;
mod verify;

pub mod conformance;
#[cfg(feature = "test-servers")]
pub mod test_servers;

pub use chain::{Chain, seal};
pub use checkpoint::{CheckpointError, CheckpointStore};
pub use contract::{
    Appended, EventLog, Head, MAX_APPEND_BYTES, MAX_BATCHES, Ownership, PAGE_BYTES, StreamHead,
};
pub use error::{
    AcquireError, AppendError, Broken, Conflict, Damage, NoPartition, OpenError, ReadError,
    Refusal, RenewError,
};
pub use memory::MemoryLog;
pub use names::StreamNames;
pub use owner::{Holder, Owner};
pub use page::{BadPage, NamedRow, PAGE_ROWS, PAGE_TEXT_BYTES, Page, PageWriter, ROW_TEXT_BYTES};
#[cfg(feature = "postgres")]
pub use postgres::{PostgresLog, PostgresOptions};
pub use row::{Event, Recorded, Row};
pub use sharing::Sharer;
#[doc(hidden)]
pub use sqlite::connect_patiently;
pub use sqlite::{Durability, SqliteLog, SqliteOptions};
pub use subscription::{Subscription, SubscriptionError};
pub use verify::{Fault, Verified, VerifyError, verify};
