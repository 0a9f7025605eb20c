//! The folds of Sagalog: what the events of a saga add up to. They decide nothing.
//!
//! [`SagaState`] is the one fold of a saga's stream; everything else here is a view of it:
//! [`timers`], [`undoing`], [`waits`] and [`why`] keep no state of their own, so nothing can disagree.
#![no_std]
extern crate alloc;

pub mod alive;
pub mod attempts;
pub mod breakers;
pub mod dead_letters;
pub mod dedup;
pub mod held;
pub mod held_sagas;
mod legal;
#[cfg(feature = "mutants")]
mod mutants;
pub mod participants;
pub mod retry;
pub mod saga;
pub mod sequence;
pub mod signals;
pub mod step;
pub mod timeline;
pub mod timers;
pub mod undoing;
pub mod views;
pub mod waits;
pub mod why;

pub use attempts::{Attempts, OpenAttempt};
pub use breakers::Breakers;
pub use dead_letters::DeadLetters;
pub use held_sagas::HeldSagas;
pub use saga::{IllegalEvent, NodeState, Parked, Pause, Phase, SagaState, Status, Turn};
pub use step::StepState;
pub use timeline::Timeline;
pub use timers::Timer;
pub use why::{Waiting, Why};
