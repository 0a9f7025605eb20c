//! Who shares a log's partitions.

use sagalog_model::log::PartitionId;

use crate::owner::Holder;

/// A handle that wants a share of a log's partitions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sharer {
    /// What it is called: another handle has another name, also in the same process.
    pub id: String,
    /// Who it is, in words for people.
    pub holder: Holder,
    /// Higher each time that it shares: it lives as long as this moves.
    pub sign: u64,
    /// The partitions that it owns, in order.
    pub owns: Vec<PartitionId>,
    /// It is the handle that asked.
    pub is_me: bool,
}
