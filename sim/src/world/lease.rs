//! Leases: who may take a partition over, and when its owner must stop.
//!
//! A node renews the leases of all its partitions at once. Renewals that succeed leave no trace here;
//! what is told is when they end. From the last one on, its owner counts its lease by its own clock
//! and stops a margin earlier; whoever contends counts by its own as well, from when it saw the last
//! renewal.

use std::time::Duration;

use sagalog_model::log::{PartitionId, Time};

use super::{
    DOWN, HOP, Happening, World,
    node::{Health, NodeNumber},
    share::Ownership,
};
use crate::check;

/// How long a lease lasts from its last renewal on.
const LEASE: Duration = Duration::from_millis(10);

/// How much earlier its owner stops: more than two clocks that drift apart come to.
const MARGIN: Duration = Duration::from_millis(2);

/// How often a lease is renewed.
const HEARTBEAT: Duration = Duration::from_millis(3);

/// How long the answer to the last renewal takes before none succeeds.
const SLOW_ANSWER: Duration = Duration::from_millis(5);

/// The lease of a partition, as the database has it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lease {
    /// Whose it is; nobody's when it was released.
    pub(super) holder: Option<NodeNumber>,
    /// When it was renewed last; none while it is renewed.
    renewed: Option<Time>,
}

impl World {
    /// A node has the lease of a partition from now on.
    pub(super) fn leases(&mut self, partition: PartitionId, node: NodeNumber) {
        self.share_mut(partition).lease = Lease {
            holder: Some(node),
            renewed: None,
        };
    }

    /// The leases of a node run out from now on.
    pub(super) fn renews_no_more(&mut self, node: NodeNumber) {
        let now = self.now;
        for partition in self.partitions() {
            let lease = &mut self.share_mut(partition).lease;
            if lease.holder == Some(node) && lease.renewed.is_none() {
                lease.renewed = Some(now);
                if self.has_several_nodes() {
                    self.look_later(partition, LEASE);
                }
                if mutant!(self, RecoversOnePartitionOnly) {
                    break;
                }
            }
        }
    }

    /// A node's last renewal is answered late, and all after it fail: it must stop before its leases
    /// are out.
    pub(super) fn heartbeats_fail(&mut self, node: NodeNumber) {
        self.renews_no_more(node);
        self.node_mut(node).health = Health::CutOff;
        if !mutant!(self, GoesOnWithoutHeartbeats) {
            let counted = self.node(node).clock.really(LEASE - self.margin());
            let from = if mutant!(self, CountsTheLeaseFromTheAnswer) {
                self.now.after(SLOW_ANSWER)
            } else {
                self.now
            };
            self.agenda.add(from.after(counted), Happening::Stops(node));
        }
        self.comes_back_after(node, 3 * DOWN);
    }

    fn margin(&self) -> Duration {
        if mutant!(self, LeavesNoMargin) {
            Duration::ZERO
        } else {
            MARGIN
        }
    }

    /// A node gives up what it could not renew.
    pub(super) fn stops(&mut self, node: NodeNumber) {
        if self.node(node).health != Health::CutOff {
            return;
        }
        self.node_says(node, || "stops, as its leases may be out".into());
        self.goes_down(node);
    }

    /// Whoever may take a partition over does; and who has what belongs to another gives it back.
    pub(super) fn look_at_the_lease(&mut self, partition: PartitionId) {
        let contender = self
            .contenders(partition)
            .find(|node| self.may_take(partition, *node));
        if let Some(contender) = contender {
            return self.takes_over(partition, contender);
        }
        if self.share(partition).lease.renewed.is_some() {
            if self.contenders(partition).next().is_some() {
                self.look_later(partition, HEARTBEAT);
            }
            return;
        }
        let home = self.home(partition);
        let is_home = self.node(home).health == Health::Up;
        if let Some(owner) = self.share_mut(partition).owner_mut()
            && owner.node != home
            && is_home
        {
            owner.is_leaving = true;
        }
    }

