//! Breakers that people open and reset: on record, so that the next owner keeps them open too.

use alloc::{sync::Arc, vec::Vec};

use sagalog_model::{
    Direction,
    breaker::{BreakerEvent, BreakerOpened, BreakerReset},
    graph::participant,
    log::{Time, Version},
    system::SystemEvent,
};
use sagalog_projections::Breakers;

use super::{Answer, Partition, SystemHead, Ticket, bounds::size};
use crate::{
    admission::{Admission, Policies},
    decide::Refusal,
    evaluate::Evaluate,
};

/// What a person wants of a participant's breakers, in one partition. `id` makes it safe to send twice; `by` says
/// who it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BreakerRequest {
    /// The participant.
    pub participant: Arc<str>,
    /// The caller's id for it.
    pub id: Arc<str>,
    /// Who asks.
    pub by: Arc<str>,
    /// What.
    pub wish: BreakerWish,
}

/// What can be wanted of a participant's breakers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BreakerWish {
    /// Ask nothing of it until it is reset.
    Open {
        /// Why.
        reason: Arc<str>,
    },
    /// Ask it again.
    Reset,
}

/// What the machine knows of breakers that people opened.
#[derive(Clone)]
pub(super) struct OpenHere {
    fold: Breakers,
    head: SystemHead,
}

/// So many participants may be kept from everything at a time.
const OPEN_MAX: usize = 1_024;

impl OpenHere {
    /// What the log holds.
    pub(super) fn new(head: SystemHead, events: Vec<(Version, Time, BreakerEvent)>) -> Self {
        let mut fold = Breakers::default();
        for (version, at, event) in events {
            fold.apply(&event, version, at);
        }
        Self { fold, head }
    }
}

impl<E: Evaluate> Partition<E> {
    /// The breakers that people keep open, with what is not durable yet.
    pub const fn breakers(&self) -> &Breakers {
        &self.open.fold
    }

    /// Takes what a person wants of a participant's breakers; answered when it is durable. Nothing leaves for a
    /// participant from the moment on that its breakers are open.
    pub fn handle_breaker(&mut self, ticket: Ticket, request: BreakerRequest, now: Time) {
        match self.tell_breaker(request, now) {
            Ok(()) => self.answer(ticket, Answer::Recorded),
            Err(refusal) => self.refuse(ticket, refusal),
        }
    }

    fn tell_breaker(&mut self, request: BreakerRequest, now: Time) -> Result<(), Refusal> {
        let BreakerRequest {
            participant,
            id,
            by,
            wish,
        } = request;
        self.rules.id_within_bounds(&id)?;
        self.rules.id_within_bounds(&by)?;
        if self.open.fold.knows(&id) {
            return Ok(());
        }
        if !self.is_needed(&participant) && self.open.fold.get(&participant).is_none() {
            let participant = (*participant).into();
            return Err(Refusal::NoSuchParticipant { participant });
        }
        let oldest = Version::default();
        let event = match wish {
            BreakerWish::Open { reason } => {
                size(reason.len(), self.rules.reason_max)?;
                if self.open.fold.len() >= OPEN_MAX {
                    let what = "the limit of breakers that are open by hand".into();
                    let max = OPEN_MAX;
                    return Err(Refusal::Busy { what, max });
                }
                BreakerEvent::Opened(BreakerOpened {
                    participant,
                    id,
                    by,
                    reason,
                    oldest,
                })
            }
            BreakerWish::Reset => BreakerEvent::Reset(BreakerReset {
                participant,
                id,
                by,
                oldest,
            }),
        };
        let admission = self.asks.admission_mut();
        match &event {
            BreakerEvent::Opened(event) => admission.open(&event.participant),
            BreakerEvent::Reset(event) => _ = admission.reset(&event.participant),
        }
        self.record_breaker(event, now);
        Ok(())
    }

    /// Whether a definition of the program asks it.
    fn is_needed(&self, name: &str) -> bool {
        let mut steps = self.registry.steps();
        steps.any(|spec| {
            let mut terms = Direction::ALL.iter().filter_map(|it| spec.terms(*it));
            terms.any(|terms| participant(terms.name) == name)
        })
    }

    fn record_breaker(&mut self, mut event: BreakerEvent, now: Time) {
        let now = self.appending.monotone(now);
        let head = &mut self.open.head;
        let place = head.version.next();
        self.open.fold.apply(&event, place, now);
        *event.oldest_mut() = self.open.fold.oldest().unwrap_or_else(|| place.next());
        let event = SystemEvent::Breaker(event).encode();
        self.appending.push_system(head, event, now);
    }

    /// What admits commands by these policies, with the breakers open that people keep open.
    pub(super) fn admit_by(&mut self, policies: Arc<Policies>) {
        self.asks.admit_by(policies);
        let open = self.open.fold.iter();
        let open = open.map(|(participant, _)| participant.clone());
        let admission: &mut Admission<_> = self.asks.admission_mut();
        open.for_each(|participant| admission.open(&participant));
    }
}
