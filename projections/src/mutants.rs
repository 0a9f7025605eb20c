//! What only a mutated engine does to a state: for planted bugs that live in recovery.

use crate::{saga::SagaState, step::StepState};

impl SagaState {
    /// Lets a paused saga go on behind the fold's back.
    pub fn forget_pause(&mut self) {
        self.end_pause();
    }

    /// Changes the steps behind the fold's back.
    pub fn meddle(&mut self, mut with: impl FnMut(&mut StepState)) {
        for step in self
            .nodes_mut()
            .iter_mut()
            .filter_map(|node| node.step.as_mut())
        {
            with(step);
        }
    }
}
