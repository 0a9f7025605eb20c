//! Going back: what took effect is undone in reverse order of dependence.
//!
//! A node depends on all that stands before it in its line and around it; only the branches of one
//! `all` are independent. So a line is undone from its end, and stops at the first node that is not.

use sagalog_model::{
    AttemptNumber, Direction, Graph, Kind, NodeIndex, StepSpec,
    event::{AttemptSucceeded, Compensated, CompensationSkipped, ParkCause, PartlyCompensated},
    graph::{BlockIndex, Otherwise, UndoPolicy},
};
use sagalog_projections::{
    step::failed_permanently,
    undoing::{self, Undoing},
};

use super::{Decider, asking::Again};

impl Decider<'_> {
    pub(super) fn back(&mut self) {
        #[cfg(feature = "mutants")]
        if mutant!(self.context.rules, CancelledScopeUndoesNothing) && self.is_cancelled() {
            return;
        }
        self.probe_what_is_in_doubt();
        if self.unwind_block(Graph::MAIN) {
            self.end();
        }
    }

    /// Probes need no order: they change nothing.
    fn probe_what_is_in_doubt(&mut self) {
        if mutant!(self.context.rules, ProbesNothingAfterTheTurn) {
            return;
        }
        let graph = self.state.graph().clone();
        for (index, node) in graph.iter() {
            if let Kind::Step { spec, .. } = &node.kind
                && self.undoing(index) == Undoing::CanProbe
            {
                self.ask_probe(index, spec);
            }
        }
    }

    /// Whether nothing is left to undo in a block.
    fn unwind_block(&mut self, block: BlockIndex) -> bool {
        let graph = self.state.graph().clone();
        let nodes = &graph.block(block).nodes;
        if mutant!(self.context.rules, UndoesFromTheFirst) {
            return nodes.iter().all(|node| self.unwind_node(*node));
        }
        if mutant!(self.context.rules, UndoesAllAtOnce) {
            let ends = nodes.iter().rev().map(|node| self.unwind_node(*node));
            return ends.filter(|is_over| !is_over).count() == 0;
        }
        nodes.iter().rev().all(|node| self.unwind_node(*node))
    }

    fn unwind_node(&mut self, index: NodeIndex) -> bool {
        let graph = self.state.graph().clone();
        match &graph.node(index).kind {
            Kind::Step { spec, .. } => self.unwind_step(index, spec),
            Kind::All { branches } => self.unwind_blocks(branches),
            // Nothing was asked in the arms that were not taken.
            Kind::Choose { arms, .. } => self.unwind_blocks(arms),
            _ => true,
        }
    }

    /// Independent branches do not wait for each other: all are gone through, whatever the first
    /// ones say.
    fn unwind_blocks(&mut self, blocks: &[BlockIndex]) -> bool {
        let mut all = true;
        for block in blocks {
            all &= self.unwind_block(*block);
        }
        all
    }

    fn unwind_step(&mut self, index: NodeIndex, spec: &StepSpec) -> bool {
        if self.undoing(index) == Undoing::Due && self.state.node(index).parked.is_none() {
            let policy = spec
                .undo
                .as_ref()
                .expect("before the pivot every step that acts is compensatable");
            self.pursue_undo(index, policy);
        }
        matches!(self.undoing(index), Undoing::Nothing | Undoing::Over)
    }

    fn undoing(&self, index: NodeIndex) -> Undoing {
        self.state
            .step(index)
            .map_or(Undoing::Nothing, |(spec, step)| {
                let how_far = undoing::of(spec, step);
                let rules = self.context.rules;
                match how_far {
                    Undoing::Settling if mutant!(rules, UndoesWhatIsInFlight) => Undoing::Due,
                    Undoing::Due
                        if mutant!(rules, ForgetsWhatIsInDoubt) && !step.has_succeeded() =>
                    {
                        Undoing::Nothing
                    }
                    _ => how_far,
                }
            })
    }

    #[cfg(feature = "mutants")]
    fn is_cancelled(&self) -> bool {
        let cancelled = sagalog_model::event::TurnCause::Cancelled;
        self.state
            .turn()
            .is_some_and(|turn| turn.cause == cancelled)
    }

    /// Goes on undoing a step. Looks at the state only.
    fn pursue_undo(&mut self, index: NodeIndex, policy: &UndoPolicy) {
        let (_, step) = self
            .state
            .step(index)
            .expect("only what was asked is undone");
        if step.compensation.open.is_some() || step.alternative.open.is_some() {
            return;
        }
        let begun = step.compensation.spent() > 0 || !step.compensation.is_idle();
        if !begun {
            return self.ask_next(index, Direction::Compensation);
        }
        if step.alternative.spent() > 0 || !step.alternative.is_idle() {
            return self.pursue_alternative(index, policy);
        }
        if mutant!(self.context.rules, CompensatesOnlyOnce) {
            return self.fall_back(index, policy);
        }
        match self.ask_again(index, Direction::Compensation, policy.retry) {
            Again::Yes => {}
            Again::No => self.fall_back(index, policy),
        }
    }

    fn pursue_alternative(&mut self, index: NodeIndex, policy: &UndoPolicy) {
        let Otherwise::Alternative { retry, .. } = &policy.otherwise else {
            unreachable!("an alternative is asked only where the policy names one");
        };
        match self.ask_again(index, Direction::Alternative, *retry) {
            Again::Yes => {}
            Again::No => {
                let reason = self.trouble(index, Direction::Alternative);
                self.park(index, ParkCause::Compensation, reason);
            }
        }
    }

    /// A compensation failed for good.
    fn fall_back(&mut self, index: NodeIndex, policy: &UndoPolicy) {
        debug_assert!(
            failed_permanently(self.attempts(index, Direction::Compensation))
                || self.attempts(index, Direction::Compensation).spent() >= policy.retry.attempts
        );
        let refused = failed_permanently(self.attempts(index, Direction::Compensation));
        if mutant!(self.context.rules, HidesFailedUndo) && refused {
            return;
        }
        if mutant!(self.context.rules, TakesFailedUndoForDone) && refused {
            let attempts = self.attempts(index, Direction::Compensation);
            return self.emit(AttemptSucceeded {
                node: self.id(index),
                direction: Direction::Compensation,
                attempt: AttemptNumber(attempts.asked),
                output: None,
            });
        }
        match &policy.otherwise {
            Otherwise::Alternative { .. }
                if mutant!(self.context.rules, ParksInsteadOfTheAlternative) && refused =>
            {
                let reason = self.trouble(index, Direction::Compensation);
                self.park(index, ParkCause::Compensation, reason);
            }
            Otherwise::Park => {
                let reason = self.trouble(index, Direction::Compensation);
                self.park(index, ParkCause::Compensation, reason);
            }
            Otherwise::Skip { reason } => {
                self.emit(CompensationSkipped {
                    node: self.id(index),
                    reason: reason.clone(),
                });
            }
            Otherwise::Alternative { .. } => self.ask_next(index, Direction::Alternative),
        }
    }

    /// I9: the last event names exactly what is left.
    fn end(&mut self) {
        let left: alloc::vec::Vec<_> = undoing::left(self.state)
            .into_iter()
            .map(|index| self.id(index))
            .collect();
        if left.is_empty() {
            self.emit(Compensated {});
        } else {
            self.emit(PartlyCompensated { left });
        }
    }
}
