//! Sagas that cannot be driven for a while: why, the person who has one driven again, and the clients that
//! call again until they are heard.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sagalog_engine::{
    Query, Request,
    decide::Refusal,
    input::Wish,
    partition::{Found, Taken, Unreadable},
};
use sagalog_model::{
    SagaId,
    event::Origin,
    held_saga::{HeldSagaEvent, InputWaits},
    log::{PartitionId, Time, Version},
};

use super::{
    ClientCall, DOWN, Happening, Lane, Ownership, Wants, World,
    log::Row,
    node::{Health, NodeNumber},
};
use crate::{
    check::{self, Violation},
    fault::Fault,
    mend::Decide,
    site::Subject,
};

/// For how long a history cannot be read: less than any attempt may take.
const UNREADABLE: Duration = DOWN.saturating_mul(4);

/// For how long a node lacks a definition: attempts are over by then.
const UNDEFINED: Duration = Duration::from_secs(3);

/// How long it takes a person to look after a held saga, and a client to call again.
const LOOKED_AFTER: Duration = Duration::from_millis(100);

/// What keeps sagas from being driven.
#[derive(Clone, Default)]
pub(super) struct Trouble {
    /// Until when nobody can read which histories.
    unreadable: BTreeMap<SagaId, Time>,
    /// Until when which nodes lack the definition.
    undefined: BTreeMap<NodeNumber, Time>,
}

impl World {
    /// The node dies, and nobody can drive the saga for a while: its history does not read, or the next
    /// owner lacks its definition. What has ended needs nobody to drive it.
    pub(super) fn cannot_be_driven(
        &mut self,
        partition: PartitionId,
        node: NodeNumber,
        saga: &SagaId,
        fault: Fault,
    ) {
        let state = self.shadow.of(saga);
        if state.is_none_or(|state| state.status().is_terminal()) {
            self.spared(fault);
        } else if fault == Fault::Unreadable {
            let until = self.now.after(UNREADABLE);
            self.trouble.unreadable.insert(saga.clone(), until);
        } else {
            let (next, until) = (self.another(partition, node), self.now.after(UNDEFINED));
            self.trouble.undefined.insert(next, until);
            self.agenda.add(until, Happening::IsGivenDefinitions(next));
        }
        self.dies(node);
    }

    /// A node that lacked the definition is started again with it.
    pub(super) fn is_given_definitions(&mut self, node: NodeNumber) {
        if self.lacks_the_definition(node) {
            return;
        }
        self.trouble.undefined.remove(&node);
        if self.node(node).health == Health::Up {
            self.dies(node);
        }
    }

    /// Whether a node lacks the definition now.
    pub(super) fn lacks_the_definition(&self, node: NodeNumber) -> bool {
        let until = self.trouble.undefined.get(&node);
        until.is_some_and(|until| self.now < *until)
    }

    fn is_unreadable(&self, saga: &SagaId) -> bool {
        let until = self.trouble.unreadable.get(saga);
        until.is_some_and(|until| self.now < *until)
    }

    /// Whether a node can drive a saga that is under way.
    pub(crate) fn can_be_driven(&self, saga: &SagaId, by: NodeNumber) -> bool {
        !self.is_unreadable(saga) && !self.lacks_the_definition(by)
    }

    /// What a node reads, without what it cannot read.
    pub(super) fn as_far_as_it_reads(&self, mut taken: Taken) -> Taken {
        if self.trouble.unreadable.is_empty() {
            return taken;
        }
        let (unreadable, open): (Vec<_>, _) = taken
            .open
            .into_iter()
            .partition(|(saga, _)| self.is_unreadable(saga));
        taken.open = open;
        taken.unreadable = unreadable
            .into_iter()
            .map(|(saga, _)| (saga, unreadable_for_a_while()))
            .collect();
        taken
    }

    /// What a look-up finds of a saga that is held. What has ended was read before.
    pub(super) fn found_of(&self, of: Ownership, saga: &SagaId) -> Found {
        let held = self.owner(of).map(|owner| owner.machine.held_sagas());
        if held.is_some_and(|held| held.get(saga).is_some()) && self.is_unreadable(saga) {
            return Found::Unreadable(unreadable_for_a_while());
        }
        let history = self.log.partition(of.partition).history(saga);
        history.map_or(Found::Nothing, Found::History)
    }