    fn look_later(&mut self, partition: PartitionId, after: Duration) {
        let at = self.now.after(after);
        self.agenda.add(at, Happening::LookAtTheLease(partition));
    }

    /// Some time from now every lease is looked at.
    pub(super) fn look_at_all_leases(&mut self) {
        if self.has_several_nodes() {
            for partition in self.partitions() {
                self.look_later(partition, HEARTBEAT);
            }
        }
    }

    fn may_take(&self, partition: PartitionId, node: NodeNumber) -> bool {
        let lease = self.share(partition).lease;
        match lease.holder {
            None => true,
            // Its own from before it died: the new epoch fences whatever is left of that.
            Some(holder) if holder == node => {
                lease.renewed.is_some() && !self.drives(partition, node)
            }
            Some(holder) if mutant!(self, JudgesLeasesByTheWallClock) => {
                let renewed = lease.renewed.unwrap_or(self.now);
                let written = self.node(holder).clock.shows(renewed);
                self.time_of(node) >= written.after(LEASE)
            }
            Some(_) => self.out(partition, node).is_some_and(|out| out <= self.now),
        }
    }

    fn drives(&self, partition: PartitionId, node: NodeNumber) -> bool {
        let mut owners = self.share(partition).owners.iter();
        owners.any(|owner| owner.node == node)
    }

    /// When a contender judges that a lease is out, if it is renewed no more.
    fn out(&self, partition: PartitionId, node: NodeNumber) -> Option<Time> {
        let renewed = self.share(partition).lease.renewed?;
        let contender = self.node(node);
        // One that has come up since has not seen what was before.
        let watched = renewed.max(contender.since);
        Some(watched.after(contender.clock.really(LEASE)))
    }

    /// A contender judges for itself that it may have the partition.
    fn takes_over(&mut self, partition: PartitionId, node: NodeNumber) {
        let checked = check::taken_from_nobody(self, partition, node);
        self.checked(checked);
        self.take_over(partition, node);
    }

    /// A person has a partition taken from a node that is well, which finds out at its next append
    /// or heartbeat.
    pub(super) fn is_forced(&mut self, from: Ownership) {
        let Some(owner) = self.owner(from) else {
            return;
        };
        let node = self.another(from.partition, owner.node);
        for owner in &mut self.share_mut(from.partition).owners {
            owner.is_contested = true;
        }
        self.take_over(from.partition, node);
        self.agenda
            .add(self.now.after(HEARTBEAT), Happening::FindsOut(from));
    }

    /// Whether a partition was taken from whoever drives it under an epoch.
    pub(crate) fn is_contested(&self, of: Ownership) -> bool {
        self.owner(of).is_some_and(|owner| owner.is_contested)
    }

    /// A heartbeat says that a partition has another owner.
    pub(super) fn finds_out(&mut self, of: Ownership) {
        if !self.is_newest(of) {
            self.is_fenced(of);
        }
    }

    /// It has learnt that another owns its partition, and stops driving it.
    pub(super) fn is_fenced(&mut self, of: Ownership) {
        let Some(owner) = self.owner(of) else {
            return;
        };
        let node = owner.node;
        self.node_says(node, || "is fenced, and stops".into());
        let owners = &mut self.share_mut(of.partition).owners;
        owners.retain(|owner| owner.epoch != of.epoch);
        self.look_later(of.partition, DOWN);
    }

    /// An owner that has nothing on its way to the log gives the partition up, for another to have it
    /// at once.
    pub(super) fn releases(&mut self, of: Ownership) {
        let Some(owner) = self.owner(of) else {
            return;
        };
        let node = owner.node;
        let which = self.in_words(of.partition);
        self.node_says(node, || format!("releases {which}"));
        let keeps = mutant!(self, KeepsTheLeaseAtShutdown);
        let share = self.share_mut(of.partition);
        share.owners.retain(|owner| owner.epoch != of.epoch);
        if !keeps {
            share.lease = Lease::default();
            self.log
                .partition_mut(of.partition)
                .release(node.in_the_log());
        }
        self.look_later(of.partition, HOP);
    }
}
