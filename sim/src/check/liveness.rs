//! I6, I17, I18: when nothing is left to do, every saga has ended or waits for somebody, and nothing
//! is held for those that have ended.

use super::Violation;
use crate::world::World;

pub(super) fn everything_ended_or_waits_for_somebody(world: &World) -> Result<(), Violation> {
    for state in world.sagas() {
        if !state.status().is_terminal() && state.parked().next().is_none() {
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
    let Some(node) = world.node() else {
        return Err(plain("I17", "nobody owns the partition".into()));
    };
    if world.inbox_len() > 0 {
        return Err(plain(
            "I17",
            format!("{} answers were never acknowledged", world.inbox_len()),
        ));
    }
    if world.unanswered_calls() > 0 {
        return Err(plain(
            "I17",
            format!("{} calls were never answered", world.unanswered_calls()),
        ));
    }
    let live = world
        .sagas()
        .filter(|state| !state.status().is_terminal())
        .count();
    let held = node.machine().sagas().count();
    if held > live {
        return Err(plain(
            "I18",
            format!("{held} sagas are held in memory, {live} are under way"),
        ));
    }
    Ok(())
}
