//! Every plan up to a number of faults, breadth first: runs share their beginnings.

use super::{Found, Search};
use crate::{check::Violation, fault::Fault, plan::Plan, site::Site, world::Setup};

/// A plan whose run has no violation, to be extended at places from this one on.
type Parent = (Plan, usize);

impl Search {
    /// Breadth first by the number of faults. Each plan is extended only at sites that its run visits
    /// after its last fault, so that no plan is run twice.
    pub(super) fn exhaust(&mut self) -> Found {
        let root = (self.base.plan().clone(), self.base.visited().len());
        if self.is_spent() {
            self.report.exhausted.push((0, false));
            return None;
        }
        let world = self.begin();
        if let Some(found) = self.judge(&world) {
            return Some(found);
        }
        self.report.exhausted.push((1, true));
        let mut parents = vec![root];
        for faults in 1..=self.budget.faults {
            let mut level = Level {
                is_last: faults == self.budget.faults,
                kinds: Kinds::Core,
                count: 0,
                children: Vec::new(),
            };
            let found = self.extend_all(&parents, &mut level);
            let found = match found {
                // The core first: its findings say most.
                Extended::All if faults == 1 => {
                    level.kinds = Kinds::Others;
                    self.extend_all(&parents, &mut level)
                }
                found => found,
            };
            self.report
                .exhausted
                .push((level.count, matches!(found, Extended::All)));
            match found {
                Extended::All => parents = level.children,
                Extended::Spent => return None,
                Extended::Found(found) => return Some(found),
            }
        }
        None
    }

    fn extend_all(&mut self, parents: &[Parent], level: &mut Level) -> Extended {
        for parent in parents {
            match self.extend(parent, level) {
                Extended::All => {}
                ended => return ended,
            }
        }
        Extended::All
    }

    /// Runs a parent again, stopping before every moment at which something new may go wrong, and
    /// goes on from there with each alternative.
    fn extend(&mut self, (plan, from): &Parent, level: &mut Level) -> Extended {
        let mut world = self.base.planned(plan.clone());
        loop {
            let before = world.clone();
            let goes_on = world.turn();
            let fresh = before.visited().len().max(*from);
            for place in fresh..world.visited().len() {
                let site = &world.visited()[place];
                for fault in alternatives(world.setup(), site, plan, level.kinds) {
                    if self.is_spent() {
                        return Extended::Spent;
                    }
                    let mut child = before.fork(site.clone(), fault);
                    child.play();
                    level.count += 1;
                    if let Some(found) = self.judge(&child) {
                        return Extended::Found(found);
                    }
                    if !level.is_last && level.kinds == Kinds::Core {
                        level.children.push((child.plan().clone(), place + 1));
                    }
                }
            }
            if !goes_on {
                return Extended::All;
            }
        }
    }
}

/// All plans of one number of faults.
struct Level {
    is_last: bool,
    kinds: Kinds,
    count: u64,
    children: Vec<Parent>,
}

/// Which kinds of fault are added.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Kinds {
    Core,
    Others,
}

enum Extended {
    All,
    Spent,
    Found((Plan, Violation)),
}

/// What may go wrong at a site besides the plan.
fn alternatives(
    setup: &Setup,
    site: &Site,
    plan: &Plan,
    kinds: Kinds,
) -> impl Iterator<Item = Fault> {
    let point = site.point;
    let taken = plan.at(site).is_some();
    setup
        .faults_at(site)
        .filter(move |fault| !taken && fault.is_core(point) == (kinds == Kinds::Core))
}
