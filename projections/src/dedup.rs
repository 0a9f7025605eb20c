//! Which ids came before: an input that comes twice is decided once.

use alloc::{collections::BTreeMap, string::ToString, sync::Arc};

use sagalog_model::{Payload, log::Time};

/// What came in under the ids that its senders chose, to know it when it comes again.
///
/// An id whose sender does not say until when it may come again is known for the life of the saga.
/// One with such a time is in the **window**: it is known at least until that time is over, and
/// longer while there is room. The event `IdsForgotten` takes those whose time is over out of the
/// window and moves the **watermark** up to them. Whatever is not known and could come until the
/// watermark, at the latest, may be one of them: it has [expired](Standing::Expired), and is never
/// taken for new. So nothing is taken twice, as long as what comes again has the same time.
///
/// Bounded: [`LASTING_MAX`] ids without a time are recorded; how many may be in the window says who
/// decides. Nothing is allocated for a saga without one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ids<C> {
    lasting: BTreeMap<Arc<str>, C>,
    window: BTreeMap<Arc<str>, Timed<C>>,
    watermark: Option<Time>,
}

/// How many ids without a time are known of a saga: of its signals, and of operators' requests.
pub const LASTING_MAX: usize = 1_000;

/// What an id is to a saga.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// Nothing came under it.
    New,
    /// Something came under it.
    Known {
        /// Whether that was something else, or came with another time.
        differs: bool,
    },
    /// It is not known, and may be one of those that are not remembered any more.
    Expired {
        /// What could come until then, at the latest, is not remembered.
        watermark: Time,
    },
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Timed<C> {
    until: Time,
    content: C,
}

impl<C> Default for Ids<C> {
    fn default() -> Self {
        Self {
            lasting: BTreeMap::new(),
            window: BTreeMap::new(),
            watermark: None,
        }
    }
}

impl<C: PartialEq> Ids<C> {
    /// What this id is, of something with this content that may come again until this time.
    pub fn standing(&self, id: &str, until: Option<Time>, content: &C) -> Standing {
        if let Some(known) = self.lasting.get(id) {
            let differs = known != content || until.is_some();
            return Standing::Known { differs };
        }
        if let Some(known) = self.window.get(id) {
            let differs = known.content != *content || Some(known.until) != until;
            return Standing::Known { differs };
        }
        match self.watermark {
            Some(watermark) if self.is_behind(until) => Standing::Expired { watermark },
            _ => Standing::New,
        }
    }

    /// Whether what may come until then, at the latest, is not remembered.
    pub fn is_behind(&self, until: Option<Time>) -> bool {
        until.is_some() && until <= self.watermark
    }

    /// Whether something came under this id, as far as that is remembered.
    pub fn contains(&self, id: &str) -> bool {
        self.lasting.contains_key(id) || self.window.contains_key(id)
    }

    /// How many ids without a time are known.
    pub fn lasting(&self) -> usize {
        self.lasting.len()
    }

    /// How many ids are in the window.
    pub fn in_window(&self) -> usize {
        self.window.len()
    }

    /// What could come until then, at the latest, is not remembered; none before the first was
    /// forgotten.
    pub const fn watermark(&self) -> Option<Time> {
        self.watermark
    }

    /// The latest time in the window that is before `now`: up to it all may be forgotten.
    pub fn over(&self, now: Time) -> Option<Time> {
        let times = self.window.values().map(|timed| timed.until);
        times.filter(|until| *until < now).max()
    }

    pub(crate) fn record(&mut self, id: &Arc<str>, until: Option<Time>, content: C) {
        match until {
            None => drop(self.lasting.insert(id.clone(), content)),
            Some(until) => drop(self.window.insert(id.clone(), Timed { until, content })),
        }
    }

    /// Takes out of the window what could come until then.
    pub(crate) fn forget(&mut self, until: Time) {
        self.window.retain(|_, timed| timed.until > until);
        self.watermark = self.watermark.max(Some(until));
    }
}

/// A hash of what a signal carried: to notice a sender's error, not an attack.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Content(u64);

impl Content {
    /// FNV-1a over both, kept apart by a byte that no text holds.
    pub fn of(signal: &str, payload: &Payload) -> Self {
        let bytes = signal.bytes().chain([0xff]).chain(payload.as_str().bytes());
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(hash)
    }
}

/// What a request asked for: the same id with something else is an error of its sender.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asked {
    kind: &'static str,
    node: Option<Arc<str>>,
    content: Arc<str>,
}

impl Asked {
    /// To undo the saga.
    pub fn cancel(reason: &str) -> Self {
        Self {
            kind: "cancel",
            node: None,
            content: reason.into(),
        }
    }

    /// To have the saga undone, as its operator.
    pub fn compensate(reason: &str) -> Self {
        Self {
            kind: "compensate",
            node: None,
            content: reason.into(),
        }
    }

