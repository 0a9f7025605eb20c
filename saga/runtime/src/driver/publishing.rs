//! Commands on their way to the transport.

use std::{sync::Arc, time::Instant};

use sagalog_engine::Query;
use sagalog_model::{
    AttemptNumber, Command, Direction, IdempotencyKey, Missing, Outcome, Reply, Withdrawal,
    dead_letter::Cause,
};
use sagalog_transport::{
    ConsumerError, Kind, Message, MessageId, PublishError, Queue, Undelivered, WhyUndelivered,
};
use sha2::{Digest as _, Sha256};
use tracing::{debug, warn};

use super::{
    DriveError, Driver,
    inputs::{From, Pending, Told},
    letters::{Burial, sent_again},
};
use crate::worker::command_queue;

impl Driver {
    pub(super) fn publish(&mut self) {
        let transport = self.transport.clone();
        let messages = std::mem::take(&mut self.outgoing);
        self.sending = (Instant::now(), messages.len());
        self.resending = messages.iter().filter_map(sent_again).collect();
        let full = self.waits_for_room.then(|| messages[0].to.clone());
        self.publishing = Some(Box::pin(async move {
            if let Some(queue) = full {
                transport.room(&queue).await;
            }
            transport.publish(messages).await
        }));
    }

    pub(super) fn published(&mut self, result: Result<(), PublishError>) -> Result<(), DriveError> {
        // Told once for as long as something waits, and not each time that it is tried again.
        let told = std::mem::take(&mut self.waits_for_room);
        let undelivered = result
            .err()
            .map_or_else(Vec::new, |PublishError(them)| them);
        let (began, messages) = self.sending;
        let not_taken = undelivered.len();
        self.watch
            .sent(self.partition, messages, not_taken, began.elapsed());
        let mut kept = Vec::new();
        for Undelivered { message, why } in undelivered {
            let again = sent_again(&message);
            self.resending.retain(|letter| Some(*letter) != again);
            match why {
                // Whoever asked asks again, if it is still there.
                _ if message.kind == Kind::Response && again.is_none() => {
                    debug!(queue = %message.to, %why, "an answer was not taken");
                }
                WhyUndelivered::Closed => return Err(DriveError::Inbox(ConsumerError::Closed)),
                WhyUndelivered::NoSuchQueue => self.nobody_takes(&message, Cause::NoQueue, why),
                WhyUndelivered::TooLarge => self.nobody_takes(&message, Cause::TooLarge, why),
                // The window is smaller than any queue, so this is a transport in trouble. The
                // command is kept; its attempt's deadline bounds the wait.
                _ => {
                    if !told {
                        warn!(queue = %message.to, %why, "a command could not be published");
                    }
                    kept.push(message);
                }
            }
        }
        self.waits_for_room = !kept.is_empty();
        self.outgoing.splice(0..0, kept);
        let now = self.clock.now();
        for (letter, retry) in std::mem::take(&mut self.resending) {
            self.machine.letter_sent(letter, retry, now);
        }
        Ok(())
    }

    /// A message that no queue takes is a dead letter. If it asks for an attempt, that is in doubt from
    /// now on: an earlier owner may have published it when there was a queue.
    fn nobody_takes(&mut self, message: &Message, cause: Cause, why: WhyUndelivered) {
        if message.kind == Kind::Control {
            // A withdrawal is a hint.
            return warn!(queue = %message.to, %why, "nobody takes a withdrawal");
        }
        let now = self.clock.now();
        let reason = match cause {
            Cause::NoQueue => format!("there is no queue {}", message.to),
            _ => why.to_string(),
        };
        if sent_again(message).is_none()
            && let Ok(command) = serde_json::from_str::<Command>(&message.content)
        {
            let reply = Reply {
                saga: command.saga.clone(),
                node: command.node,
                direction: command.direction,
                attempt: command.attempt,
                outcome: Outcome::Unknown {
                    reason: format!("nobody was asked: {reason}"),
                },
            };
            let told = Told::Saga(command.saga, Query::Reply(reply));
            let from = From::Own;
            self.feed(Pending { told, from }, now);
        }
        let burial = Burial::of(message, &message.to, cause, reason);
        self.bury(burial, From::Own, now);
    }

    /// The queue of whoever performs a step.
    fn queue_of(&mut self, step: &Arc<str>) -> Queue {
        let queue = self
            .queues
            .entry(step.clone())
            .or_insert_with(|| command_queue(step).expect("step names were checked at the start"));
        queue.clone()
    }

    pub(super) fn message(&mut self, command: &Command) -> Message {
        let to = self.queue_of(&command.step);
        let content = serde_json::to_string(command).expect("a command is plain data");
        let mut message = Message::new(
            command_id(&command.key, command.direction, command.attempt),
            Kind::Request,
            self.inbox.queue().clone(),
            to,
            content,
        );
        message.deadline = Some(command.deadline);
        if self.watch.is_wanted()
            && let Some(state) = self.machine.peek(&command.saga)
            && let Some(traceparent) = self.watch.traceparent(state, command)
        {
            message.details.get_or_insert_default().traceparent = Some(traceparent);
        }
        message
    }

    /// The control message that tells a participant of a turn.
    pub(super) fn control(&mut self, withdrawal: &Withdrawal) -> Message {
        let to = self.queue_of(&withdrawal.step);
        let id = derived(&withdrawal.action_key, WITHDRAWAL, withdrawal.attempt);
        let content = serde_json::to_string(withdrawal).expect("a withdrawal is plain data");
        let from = self.inbox.queue().clone();
        Message::new(id, Kind::Control, from, to, content)
    }
}

impl Driver {
    /// Tells a producer of numbers that did not come, in its command queue.
    pub(super) fn ask_for_missing(&mut self, missing: &Missing) {
        let producer = &missing.producer;
        let to = match Queue::commands(producer) {
            Ok(to) => to,
            Err(why) => {
                return warn!(%producer, %why, "a producer cannot be asked for what is missing");
            }
        };
        let content = serde_json::to_string(missing).expect("it is plain data");
        let id = message_id(Sha256::new_with_prefix(&content));
        let from = self.inbox.queue().clone();
        self.outgoing
            .push(Message::new(id, Kind::Control, from, to, content));
    }
}

/// What stands for a withdrawal where a command's id has its direction.
const WITHDRAWAL: u8 = 0xff;

/// Derived from what the command is, so that the same command published twice has one id.
pub(crate) fn command_id(
    key: &IdempotencyKey,
    direction: Direction,
    attempt: AttemptNumber,
) -> MessageId {
    derived(key, direction as u8, attempt)
}

fn derived(key: &IdempotencyKey, what: u8, attempt: AttemptNumber) -> MessageId {
    let mut hash = Sha256::new();
    hash.update(key.as_str().as_bytes());
    hash.update([0xff, what]);
    hash.update(attempt.0.to_be_bytes());
    message_id(hash)
}

/// The id of a message, from what it is.
pub(crate) fn message_id(what: Sha256) -> MessageId {
    let hash: [u8; 32] = what.finalize().into();
    let (head, _) = hash
        .split_first_chunk()
        .expect("a SHA-256 has more than sixteen bytes");
    MessageId(u128::from_be_bytes(*head))
}
