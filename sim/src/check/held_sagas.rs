//! I3, I5, I8, I13, I17: a saga that cannot be driven waits alone; nothing is sent for it; what comes for it
//! is processed in its order when it is driven again, and none of it is lost.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use sagalog_engine::{Answer, Refusal};
use sagalog_model::{
    Command, Direction, Outcome, Payload, Reply, SagaEvent, SagaId,
    event::Origin,
    held_saga::{HeldSagaEvent, SagaReleased},
    log::{PartitionId, Time, Version},
};
use sagalog_projections::{HeldSagas, held::HeldInput, held_sagas::HeldSaga};

use super::{Broken, Violation, acknowledgements, held};
use crate::world::{Ownership, World};

/// What is durable of the sagas of a partition that cannot be driven, folded apart from the node's own state.
#[derive(Clone, Default)]
pub(super) struct Undriven {
    fold: HeldSagas,
    /// Whatever waited, by saga.
    waited: BTreeMap<SagaId, Vec<(Origin, Payload)>>,
    /// The requests that decided about what waited.
    decided: BTreeSet<(SagaId, Arc<str>)>,
    /// What was given up.
    dropped: BTreeMap<SagaId, Vec<Origin>>,
    /// The number of the input that was processed last, of sagas that are still held.
    processed: BTreeMap<SagaId, u64>,
}

impl Undriven {
    /// Adds a durable event.
    pub(super) fn recorded(
        &mut self,
        event: &HeldSagaEvent,
        place: Version,
        at: Time,
    ) -> Result<(), Broken> {
        match event {
            HeldSagaEvent::Held(event) => {
                let held = self.fold.get(&event.saga);
                if held.is_some_and(|held| held.reason == event.reason) {
                    return Err(("I2", "it is held twice for one reason".into()));
                }
            }
            HeldSagaEvent::Waits(event, content) => {
                let held = self.fold.get(&event.saga);
                if held.is_none_or(|held| held.inputs.next() != event.number) {
                    let what = format!("input {} waits for a saga that is not held", event.number);
                    return Err(("I2", what));
                }
                let waited = self.waited.entry(event.saga.clone()).or_default();
                waited.push((event.input.clone(), content.clone()));
            }
            HeldSagaEvent::Edited(event, _) => {
                self.decides(&event.saga, event.number, &event.id)?;
            }
            HeldSagaEvent::Dropped(event) => {
                let input = self.decides(&event.saga, event.number, &event.id)?;
                let dropped = self.dropped.entry(event.saga.clone()).or_default();
                dropped.push(input);
            }
            HeldSagaEvent::Released(event) => {
                if self.fold.get(&event.saga).is_none() {
                    return Err(("I2", "it is driven again, and was not held".into()));
                }
                self.processed.remove(&event.saga);
            }
        }
        self.fold.apply(event, place, at);
        Ok(())
    }

    /// I7: each decision is recorded once, about something that waits.
    fn decides(&mut self, saga: &SagaId, number: u64, id: &Arc<str>) -> Result<Origin, Broken> {
        let held = self.fold.get(saga);
        let Some(input) = held.and_then(|held| held.inputs.find(number)) else {
            return Err((
                "I2",
                format!("input {number} does not wait, and is decided about"),
            ));
        };
        match self.decided.insert((saga.clone(), id.clone())) {
            true => Ok(input.input.clone()),
            false => Err(("I7", format!("{id} is recorded twice"))),
        }
    }

    /// Whether this request has decided about what waited.
    pub(super) fn has_decided(&self, saga: &SagaId, id: &Arc<str>) -> bool {
        self.decided.contains(&(saga.clone(), id.clone()))
    }

    /// I13: while a saga is held nothing happens to it but what waited for it, in its order, and what was given up
    /// never does; `fact` is what a batch begins with.
    pub(super) fn happened(&mut self, saga: &SagaId, fact: &SagaEvent) -> Result<(), Broken> {
        let origin = origin(fact);
        let is_signal = !matches!(origin, None | Some(Origin::Reply { .. }));
        let mut dropped = self.dropped.get(saga).into_iter().flatten();
        let was_dropped = is_signal && dropped.any(|it| Some(it) == origin.as_ref());
        if was_dropped && !matches!(fact, SagaEvent::InputHeld(_)) {
            let what = format!("{} of what was given up", fact.kind());
            return Err(("I13", what));
        }
        let Some(held) = self.fold.get(saga) else {
            return Ok(());
        };
        let id = match fact {
            SagaEvent::HeldReleased(e) => Some(&e.id),
            SagaEvent::HeldDropped(e) => Some(&e.id),
            _ => None,
        };
        let mut decisions = held.decisions.iter();
        let of_decided = matches!(fact, SagaEvent::InputHeld(_))
            && decisions.any(|it| Some(&it.input) == origin.as_ref());
        if of_decided || id.is_some_and(|id| held.decision(id).is_some()) {
            return Ok(());
        }
        let last = self.processed.entry(saga.clone()).or_default();
        let is_it = |input: &&HeldInput| Some(&input.input) == origin.as_ref();
        let mut rest = held.inputs.iter().filter(|input| input.number > *last);
        let Some(next) = rest.find(is_it) else {
            let what = format!("{} happens out of turn to a saga that is held", fact.kind());
            return Err(("I13", what));
        };
        *last = next.number;
        Ok(())
    }

    /// A saga, if it is held.
    pub(super) fn get(&self, saga: &SagaId) -> Option<&HeldSaga> {
        self.fold.get(saga)
    }

