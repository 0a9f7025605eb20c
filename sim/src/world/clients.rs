//! Clients: what they call, what becomes of a call on its way, and that they call again.

use std::{sync::Arc, time::Duration};

use sagalog_engine::{Input, LetterWish, Query, Request, Ticket, input::Wish};
use sagalog_model::{
    Missing, SagaId,
    log::{PartitionId, Time},
};

use super::{ClientCall, DOWN, HOP, Happening, JUMP, Wants, World};
use crate::{
    fault::Fault,
    site::{Point, Site, Subject},
};

/// How long a client waits until it calls again when there was no room.
const NO_ROOM: Duration = Duration::from_secs(300);

impl World {
    /// A client calls. Calls carry ids, so that a client that hears nothing calls again. A producer that
    /// numbers what it sends does so when it is asked: that is what the numbers are for.
    pub(super) fn call(&mut self, call: Arc<ClientCall>) {
        let again = Happening::Call(call.clone());
        match self.visit(&call.saga, call.subject(), Point::Call) {
            Some(Fault::LeftOut) => {}
            Some(fault) if fault.needs_a_time() => self.call_of_its_time(call, fault),
            Some(Fault::Lost) if matches!(call.wants, Wants::Saga(Query::Numbered(_))) => {}
            Some(Fault::Lost) => self.agenda.add(self.now.after(DOWN), again),
            Some(Fault::Duplicated) => {
                let again = Happening::Call(call.repeated());
                self.agenda.add(self.now.after(DOWN), again);
                self.call_arrives(call);
            }
            _ => self.call_arrives(call),
        }
    }

    /// What goes wrong with a call that says until when it may come again.
    fn call_of_its_time(&mut self, call: Arc<ClientCall>, fault: Fault) {
        let Some(until) = call.until() else {
            return self.call_arrives(call);
        };
        let certain = until.after(self.setup.rules.clock_skew_max);
        match fault {
            Fault::AgainAfterItsTime => self.comes_again(certain.after(JUMP), call),
            Fault::AgainInItsLastMoment => self.comes_again(certain, call),
            Fault::SenderBehind => self.call_arrives(call.said_until(until.before(JUMP))),
            Fault::SenderAhead => self.call_arrives(call.said_until(until.after(JUMP))),
            other => unreachable!("{other} does not happen to a call"),
        }
    }

    /// It comes now, and once more at this time.
    fn comes_again(&mut self, at: Time, call: Arc<ClientCall>) {
        #[cfg(feature = "mutants")]
        let again = if mutant!(self, StampsRepeatsAnew) {
            call.said_until(at.after(JUMP))
        } else {
            call.clone()
        };
        #[cfg(not(feature = "mutants"))]
        let again = call.clone();
        self.agenda.add(at, Happening::CallAgain(again));
        self.call_arrives(call);
    }

    /// A client is told that there is no room for its call now: it calls again.
    pub(super) fn no_room_now(&mut self, call: &Arc<ClientCall>) {
        let again = Happening::CallAgain(call.clone());
        self.agenda.add(self.now.after(NO_ROOM), again);
    }

    pub(super) fn call_arrives(&mut self, call: Arc<ClientCall>) {
        if matches!(call.wants, Wants::Saga(Query::Start { .. })) {
            self.saga_begins(&call.saga);
        }
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        let partition = self.partition_of(&call);
        self.share_mut(partition).calls.insert(ticket, call);
        self.feed_call(partition, ticket);
    }

    /// A producer is asked for what did not come, and sends it again.
    pub(super) fn send_again(&mut self, missing: &Missing) {
        let is_missing = |call: &&Arc<ClientCall>| match &call.wants {
            Wants::Saga(Query::Numbered(numbered)) => {
                call.saga == missing.saga
                    && numbered.producer == missing.producer
                    && (missing.from..=missing.to).contains(&numbered.number)
            }
            _ => false,
        };
        let setup = self.setup.clone();
        for call in setup.calls.iter().filter(is_missing) {
            self.agenda
                .add(self.now.after(HOP), Happening::Call(call.clone()));
        }
    }

    /// Somebody cancels a saga, at whatever moment this is.
    pub(super) fn cancel(&mut self, saga: SagaId) {
        let wish = Wish::Cancel {
            reason: "cancelled by a fault of the plan".into(),
        };
        let id = format!("cancel-by-plan-{}", self.next_ticket);
        self.call_arrives(wished(Duration::ZERO, saga, id, wish));
    }

    /// Somebody pauses a saga, at whatever moment this is.
    pub(super) fn pause(&mut self, saga: SagaId) {
        let wish = Wish::Pause {
            reason: "paused by a fault of the plan".into(),
        };
        let id = format!("pause-by-plan-{}", self.next_ticket);
        self.call_arrives(wished(Duration::ZERO, saga, id, wish));
    }

    /// Somebody sets a saga's deadline to the next moment, at whatever moment this is.
    pub(super) fn hurry(&mut self, saga: SagaId) {
        let wish = Wish::SetDeadline {
            deadline: Some(self.now.after(2 * HOP)),
            reason: "hurried by a fault of the plan".into(),
        };
        let id = format!("deadline-by-plan-{}", self.next_ticket);
        self.call_arrives(wished(Duration::ZERO, saga, id, wish));
    }

