//! Where a world stands, without numbers and times: for a search, two worlds in one situation are as
//! good as the same.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    mem::discriminant,
};

use sagalog_projections::{Phase, SagaState, StepState, attempts::Attempts, step::UndoEnd};

use crate::world::World;

/// The phases of the sagas, what is open and what took effect of each step, and who owns the partition.
pub(super) fn situation(world: &World) -> u64 {
    // Its keys are fixed, so it tells the same in every process.
    let mut hash = DefaultHasher::new();
    for saga in world.sagas() {
        of_saga(saga, &mut hash);
    }
    for (_, account) in world.ledger().accounts() {
        let (applied, undone) = (account.applied.is_some(), account.undone.is_some());
        (applied, undone, account.tombstone).hash(&mut hash);
    }
    world.ownership().hash(&mut hash);
    for (phase, retries) in world.shadow().phases_of_letters() {
        discriminant(&phase).hash(&mut hash);
        retries.min(2).hash(&mut hash);
    }
    for waiting in world.shadow().waiting() {
        waiting.min(2).hash(&mut hash);
    }
    hash.finish()
}

fn of_saga(saga: &SagaState, hash: &mut impl Hasher) {
    (saga.status(), saga.turn().is_some()).hash(hash);
    (saga.pivot_passed(), saga.deadline_passed()).hash(hash);
    for (index, _) in saga.graph().iter() {
        let node = saga.node(index);
        (discriminant::<Phase>(&node.phase), node.parked.is_some()).hash(hash);
        if let Some(step) = &node.step {
            of_step(step, hash);
        }
    }
}

fn of_step(step: &StepState, hash: &mut impl Hasher) {
    discriminant::<UndoEnd>(&step.undo).hash(hash);
    for attempts in [
        &step.action,
        &step.probe,
        &step.compensation,
        &step.alternative,
    ] {
        of_attempts(attempts, hash);
    }
}

/// Whether it is the first attempt or a later one matters, not which.
fn of_attempts(attempts: &Attempts, hash: &mut impl Hasher) {
    attempts.asked.min(2).hash(hash);
    let open = attempts.open.as_ref();
    open.map(|open| (open.renewed, open.delayed)).hash(hash);
    (attempts.doubtful.is_empty(), attempts.succeeded).hash(hash);
    discriminant(&attempts.retry).hash(hash);
    let trouble = attempts.trouble.as_ref();
    trouble
        .map(|trouble| discriminant(&trouble.kind))
        .hash(hash);
}
