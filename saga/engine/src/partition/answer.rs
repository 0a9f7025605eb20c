//! What comes out of the machine, gated by what is durable.

use alloc::{boxed::Box, sync::Arc};

use sagalog_model::{
    Command, Missing, SagaId, Withdrawal,
    log::{Position, Time},
};
use sagalog_projections::SagaState;

use super::{Partition, Resend, asking::Next};
use crate::{decide::Refusal, evaluate::Evaluate, input::SagaInput};

/// Names an input in its answer. Chosen by whoever drives the machine.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ticket(pub u64);

/// Something that may be seen outside now.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Publish a command.
    Ask(Command),
    /// Tell a participant that the saga has turned. A hint: whether it comes is not looked at, and
    /// it is given once, and once more after each take-over.
    Withdraw(Withdrawal),
    /// Ask a producer for numbers that are missing. A hint, as a withdrawal is.
    AskForMissing(Missing),
    /// Publish a dead letter to the queue it died in, and say so with [`Partition::letter_sent`], or with
    /// [`Partition::bury`] if no queue takes it.
    Resend(Box<Resend>),
    /// Answer an input: acknowledge its delivery, or tell its caller.
    Answer {
        /// The input.
        ticket: Ticket,
        /// The answer.
        answer: Answer,
    },
}

/// The answer to an input.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It is durable, or it was before, or it says nothing new: do not send it again.
    Recorded,
    /// It is not accepted.
    Refused(Refusal),
    /// The state that was asked for.
    State(Arc<SagaState>),
}

impl<E: Evaluate> Partition<E> {
    /// What may be seen outside next: answers first, then withdrawals, requests for missing numbers, and dead
    /// letters that are sent again, then commands within the publish window that are admitted to their participants.
    pub fn poll_effect(&mut self, now: Time) -> Option<Effect> {
        let durable = self.appending.durable();
        if let Some((_, effect)) = self.answers.pop_front_if(|(gate, _)| *gate <= durable) {
            return Some(effect);
        }
        let turned = if mutant!(self.rules, WithdrawsBeforeTheTurn) {
            self.appending.tail()
        } else {
            durable
        };
        if let Some(withdrawal) = self.asks.poll_withdrawal(turned) {
            return Some(Effect::Withdraw(withdrawal));
        }
        if let Some(missing) = self.asks.poll_missing(durable) {
            return Some(Effect::AskForMissing(missing));
        }
        if let Some(resend) = self.letters.poll(durable) {
            if mutant!(self.rules, MarksLettersAsSentAtOnce) {
                self.letter_sent(resend.letter.id, resend.retry, Time::default());
            }
            return Some(Effect::Resend(Box::new(resend)));
        }
        let command = self.poll_command(now)?;
        #[cfg(feature = "mutants")]
        let Some(command) = crate::mutants::published(&self.rules, command) else {
            return self.poll_effect(now);
        };
        Some(Effect::Ask(command))
    }

    fn poll_command(&mut self, now: Time) -> Option<Command> {
        loop {
            // What is overdue since before the take-over comes first: it may end what waits.
            let may_be_recorded = !self.is_full() && !self.timing.holds_what_is_overdue();
            let durable = self.appending.durable();
            let sagas = &mut self.sagas;
            let next = self
                .asks
                .poll(sagas, durable, &self.rules, now, may_be_recorded);
            match next? {
                Next::Publish(command) => return Some(command),
                Next::Admit(ask) => {
                    let admitted = SagaInput::Admitted {
                        node: ask.node,
                        direction: ask.direction,
                        attempt: ask.attempt,
                    };
                    let told = self.tell(&ask.saga, &admitted, now);
                    assert!(told.is_ok(), "what was asked is never refused to leave");
                    self.asks.admitted(ask, self.appending.tail());
                }
            }
        }
    }

    /// I8: an answer waits for everything decided so far. That covers the input's own batch, and for
    /// a duplicate the batch of the original.
    pub(super) fn answer(&mut self, ticket: Ticket, answer: Answer) {
        let gate = if mutant!(self.rules, AnswersBeforeTheAppend) {
            self.appending.durable()
        } else {
            self.appending.tail()
        };
        self.answers
            .push_back((gate, Effect::Answer { ticket, answer }));
    }

    pub(super) fn refuse(&mut self, ticket: Ticket, refusal: Refusal) {
        self.answer(ticket, Answer::Refused(refusal));
    }

    pub(super) fn answer_state(&mut self, ticket: Ticket, saga: &SagaId) {
        let state = Arc::new(self.sagas[saga].state.clone());
        self.answer(ticket, Answer::State(state));
    }

    pub(super) fn answer_end(&mut self, ticket: Ticket, saga: &SagaId) {
        let live = self
            .sagas
            .get_mut(saga)
            .expect("the caller has looked that it is here");
        if live.state.status().is_terminal() {
            self.answer_state(ticket, saga);
        } else if self.waiters >= self.rules.waiters_max {
            let max = self.rules.waiters_max;
            self.refuse(
                ticket,
                Refusal::Busy {
                    what: "the limit of callers that wait for an end".into(),
                    max,
                },
            );
        } else {
            live.waiters.push(ticket);
            self.waiters += 1;
        }
    }

    /// Nobody waits under this ticket any more.
    pub fn forget(&mut self, saga: &SagaId, ticket: Ticket) {
        if let Some(live) = self.sagas.get_mut(saga) {
            let before = live.waiters.len();
            live.waiters.retain(|waiter| *waiter != ticket);
            self.waiters -= before - live.waiters.len();
        }
    }

    pub(super) fn answer_waiters(&mut self, saga: &SagaId) {
        let live = self
            .sagas
            .get_mut(saga)
            .expect("a saga that has just ended is here");
        let waiters = core::mem::take(&mut live.waiters);
        if waiters.is_empty() {
            return;
        }
        self.waiters -= waiters.len();
        let state = Arc::new(live.state.clone());
        for ticket in waiters {
            self.answer(ticket, Answer::State(state.clone()));
        }
    }

    /// The position up to which answers may be seen.
    pub fn durable(&self) -> Position {
        self.appending.durable()
    }
}
