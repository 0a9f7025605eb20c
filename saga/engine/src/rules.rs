//! The bounds that the engine keeps. They are part of what is decided with, so the log names them.

use core::time::Duration;

/// Bounds and spans of a partition. At a limit new starts are refused first; replies, timers and
/// operator actions are always accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rules {
    /// The most sagas that may be under way; a start beyond it is refused as busy.
    pub live_max: usize,
    /// The most commands that may be published and unanswered; further ones stay in state.
    pub window: usize,
    /// The largest payload, in bytes.
    pub payload_max: usize,
    /// The most bytes that the expressions of one input may give; beyond it a node is parked.
    pub decided_bytes_max: usize,
    /// The longest id of a signal or request, and the longest name of who asks, in bytes.
    pub id_max: usize,
    /// The most signals of a saga, and operators' requests, that are remembered with the time until
    /// which they may come again.
    pub ids_max: usize,
    /// By how much the clock of a sender may be behind: for so long beyond its time an id is
    /// remembered for certain.
    pub clock_skew_max: Duration,
    /// The longest reason that is recorded; a longer one is cut.
    pub reason_max: usize,
    /// The most inputs of one commit.
    pub commit_inputs_max: usize,
    /// The most bytes of one commit, but always one input.
    pub commit_bytes_max: usize,
    /// The most callers that may wait for the end of sagas.
    pub waiters_max: usize,
    /// How long overdue timers wait after a downtime, unless the inbox is found empty before.
    pub overdue_grace: Duration,
    /// The most dead letters that are kept at hand; beyond it the oldest gives way.
    pub letters_max: usize,
    /// The most bytes that their bodies may take; beyond it the oldest gives way.
    pub letters_bytes_max: usize,
    /// How long a dead letter is kept at hand.
    pub letter_age_max: Duration,
    /// The bug that is planted, for the simulator to find.
    #[cfg(feature = "mutants")]
    pub mutant: Option<crate::mutants::Mutant>,
}

impl Rules {
    /// The version of the rules by which this build decides. A log says which decided it.
    pub const VERSION: u32 = 1;

    /// What is used unless configured otherwise.
    pub const DEFAULT: Self = Self {
        live_max: 100_000,
        window: 1_024,
        payload_max: 256 * 1024,
        decided_bytes_max: 16 * 1024 * 1024,
        id_max: 255,
        ids_max: 1_000,
        clock_skew_max: Duration::from_secs(60),
        reason_max: 8 * 1024,
        commit_inputs_max: 512,
        commit_bytes_max: 1024 * 1024,
        waiters_max: 100_000,
        overdue_grace: Duration::from_secs(5),
        letters_max: 10_000,
        letters_bytes_max: 32 * 1024 * 1024,
        letter_age_max: Duration::from_secs(30 * 24 * 3_600),
        #[cfg(feature = "mutants")]
        mutant: None,
    };
}

impl Default for Rules {
    fn default() -> Self {
        Self::DEFAULT
    }
}
