//! Commands on their way to the transport.

use std::sync::Arc;

use sagalog_model::{AttemptNumber, Command, Direction, IdempotencyKey, Missing, Withdrawal};
use sagalog_transport::{
    ConsumerError, Kind, Message, MessageId, PublishError, Queue, Undelivered, WhyUndelivered,
};
use sha2::{Digest as _, Sha256};
use tracing::{debug, warn};

use super::{DriveError, Driver};
use crate::worker::command_queue;

impl Driver {
    pub(super) fn publish(&mut self) {
        let transport = self.transport.clone();
        let messages = std::mem::take(&mut self.outgoing);
        let full = self.waits_for_room.then(|| messages[0].to.clone());
        self.publishing = Some(Box::pin(async move {
            if let Some(queue) = full {
                transport.room(&queue).await;
            }
            transport.publish(messages).await
        }));
    }

    pub(super) fn published(&mut self, result: Result<(), PublishError>) -> Result<(), DriveError> {
        self.waits_for_room = false;
        let Err(PublishError(undelivered)) = result else {
            return Ok(());
        };
        let mut kept = Vec::new();
        for Undelivered { message, why } in undelivered {
            match why {
                // Whoever asked asks again, if it is still there.
                _ if message.kind == Kind::Response => {
                    debug!(queue = %message.to, %why, "an answer was not taken");
                }
                WhyUndelivered::Closed => return Err(DriveError::Inbox(ConsumerError::Closed)),
                // Its attempt ends at its deadline, as that of any command that gets lost.
                WhyUndelivered::NoSuchQueue | WhyUndelivered::TooLarge => {
                    warn!(queue = %message.to, %why, "nobody takes a command");
                }
                // The window is smaller than any queue, so this is a transport in trouble. The
                // command is kept; its attempt's deadline bounds the wait.
                _ => {
                    warn!(queue = %message.to, %why, "a command could not be published");
                    kept.push(message);
                }
            }
        }
        self.waits_for_room = !kept.is_empty();
        self.outgoing.splice(0..0, kept);
        Ok(())
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
