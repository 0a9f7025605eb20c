//! I18: no more is under way at a participant than its policy says, and no more trials.

use sagalog_engine::admission::{Class, Standing};
use sagalog_model::{Command, log::PartitionId};

use super::{Broken, publishing::Addressee};
use crate::world::World;

/// Looks at a command that is about to be published. It counts what the live sagas have open, and
/// believes the machine only where its breaker stands.
pub(super) fn is_within_policy(
    world: &World,
    partition: PartitionId,
    command: &Command,
) -> Result<Addressee, Broken> {
    let mut addressee = Addressee::of(command);
    let Some(owner) = world.share(partition).owner() else {
        return Ok(addressee);
    };
    let class = Class::of(command.direction);
    let machine = owner.machine();
    let mut loads = machine.loads();
    let load =
        loads.find(|load| *load.participant == *addressee.participant && load.class == class);
    addressee.is_trial = load.is_some_and(|load| load.breaker == Standing::HalfOpen);
    let is_open = |saga: &_, node: &str, direction, attempt| {
        let live = machine.peek(saga)?;
        let index = live.graph().find(node)?;
        let (spec, step) = live.step(index)?;
        let attempts = step.attempts(direction);
        let is_open = attempts.is_open(attempt)
            && attempts.heard.is_none()
            && live.awaits(spec, step, direction)
            && !live.is_answered(index, direction, attempt);
        is_open.then_some(())
    };
    let (mut all, mut begin, mut trials) = (1, u32::from(class == Class::Begins), 1);
    for (other, place) in world.shadow().published_by(partition) {
        if other.participant != addressee.participant
            || is_open(&place.saga, &place.node, place.direction, place.number()).is_none()
        {
            continue;
        }
        all += 1;
        begin += u32::from(other.class == Class::Begins);
        trials += u32::from(other.is_trial && other.class == class);
    }
    let policy = world.setup().policies.of(&addressee.participant);
    let (permits, for_what_begins) = policy.permits();
    let of = &addressee.participant;
    if all > permits || class == Class::Begins && begin > for_what_begins {
        return Err((
            "I18",
            format!("{all} commands are under way at {of}, which has {permits} permits"),
        ));
    }
    match policy.trials(class) {
        Some(max) if addressee.is_trial && trials > max => Err((
            "I18",
            format!("{trials} trials are under way at {of}, its breaker allows {max}"),
        )),
        _ => Ok(addressee),
    }
}
