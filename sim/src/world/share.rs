//! One partition of a world: its lease, who drives it, and what waits in front of it.

use std::{collections::BTreeMap, sync::Arc};

use sagalog_model::log::{Epoch, PartitionId};

#[cfg(feature = "mutants")]
use super::log::LogPartition;
use super::{ClientCall, World, lease::Lease, owner::Owner};

/// One partition, as the nodes share them out.
#[derive(Clone, Default)]
pub(crate) struct Share {
    pub(super) lease: Lease,
    /// Who drives it, by epoch. At most the last one owns it; the others were taken over while they
    /// were alive, and do not know yet.
    pub(super) owners: Vec<Owner>,
    /// Calls of clients that are not answered.
    pub(super) calls: BTreeMap<u64, Arc<ClientCall>>,
    /// Whoever is frozen still holds its inbox: the broker takes it for alive.
    pub(super) inbox_is_held: bool,
    /// Whoever owns it next dies before it has appended anything.
    pub(super) dies_again: bool,
    /// Two take it over next, one after the other.
    pub(super) raced: Option<Race>,
    /// What a planted bug read before it raised the epoch.
    #[cfg(feature = "mutants")]
    pub(super) read_early: Option<Box<LogPartition>>,
}

/// What the first of two is doing when the second takes the partition over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Race {
    /// It reads the log.
    Reading,
    /// It appends that it owns the partition.
    Appending,
}

/// One ownership of one partition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Ownership {
    pub(crate) partition: PartitionId,
    pub(crate) epoch: Epoch,
}

impl Share {
    /// Who owns it, as the log has it.
    pub(crate) fn owner(&self) -> Option<&Owner> {
        self.owners.iter().rfind(|owner| !owner.is_contested)
    }

    pub(super) fn owner_mut(&mut self) -> Option<&mut Owner> {
        self.owners.iter_mut().rfind(|owner| !owner.is_contested)
    }

    /// The next higher epoch under which somebody drives it.
    pub(super) fn epoch_after(&self, epoch: Epoch) -> Option<Epoch> {
        let mut epochs = self.owners.iter().map(|owner| owner.epoch);
        epochs.find(|other| *other > epoch)
    }

    pub(crate) fn unanswered_calls(&self) -> usize {
        self.calls.len()
    }
}

impl World {
    pub(crate) fn partitions(&self) -> impl Iterator<Item = PartitionId> + use<> {
        (0..self.shares.len() as u32).map(PartitionId::new)
    }

    pub(crate) fn share(&self, partition: PartitionId) -> &Share {
        &self.shares[partition.get() as usize]
    }

    pub(super) fn share_mut(&mut self, partition: PartitionId) -> &mut Share {
        &mut self.shares[partition.get() as usize]
    }

    /// Who drives a partition under an epoch, if it still does.
    pub(crate) fn owner(&self, of: Ownership) -> Option<&Owner> {
        let owners = &self.share(of.partition).owners;
        owners.iter().find(|owner| owner.epoch == of.epoch)
    }

    pub(super) fn owner_mut(&mut self, of: Ownership) -> Option<&mut Owner> {
        let owners = &mut self.share_mut(of.partition).owners;
        owners.iter_mut().find(|owner| owner.epoch == of.epoch)
    }

    /// Whether nobody has taken a partition over since.
    pub(super) fn is_newest(&self, of: Ownership) -> bool {
        let owner = self.share(of.partition).owner();
        owner.is_some_and(|owner| owner.epoch == of.epoch)
    }
}