    /// To have the saga stand still.
    pub fn pause(reason: &str) -> Self {
        Self {
            kind: "pause",
            node: None,
            content: reason.into(),
        }
    }

    /// To have it go on.
    pub fn resume() -> Self {
        Self {
            kind: "resume",
            node: None,
            content: "".into(),
        }
    }

    /// To set its deadline.
    pub fn set_deadline(deadline: Option<Time>, reason: &str) -> Self {
        Self {
            kind: "set-deadline",
            node: deadline.map(|deadline| deadline.as_micros().to_string().into()),
            content: reason.into(),
        }
    }

    /// To try a node again.
    pub fn retry(node: &Arc<str>, reason: Option<&str>) -> Self {
        Self {
            kind: "retry",
            node: Some(node.clone()),
            content: reason.unwrap_or_default().into(),
        }
    }

    /// To take a node's work as done.
    pub fn resolve(node: &Arc<str>, output: &str) -> Self {
        Self {
            kind: "resolve",
            node: Some(node.clone()),
            content: output.into(),
        }
    }

    /// To process a held input, perhaps with another content.
    pub fn release(number: u64, content: Option<&Payload>) -> Self {
        Self {
            kind: "release",
            node: Some(number.to_string().into()),
            content: content.map_or_else(|| "".into(), Payload::text),
        }
    }

    /// To give a held input up.
    pub fn drop(number: u64, reason: &str) -> Self {
        Self {
            kind: "drop",
            node: Some(number.to_string().into()),
            content: reason.into(),
        }
    }

    /// To give a node's work up.
    pub fn skip(node: &Arc<str>, reason: &str) -> Self {
        Self {
            kind: "skip",
            node: Some(node.clone()),
            content: reason.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHY: fn() -> Asked = || Asked::cancel("why");

    fn at(micros: u64) -> Time {
        Time::from_micros(micros)
    }

    fn ids(known: &[(&str, Option<u64>)]) -> Ids<Asked> {
        let mut ids = Ids::default();
        for (id, until) in known {
            ids.record(&(*id).into(), until.map(at), WHY());
        }
        ids
    }

    fn standing(ids: &Ids<Asked>, id: &str, until: Option<u64>) -> Standing {
        ids.standing(id, until.map(at), &WHY())
    }

    #[test]
    fn an_id_is_known_with_what_came_under_it() {
        let ids = ids(&[("r-1", None), ("r-2", Some(7))]);
        let same = Standing::Known { differs: false };
        let other = Standing::Known { differs: true };
        assert_eq!(standing(&ids, "r-1", None), same);
        assert_eq!(standing(&ids, "r-2", Some(7)), same);
        assert_eq!(ids.standing("r-1", None, &Asked::cancel("another")), other);
        assert_eq!(standing(&ids, "r-1", Some(7)), other, "it had no time");
        assert_eq!(standing(&ids, "r-2", None), other, "it had a time");
        assert_eq!(standing(&ids, "r-2", Some(8)), other, "it had another");
        assert_eq!(standing(&ids, "r-10", None), Standing::New);
        assert!(ids.contains("r-2") && !ids.contains("r-10"));
    }

    #[test]
    fn what_is_forgotten_has_expired_and_so_has_what_cannot_be_told_from_it() {
        let mut ids = ids(&[("a", Some(5)), ("b", Some(7)), ("c", Some(9)), ("d", None)]);
        ids.forget(at(7));
        let watermark = at(7);
        let expired = Standing::Expired { watermark };
        assert_eq!(standing(&ids, "a", Some(5)), expired);
        assert_eq!(standing(&ids, "b", Some(7)), expired);
        assert_eq!(standing(&ids, "never seen", Some(7)), expired);
        assert_eq!(standing(&ids, "never seen", Some(8)), Standing::New);
        assert_eq!(standing(&ids, "never seen", None), Standing::New);
        let known = Standing::Known { differs: false };
        assert_eq!(standing(&ids, "c", Some(9)), known);
        assert_eq!(standing(&ids, "d", None), known);
        assert_eq!((ids.lasting(), ids.in_window()), (1, 1));
    }

    #[test]
    fn the_watermark_never_goes_back() {
        let mut ids = ids(&[("a", Some(5)), ("b", Some(7))]);
        ids.forget(at(7));
        ids.record(&"late".into(), Some(at(8)), WHY());
        ids.forget(at(6));
        assert_eq!(ids.watermark(), Some(at(7)));
        assert!(ids.contains("late"));
    }

    #[test]
    fn only_what_is_over_may_be_forgotten() {
        let ids = ids(&[("a", Some(5)), ("b", Some(7)), ("c", None)]);
        assert_eq!(ids.over(at(5)), None, "it may come at this moment");
        assert_eq!(ids.over(at(6)), Some(at(5)));
        assert_eq!(ids.over(at(7)), Some(at(5)));
        assert_eq!(ids.over(at(100)), Some(at(7)));
    }
}
