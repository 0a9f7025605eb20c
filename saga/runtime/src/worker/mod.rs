//! The worker: the host of participants whose steps are async functions of this process.
//!
//! ```
//! # use sagalog_model::Step;
//! # use sagalog::worker::{Attempt, Failure, Worker};
//! const RESERVE: Step<u32, String> = Step::new("inventory.reserve").compensatable();
//!
//! async fn reserve(attempt: Attempt<()>, quantity: u32) -> Result<String, Failure> {
//!     Ok(format!("{quantity} reserved under {}", attempt.key))
//! }
//!
//! async fn release(_: Attempt<()>, _: u32, _: Option<String>) -> Result<(), Failure> {
//!     Ok(())
//! }
//!
//! let worker = Worker::new().action(RESERVE, reserve).compensation(RESERVE, release);
//! ```
//!
//! [`WorkerHost`] takes the commands, keeps the participant's contract of `docs/protocol.md` around
//! the handlers, and replies. What only the participant's own store can promise stays with the
//! handler: an effect that happens once per key, and the tombstone of an action that was made up
//! for before it came.

mod announcer;
mod answer;
mod attempt;
mod calls;
mod failure;
mod faults;
mod handler;
mod host;
mod idempotency;
mod lane;
mod link;
mod memory;
mod outbox;
mod steps;

#[cfg(feature = "postgres")]
pub(crate) use answer::output_as_sent;
pub use attempt::Attempt;
pub use failure::{Failure, Found, Given};
pub use faults::{HandlerFault, WhatIsWrong};
pub use host::{COMMANDS_MAX, HostError, WorkerHost, command_queue};
pub use idempotency::{Difference, Idempotency, NotIdempotent, Trial};
pub use steps::Worker;

pub(crate) use announcer::PAUSE_MAX;
pub(crate) use faults::steps_of;
pub(crate) use outbox::reply_id;
