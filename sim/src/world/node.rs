//! The nodes: each drives some partitions, has clocks of its own, dies, is paused, and comes back.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use sagalog_model::log::{PartitionId, Time};

use super::{
    DOWN, Happening, LONG_AFTER, Lane, World, clock::Clock, owner::Zombie, share::Ownership,
};

/// A process that may own partitions.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) clock: Clock,
    pub(super) health: Health,
    /// Since when it has been up without a break: it has watched no lease for longer.
    pub(super) since: Time,
    /// It does not come back before.
    down_until: Time,
}

/// What a node can do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Health {
    /// Anything.
    Up,
    /// It goes on, but its leases are not renewed.
    CutOff,
    /// Nothing: it is dead or paused.
    Down,
}

/// Which node, from 0; people call the first one `n1`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct NodeNumber(pub(super) usize);

impl NodeNumber {
    /// Its number in the log.
    pub(super) const fn in_the_log(self) -> u32 {
        self.0 as u32 + 1
    }
}

impl fmt::Display for NodeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0 + 1)
    }
}

impl Node {
    pub(super) fn new(beginning: Time) -> Self {
        Self {
            clock: Clock::default(),
            health: Health::Up,
            since: beginning,
            down_until: beginning,
        }
    }
}

impl World {
    pub(super) fn node(&self, node: NodeNumber) -> &Node {
        &self.nodes[node.0]
    }

    pub(super) fn node_mut(&mut self, node: NodeNumber) -> &mut Node {
        &mut self.nodes[node.0]
    }

    pub(crate) fn has_several_nodes(&self) -> bool {
        self.nodes.len() > 1
    }

    /// Where a partition belongs when all are well.
    pub(super) fn home(&self, partition: PartitionId) -> NodeNumber {
        NodeNumber(partition.get() as usize % self.nodes.len())
    }

    /// The nodes that may take a partition over, the one where it belongs first.
    pub(super) fn contenders(&self, partition: PartitionId) -> impl Iterator<Item = NodeNumber> {
        let (home, count) = (self.home(partition).0, self.nodes.len());
        let nodes = (home..home + count).map(move |node| NodeNumber(node % count));
        nodes.filter(|node| self.node(*node).health == Health::Up)
    }

    /// Another node that is up; the same one if there is none, as a process of its own.
    pub(super) fn another(&self, partition: PartitionId, than: NodeNumber) -> NodeNumber {
        let mut others = self.contenders(partition).filter(|node| *node != than);
        others.next().unwrap_or(than)
    }

    /// Every other clock is slow from now on, the others are fast.
    pub(super) fn clocks_drift(&mut self) {
        for pair in self.nodes.chunks_mut(2) {
            let [slow, fast @ ..] = pair else { continue };
            slow.clock.run_slow();
            fast.iter_mut().for_each(|node| node.clock.run_fast());
        }
    }

    /// What a node's clock shows.
    pub(super) fn time_of(&self, node: NodeNumber) -> Time {
        self.node(node).clock.shows(self.now)
    }

    pub(super) fn in_words(&self, partition: PartitionId) -> Cow<'static, str> {
        match self.shares.len() {
            1 => "the partition".into(),
            _ => format!("partition {partition}").into(),
        }
    }

    /// A line in the lane of the nodes: which one, if there are several.
    pub(super) fn node_says(&mut self, node: NodeNumber, what: impl FnOnce() -> String) {
        let several = self.has_several_nodes();
        self.say(Lane::Node, || match several {
            true => format!("{node} {}", what()),
            false => what(),
        });
    }

    pub(super) fn dies(&mut self, node: NodeNumber) {
        self.dies_for(node, DOWN);
    }

    pub(super) fn dies_for(&mut self, node: NodeNumber, down: Duration) {
        self.node_says(node, || "dies".into());
        self.goes_down(node);
        if !mutant!(self, NobodyTakesOver) {
            self.comes_back_after(node, down);
        }
    }

    pub(super) fn owner_dies(&mut self, of: Ownership) {
        if let Some(owner) = self.owner(of) {
            self.dies(owner.node);
        }
    }

    pub(super) fn owner_is_paused(&mut self, of: Ownership) {
        if let Some(owner) = self.owner(of) {
            self.is_paused(owner.node);
        }
    }

    /// Nobody is left until all that was asked is overdue.
    pub(super) fn all_die_for_long(&mut self) {
        for node in (0..self.nodes.len()).map(NodeNumber) {
            self.dies_for(node, LONG_AFTER);
        }
    }

    /// A node is paused beyond its leases; then it goes on with what it was about to append.
    pub(super) fn is_paused(&mut self, node: NodeNumber) {
        let zombies = self.goes_down(node);
        if self.has_several_nodes() {
            self.comes_back_after(node, 3 * DOWN);
        } else {
            // What takes over is another process of the same name.
            self.comes_back_after(node, DOWN);
        }
        for zombie in zombies {
            let at = self.now.after(3 * DOWN);
            self.agenda
                .add(at, Happening::ZombieResumes(Arc::new(zombie)));
        }
    }

    /// A node is paused, and nobody tells the broker: its inboxes are its own until it goes on.
    pub(super) fn freezes(&mut self, node: NodeNumber) {
        for partition in self.partitions() {
            let share = self.share_mut(partition);
            if share.owner().is_some_and(|owner| owner.node == node) {
                share.inbox_is_held = true;
                let at = self.now.after(3 * DOWN);
                self.agenda.add(at, Happening::InboxIsFree(partition));
            }
        }
        self.is_paused(node);
    }

    /// It drives nothing any more, and its leases run out. What it was about to append may still come.
    pub(super) fn goes_down(&mut self, node: NodeNumber) -> Vec<Zombie> {
        let mut zombies = Vec::new();
        for partition in self.partitions() {
            let owners = &mut self.share_mut(partition).owners;
            owners.retain_mut(|owner| {
                if owner.node != node {
                    return true;
                }
                let of = Ownership {
                    partition,
                    epoch: owner.epoch,
                };
                zombies.extend(
                    owner
                        .appending
                        .take()
                        .map(|rows| Zombie::new(of, node, rows)),
                );
                false
            });
        }
        self.node_mut(node).health = Health::Down;
        self.renews_no_more(node);
        zombies
    }

    pub(super) fn comes_back_after(&mut self, node: NodeNumber, down: Duration) {
        let at = self.now.after(down);
        self.node_mut(node).down_until = at;
        self.agenda.add(at, Happening::ComesBack(node));
    }

    /// A node is there again: it takes what is free, and is given what belongs to it.
    pub(super) fn comes_back(&mut self, node: NodeNumber) {
        if self.now < self.node(node).down_until {
            return;
        }
        let now = self.now;
        let back = self.node_mut(node);
        if back.health == Health::Up {
            return;
        }
        back.health = Health::Up;
        back.since = now;
        for partition in self.partitions() {
            self.look_at_the_lease(partition);
            if mutant!(self, RecoversOnePartitionOnly) {
                break;
            }
        }
    }
}
