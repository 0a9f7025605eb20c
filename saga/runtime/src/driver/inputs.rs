//! What comes in, and the answers that go back to whoever sent it.

use std::sync::Arc;

use sagalog_engine::{Answer, Effect, Input, Query, Ticket};
use sagalog_model::{Reply, SagaId, log::Time};
use sagalog_projections::SagaState;
use sagalog_transport::{Delivery, Kind, Tag};
use tokio::sync::oneshot;
use tracing::warn;

use super::{DriveError, Driver, requests::Asker};
use crate::client::CallError;

/// Something a client wants, and where its answer goes.
pub(crate) struct Call {
    pub(crate) saga: SagaId,
    pub(crate) query: Query,
    pub(crate) answer: oneshot::Sender<Result<CallAnswer, NotDone>>,
}

/// The answer to a client.
#[derive(Debug)]
pub(crate) enum CallAnswer {
    Recorded,
    State(Arc<SagaState>),
}

/// Why a client gets no answer.
#[derive(Debug)]
pub(crate) enum NotDone {
    /// It is told why.
    Error(CallError),
    /// The partition is given up or was lost: ask again. This is what was asked.
    Moved(Query),
}

/// An input that is not answered, to be fed again after a take-over.
pub(super) struct Pending {
    pub(super) saga: SagaId,
    pub(super) query: Query,
    pub(super) from: From,
}

/// Where its answer goes.
pub(super) enum From {
    Client(oneshot::Sender<Result<CallAnswer, NotDone>>),
    Inbox(Tag),
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
                    From::Inbox(tag) => {
                        if let Answer::Refused(refusal) = answer {
                            warn!(saga = %pending.saga, %refusal, "a reply was not accepted");
                        }
                        self.acknowledged.push(tag);
                    }
                    From::Far(tag, asker) => self.answer_far(tag, &asker, answer),
                }
            }
        }
    }

    pub(super) fn feed(&mut self, pending: Pending, now: Time) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        let input = Input {
            ticket,
            saga: pending.saga.clone(),
            what: pending.query.clone(),
        };
        if matches!(pending.query, Query::End) && ticket.0.is_multiple_of(1_024) {
            self.forget_callers_that_have_gone();
        }
        self.pending.insert(ticket, pending);
        self.machine.handle(input, now);
        ticket
    }

    /// Those who wait for ends may leave: without this their places would never be free again.
    fn forget_callers_that_have_gone(&mut self) {
        let machine = &mut self.machine;
        self.pending.retain(|ticket, pending| {
            let gone = matches!(&pending.from, From::Client(answer) if answer.is_closed())
                && matches!(pending.query, Query::End);
            if gone {
                machine.forget(&pending.saga, *ticket);
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
                            saga,
                            query: Query::Reply(reply),
                            from: From::Inbox(delivery.tag),
                        },
                        now,
                    );
                }
                Err(why) => {
                    let reason = format!("it is not a reply: {why}");
                    warn!(message = %delivery.message.id, reason, "a message went to the dead letters");
                    self.inbox.bury(delivery.tag, &reason).await?;
                }
            }
        }
        if self.machine.awaits_empty_inbox() {
            self.look_at_the_inbox().await?;
        }
        Ok(())
    }
}
