//! For participants and programs whose own data is in PostgreSQL: what they write and what Sagalog
//! needs to know about it commit together, or not at all.
//!
//! [`Inbox`] makes a step's effect and its recorded outcome one transaction. [`Requests`] makes a
//! start or a signal part of a transaction of the caller's own. [`Checkpoints`] say how far a follower of the log is,
//! together with what it made of it.
//!
//! Both hand out or take connections of the version of sqlx that is named [`sqlx`] here:
//! 0.9. A program that depends on the same version runs any query on them.

mod checkpoints;
mod handler;
mod inbox;
mod pick_up;
mod place;
mod record;
mod requests;
mod session;

pub use checkpoints::{CheckpointError, Checkpoints};
pub use handler::{TransactionalAction, TransactionalCompensation};
pub use inbox::Inbox;
pub use place::PlaceError;
pub use requests::{Refused, RequestError, Requests};

pub use sqlx;
