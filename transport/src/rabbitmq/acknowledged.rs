//! Acknowledgements on their way to the broker.
//!
//! To a quorum queue each is an entry of its own log, as dear as a message. So those of many deliveries are told
//! with one word, and wait a moment for each other. If the channel is lost meanwhile they come again, as they may
//! whenever it is lost.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How long the first may wait for others.
const TOGETHER_WITHIN: Duration = Duration::from_millis(100);

/// With so many they wait no longer.
const TOGETHER_MAX: usize = 256;

/// Deliveries that are settled, and the broker does not know it yet.
pub(super) struct Acknowledged {
    numbers: Vec<u64>,
    /// When the broker is told, if there are any.
    due: Instant,
    at_most: usize,
}

impl Acknowledged {
    /// For a consumer that has at most so many deliveries outstanding: enough of these stay free for it to be
    /// sent more.
    pub(super) fn told_together(prefetch: usize) -> Self {
        Self {
            numbers: Vec::new(),
            due: Instant::now(),
            at_most: (prefetch / 4).clamp(1, TOGETHER_MAX),
        }
    }

    pub(super) fn extend(&mut self, numbers: Vec<u64>) {
        if self.numbers.is_empty() {
            self.due = Instant::now() + TOGETHER_WITHIN;
        }
        self.numbers.extend(numbers);
    }

    pub(super) fn is_due(&self) -> bool {
        self.numbers.len() >= self.at_most
            || (!self.numbers.is_empty() && self.due <= Instant::now())
    }

    /// Waits until the broker is to be told; for ever if there is nothing to tell.
    pub(super) async fn due(&self) {
        if self.numbers.is_empty() {
            std::future::pending::<()>().await;
        }
        sleep_until(self.due).await;
    }

    /// All of them, in order.
    pub(super) fn take(&mut self) -> Vec<u64> {
        let mut numbers = std::mem::take(&mut self.numbers);
        numbers.sort_unstable();
        numbers
    }
}