    /// A saga stands still, and somebody has it go on later.
    pub(super) fn saga_is_paused(&mut self, saga: &SagaId) {
        let Some(after) = self.setup.resumes else {
            return;
        };
        let id = format!("resume-{}", self.next_ticket);
        let call = wished(after, saga.clone(), id, Wish::Resume);
        self.agenda
            .add(self.now.after(after), Happening::Call(call));
    }

    /// A node waits for a person, and perhaps one comes.
    pub(super) fn node_is_parked(&mut self, saga: &SagaId, node: &Arc<str>) {
        let setup = self.setup.clone();
        let Some((after, mend)) = &setup.mends else {
            return;
        };
        let times = self.parked.entry((saga.clone(), node.clone())).or_default();
        *times += 1;
        let id = format!("mend-{node}-{times}");
        let call = wished(*after, saga.clone(), id, mend(node, *times).wish(node));
        self.agenda
            .add(self.now.after(*after), Happening::Call(call));
    }

    /// An input keeps its saga waiting, and perhaps somebody decides.
    pub(super) fn input_is_held(&mut self, saga: &SagaId, number: u64) {
        let setup = self.setup.clone();
        let Some((after, decide)) = &setup.decides else {
            return;
        };
        let id = format!("held-{number}");
        let call = wished(*after, saga.clone(), id, decide(number).wish(number));
        self.agenda
            .add(self.now.after(*after), Happening::Call(call));
    }

    pub(super) fn feed_call(&mut self, partition: PartitionId, ticket: u64) {
        let call = self.share(partition).calls[&ticket].clone();
        let (ticket, saga) = (Ticket(ticket), call.saga.clone());
        match &call.wants {
            Wants::Saga(query) => {
                let what = query.clone();
                self.feed(partition, Input { ticket, saga, what });
            }
            Wants::Letter(request) => self.feed_letter_request(partition, ticket, request.clone()),
        }
    }

    /// Who answers a call.
    fn partition_of(&self, call: &ClientCall) -> PartitionId {
        match &call.wants {
            Wants::Saga(_) => self.setup.partition(&call.saga),
            Wants::Letter(request) => self.partition_of_letter(request.letter),
        }
    }
}

/// What a person wants of a saga.
fn wished(after: Duration, saga: SagaId, id: String, wish: Wish) -> Arc<ClientCall> {
    let request = Request {
        id: id.into(),
        by: "simulation".into(),
        until: None,
        wish,
    };
    Arc::new(ClientCall {
        after,
        saga,
        wants: Wants::Saga(Query::Request(request)),
        lifetime: None,
    })
}

impl ClientCall {
    fn subject(&self) -> Subject {
        match (self.lifetime, subject(&self.wants)) {
            (Some(lifetime), Subject::Other(word)) => Site::timed(&word, lifetime),
            (_, subject) => subject,
        }
    }

    /// Until when it may come again, as it says.
    pub(crate) fn until(&self) -> Option<Time> {
        match &self.wants {
            Wants::Saga(Query::Signal { until, .. }) => *until,
            Wants::Saga(Query::Request(request)) => request.until,
            _ => None,
        }
    }

    /// The same call once more. It says what it said before, whatever its client's clock shows by now.
    fn repeated(&self) -> Arc<Self> {
        Arc::new(Self {
            lifetime: None,
            ..self.clone()
        })
    }

    /// The same call, which says that it may come until another time.
    fn said_until(&self, said: Time) -> Arc<Self> {
        let mut call = self.clone();
        match &mut call.wants {
            Wants::Saga(Query::Signal { until, .. }) => *until = Some(said),
            Wants::Saga(Query::Request(request)) => request.until = Some(said),
            _ => {}
        }
        Arc::new(call)
    }
}

/// What a call is about, in one word.
pub(super) fn subject(wants: &Wants) -> Subject {
    let query = match wants {
        Wants::Saga(query) => query,
        Wants::Letter(request) => {
            let word = match request.wish {
                LetterWish::Retry { .. } => "letter-retry",
                LetterWish::Purge { .. } => "letter-purge",
            };
            return Subject::Other(word.into());
        }
    };
    let word: Arc<str> = match query {
        Query::Start { .. } => "start".into(),
        Query::Signal { signal, .. } => signal.clone(),
        Query::Numbered(numbered) => return Site::numbered(&numbered.producer, numbered.number),
        Query::Reply(_) => "reply".into(),
        Query::State => "state".into(),
        Query::End => "end".into(),
        Query::Request(request) => match request.wish {
            Wish::Cancel { .. } => "cancel".into(),
            Wish::Compensate { .. } => "compensate".into(),
            Wish::Pause { .. } => "pause".into(),
            Wish::Resume => "resume".into(),
            Wish::SetDeadline { .. } => "set-deadline".into(),
            Wish::Retry { .. } => "retry".into(),
            Wish::Resolve { .. } => "resolve".into(),
            Wish::Skip { .. } => "skip".into(),
            Wish::Release { .. } => "release".into(),
            Wish::Drop { .. } => "drop".into(),
        },
    };
    Subject::Other(word)
}
