//! The nouns of Sagalog: definitions, steps, policies, events, commands, replies.
//!
//! No clock, no randomness, no I/O: time and ids are arguments.
#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod announcement;
pub mod breaker;
pub mod check;
pub mod contract;
pub mod dead_letter;
pub mod definition;
pub mod draw;
pub mod event;
pub mod expr;
pub mod fingerprint;
pub mod flow;
pub mod graph;
pub mod held_saga;
pub mod log;
pub mod message;
pub mod payload;
pub mod policy;
pub mod sample;
pub mod system;
pub mod token;

mod micros;

pub use announcement::Announcement;
pub use check::{BadDefinition, Fault};
pub use contract::{Json, NeedsRecoveryClass, RecoveryClass, Saga, Signal, Step, Undo};
pub use definition::{AnyDefinition, Definition, Expression};
pub use event::SagaEvent;
pub use expr::{Expr, ExpressionError, Gives, Out, Outputs, just};
pub use fingerprint::Fingerprint;
pub use flow::{All, Arm, Choice, Draft, Flow, NeedsDeadline, Pick, Picker};
pub use graph::{Graph, Kind, NodeIndex, StepSpec};
pub use message::{
    AttemptNumber, Command, Direction, FailureClass, Heartbeat, IdempotencyKey, Missing, Numbered,
    Outcome, Reply, SagaId, Withdrawal,
};
pub use payload::Payload;
pub use policy::{Delays, GapEnd, Gaps, Retry};
pub use sample::NoSample;
pub use token::{NotAToken, Token};
