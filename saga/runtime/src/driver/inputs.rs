//! What comes in, and the answers that go back to whoever sent it.

use std::sync::Arc;

use sagalog_engine::{Answer, BreakerRequest, Effect, Input, LetterRequest, Query, Ticket};
use sagalog_model::{
    Reply, SagaId,
    dead_letter::Cause,
    log::{PartitionId, Time},
};
use sagalog_projections::SagaState;
use sagalog_transport::{Delivery, Kind, Message, Tag};
use tokio::sync::oneshot;

use super::{
    DriveError, Driver,
    letters::{Burial, cause_of_refusal},
    requests::Asker,
};
use crate::{client::CallError, request::AtParticipant};

/// Something a client wants, and where its answer goes.
pub(crate) struct Call {
    pub(crate) partition: PartitionId,
    pub(crate) told: Told,
    pub(crate) answer: oneshot::Sender<Result<CallAnswer, NotDone>>,
}

/// What a partition is told.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    /// Something for a saga of it.
    Saga(SagaId, Query),
    /// Something about a dead letter that it has.
    Letter(LetterRequest),
    /// Something about a participant's breakers.
    Breaker(BreakerRequest),
    /// How it stands with the participants.
    Breakers,
    /// A message died.
    Died(Arc<Burial>),
}

/// The answer to a client.
#[derive(Debug)]
pub(crate) enum CallAnswer {
    Recorded,
    State(Arc<SagaState>),
    Breakers(Vec<AtParticipant>),
}

/// Why a client gets no answer.
#[derive(Debug)]
pub(crate) enum NotDone {
    /// It is told why.
    Error(CallError),
    /// The partition is given up or was lost: ask again. This is what was asked.
    Moved(Told),
}

/// An input that is not answered, to be fed again after a take-over.
pub(super) struct Pending {
    pub(super) told: Told,
    pub(super) from: From,
}

/// Where its answer goes.
pub(super) enum From {
    Client(oneshot::Sender<Result<CallAnswer, NotDone>>),
    /// A message of the inbox. It leaves the inbox when that is durable (I8).
    Inbox(Tag, Arc<Message>),
    /// A message of the queue of the dead letters, likewise.
    Dead(Tag),
    /// The driver itself: what became of its own messages.
    Own,
    /// To another process. A delivery that asks only is acknowledged already.
    Far(Option<Tag>, Asker),
}

impl Driver {
    pub(super) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Ask(command) => {
                let message = self.message(&command);
                self.outgoing.push(message);
            }
            Effect::Withdraw(withdrawal) => {
                let message = self.control(&withdrawal);
                self.outgoing.push(message);
            }
            Effect::AskForMissing(missing) => self.ask_for_missing(&missing),
            Effect::Resend(resend) => self.resend(&resend),
            Effect::Answer { ticket, answer } => {
                let Some(pending) = self.pending.remove(&ticket) else {
                    return;
                };
                match pending.from {
                    // The caller may have gone, which changes nothing.
                    From::Client(caller) => drop(caller.send(match answer {
                        Answer::Recorded => Ok(CallAnswer::Recorded),
                        Answer::State(state) => Ok(CallAnswer::State(state)),
                        Answer::Refused(refusal) => Err(NotDone::Error(refusal.into())),
                    })),
                    From::Inbox(tag, message) => match answer {
                        Answer::Refused(refusal) => {
                            let cause = cause_of_refusal(&refusal);
                            self.bury_of_inbox(tag, message, cause, refusal.to_string());
                        }
                        _ => self.acknowledged.push(tag),
                    },
                    From::Dead(tag) => self.dead_acknowledged.push(tag),
                    From::Own => {}
                    From::Far(tag, asker) => self.answer_far(tag, asker, answer),
                }
            }
        }
    }

    pub(super) fn feed(&mut self, pending: Pending, now: Time) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        if matches!(pending.told, Told::Saga(_, Query::End)) && ticket.0.is_multiple_of(1_024) {
            self.forget_callers_that_have_gone();
        }
        match pending.told.clone() {
            Told::Saga(saga, what) => self.machine.handle(Input { ticket, saga, what }, now),
            Told::Letter(request) => self.machine.handle_letter(ticket, request, now),
            Told::Breaker(request) => self.machine.handle_breaker(ticket, request, now),
            Told::Breakers => {
                self.tell_breakers(pending.from);
                return ticket;
            }
            Told::Died(burial) => {
                let Burial { letter, body } = Arc::unwrap_or_clone(burial);
                self.machine.bury(ticket, letter, body, now);
            }
        }
        self.pending.insert(ticket, pending);
        ticket
    }

    /// Tells how it stands with the participants. Nothing of that is in the log, so there is nothing to wait for.
    fn tell_breakers(&mut self, from: From) {
        let all = AtParticipant::all_of(&self.machine);
        match from {
            // The caller may have gone.
            From::Client(caller) => drop(caller.send(Ok(CallAnswer::Breakers(all)))),
            From::Far(tag, asker) => self.tell_far(tag, &asker, all),
            From::Inbox(..) | From::Dead(_) | From::Own => {}
        }
    }

    /// Those who wait for ends may leave: without this their places would never be free again.
    fn forget_callers_that_have_gone(&mut self) {
        let machine = &mut self.machine;
        self.pending.retain(|ticket, pending| {
            let gone = matches!(&pending.from, From::Client(answer) if answer.is_closed());
            let Told::Saga(saga, Query::End) = &pending.told else {
                return true;
            };
            if gone {
                machine.forget(saga, *ticket);
            }
            !gone
        });
    }

    pub(super) async fn receive(
        &mut self,
        deliveries: &mut Vec<Delivery>,
    ) -> Result<(), DriveError> {
        let now = self.clock.now();
        for delivery in deliveries.drain(..) {
            if delivery.message.kind == Kind::Control {
                self.take_request(&delivery, now);
                continue;
            }
            match serde_json::from_str::<Reply>(&delivery.message.content) {
                Ok(reply) => {
                    let saga = reply.saga.clone();
                    self.feed(
                        Pending {
                            told: Told::Saga(saga, Query::Reply(reply)),
                            from: From::Inbox(delivery.tag, delivery.message),
                        },
                        now,
                    );
                }
                Err(why) => {
                    let reason = format!("it is not a reply: {why}");
                    let cause = Cause::WrongContent;
                    self.bury_of_inbox(delivery.tag, delivery.message, cause, reason);
                }
            }
        }
        if self.machine.awaits_empty_inbox() {
            self.look_at_the_inbox().await?;
        }
        Ok(())
    }

    /// Records a message of the inbox as a dead letter; then it leaves the inbox.
    fn bury_of_inbox(&mut self, tag: Tag, message: Arc<Message>, cause: Cause, reason: String) {
        let burial = Burial::of(&message, self.inbox.queue(), cause, reason);
        let now = self.clock.now();
        self.bury(burial, From::Inbox(tag, message), now);
    }
}
