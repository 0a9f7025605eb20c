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
    prefetch: usize,
}

impl Acknowledged {
    /// For a consumer that has at most so many deliveries outstanding.
    pub(super) fn of(prefetch: usize) -> Self {
        Self {
            numbers: Vec::new(),
            due: Instant::now(),
            prefetch,
        }
    }

    pub(super) fn extend(&mut self, numbers: Vec<u64>) {
        if self.numbers.is_empty() {
            self.due = Instant::now() + TOGETHER_WITHIN;
        }
        self.numbers.extend(numbers);
    }

    /// Whether the broker is to be told now, if so many others are outstanding. To the broker they all are: it
    /// must not keep deliveries back for want of a word.
    pub(super) fn is_due(&self, others: usize) -> bool {
        let count = self.numbers.len();
        let is_crowded = (count + others) * 4 > self.prefetch * 3;
        count > 0 && (count >= TOGETHER_MAX || is_crowded || self.due <= Instant::now())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledged(count: u64, prefetch: usize) -> Acknowledged {
        let mut acknowledged = Acknowledged::of(prefetch);
        acknowledged.extend((1..=count).collect());
        acknowledged
    }

    #[test]
    fn some_wait_for_each_other() {
        assert!(!acknowledged(0, 1_000).is_due(0));
        assert!(!acknowledged(255, 1_000).is_due(0));
        assert!(acknowledged(256, 1_000).is_due(0));
    }

    #[test]
    fn none_waits_while_the_broker_may_keep_deliveries_back() {
        assert!(!acknowledged(1, 100).is_due(74));
        assert!(acknowledged(1, 100).is_due(75));
        assert!(acknowledged(1, 1).is_due(0));
    }

    #[test]
    fn they_are_told_once_and_in_order() {
        let mut acknowledged = Acknowledged::of(100);
        acknowledged.extend(vec![3, 1]);
        acknowledged.extend(vec![2]);
        assert_eq!(acknowledged.take(), [1, 2, 3]);
        assert!(acknowledged.take().is_empty());
    }
}
