//! A node's clocks: one that shows the time, and may be wrong, and one that only measures spans.

use std::time::Duration;

use sagalog_model::log::Time;

use super::BEGINNING;

/// By how much a clock may run too slow or too fast, in parts of a million.
pub(super) const DRIFT: i64 = 50_000;

const MILLION: i128 = 1_000_000;

/// The clocks of one node. They run at one rate; only the one that shows the time can jump.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    /// How far what it shows is off, in microseconds.
    skew: i64,
    /// How much too fast it runs, in parts of a million.
    drift: i64,
}

impl Clock {
    /// What it shows.
    pub(super) fn shows(self, now: Time) -> Time {
        let passed = self.passed(now);
        Time::from_micros(passed.saturating_add_signed(self.skew))
    }

    /// When it will show this.
    pub(super) fn real(self, shown: Time) -> Time {
        let passed = shown.as_micros().saturating_add_signed(-self.skew);
        if self.drift == 0 {
            return Time::from_micros(passed);
        }
        let counted = i128::from(passed.saturating_sub(BEGINNING.as_micros()));
        let rate = MILLION + i128::from(self.drift);
        // Rounded up: not before it shows it.
        let real = (counted * MILLION + rate - 1) / rate;
        let real = i128::from(BEGINNING.as_micros()) + real;
        Time::from_micros(u64::try_from(real).unwrap_or(u64::MAX))
    }

    /// How long a span by its own count really is.
    pub(super) fn really(self, span: Duration) -> Duration {
        let micros = i128::try_from(span.as_micros()).expect("a short span");
        let real = micros * MILLION / (MILLION + i128::from(self.drift));
        Duration::from_micros(u64::try_from(real).expect("a short span"))
    }

    pub(super) fn jump_ahead(&mut self, by: Duration) {
        self.skew += by.as_micros() as i64;
    }

    pub(super) fn jump_back(&mut self, by: Duration) {
        self.skew -= by.as_micros() as i64;
    }

    pub(super) const fn run_fast(&mut self) {
        self.drift = DRIFT;
    }

    pub(super) const fn run_slow(&mut self) {
        self.drift = -DRIFT;
    }

    /// The time as it counts it, without what it is off.
    fn passed(self, now: Time) -> u64 {
        let gained = match self.drift {
            0 => 0,
            drift => {
                let passed = i128::from(now.since(BEGINNING).as_micros() as u64);
                (passed * i128::from(drift) / MILLION) as i64
            }
        };
        now.as_micros().saturating_add_signed(gained)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_that_a_clock_shows_is_found_again() {
        let mut fast = Clock::default();
        fast.run_fast();
        fast.jump_back(Duration::from_secs(1));
        let mut slow = Clock::default();
        slow.run_slow();
        slow.jump_ahead(Duration::from_secs(1));
        for clock in [Clock::default(), fast, slow] {
            for micros in [1_500_000, 2_000_001, 7_654_321] {
                let shown = BEGINNING.after(Duration::from_micros(micros));
                let real = clock.real(shown);
                assert!(clock.shows(real) >= shown, "{clock:?} {micros}");
                let before = Time::from_micros(real.as_micros() - 2);
                assert!(clock.shows(before) < shown, "{clock:?} {micros}");
            }
        }
    }

    #[test]
    fn a_slow_clock_takes_longer_for_its_second() {
        let mut slow = Clock::default();
        slow.run_slow();
        assert!(slow.really(Duration::from_secs(1)) > Duration::from_secs(1));
    }
}
