//! I6, I17, I18: when nothing is left to do, every saga has ended or waits for somebody, and nothing
//! is held for those that have ended.

use sagalog_model::log::PartitionId;

use super::Violation;
use crate::world::World;

pub(super) fn everything_ended_or_waits_for_somebody(world: &World) -> Result<(), Violation> {
    for state in world.sagas() {
        let waits_for_a_person =
            state.parked().next().is_some() || !state.held().is_empty() || state.pause().is_some();
        if !state.status().is_terminal() && !waits_for_a_person {
            let what = format!("it is {} at rest, and waits for nobody", state.status());
            return Err(Violation::of("I17", world, state.id(), what));
        }
    }
    let plain = |invariant, what: String| Violation {
        invariant,
        saga: None,
        what,
        at: world.now(),
    };
    let unacknowledged = world.inbox_len();
    if unacknowledged > 0 {
        let what = format!("{unacknowledged} answers were never acknowledged");
        return Err(plain("I17", what));
    }
    for partition in world.partitions() {
        nothing_is_left(world, partition).map_err(|(invariant, what)| plain(invariant, what))?;
    }
    Ok(())
}

fn nothing_is_left(world: &World, partition: PartitionId) -> Result<(), (&'static str, String)> {
    let share = world.share(partition);
    let Some(owner) = share.owner() else {
        return Err(("I17", format!("nobody owns partition {partition}")));
    };
    super::letters::none_is_left(world, partition)?;
    super::held_sagas::none_is_left(world, partition)?;
    let unanswered = share.unanswered_calls();
    if unanswered > 0 {
        return Err(("I17", format!("{unanswered} calls were never answered")));
    }
    let live = world
        .sagas_of(partition)
        .filter(|state| !state.status().is_terminal())
        .count();
    let held = owner.machine().sagas().count();
    if held > live {
        let what = format!("{held} sagas are held in memory, {live} are under way");
        return Err(("I18", what));
    }
    Ok(())
}
