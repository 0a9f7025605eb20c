//! A circuit breaker: while a participant fails, it is left alone, and tried now and then.
//!
//! Closed, it counts how attempts end. When too many of the latest failed it opens: nothing is let
//! through for a while. Then it is half-open: a few commands are let through as trials. If they all go
//! well it closes, and if one fails it opens again, for twice as long.

use core::time::Duration;

use sagalog_model::log::Time;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BreakerPolicy {
    slice: Duration,
    failed_percent: u32,
    of_at_least: u32,
    open_first: Duration,
    open_max: Duration,
    trials: u32,
}

impl BreakerPolicy {
    /// Opens when half of at least 20 attempts that ended within 30 s failed; for 1 s, doubling up to 10 s; one
    /// trial.
    pub const DEFAULT: Self = Self {
        slice: Duration::from_secs(3),
        failed_percent: 50,
        of_at_least: 20,
        open_first: Duration::from_secs(1),
        open_max: Duration::from_secs(10),
        trials: 1,
    };

    /// Opens when this many percent failed of the attempts that ended within the window, if those are
    /// this many at least.
    ///
    /// # Panics
    /// If percent are not 1 to 100, or no attempts are enough.
    #[must_use]
    pub const fn opens_at(mut self, failed_percent: u8, of_at_least: u32) -> Self {
        assert!(
            failed_percent >= 1 && failed_percent <= 100,
            "a breaker opens at 1 to 100 percent"
        );
        assert!(of_at_least > 0, "a breaker opens by attempts that failed");
        self.failed_percent = failed_percent as u32;
        self.of_at_least = of_at_least;
        self
    }

    /// For how long an attempt that ended counts, to a tenth of it.
    ///
    /// # Panics
    /// If that is shorter than a millisecond.
    #[must_use]
    pub const fn within(mut self, window: Duration) -> Self {
        assert!(
            window.as_millis() > 0,
            "a window lasts a millisecond at least"
        );
        self.slice = Duration::from_micros(window.as_micros() as u64 / SLICES as u64);
        self
    }

    /// For how long it stays open at first, and at most: each time that a trial fails it is twice as
    /// long.
    ///
    /// # Panics
    /// If the first is nothing, or longer than the most.
    #[must_use]
    pub const fn open_for(mut self, first: Duration, most: Duration) -> Self {
        assert!(!first.is_zero(), "a breaker stays open for a while");
        assert!(
            first.as_micros() <= most.as_micros(),
            "a breaker stays open for longer each time"
        );
        self.open_first = first;
        self.open_max = most;
        self
    }

    /// How many trials have to go well before it closes; as many are under way at a time.
    ///
    /// # Panics
    /// If there are none.
    #[must_use]
    pub const fn trials(mut self, trials: u32) -> Self {
        assert!(trials > 0, "a breaker closes by a trial");
        self.trials = trials;
        self
    }
}

impl BreakerPolicy {
    /// How many trials may be under way at a time.
    pub(super) const fn at_a_time(self) -> u32 {
        self.trials
    }
}

/// Lets commands through to a participant, or not.
#[derive(Clone, Copy, Debug)]
pub struct Breaker {
    /// Without one it is always closed, unless a person opens it.
    policy: Option<BreakerPolicy>,
    state: State,
    /// What was let through before the newest change says nothing about now.
    generation: u32,
    /// How often it opened by itself.
    opened: u32,
    slices: [Slice; SLICES],
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed,
    Open {
        until: Time,
        span: Duration,
    },
    HalfOpen {
        span: Duration,
        under_way: u32,
        went_well: u32,
    },
    OpenByHand,
}

/// What ended in a tenth of the window.
#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    number: u64,
    ended: u32,
    failed: u32,
}

const SLICES: usize = 10;

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// Everything is let through.
    Closed,
    /// Nothing is, until then.
    Open {
        /// When trials begin.
        until: Time,
    },
    /// Trials are.
    HalfOpen,
    /// Nothing is, until a person resets it.
    OpenByHand,
}

/// What was let through. Its end is told with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pass {
    generation: u32,
}

/// How what was let through ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// The participant works: it answered, if by a refusal for good.
    Well,
    /// The participant does not: there was no answer in time, or it failed for now.
    Badly,
    /// It says nothing about the participant.
    Unsaid,
}

