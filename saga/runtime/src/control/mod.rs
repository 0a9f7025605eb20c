//! The owner's socket: how other processes of the same user reach whoever drives a log in a file.
//!
//! ```text
//!   log.db.sock   mode 0600, made by the owner, removed when it stops in peace
//!
//!   → {"cancel":{"saga":"o-1","id":"01K…","by":"ann","reason":"the customer called"}}
//!   ← {"done":{}}
//!   → {"retry":{"saga":"o-1","id":"01L…","by":"ann","node":"ship"}}
//!   ← {"refused":{"code":"not_parked","message":"node `ship` is not parked; no node of this saga is",…}}
//! ```
//!
//! One JSON object on each line, one answer for each request, in order: the [`Request`]s and
//! [`Answer`]s that also go over the inboxes of partitions. An answer of `done` is given
//! when the request is durable. The log's lock decides who owns it, so a socket that nobody listens
//! to is stale, and the next owner puts its own in that place.

mod client;
mod line;
mod near;
mod server;

use std::path::{Path, PathBuf};

pub use client::{Control, ControlError};
pub use server::BindError;

pub use crate::request::{Answer, OwnerName, Refused, Request};

pub(crate) use server::{Place, Server};

/// Where the owner of the log in `file` listens: beside it.
pub fn socket_of(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".sock");
    path.into()
}

#[cfg(test)]
mod tests;
