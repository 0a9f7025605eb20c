//! What is told of runs and explorations: as text, as a document, as a page.

mod event;
mod exploration;
mod history;
mod keep;
mod lines;
mod page;
mod run;
mod state;
mod text;

pub use event::event;
pub(crate) use exploration::shows_nothing;
pub use exploration::{Bite, ExplorationDocument, FailureDocument, Sometimes, Tried};
pub use history::{HistoryDocument, SagaHistory};
pub use lines::{Happened, SagaEnd};
pub(crate) use page::page;
pub use run::{PlannedFault, RunDocument, Violated};
pub use state::{Changed, NodeEnd};

/// A number as people write it: three digits at a time.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number and what it counts, by its English rule.
fn counted(number: u64, what: &str) -> String {
    let many = if number == 1 { "" } else { "s" };
    format!("{} {what}{many}", grouped(number))
}
