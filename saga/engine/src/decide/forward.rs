//! Going forward: nodes are entered in order until each line waits for something.

use alloc::{format, string::String};
use core::time::Duration;

use sagalog_model::{
    Graph, Kind, NodeIndex, Payload,
    definition::Expression,
    event::{
        ArmChosen, Completed, NodeCompleted, ParkCause, PivotPassed, SignalConsumed, SleepStarted,
        TurnCause, WaitStarted,
    },
    graph::{BlockIndex, Source},
};
use sagalog_projections::Phase;
use serde_json::value::RawValue;

use super::Decider;

/// Whether the line may go on behind a node.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Line {
    /// It is done.
    GoesOn,
    /// It waits.
    Waits,
    /// The saga has turned, so nothing more is entered.
    Ended,
}

impl Decider<'_> {
    pub(super) fn forward(&mut self) {
        if self.turns_at_its_deadline() {
            return;
        }
        self.run_block(Graph::MAIN);
    }

    /// Turns if the saga's deadline has passed before its pivot.
    pub(super) fn turns_at_its_deadline(&mut self) -> bool {
        let turns = self.state.deadline_passed()
            && !self.state.pivot_passed()
            && !mutant!(self.context.rules, IgnoresSagaDeadlines);
        if turns {
            let reason = String::from("the saga's deadline passed");
            self.turn(TurnCause::Deadline, None, reason);
        }
        turns
    }

    fn run_block(&mut self, block: BlockIndex) -> Line {
        let graph = self.state.graph().clone();
        for node in &graph.block(block).nodes {
            match self.run_node(&graph, *node) {
                Line::GoesOn => {}
                line => return line,
            }
        }
        Line::GoesOn
    }

    fn run_node(&mut self, graph: &Graph, index: NodeIndex) -> Line {
        let node = self.state.node(index);
        let kind = &graph.node(index).kind;
        if node.phase == Phase::Done {
            // A return is done before its saga has ended only if a person has given its output.
            if let (Kind::Return { .. }, Some(output)) = (kind, node.output.clone()) {
                self.emit(Completed { output });
            }
            return Line::GoesOn;
        }
        if node.parked.is_some() {
            return Line::Waits;
        }
        match kind {
            Kind::Start | Kind::Entry => Line::GoesOn,
            Kind::Step { spec, .. } => self.run_step(index, spec),
            Kind::Value { value } => self.run_value(index, value),
            Kind::Check { .. } => self.run_check(index),
            Kind::Fail { .. } => self.run_fail(index),
            Kind::All { branches } => self.run_all(branches),
            Kind::Choose { arms, .. } => self.run_choice(index, arms),
            Kind::Sleep { .. } => self.run_sleep(index),
            Kind::Signal { signal, .. } => self.run_wait(index, signal),
            Kind::Pivot => {
                self.emit(PivotPassed {
                    node: self.id(index),
                });
                Line::GoesOn
            }
            Kind::Return { .. } => self.run_return(index),
        }
    }

    fn run_value(&mut self, index: NodeIndex, value: &Source) -> Line {
        let Some(output) = self.evaluate(index, Expression::Node(index)) else {
            return Line::Waits;
        };
        self.complete(index, value, output);
        Line::GoesOn
    }

    /// What the definition alone says, another node's output or a constant, is not written again.
    fn complete(&mut self, index: NodeIndex, source: &Source, output: Payload) {
        let output = matches!(source, Source::Computed { .. }).then_some(output);
        self.emit(NodeCompleted {
            node: self.id(index),
            output,
        });
    }

    fn run_check(&mut self, index: NodeIndex) -> Line {
        let Some(verdict) = self.evaluate(index, Expression::Node(index)) else {
            return Line::Waits;
        };
        match serde_json::from_str::<Result<&RawValue, String>>(verdict.as_str()) {
            Ok(Ok(value)) => {
                let output = Some(Payload::from_json_text(value.get()));
                self.emit(NodeCompleted {
                    node: self.id(index),
                    output,
                });
                Line::GoesOn
            }
            Ok(Err(reason)) => {
                self.turn(TurnCause::CheckFailed, Some(self.id(index)), reason);
                Line::Ended
            }
            Err(cause) => self.unreadable(index, "a result", &cause),
        }
    }

    fn run_fail(&mut self, index: NodeIndex) -> Line {
        let Some(reason) = self.evaluate(index, Expression::Node(index)) else {
            return Line::Waits;
        };
        match reason.read::<String>() {
            Ok(reason) => {
                self.turn(TurnCause::Fail, Some(self.id(index)), reason);
                Line::Ended
            }
            Err(cause) => self.unreadable(index, "a text", &cause),
        }
    }

    fn run_all(&mut self, branches: &[BlockIndex]) -> Line {
        let mut all = Line::GoesOn;
        for branch in branches {
            match self.run_block(*branch) {
                Line::GoesOn => {}
                Line::Waits => all = Line::Waits,
                Line::Ended => return Line::Ended,
            }
        }
        all
    }

    fn run_choice(&mut self, index: NodeIndex, arms: &[BlockIndex]) -> Line {
        if self.state.node(index).phase == Phase::Ahead && !self.choose(index) {
            return Line::Waits;
        }
        let Phase::InArm { arm } = self.state.node(index).phase else {
            return Line::GoesOn;
        };
        let block = arms[arm as usize];
        match self.run_block(block) {
            Line::GoesOn => {}
            line => return line,
        }
        let Some(output) = self.evaluate(index, Expression::Result(block)) else {
            return Line::Waits;
        };
        let result = self
            .state
            .graph()
            .block(block)
            .result
            .clone()
            .expect("an arm gives a result");
        self.complete(index, &result, output);
        Line::GoesOn
    }

    fn choose(&mut self, index: NodeIndex) -> bool {
        #[derive(serde::Deserialize)]
        struct Picked<'a> {
            arm: u32,
            #[serde(borrow)]
            with: &'a RawValue,
        }
        let Some(picked) = self.evaluate(index, Expression::Node(index)) else {
            return false;
        };
        match serde_json::from_str::<Picked<'_>>(picked.as_str()) {
            Ok(Picked { arm, with }) => {
                let payload = Payload::from_json_text(with.get());
                self.emit(ArmChosen {
                    node: self.id(index),
                    arm,
                    payload,
                });
                true
            }
            Err(cause) => {
                self.unreadable(index, "an arm", &cause);
                false
            }
        }
    }

    fn run_sleep(&mut self, index: NodeIndex) -> Line {
        if self.state.node(index).phase == Phase::Ahead
            && let Some(span) = self.span(index)
        {
            self.emit(SleepStarted {
                node: self.id(index),
                until: self.context.now.after(span),
            });
        }
        Line::Waits
    }

    fn run_wait(&mut self, index: NodeIndex, signal: &str) -> Line {
        if self.state.node(index).phase == Phase::Ahead {
            let Some(span) = self.span(index) else {
                return Line::Waits;
            };
            self.emit(WaitStarted {
                node: self.id(index),
                until: self.context.now.after(span),
            });
        }
        let Some(waiting) = self.state.signals().oldest(signal) else {
            return Line::Waits;
        };
        let id = waiting.id.clone();
        self.emit(SignalConsumed {
            node: self.id(index),
            id,
        });
        Line::GoesOn
    }

    fn run_return(&mut self, index: NodeIndex) -> Line {
        let Some(output) = self.evaluate(index, Expression::Node(index)) else {
            return Line::Waits;
        };
        self.emit(Completed { output });
        Line::Ended
    }

    fn span(&mut self, index: NodeIndex) -> Option<Duration> {
        let span = self.evaluate(index, Expression::Node(index))?;
        match span.read::<Duration>() {
            Ok(span) => Some(span),
            Err(cause) => {
                self.unreadable(index, "a duration", &cause);
                None
            }
        }
    }

    fn unreadable(&mut self, index: NodeIndex, wanted: &str, cause: &serde_json::Error) -> Line {
        self.park(
            index,
            ParkCause::Expression,
            format!("the value does not read as {wanted}: {cause}"),
        );
        Line::Waits
    }
}