    /// What became of held sagas is durable: it is looked at, and so does the person who looks after them.
    pub(super) fn held_sagas_are_stored(&mut self, partition: PartitionId, row: &Row) {
        let batch = row.batch();
        for (version, event) in (batch.version.get()..).zip(row.held_sagas()) {
            let saga = event.saga().clone();
            self.say_of(Lane::Log, Some(&saga), || in_words(event));
            let checked = check::held_saga_recorded(self, partition, event);
            self.checked(checked);
            let place = Version::new(version);
            let checked = self
                .shadow
                .held_saga_recorded(partition, event, place, batch.at);
            let checked =
                checked.map_err(|(invariant, what)| Violation::of(invariant, self, &saga, what));
            self.checked(checked);
            let is_held = matches!(event, HeldSagaEvent::Held(_));
            if is_held && self.trouble.unreadable.contains_key(&saga) {
                self.has_it_driven_again(&saga);
            }
            if let HeldSagaEvent::Waits(waits, _) = event {
                self.decides_what_waits(waits);
            }
        }
    }

    /// A person has a saga driven again, and tries once more while it cannot be.
    fn has_it_driven_again(&mut self, saga: &SagaId) {
        let wish = Wish::Release {
            number: 0,
            content: None,
        };
        let request = Request {
            id: format!("release-{}", self.now.as_micros()).into(),
            by: "simulation".into(),
            until: None,
            wish,
        };
        let call = ClientCall {
            after: LOOKED_AFTER,
            saga: saga.clone(),
            wants: Wants::Saga(Query::Request(request)),
            lifetime: None,
        };
        let at = self.now.after(LOOKED_AFTER);
        self.agenda.add(at, Happening::Call(Arc::new(call)));
    }

    /// Somebody who decides about held inputs decides about a signal that waits, too, and soon enough.
    fn decides_what_waits(&mut self, waits: &InputWaits) {
        let setup = self.setup.clone();
        let Some((_, decide)) = &setup.decides else {
            return;
        };
        let decision = decide(waits.number);
        if decision == Decide::Release || matches!(waits.input, Origin::Reply { .. }) {
            return;
        }
        let request = Request {
            id: format!("waiting-{}-{}", waits.number, self.now.as_micros()).into(),
            by: "simulation".into(),
            until: None,
            wish: decision.wish(waits.number),
        };
        let call = ClientCall {
            after: LOOKED_AFTER / 2,
            saga: waits.saga.clone(),
            wants: Wants::Saga(Query::Request(request)),
            lifetime: None,
        };
        let at = self.now.after(LOOKED_AFTER / 2);
        self.agenda.add(at, Happening::Call(Arc::new(call)));
    }

    /// Whoever is refused because a saga cannot be driven, or begun, calls again.
    pub(super) fn refused_for_now(&mut self, call: &Arc<ClientCall>, why: &Refusal) {
        let for_now = match why {
            Refusal::SagaHeld { .. } | Refusal::NoSuchDefinition { .. } => true,
            Refusal::BadHistory { .. } => self.trouble.unreadable.contains_key(&call.saga),
            _ => false,
        };
        if for_now {
            let again = Happening::CallAgain(call.clone());
            self.agenda.add(self.now.after(LOOKED_AFTER), again);
        }
    }

    /// Which saga a batch is about that cannot be driven, and what becomes of it in it.
    pub(super) fn held_saga_of(&self, row: &Row) -> Option<(SagaId, Subject)> {
        let event = row.held_sagas().first()?;
        let word = match event {
            HeldSagaEvent::Held(_) => "saga-held",
            HeldSagaEvent::Waits(..) => "input-waits",
            HeldSagaEvent::Edited(..) => "waiting-edited",
            HeldSagaEvent::Dropped(_) => "waiting-dropped",
            HeldSagaEvent::Released(_) => "saga-released",
        };
        Some((event.saga().clone(), Subject::Other(word.into())))
    }
}

fn unreadable_for_a_while() -> Unreadable {
    Unreadable {
        why: "it does not read, by a fault of the plan".into(),
        is_newer: false,
    }
}

fn in_words(event: &HeldSagaEvent) -> String {
    match event {
        HeldSagaEvent::Held(event) => format!("HELD, as it cannot be driven: {}", event.reason),
        HeldSagaEvent::Waits(event, _) => {
            format!("input {} waits until it is driven", event.number)
        }
        HeldSagaEvent::Edited(event, _) => {
            format!("{} edited waiting input {}", event.by, event.number)
        }
        HeldSagaEvent::Dropped(event) => {
            format!("{} dropped waiting input {}", event.by, event.number)
        }
        HeldSagaEvent::Released(_) => "driven again".into(),
    }
}
