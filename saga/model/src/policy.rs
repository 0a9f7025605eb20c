//! Retry policies, as data. The schedule they give is a pure fold in the projections.

use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// How often something is asked, and how long to wait in between.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// How often it is asked in all, at least once.
    pub attempts: u32,
    /// The waits between attempts.
    pub delays: Delays,
    /// Up to how many percent a wait is lengthened, by a hash of what is retried.
    pub jitter_percent: u8,
}

/// The waits between attempts.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delays {
    /// `first`, then twice as long each time, never longer than `cap`.
    Exponential {
        /// The wait before the second attempt.
        #[serde(with = "crate::micros")]
        first: Duration,
        /// The longest wait.
        #[serde(with = "crate::micros")]
        cap: Duration,
    },
    /// Always the same.
    Fixed(#[serde(with = "crate::micros")] Duration),
    /// One after the other; the last one repeats.
    Listed(DelayList),
}

impl Retry {
    /// Five attempts, 100 ms doubling up to 60 s, 20 % jitter.
    pub const DEFAULT: Self =
        Self::exponential(Duration::from_millis(100), Duration::from_secs(60)).attempts(5);

    /// For a step whose participant writes to a database: 20 ms doubling up to 5 s, 14 attempts, which end
    /// after half a minute, up to 50 % jitter.
    ///
    /// Two transactions that were in each other's way are not any more after some milliseconds, unless
    /// both wait as long as each other. A standby takes over within seconds to half a minute.
    pub const DATABASE: Self = Self::exponential(Duration::from_millis(20), Duration::from_secs(5))
        .attempts(14)
        .jitter_percent(50);

    /// For a step whose participant hands something to a message broker: 200 ms doubling up to 10 s, 12
    /// attempts, which end after a minute, up to 30 % jitter.
    ///
    /// A broker refuses for as long as it is short of memory, or starts: seconds, and a minute with much
    /// in its queues. It does not fail for milliseconds, so the first wait is longer than a database's.
    pub const BROKER: Self = Self::exponential(Duration::from_millis(200), Duration::from_secs(10))
        .attempts(12)
        .jitter_percent(30);

    /// For a step whose participant calls somebody else's service over HTTP: 500 ms doubling up to 30 s, 10
    /// attempts, which end after two minutes, up to 100 % jitter.
    ///
    /// Who answers 429 or 503 wants to be left alone, and has many other callers who come back, too: the
    /// waits are long and as different as they can be.
    pub const HTTP: Self = Self::exponential(Duration::from_millis(500), Duration::from_secs(30))
        .attempts(10)
        .jitter_percent(100);

    /// Asked once only.
    pub const NEVER: Self = Self::fixed(Duration::ZERO).attempts(1);

    /// Waits that double from `first` up to `cap`.
    pub const fn exponential(first: Duration, cap: Duration) -> Self {
        Self {
            attempts: 5,
            delays: Delays::Exponential { first, cap },
            jitter_percent: 20,
        }
    }

    /// The same wait each time.
    pub const fn fixed(delay: Duration) -> Self {
        Self {
            attempts: 5,
            delays: Delays::Fixed(delay),
            jitter_percent: 0,
        }
    }

    /// These waits in order, one attempt more than there are waits.
    ///
    /// # Panics
    /// If there are none or more than [`DelayList::MAX`]; in a constant that is a compile error.
    pub const fn listed(delays: &[Duration]) -> Self {
        let list = DelayList::new(delays);
        Self {
            attempts: delays.len() as u32 + 1,
            delays: Delays::Listed(list),
            jitter_percent: 0,
        }
    }

    /// How often it is asked in all.
    ///
    /// # Panics
    /// If that is never; in a constant that is a compile error.
    #[must_use]
    pub const fn attempts(mut self, attempts: u32) -> Self {
        assert!(attempts > 0, "a step is asked at least once");
        self.attempts = attempts;
        self
    }

    /// Up to how many percent each wait is lengthened.
    #[must_use]
    pub const fn jitter_percent(mut self, percent: u8) -> Self {
        self.jitter_percent = percent;
        self
    }
}

/// What is done about numbers that are missing while signals behind them are kept.
///
/// They are waited for, then their producer is asked for them and they are waited for again, as often
/// as this says; then what is kept is rejected, or the missing ones are given up.
///
/// ```
/// # use sagalog_model::{Gaps, Signal};
/// # use core::time::Duration;
/// const PRICE: Signal<u64> = Signal::new("price")
///     .gaps(Gaps::within(Duration::from_secs(60)).asking(2).releasing());
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Gaps {
    /// How long missing numbers are waited for each time.
    #[serde(with = "crate::micros")]
    pub within: Duration,
    /// How often the producer is asked for them.
    pub asks: u32,
    /// What follows if they do not come.
    pub then: GapEnd,
}

/// What follows if missing numbers do not come.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapEnd {
    /// What came behind them is given up: nothing is ever taken out of order.
    Reject,
    /// They are given up: the saga goes on without them.
    Release,
}

impl Gaps {
    /// 30 s, nobody is asked, then what came behind is rejected.
    pub const DEFAULT: Self = Self::within(Duration::from_secs(30));

    /// Missing numbers are waited for this long, then what came behind them is rejected.
    pub const fn within(span: Duration) -> Self {
        Self {
            within: span,
            asks: 0,
            then: GapEnd::Reject,
        }
    }

    /// Their producer is asked for them this often, and they are waited for again each time. It is
    /// told in its command queue, so its name must be one that can name a queue.
    #[must_use]
    pub const fn asking(mut self, times: u32) -> Self {
        self.asks = times;
        self
    }

    /// If they do not come the saga goes on without them.
    #[must_use]
    pub const fn releasing(mut self) -> Self {
        self.then = GapEnd::Release;
        self
    }

    pub(crate) fn is_default(&self) -> bool {
        *self == Self::DEFAULT
    }
}

impl Default for Gaps {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A short list of waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DelayList {
    waits: [Duration; Self::MAX],
    len: usize,
}

impl DelayList {
    /// The most waits that a list holds.
    pub const MAX: usize = 12;

    const fn new(delays: &[Duration]) -> Self {
        assert!(
            !delays.is_empty() && delays.len() <= Self::MAX,
            "a list of delays has 1 to 12 entries"
        );
        let mut waits = [Duration::ZERO; Self::MAX];
        let mut at = 0;
        while at < delays.len() {
            waits[at] = delays[at];
            at += 1;
        }
        Self {
            waits,
            len: delays.len(),
        }
    }

    /// The waits.
    pub fn as_slice(&self) -> &[Duration] {
        &self.waits[..self.len]
    }
}

impl Serialize for DelayList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.as_slice().iter().map(Duration::as_micros))
    }
}

impl<'de> Deserialize<'de> for DelayList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let waits = Vec::<u64>::deserialize(deserializer)?;
        if waits.is_empty() || waits.len() > Self::MAX {
            return Err(D::Error::custom("a list of delays has 1 to 12 entries"));
        }
        let waits: Vec<_> = waits.into_iter().map(Duration::from_micros).collect();
        Ok(Self::new(&waits))
    }
}
