//! The clock, the third seam of the shell: everything that waits or asks for the time goes through
//! it, so that a test decides what time it is.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sagalog_model::log::Time;

/// Tells the time and waits for it. Used as `Arc<dyn Clock>`.
pub trait Clock: Send + Sync + 'static {
    /// What time it is. It may step back, as the system's clock does.
    fn now(&self) -> Time;

    /// Waits until it is `at`; ready at once if it is already.
    fn sleep_until(&self, at: Time) -> Sleep;
}

/// A wait that ends at its time. Dropped, it is over.
pub struct Sleep(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Sleep {
    /// What ends at the right time.
    pub fn new(sleep: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Box::pin(sleep))
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}

/// The system's clock. Its waits need a tokio runtime with time enabled.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The longest wait before it looks at the clock again, which somebody may have set.
    const LOOK_AGAIN: Duration = Duration::from_secs(1);
}

impl Clock for SystemClock {
    fn now(&self) -> Time {
        // A clock before 1970 is told as 1970: nothing is earlier in the log.
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Time::default().after(since.unwrap_or_default())
    }

    fn sleep_until(&self, at: Time) -> Sleep {
        let clock = *self;
        Sleep::new(async move {
            loop {
                let left = at.since(clock.now());
                if left.is_zero() {
                    break;
                }
                tokio::time::sleep(left.min(Self::LOOK_AGAIN)).await;
            }
        })
    }
}

/// A clock that stands still until a test moves it.
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<Mutex<Hands>>);

#[derive(Debug, Default)]
struct Hands {
    now: Time,
    sleepers: BTreeMap<(Time, u64), Waker>,
    next_sleeper: u64,
}

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn at(now: Time) -> Self {
        Self(Arc::new(Mutex::new(Hands {
            now,
            ..Hands::default()
        })))
    }

    /// Moves it on and wakes whoever's time has come.
    pub fn advance(&self, span: Duration) {
        let due = {
            let mut hands = self.hands();
            hands.now = hands.now.after(span);
            let later = (hands.now.after(Duration::from_micros(1)), 0);
            let asleep = hands.sleepers.split_off(&later);
            std::mem::replace(&mut hands.sleepers, asleep)
        };
        due.into_values().for_each(Waker::wake);
    }

    /// The earliest time that somebody waits for.
    pub fn next_wake(&self) -> Option<Time> {
        let hands = self.hands();
        hands.sleepers.keys().next().map(|(at, _)| *at)
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        // Nothing that runs under the lock leaves it half changed, so a poisoned one is still good.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        self.hands().now
    }

    fn sleep_until(&self, at: Time) -> Sleep {
        Sleep::new(ManualSleep {
            clock: self.clone(),
            at,
            place: None,
        })
    }
}

struct ManualSleep {
    clock: ManualClock,
    at: Time,
    place: Option<u64>,
}

impl Future for ManualSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock.clone();
        let mut hands = clock.hands();
        if hands.now >= self.at {
            return Poll::Ready(());
        }
        let place = *self.place.get_or_insert_with(|| {
            hands.next_sleeper += 1;
            hands.next_sleeper
        });
        hands
            .sleepers
            .insert((self.at, place), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for ManualSleep {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.clock.hands().sleepers.remove(&(self.at, place));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_is_woken_at_its_time_and_not_before() {
        let clock = ManualClock::default();
        let sleeper = tokio::spawn(clock.sleep_until(Time::from_micros(10)));
        tokio::task::yield_now().await;
        assert_eq!(clock.next_wake(), Some(Time::from_micros(10)));
        clock.advance(Duration::from_micros(9));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_micros(1));
        sleeper.await.expect("it does not panic");
        assert_eq!(clock.next_wake(), None);
    }

    #[tokio::test]
    async fn a_dropped_sleeper_is_forgotten() {
        let clock = ManualClock::default();
        let sleeper = tokio::spawn(clock.sleep_until(Time::from_micros(10)));
        tokio::task::yield_now().await;
        sleeper.abort();
        sleeper.await.expect_err("it was aborted");
        assert_eq!(clock.next_wake(), None);
    }

    #[tokio::test]
    async fn a_time_that_has_passed_is_not_waited_for() {
        SystemClock.sleep_until(SystemClock.now()).await;
        ManualClock::default().sleep_until(Time::default()).await;
    }
}
