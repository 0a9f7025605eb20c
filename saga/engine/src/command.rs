//! The command that an open attempt stands for. It is built from the state, never remembered beside
//! it: what must be asked after a restart is what the folded state says is asked and unanswered.

use alloc::format;

use sagalog_model::{AttemptNumber, Command, Direction, IdempotencyKey, NodeIndex, Payload};
use sagalog_projections::{SagaState, alive};

/// The command of an attempt; none if that attempt is not the open one (any more).
pub fn command(
    state: &SagaState,
    index: NodeIndex,
    direction: Direction,
    attempt: AttemptNumber,
) -> Option<Command> {
    let (spec, step) = state.step(index)?;
    let open = step
        .attempts(direction)
        .open
        .filter(|open| open.number == attempt)?;
    let node = &state.graph().node(index).id;
    let (input, output) = match direction {
        Direction::Action | Direction::Probe => (step.input.clone(), None),
        Direction::Compensation => (step.input.clone(), step.undone_with.clone()),
        Direction::Alternative => {
            let output = step.undone_with.clone().unwrap_or_else(Payload::null);
            let undo = format!(r#"{{"input":{},"output":{}}}"#, step.input, output);
            (Payload::from_json_text(undo), None)
        }
    };
    let action_key = IdempotencyKey::of(state.id(), node, Direction::Action);
    let key = match direction {
        Direction::Action | Direction::Probe => action_key.clone(),
        back => IdempotencyKey::of(state.id(), node, back),
    };
    Some(Command {
        saga: state.id().clone(),
        node: node.clone(),
        step: spec.terms(direction)?.name.clone(),
        direction,
        attempt,
        deadline: open.deadline,
        key,
        action_key,
        input,
        output,
        heartbeat: (direction == Direction::Action)
            .then(|| alive::heartbeat(spec, step))
            .flatten(),
    })
}
