//! Starting sagas, once each.

use alloc::{boxed::Box, format};

use sagalog_model::{
    Payload, SagaId,
    log::{StreamKey, Time},
};

use super::{
    Partition,
    answer::{Answer, Ticket},
    live::Live,
};
use crate::{
    decide::{Context, Refusal, start},
    evaluate::Evaluate,
    input::start_identity,
};

impl<E: Evaluate> Partition<E> {
    /// Starts a saga that is known not to exist.
    pub(super) fn start(
        &mut self,
        ticket: Ticket,
        saga: SagaId,
        name: &str,
        input: Payload,
        now: Time,
    ) {
        let Some(definition) = self.registry.newest(name).cloned() else {
            return self.refuse(
                ticket,
                Refusal::NoSuchDefinition {
                    definition: name.into(),
                    version: None,
                },
            );
        };
        if let Err(refusal) = self.rules.payload_within_bounds(&input) {
            return self.refuse(ticket, refusal);
        }
        if self.live() >= self.rules.live_max {
            let max = self.rules.live_max;
            return self.refuse(
                ticket,
                Refusal::Busy {
                    what: "the limit of sagas under way".into(),
                    max,
                },
            );
        }
        if let Some((participant, max)) = self.asks.too_much_waits(definition.graph()) {
            let what = format!("the limit of commands that wait for `{participant}`").into();
            return self.refuse(ticket, Refusal::Busy { what, max });
        }
        let now = self.appending.monotone(now);
        let identity = start_identity(name, &input);
        let context = Context {
            definition: &definition,
            evaluate: &self.evaluate,
            rules: &self.rules,
            now,
        };
        let (state, events) = start(saga.clone(), input, context);
        // The key is the position of the first event, which is assigned when the batch is taken.
        let live = Live::new(state, Some(definition), StreamKey::new(0));
        self.sagas.insert(saga.clone(), Box::new(live));
        self.take_batch(&saga, &events, identity, now);
        self.answer(ticket, Answer::Recorded);
    }

    /// A start whose id is taken: the same content is the same start, another is refused.
    pub(super) fn start_again(
        &mut self,
        ticket: Ticket,
        saga: &SagaId,
        name: &str,
        input: &Payload,
    ) {
        if mutant!(self.rules, StartsTwice) {
            return self.start(ticket, saga.clone(), name, input.clone(), Time::default());
        }
        let state = &self.sagas[saga].state;
        if state.graph().saga == name && state.input() == input {
            self.answer(ticket, Answer::Recorded);
        } else {
            self.refuse(ticket, Refusal::OtherContent { saga: saga.clone() });
        }
    }
}
