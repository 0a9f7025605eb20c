//! The breakers of a partition that people keep open: the fold of `$breakers-N`.

use alloc::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use sagalog_model::{
    breaker::BreakerEvent,
    log::{Time, Version},
};

/// The breakers that people keep open, and the latest requests about breakers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Breakers {
    open: BTreeMap<Arc<str>, OpenByHand>,
    requests: VecDeque<(Arc<str>, Version)>,
}

/// Why a participant is kept from everything.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OpenByHand {
    /// Who did it.
    pub by: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
    /// When.
    pub at: Time,
    /// The event's place in its stream.
    pub place: Version,
}

impl Breakers {
    /// How many of the latest requests are known when they come again.
    pub const REQUESTS_MAX: usize = 64;

    /// Takes the event at this place of the stream.
    pub fn apply(&mut self, event: &BreakerEvent, place: Version, at: Time) {
        let participant = event.participant().clone();
        match event {
            BreakerEvent::Opened(event) => {
                let open = OpenByHand {
                    by: event.by.clone(),
                    reason: event.reason.clone(),
                    at,
                    place,
                };
                self.open.insert(participant, open);
            }
            BreakerEvent::Reset(_) => {
                self.open.remove(&participant);
            }
        }
        self.requests.push_back((event.id().clone(), place));
        if self.requests.len() > Self::REQUESTS_MAX {
            self.requests.pop_front();
        }
    }

    /// Why a participant is kept from everything, if a person did that.
    pub fn get(&self, participant: &str) -> Option<&OpenByHand> {
        self.open.get(participant)
    }

    /// All that are kept from everything, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &OpenByHand)> {
        self.open.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether a request of this id is among the latest.
    pub fn knows(&self, request: &str) -> bool {
        self.requests.iter().any(|(id, _)| **id == *request)
    }

    /// Where the events begin that this is folded from.
    pub fn oldest(&self) -> Option<Version> {
        let open = self.open.values().map(|open| open.place);
        let requests = self.requests.front().map(|(_, place)| *place);
        open.chain(requests).min()
    }
}
