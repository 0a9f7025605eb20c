//! What there is to reach, measured in the same run: the broker alone at the same rate, and the log alone with
//! the same rows. No saga is run: nothing is decided, asked, performed or waited for.

mod broker;
mod log;

pub(super) use self::{broker::round_trips, log::sagas_per_s};
