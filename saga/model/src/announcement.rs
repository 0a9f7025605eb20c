//! What a participant says of itself.

use alloc::{collections::BTreeMap, sync::Arc};
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// Says that an instance of a participant is there, and what it can do. It says so again and again.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Announcement {
    /// The participant.
    pub participant: Arc<str>,
    /// The instance's own name, which no other of the participant has.
    pub instance: Arc<str>,
    /// What it can do, each with a version or another word on it: the names of the steps it performs, and
    /// whatever else distinguishes it.
    pub capabilities: BTreeMap<Arc<str>, Arc<str>>,
    /// How many commands it takes at a time.
    pub concurrency: u32,
    /// How often it says so, in microseconds where it is written.
    #[serde(with = "crate::micros")]
    pub every: Duration,
}
