//! The timers of all live sagas: the earliest of each is filed.

use alloc::collections::BTreeSet;

use sagalog_model::{SagaId, log::Time};
use sagalog_projections::{Timer, timers};

use super::{Partition, live::Live};
use crate::{
    evaluate::Evaluate,
    input::{Meanwhile, SagaInput},
};

/// When which saga's earliest timer is due.
#[derive(Clone)]
pub(super) struct Timing {
    due: BTreeSet<(Time, SagaId)>,
    /// When this ownership began: an attempt whose deadline is not later was missed by everybody.
    owned_since: Time,
    /// Overdue timers wait until then after a take-over, unless the inbox is found empty before.
    held_until: Option<Time>,
}

impl Timing {
    pub(super) const fn new(owned_since: Time, held_until: Time) -> Self {
        Self {
            due: BTreeSet::new(),
            owned_since,
            held_until: Some(held_until),
        }
    }

    /// Files a saga's earliest timer anew.
    pub(super) fn rearm(&mut self, saga: &SagaId, live: &mut Live) {
        let next = timers::next(&live.state);
        let (filed, due) = (live.timer.map(|(due, _)| due), next.map(|(due, _)| due));
        live.timer = next;
        if filed == due {
            return;
        }
        if let Some(filed) = filed {
            self.due.remove(&(filed, saga.clone()));
        }
        if let Some(due) = due {
            self.due.insert((due, saga.clone()));
        }
    }

    #[cfg(feature = "mutants")]
    pub(super) fn disarm(&mut self, saga: &SagaId, live: &mut Live) {
        if let Some((due, _)) = live.timer.take() {
            self.due.remove(&(due, saga.clone()));
        }
    }

    /// When the next timer may fire, and whose it is. What was overdue at the take-over waits, what
    /// has come due since does not.
    fn next(&self) -> Option<(Time, &SagaId)> {
        let Some(held_until) = self.held_until else {
            return self.due.first().map(|(due, saga)| (*due, saga));
        };
        let held = self.due.first().filter(|(due, _)| *due <= self.owned_since);
        let free = self.due.iter().find(|(due, _)| *due > self.owned_since);
        let held = held.map(|(_, saga)| (held_until, saga));
        let free = free.map(|(due, saga)| (*due, saga));
        [held, free].into_iter().flatten().min()
    }

    fn next_due(&self) -> Option<Time> {
        self.next().map(|(due, _)| due)
    }

    /// Whether overdue timers wait for what may lie in the inbox.
    fn is_holding(&self) -> bool {
        self.held_until.is_some()
    }

    /// Whether timers that were overdue at the take-over wait.
    pub(super) fn holds_what_is_overdue(&self) -> bool {
        let overdue = |(due, _): &(Time, SagaId)| *due <= self.owned_since;
        self.held_until.is_some() && self.due.first().is_some_and(overdue)
    }

    fn is_missed(&self, due: Time, timer: Timer, driven_since: Time) -> bool {
        matches!(timer, Timer::Attempt { .. }) && due <= self.owned_since.max(driven_since)
    }
}

/// Of what there is.
fn earlier(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

impl<E: Evaluate> Partition<E> {
    /// When the earliest timer is due.
    pub fn next_timer(&self) -> Option<Time> {
        let trial = self.asks.admission().next_trial();
        let timers = earlier(self.next_saga_timer(), self.next_expiry());
        earlier(timers, trial)
    }

    /// When the earliest timer of a saga is due.
    pub fn next_saga_timer(&self) -> Option<Time> {
        #[cfg(feature = "mutants")]
        if mutant!(self.rules, FiresTooEarly) {
            let early = crate::mutants::AHEAD.as_micros() as u64;
            let early = |due: Time| Time::from_micros(due.as_micros() - early);
            return self.timing.next_due().map(early);
        }
        self.timing.next_due()
    }

    /// Whether it wants to be told that the inbox was found empty.
    pub fn awaits_empty_inbox(&self) -> bool {
        self.timing.is_holding()
    }

    /// The inbox was found empty after taking over: no answer lies there that overdue timers would
    /// overtake.
    pub fn inbox_is_empty(&mut self) {
        self.timing.held_until = None;
    }

    /// Fires the timers that are due, until enough waits to be appended.
    pub fn fire_timers(&mut self, now: Time) {
        self.expire_letters(now);
        while !self.is_full()
            && let Some(due) = self.next_saga_timer()
            && due <= now
        {
            let next = self.timing.next().map(|(_, saga)| saga.clone());
            let saga = next.expect("the next timer is filed");
            if self.timing.held_until.is_some_and(|held| held <= now) {
                self.timing.held_until = None;
            }
            let live = self
                .sagas
                .get_mut(&saga)
                .expect("only sagas that are here have timers");
            let (due, timer) = timers::first_due(&live.state, now)
                .or(live.timer)
                .expect("a filed saga has a timer");
            let meanwhile = if live.waits(timer) && !mutant!(self.rules, WaitingSpendsAttempts) {
                Meanwhile::Waiting
            } else if self.timing.is_missed(due, timer, live.driven_since) {
                Meanwhile::Unowned
            } else {
                Meanwhile::Asked
            };
            let version = live.state.version();
            let fired = self.tell(&saga, &SagaInput::TimerFired { timer, meanwhile }, now);
            assert!(fired.is_ok(), "a timer is never refused");
            assert!(
                self.sagas[&saga].state.version() > version,
                "a due timer always records something, else it would be due for ever"
            );
        }
    }
}
