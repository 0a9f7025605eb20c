//! The verbs of Sagalog: what follows from what happened, and in which order it may be seen.
//!
//! [`decide()`] is pure: a saga's state and one input give events. [`Partition`] is the machine around
//! it, without I/O: inputs go in, and what must be appended, published and answered comes out.
#![no_std]
extern crate alloc;

#[macro_use]
mod hook;

pub mod admission;
pub mod command;
pub mod decide;
pub mod evaluate;
pub mod input;
#[cfg(feature = "mutants")]
pub mod mutants;
pub mod partition;
mod preview;
pub mod redecide;
pub mod rules;
mod way_back;

pub use decide::{Refusal, decide, start};
pub use evaluate::Evaluate;
pub use input::{Request, SagaInput};
pub use partition::{
    Answer, BreakerRequest, BreakerWish, Effect, Input, LetterRequest, LetterWish, Partition,
    Query, Resend, Ticket,
};
pub use preview::preview;
pub use redecide::{CannotRedecide, redecide};
pub use rules::Rules;
pub use way_back::{WayBack, way_back};

/// Whether bugs can be planted in this build, for the simulator to find: never in a release.
pub const HAS_PLANTED_BUGS: bool = cfg!(feature = "mutants");
