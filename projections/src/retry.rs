//! The retry schedule: a pure function of the policy and of what is retried.

use core::time::Duration;

use sagalog_model::{AttemptNumber, Delays, Direction, Retry, SagaId};

/// How long to wait after `spent` attempts of the budget; `None` once the budget is spent.
pub fn wait_after(policy: &Retry, spent: u32, jitter: Jitter<'_>) -> Option<Duration> {
    if spent >= policy.attempts {
        return None;
    }
    let plain = plain_wait(&policy.delays, spent);
    Some(plain.saturating_add(jitter.of(plain, policy.jitter_percent)))
}

/// What is retried. Jitter is a hash of it, so that deciding again gives the same wait.
#[derive(Clone, Copy, Debug)]
pub struct Jitter<'a> {
    /// The saga.
    pub saga: &'a SagaId,
    /// The node's id.
    pub node: &'a str,
    /// What is asked.
    pub direction: Direction,
    /// The attempt that ended.
    pub attempt: AttemptNumber,
}

fn plain_wait(delays: &Delays, spent: u32) -> Duration {
    let index = spent.saturating_sub(1);
    match delays {
        Delays::Fixed(delay) => *delay,
        Delays::Exponential { first, cap } => first
            .checked_mul(1u32.checked_shl(index).unwrap_or(u32::MAX))
            .unwrap_or(*cap)
            .min(*cap),
        Delays::Listed(list) => {
            let waits = list.as_slice();
            waits[(index as usize).min(waits.len() - 1)]
        }
    }
}

impl Jitter<'_> {
    fn of(&self, wait: Duration, percent: u8) -> Duration {
        let most = wait.as_micros().saturating_mul(u128::from(percent)) / 100;
        let part = u128::from(self.hash() >> 32);
        let micros = most.saturating_mul(part) >> 32;
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// FNV-1a over all parts, then the finalizer of SplitMix64, which spreads the last bytes over
    /// all bits (FNV alone leaves the high ones nearly alike for texts that end alike).
    fn hash(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let attempt = self.attempt.0.to_be_bytes();
        let parts = [
            self.saga.as_str().as_bytes(),
            self.node.as_bytes(),
            self.direction.as_str().as_bytes(),
            &attempt,
        ];
        for part in parts {
            for byte in part.iter().chain(&[0xff]) {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^ (hash >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(policy: Retry) -> alloc::vec::Vec<Option<u64>> {
        let saga = SagaId::new("s-1").expect("a good id");
        (1..=7)
            .map(|spent| {
                let jitter = Jitter {
                    saga: &saga,
                    node: "charge",
                    direction: Direction::Action,
                    attempt: AttemptNumber(spent),
                };
                wait_after(&policy, spent, jitter).map(|wait| wait.as_millis() as u64)
            })
            .collect()
    }

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn exponential_waits_double_up_to_their_cap_and_end_with_the_budget() {
        let policy = Retry::exponential(MS(100), MS(500))
            .jitter_percent(0)
            .attempts(6);
        assert_eq!(
            waits(policy),
            [
                Some(100),
                Some(200),
                Some(400),
                Some(500),
                Some(500),
                None,
                None
            ]
        );
    }

    #[test]
    fn each_preset_begins_small_and_outlasts_what_it_is_for() {
        let spans = |policy: Retry| {
            let saga = SagaId::new("s-1").expect("a good id");
            let wait = |spent| {
                let jitter = Jitter {
                    saga: &saga,
                    node: "charge",
                    direction: Direction::Action,
                    attempt: AttemptNumber(spent),
                };
                wait_after(&policy.jitter_percent(0), spent, jitter)
            };
            let all = (1..).map_while(wait).sum::<Duration>();
            (wait(1).expect("it retries"), all)
        };
        let seconds = Duration::from_secs;
        assert_eq!(spans(Retry::DATABASE), (MS(20), MS(30_100)));
        assert_eq!(spans(Retry::BROKER), (MS(200), MS(62_600)));
        assert_eq!(spans(Retry::HTTP), (MS(500), seconds(121) + MS(500)));
    }

    #[test]
    fn listed_waits_come_in_order() {
        assert_eq!(
            waits(Retry::listed(&[MS(5), MS(70), MS(1)])),
            [Some(5), Some(70), Some(1), None, None, None, None]
        );
    }

    #[test]
    fn many_attempts_never_overflow() {
        let policy = Retry::exponential(MS(100), MS(60_000))
            .jitter_percent(100)
            .attempts(u32::MAX);
        let saga = SagaId::new("s").expect("a good id");
        for spent in [31, 32, 33, 64, 1_000_000, u32::MAX - 1] {
            let jitter = Jitter {
                saga: &saga,
                node: "n",
                direction: Direction::Action,
                attempt: AttemptNumber(spent),
            };
            let wait = wait_after(&policy, spent, jitter).expect("the budget is not spent");
            assert!(
                (MS(60_000)..=MS(120_000)).contains(&wait),
                "{wait:?} after {spent}"
            );
        }
    }

    #[test]
    fn jitter_stays_within_its_share_and_differs_between_sagas() {
        let policy = Retry::fixed(MS(1_000)).jitter_percent(20);
        let wait = |saga: &str| {
            let saga = SagaId::new(saga).expect("a good id");
            let jitter = Jitter {
                saga: &saga,
                node: "n",
                direction: Direction::Action,
                attempt: AttemptNumber(1),
            };
            wait_after(&policy, 1, jitter).expect("the budget is not spent")
        };
        let waits: alloc::vec::Vec<_> = (0..50).map(|n| wait(&alloc::format!("o-{n}"))).collect();
        assert!(
            waits
                .iter()
                .all(|wait| (MS(1_000)..=MS(1_200)).contains(wait))
        );
        let distinct: alloc::collections::BTreeSet<_> = waits.iter().collect();
        assert!(
            distinct.len() > 45,
            "only {} different waits",
            distinct.len()
        );
    }
}
