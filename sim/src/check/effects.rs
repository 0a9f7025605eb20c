//! I7: each node nets at most one effect forward and one back.

use super::Violation;
use crate::world::World;

pub(super) fn at_most_one_net_effect(world: &World) -> Result<(), Violation> {
    for (key, account) in world.ledger().accounts() {
        let undone_before = matches!((account.applied, account.undone), (Some(applied), Some(undone)) if undone < applied);
        if !(0..=1).contains(&account.net()) || undone_before {
            let what = format!("{} nets {} effects", key.as_str(), account.net());
            return Err(Violation {
                invariant: "I7",
                saga: None,
                what,
                at: world.now(),
            });
        }
    }
    Ok(())
}
