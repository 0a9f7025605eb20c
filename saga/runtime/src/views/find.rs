//! Asking the views.

mod messages;
mod participants;
mod sagas;

pub use messages::{FoundMessage, MessageFilter};
pub use participants::{FoundLetter, ParticipantTally};
pub use sagas::{FoundNode, FoundSaga, SagaFilter, Waiting};
