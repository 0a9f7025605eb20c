//! What every backend must do, one public async function per property.
//!
//! A backend's test hands in a [`Subject`] and runs them all, one line each:
//!
//! ```text
//! #[tokio::test]
//! async fn positions_and_versions_have_no_gaps() {
//!     conformance::positions_and_versions_have_no_gaps(&MySubject::new()).await;
//! }
//! ```
//!
//! [`for_each_property!`](crate::for_each_property) keeps that list in one place, so a property that
//! is added is run against every backend. The module is always compiled: it has no dependencies of
//! its own, and tests of other crates need it without switching a feature on for everybody.

mod appending;
mod author;
mod following;
mod owning;
mod reading;

use std::sync::Arc;

use async_trait::async_trait;
use sagalog_model::log::PartitionId;

use crate::{checkpoint::CheckpointStore, contract::EventLog};

pub use self::{appending::*, author::Author, following::*, owning::*, reading::*};

/// The partition that the properties are tried on.
pub const PARTITION: PartitionId = PartitionId::new(0);

/// An empty log to try the properties on.
#[async_trait]
pub trait Subject: Send + Sync {
    /// Another handle on the log, as another process would open it.
    async fn open(&self) -> Arc<dyn EventLog>;

    /// Another handle on its checkpoints.
    async fn checkpoints(&self) -> Arc<CheckpointStore>;
}

/// Calls a macro once with the names of all properties.
#[macro_export]
macro_rules! for_each_property {
    ($run:ident) => {
        $run! {
            positions_and_versions_have_no_gaps
            what_was_appended_reads_back_byte_for_byte
            a_conflict_of_position_writes_nothing
            a_conflict_of_version_writes_nothing
            a_name_begins_one_stream_only
            one_conflict_leaves_nothing_of_its_append
            an_append_over_several_streams_is_one
            appending_again_is_answered_with_the_place
            appending_a_part_again_is_a_conflict
            the_same_id_with_other_content_is_refused
            one_id_on_two_streams_is_answered_for_each
            a_clock_that_steps_back_is_refused
            batches_that_no_log_could_store_are_refused
            a_closed_stream_goes_on_where_it_was
            an_append_whose_caller_left_is_whole_or_absent
            a_refused_append_leaves_the_owner_able
            a_partition_has_one_owner
            a_silent_owner_keeps_its_partition_for_its_lease
            renewing_says_whether_it_is_still_owned
            whoever_shares_sees_the_others
            acquiring_again_raises_the_epoch
            an_older_epoch_writes_nothing
            an_owner_that_was_followed_is_fenced
            nobody_appends_without_owning
            open_streams_survive_the_owner
            partitions_that_do_not_exist_are_refused
            the_tail_is_what_was_answered
            heads_come_in_the_order_asked
            a_read_inside_a_batch_gets_the_batch
            pages_join_without_gap_or_overlap
            many_streams_are_read_in_pages
            streams_are_listed_in_the_order_they_began
            a_whole_partition_verifies
            a_subscription_sees_old_and_new_alike
            a_subscription_begins_inside_a_batch
            a_subscription_never_skips_under_a_busy_writer
            a_subscription_beyond_the_tail_is_refused
            a_watch_moves_with_the_tail
            checkpoints_survive_their_handle
        }
    };
}
