//! I5, I10: nothing is published before the event that asks it is durable, no action after the turn, nothing
//! of a saga that is paused;
//! I6, I7, I9, I12, I19: and it is published as it was decided.

use sagalog_model::{Command, Direction, IdempotencyKey, StepSpec, Withdrawal};
use sagalog_projections::{SagaState, StepState, alive};

use super::Violation;
use crate::world::World;

/// I5: a command that is published, beside the step that the log says asks for it.
pub(super) struct Asked<'world> {
    world: &'world World,
    command: &'world Command,
    state: &'world SagaState,
    spec: &'world StepSpec,
    step: &'world StepState,
}

impl<'world> Asked<'world> {
    pub(super) fn durably(
        world: &'world World,
        command: &'world Command,
    ) -> Result<Self, Violation> {
        let state = world.shadow().of(&command.saga);
        let asked = state.and_then(|state| {
            let (spec, step) = state.step(state.graph().find(&command.node)?)?;
            let attempts = step.attempts(command.direction);
            attempts.was_asked(command.attempt).then_some(Self {
                world,
                command,
                state,
                spec,
                step,
            })
        });
        asked.ok_or_else(|| {
            let what = format!(
                "the {} of {} was published before its event was durable",
                command.direction, command.node
            );
            Violation::of("I5", world, &command.saga, what)
        })
    }

    fn fails(&self, invariant: &'static str, what: String) -> Result<(), Violation> {
        Err(Violation::of(
            invariant,
            self.world,
            &self.command.saga,
            what,
        ))
    }

    pub(super) fn not_after_the_turn(&self) -> Result<(), Violation> {
        let asked_at = self.step.action.open.map(|open| open.asked_at);
        match (self.command.direction, self.state.turn(), asked_at) {
            (Direction::Action, Some(turn), Some(asked_at)) if asked_at > turn.at => {
                let node = &self.command.node;
                let what = format!("the action of {node} was asked after the turn");
                self.fails("I10", what)
            }
            _ => Ok(()),
        }
    }

    /// What has not left when the saga is paused waits until it is resumed.
    pub(super) fn not_while_paused(&self) -> Result<(), Violation> {
        if self.state.pause().is_none() {
            return Ok(());
        }
        let (direction, node) = (self.command.direction, &self.command.node);
        let what = format!("the {direction} of {node} is published while the saga is paused");
        self.fails("I10", what)
    }

    /// I6: what a later event has superseded is not published any more.
    pub(super) fn is_waited_for(&self) -> Result<(), Violation> {
        let (direction, node) = (self.command.direction, &self.command.node);
        if self.state.awaits(self.spec, self.step, direction) {
            return Ok(());
        }
        let what = format!("the {direction} of {node} is published, and nobody waits for it");
        self.fails("I6", what)
    }

    /// Keys are those of the node and never of an attempt; contents are those that the log holds.
    pub(super) fn as_decided(&self) -> Result<(), Violation> {
        let Self { command, step, .. } = self;
        let fails = |invariant, what: &str| {
            let what = format!("the {} of {} {what}", command.direction, command.node);
            self.fails(invariant, what)
        };
        let is_of =
            |key: &IdempotencyKey, direction| key.is_of(&command.saga, &command.node, direction);
        if !is_of(&command.key, command.direction) || !is_of(&command.action_key, Direction::Action)
        {
            return fails("I7", "is published under another key than its own");
        }
        let open = step.attempts(command.direction).open;
        let open = open.filter(|open| open.number == command.attempt);
        if open.is_some_and(|open| open.deadline != command.deadline) {
            return fails(
                "I12",
                "is published with another deadline than its recorded one",
            );
        }
        if command.direction == Direction::Action
            && open.is_some()
            && command.heartbeat != alive::heartbeat(self.spec, step)
        {
            return fails("I12", "is published with another heartbeat than its own");
        }
        let input = match command.direction {
            Direction::Alternative => return Ok(()),
            Direction::Action | Direction::Probe | Direction::Compensation => &step.input,
        };
        if *input != command.input {
            return fails(
                "I19",
                "is published with another input than its recorded one",
            );
        }
        // I5: the output that was known when it was asked, and nothing that a later event says.
        if command.direction == Direction::Compensation && command.output != step.undone_with {
            return fails(
                "I9",
                "is published with another output than the one to undo",
            );
        }
        Ok(())
    }
}

/// I5: a participant is told of a turn only when that is durable.
pub(super) fn withdrawn_after_the_turn(
    world: &World,
    withdrawal: &Withdrawal,
) -> Result<(), Violation> {
    let state = world.shadow().of(&withdrawal.saga);
    let turned = state.is_some_and(|state| state.turn().is_some());
    if turned {
        return Ok(());
    }
    let what = format!("{} is withdrawn before the turn", withdrawal.node);
    Err(Violation::of("I5", world, &withdrawal.saga, what))
}