    /// How much waits for each saga that is held.
    pub(super) fn waiting(&self) -> impl Iterator<Item = usize> {
        self.fold.iter().map(|(_, held)| held.inputs.len())
    }

    /// Whether this has waited for a saga.
    pub(super) fn has_waited(&self, saga: &SagaId, origin: &Origin, content: &Payload) -> bool {
        let waited = self.waited.get(saga).into_iter().flatten();
        waited
            .into_iter()
            .any(|it| (&it.0, &it.1) == (origin, content))
    }
}

/// The input that a batch begins with.
fn origin(fact: &SagaEvent) -> Option<Origin> {
    let reply = |node: &Arc<str>, direction, attempt| Origin::Reply {
        node: node.clone(),
        direction,
        attempt,
    };
    match fact {
        SagaEvent::InputHeld(e) => Some(e.input.clone()),
        SagaEvent::AttemptExtended(e) => Some(reply(&e.node, Direction::Action, e.attempt)),
        SagaEvent::ActionNotFound(e) => Some(reply(&e.node, Direction::Probe, e.attempt)),
        fact => held::origin(fact),
    }
}

/// What an answer is, and what it carries.
pub(super) fn parts(reply: &Reply) -> (Origin, Payload) {
    let origin = Origin::Reply {
        node: reply.node.clone(),
        direction: reply.direction,
        attempt: reply.attempt,
    };
    let outcome = Payload::of(&reply.outcome);
    (origin, outcome.expect("an outcome is plain data"))
}

/// I8: whatever waited for a saga is on record in it, or that it was refused is.
pub(super) fn nothing_is_lost(
    world: &World,
    partition: PartitionId,
    event: &HeldSagaEvent,
) -> Result<(), Violation> {
    let HeldSagaEvent::Released(SagaReleased { saga, refused, .. }) = event else {
        return Ok(());
    };
    let undriven = world.shadow().undriven(partition);
    let Some(held) = undriven.and_then(|undriven| undriven.get(saga)) else {
        return Ok(());
    };
    for input in held.inputs.iter() {
        let is_refused = refused.iter().any(|it| it.number == input.number);
        is_accounted_for(world, saga, input, is_refused)?;
    }
    Ok(())
}

fn is_accounted_for(
    world: &World,
    saga: &SagaId,
    input: &HeldInput,
    is_refused: bool,
) -> Result<(), Violation> {
    let lost = || {
        let what = format!("input {} waited for it, and is lost", input.number);
        Violation::of("I8", world, saga, what)
    };
    let Origin::Reply {
        node,
        direction,
        attempt,
    } = &input.input
    else {
        let is_known =
            is_refused || acknowledgements::knows(world, saga, &input.input, &input.content);
        return if is_known { Ok(()) } else { Err(lost()) };
    };
    let reply = Reply {
        saga: saga.clone(),
        node: node.clone(),
        direction: *direction,
        attempt: *attempt,
        outcome: input.content.read::<Outcome>().map_err(|_| lost())?,
    };
    let answer = match is_refused {
        true => Answer::Refused(Refusal::NoSuchSaga { saga: saga.clone() }),
        false => Answer::Recorded,
    };
    acknowledgements::is_in_the_log(world, &reply, &answer)
}

/// I3, I17: who has taken over holds what the log says is held, with all that waits, or drives it; and
/// holds nothing else but what it cannot drive.
pub(super) fn are_recovered_whole(world: &World, of: Ownership) -> Result<(), Violation> {
    let Some(owner) = world.owner(of) else {
        return Ok(());
    };
    let machine = owner.machine();
    let fails = |invariant, saga: &SagaId, what: &str| {
        Err(Violation::of(invariant, world, saga, what.into()))
    };
    if let Some(undriven) = world.shadow().undriven(of.partition) {
        for (saga, held) in undriven.fold.iter() {
            let here = machine.held_sagas().get(saga);
            if here.is_none() && machine.peek(saga).is_none() && world.is_under_way(saga) {
                return fails(
                    "I3",
                    saga,
                    "it is held, and whoever has taken over has forgotten it",
                );
            }
            if here.is_some_and(|here| here.inputs != held.inputs) {
                return fails("I3", saga, "what waits for it is not what the log says");
            }
        }
    }
    for (saga, _) in machine.held_sagas().iter() {
        if world.is_under_way(saga) && world.can_be_driven(saga, owner.node()) {
            return fails("I17", saga, "it is held, and can be driven");
        }
    }
    Ok(())
}

/// I5: nobody is asked for anything of a saga that is held.
pub(super) fn is_not_held(
    world: &World,
    of: Ownership,
    command: &Command,
) -> Result<(), Violation> {
    let saga = &command.saga;
    let owner = world.owner(of);
    if owner.is_none_or(|owner| owner.machine().held_sagas().get(saga).is_none()) {
        return Ok(());
    }
    let (direction, node) = (command.direction, &command.node);
    let what = format!("the {direction} of {node} is published while the saga is held");
    Err(Violation::of("I5", world, saga, what))
}

/// I17: what kept sagas from being driven is over, so none is held for ever.
pub(super) fn none_is_left(world: &World, partition: PartitionId) -> Result<(), Broken> {
    let undriven = world.shadow().undriven(partition);
    match undriven.and_then(|undriven| undriven.fold.iter().next()) {
        None => Ok(()),
        Some((saga, _)) => Err(("I17", format!("{saga} is held for ever"))),
    }
}
