//! The saga runtime that users depend on: define sagas, write the steps as async functions, run.
//!
//! The words of definitions, steps and policies come from `sagalog-model` and are re-exported here.
//! [`Runtime`] drives the engine with an event log, a transport and a clock; [`Worker`] holds the
//! handlers; [`Client`] starts sagas and asks about them.
//!
//! ```
//! use std::sync::Arc;
//! use sagalog::{Attempt, Ended, Failure, MemoryLog, Runtime, Saga, Step, Worker};
//!
//! const GREETING: Saga<String, String> = Saga::new("greeting");
//! const GREET: Step<String, String> = Step::new("greeter.greet").compensatable();
//!
//! async fn greet(_: Attempt, name: String) -> Result<String, Failure> {
//!     Ok(format!("hello, {name}"))
//! }
//! async fn take_back(_: Attempt, _: String, _: Option<String>) -> Result<(), Failure> {
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (mut saga, name) = GREETING.define(1);
//! let greeted = saga.step("greet", GREET, name);
//! let greeting = saga.returns(greeted)?;
//!
//! let runtime = Runtime::on(Arc::new(MemoryLog::new()))
//!     .definition(greeting)
//!     .worker(Worker::new().action(GREET, greet).compensation(GREET, take_back))
//!     .start()
//!     .await?;
//! let ended = runtime.client().run(GREETING, "g-1", &"world".to_string()).await?;
//! assert_eq!(ended, Ended::Completed("hello, world".to_string()));
//! runtime.stop().await?;
//! # Ok(())
//! # }
//! ```

pub mod client;
pub mod clock;
pub mod contract;
#[cfg(unix)]
pub mod control;
pub mod follow;
pub mod history;
pub mod observe;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod request;
pub mod runtime;
pub mod views;
pub mod worker;

mod balance;
mod caller;
mod driver;
mod guard;
mod keeper;
mod probe;
mod published;
mod router;

pub use client::{CallError, Client, Ended};
pub use clock::{Clock, SystemClock};
pub use observe::Observe;
pub use probe::Probe;
pub use runtime::{DriveError, Runtime, RuntimeBuilder, StartError, StopError};
pub use worker::{Attempt, Failure, Found, Given, Worker};

pub use sagalog_engine::{Refusal, Rules, admission};
pub use sagalog_eventlog::{EventLog, MemoryLog, SqliteLog, SqliteOptions};
#[cfg(feature = "postgres")]
pub use sagalog_eventlog::{PostgresLog, PostgresOptions};
pub use sagalog_model::*;
pub use sagalog_projections::{SagaState, Status, Why};
pub use sagalog_transport::{
    InProcess, InProcessStreams, LogStreams, RabbitMq, RabbitStreams, Transport,
};
