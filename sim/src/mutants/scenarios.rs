//! The sagas that planted bugs are looked for in: the small ones, of all shapes that the engine
//! treats differently.

use std::time::Duration;

use super::sagas::{branches, later, lines, undoing, waits};
use crate::Sim;

/// A saga that planted bugs are looked for in.
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What already goes wrong in it, whatever the plan says: a cancel counts as a fault.
    pub faults: usize,
    /// The saga.
    pub sim: Sim,
}

/// All of them.
pub fn scenarios() -> Vec<Scenario> {
    let plain = |name, sim| scenario(name, 0, sim);
    let cancelled =
        |name, sim: Sim, after| scenario(name, 1, sim.cancel(Duration::from_millis(after)));
    vec![
        plain("three", lines::three()),
        plain("order", lines::order()),
        plain("fork", branches::fork()),
        plain("approval", waits::two_approvals()),
        plain("refund", undoing::refund()),
        plain("once", lines::once()),
        plain("paid lab", later::paid_lab()),
        plain("hurry", lines::hurry()),
        plain("at once", lines::at_once()),
        plain("two", lines::three().and_saga(&5)),
        plain("nodes", lines::three().and_saga(&5).nodes(2)),
        plain(
            "partitions",
            lines::three().and_saga(&5).nodes(2).partitions(4),
        ),
        plain("visits", waits::visits_in_a_long_life()),
        plain("prices", waits::prices_or_none()),
        plain("asked prices", waits::prices_that_are_asked_for()),
        plain("prices of two", waits::prices_of_two()),
        plain("put right", waits::approval_that_is_put_right()),
        plain("given up", waits::approval_that_is_dropped()),
        plain(
            "put right beside another",
            waits::approval_that_is_put_right().and_saga(&5),
        ),
        plain("left alone", lines::left_alone()),
        plain("paused", lines::three().pause(at(4), PAUSED)),
        plain("paused wait", waits::approval().pause(at(1_500), PAUSED)),
        scenario(
            "compensated",
            1,
            branches::fork().pause(at(4), PAUSED).compensate(at(9)),
        ),
        scenario(
            "deadline set",
            1,
            lines::three().set_deadline(at(5), Some(Duration::from_millis(3))),
        ),
        cancelled("cancel", lines::three(), 7),
        cancelled("late cancel", lines::order(), 17),
    ]
}

const fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Attempts are over by then, and waits.
const PAUSED: Duration = Duration::from_secs(8);

/// Without what its author promises: what every run is looked at for must find the bugs.
fn scenario(name: &'static str, faults: usize, mut sim: Sim) -> Scenario {
    sim.setup.always.clear();
    sim.setup.eventually.clear();
    Scenario { name, faults, sim }
}
