//! Ids of senders: what came before, what cannot be told from that any more, and room for more.

use alloc::sync::Arc;

use sagalog_model::{
    event::{IdKind, IdsForgotten, Origin},
    log::Time,
};
use sagalog_projections::dedup::{LASTING_MAX, Standing};

use super::{Decider, Refusal};

impl Decider<'_> {
    /// Whether it came for the first time.
    ///
    /// # Errors
    /// Its id was used for something else, or cannot be told from those that are forgotten.
    pub(super) fn is_new(
        &self,
        standing: Standing,
        id: &Arc<str>,
        until: Option<Time>,
    ) -> Result<bool, Refusal> {
        let rules = self.context.rules;
        match standing {
            Standing::New => Ok(true),
            Standing::Known { differs: false } => Ok(false),
            Standing::Known { differs: true } => Err(Refusal::OtherContentOf { id: (**id).into() }),
            Standing::Expired { .. } if mutant!(rules, TakesExpiredForNew) => Ok(true),
            Standing::Expired { watermark }
                if until == Some(watermark) && mutant!(rules, WatermarkIsOffByOne) =>
            {
                Ok(true)
            }
            Standing::Expired { watermark } => Err(Refusal::Expired {
                id: (**id).into(),
                watermark,
            }),
        }
    }

    /// Whether one more id may be remembered.
    pub(super) fn has_room(&self, of: IdKind, until: Option<Time>) -> Result<(), Refusal> {
        let max = self.context.rules.ids_max;
        let (lasting, in_window) = self.remembered(of);
        match (until, of) {
            (None, _) if lasting < LASTING_MAX => Ok(()),
            (None, IdKind::Signals) => Err(Refusal::TooManySignals),
            (None, IdKind::Requests) => Err(Refusal::TooManyRequests),
            (Some(_), _) if in_window < max || self.over(of).is_some() => Ok(()),
            (Some(_), _) => Err(Refusal::TooManyRemembered { of, max }),
        }
    }

    /// Makes room when there is none: ids are forgotten on record, and only those whose time is over.
    pub(super) fn forget_what_is_over(&mut self, of: IdKind) {
        let (_, in_window) = self.remembered(of);
        if in_window > self.context.rules.ids_max
            && let Some(until) = self.over(of)
        {
            self.emit(IdsForgotten { of, until });
        }
    }

    /// How many ids without a time are remembered, and how many with one.
    fn remembered(&self, of: IdKind) -> (usize, usize) {
        match of {
            IdKind::Signals => {
                let ids = self.state.signals().ids();
                (ids.lasting(), ids.in_window())
            }
            IdKind::Requests => {
                let ids = self.state.requests();
                (ids.lasting(), ids.in_window())
            }
        }
    }

    /// Up to which time all may be forgotten, if anything may.
    fn over(&self, of: IdKind) -> Option<Time> {
        let rules = self.context.rules;
        let now = if mutant!(rules, ForgetsTooEarly) {
            Time::from_micros(u64::MAX)
        } else {
            self.context.now.before(rules.clock_skew_max)
        };
        match of {
            IdKind::Signals => {
                let held = self.first_of_held().unwrap_or(now);
                self.state.signals().ids().over(now.min(held))
            }
            IdKind::Requests => self.state.requests().over(now),
        }
    }

    /// The earliest time of a held signal: it is not recorded yet, and must not expire before it is.
    fn first_of_held(&self) -> Option<Time> {
        let held = self.state.held().iter();
        let times = held.filter_map(|held| match held.input {
            Origin::Signal { until, .. } => until,
            Origin::Numbered { .. } | Origin::Reply { .. } => None,
        });
        times.min()
    }
}