impl Breaker {
    /// A closed one.
    pub const fn new(policy: Option<BreakerPolicy>) -> Self {
        Self {
            policy,
            state: State::Closed,
            generation: 0,
            opened: 0,
            slices: [Slice {
                number: 0,
                ended: 0,
                failed: 0,
            }; SLICES],
        }
    }

    /// Where it stands.
    pub const fn standing(&self) -> Standing {
        match self.state {
            State::Closed => Standing::Closed,
            State::Open { until, .. } => Standing::Open { until },
            State::HalfOpen { .. } => Standing::HalfOpen,
            State::OpenByHand => Standing::OpenByHand,
        }
    }

    /// How often it opened by itself.
    pub const fn opened(&self) -> u32 {
        self.opened
    }

    /// Takes notice of the time: what was open for long enough is half-open. A clock that was set
    /// back keeps nothing open for longer than the policy says.
    pub fn tick(&mut self, now: Time) {
        let (State::Open { until, span }, Some(policy)) = (self.state, self.policy) else {
            return;
        };
        if until <= now {
            self.becomes(State::HalfOpen {
                span,
                under_way: 0,
                went_well: 0,
            });
        } else if until > now.after(policy.open_max) {
            let until = now.after(policy.open_max);
            self.state = State::Open { until, span };
        }
    }

    /// Whether it lets one more command through.
    pub fn lets_through(&self) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { .. } | State::OpenByHand => false,
            State::HalfOpen {
                under_way,
                went_well,
                ..
            } => self
                .policy
                .is_none_or(|policy| under_way + went_well < policy.trials),
        }
    }

    /// Lets a command through that [`Self::lets_through`] allows.
    pub fn pass(&mut self) -> Pass {
        if let State::HalfOpen { under_way, .. } = &mut self.state {
            *under_way += 1;
        }
        Pass {
            generation: self.generation,
        }
    }

    /// What was let through has ended.
    pub fn ended(&mut self, pass: Pass, how: Ended, now: Time) {
        let Some(policy) = self.policy.filter(|_| pass.generation == self.generation) else {
            return;
        };
        match (&mut self.state, how) {
            (State::Closed, Ended::Well | Ended::Badly) => self.count(policy, how, now),
            (State::HalfOpen { under_way, .. }, Ended::Unsaid) => *under_way -= 1,
            (
                State::HalfOpen {
                    under_way,
                    went_well,
                    ..
                },
                Ended::Well,
            ) => {
                *under_way -= 1;
                *went_well += 1;
                if *went_well >= policy.trials {
                    self.reset();
                }
            }
            (State::HalfOpen { span, .. }, Ended::Badly) => {
                let span = (*span * 2).min(policy.open_max);
                self.open(span, now);
            }
            (State::Closed, Ended::Unsaid) | (State::Open { .. } | State::OpenByHand, _) => {}
        }
    }

    fn count(&mut self, policy: BreakerPolicy, how: Ended, now: Time) {
        let number = now.as_micros() / policy.slice.as_micros() as u64;
        let slice = &mut self.slices[number as usize % SLICES];
        if slice.number != number {
            *slice = Slice {
                number,
                ..Slice::default()
            };
        }
        slice.ended = slice.ended.saturating_add(1);
        if how == Ended::Badly {
            slice.failed = slice.failed.saturating_add(1);
            if self.fails_too_often(policy, number) {
                self.open(policy.open_first, now);
            }
        }
    }

    fn fails_too_often(&self, policy: BreakerPolicy, now: u64) -> bool {
        let counts = |slice: &&Slice| slice.number <= now && slice.number + SLICES as u64 > now;
        let (mut ended, mut failed) = (0_u64, 0_u64);
        for slice in self.slices.iter().filter(counts) {
            ended += u64::from(slice.ended);
            failed += u64::from(slice.failed);
        }
        ended >= u64::from(policy.of_at_least)
            && failed * 100 >= ended * u64::from(policy.failed_percent)
    }

    fn open(&mut self, span: Duration, now: Time) {
        self.opened = self.opened.saturating_add(1);
        let until = now.after(span);
        self.becomes(State::Open { until, span });
    }

    /// A person opens it: nothing is let through until [`Self::reset`].
    pub fn open_by_hand(&mut self) {
        self.becomes(State::OpenByHand);
    }

    /// Closes it, and forgets what failed.
    pub fn reset(&mut self) {
        self.slices = [Slice::default(); SLICES];
        self.becomes(State::Closed);
    }

    const fn becomes(&mut self, state: State) {
        self.generation = self.generation.wrapping_add(1);
        self.state = state;
    }
}
