//! Views: tables that answer questions about many sagas at once, made from the log alone and made again
//! from it whenever somebody wants.
//!
//! [`Fold`] takes the batches of one partition in order and says which rows change. Its states are a
//! cache: one that is not there is folded again from the saga's own stream, so it may be thrown away
//! between any two batches, and nothing of it needs to be stored beside the rows and how far they are.

mod changes;
mod entry;
mod fold;
mod letter;
mod message;
mod node;
mod saga;
mod tally;

pub use changes::Changes;
pub use entry::{Entry, Stored};
pub use fold::Fold;
pub use letter::{LetterChange, LetterRow};
pub use message::{About, MessageKind, MessageRow};
pub use node::{NodeRow, WaitKind, WaitRow};
pub use saga::{SagaRow, Standing};
pub use tally::Tally;
