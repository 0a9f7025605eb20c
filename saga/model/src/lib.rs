//! The nouns of Sagalog: definitions, steps, policies, events, commands, replies.
//!
//! No clock, no randomness, no I/O: time and ids are arguments.
#![no_std]
extern crate alloc;

pub mod contract;
pub mod graph;
pub mod log;
pub mod message;
pub mod payload;
pub mod policy;

mod micros;

pub use contract::{Json, NeedsRecoveryClass, RecoveryClass, Saga, Signal, Step, Undo};
pub use graph::{Graph, Kind, NodeIndex, StepSpec};
pub use message::{
    AttemptNumber, Command, Direction, FailureClass, IdempotencyKey, Outcome, Reply, SagaId,
};
pub use payload::Payload;
pub use policy::{Delays, Retry};
