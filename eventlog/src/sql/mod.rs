//! What the logs in SQL databases share: how a row reads back, the recovery snapshot, following a
//! tail that another process moves. The statements themselves are each backend's own.

pub(crate) mod columns;
pub(crate) mod follow;
pub(crate) mod snapshot;
