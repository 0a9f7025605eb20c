//! The hunt for planted bugs: a bug that no check finds is a missing check.

mod hunt;
#[path = "../../sagas/mod.rs"]
mod sagas;
mod scenarios;

use std::sync::Arc;

pub use hunt::{Budget, Catch, Hunt, Way, hunt};
pub use sagalog_engine::mutants::Mutant;
pub use scenarios::{Scenario, scenarios};

use crate::{Decide, Mend, Sim, World, world::Row};

impl Sim {
    /// The same with a bug planted in the engine or in what is around it.
    pub fn mutant(mut self, mutant: Mutant) -> Self {
        self.setup.rules.mutant = Some(mutant);
        self
    }
}

/// What is left of an append that is not one transaction: of the last batch its first event.
pub(crate) fn torn(rows: &[Arc<Row>]) -> Vec<Arc<Row>> {
    let mut rows = rows.to_vec();
    if let Some(last) = rows.last_mut() {
        let mut batch = last.batch().clone();
        batch.events.truncate(1);
        *last = Arc::new(Row::new(batch));
    }
    rows
}
