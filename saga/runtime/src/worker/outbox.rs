//! Replies on their way, each with the command that is acknowledged once its reply was taken.

use std::{future::poll_fn, sync::Arc, task::Poll};

use sagalog_model::{Command, Outcome, Reply};
use sagalog_transport::{
    Consumer, Kind, Message, MessageId, Nack, PublishError, Tag, Transport, WhyUndelivered,
};
use sha2::{Digest, Sha256};
use tracing::{error, warn};

/// Replies on their way. Their number is bounded by the commands taken, as none of these is
/// acknowledged before.
#[derive(Default)]
pub(super) struct Outbox {
    fresh: Vec<Answer>,
    /// Waits for room in an inbox.
    stuck: Vec<Answer>,
    /// What waited is tried again: that it waits is told already.
    again: bool,
    /// Commands whose replies were taken, or that need none.
    settled: Vec<Tag>,
    rejected: Vec<(Tag, String)>,
    on_their_way: usize,
}

/// Batches of replies on their way at a time; what comes meanwhile makes the next. With one, each would wait until
/// the one before it is on disk.
const BATCHES: usize = 4;

/// Replies that are sent together.
pub(super) struct Batch {
    sent: Vec<(MessageId, Option<Tag>)>,
    messages: Vec<Message>,
    again: bool,
}

/// What became of a batch.
pub(super) struct Sent {
    sent: Vec<(MessageId, Option<Tag>)>,
    again: bool,
    error: Option<PublishError>,
}

impl Batch {
    pub(super) async fn send(self, transport: Arc<dyn Transport>) -> Sent {
        Sent {
            sent: self.sent,
            again: self.again,
            error: transport.publish(self.messages).await.err(),
        }
    }
}

struct Answer {
    /// The command's; none if it was acknowledged with an earlier reply.
    tag: Option<Tag>,
    message: Message,
}

impl Outbox {
    /// A reply to a command.
    pub(super) fn reply(
        &mut self,
        tag: Option<Tag>,
        request: &Message,
        command: &Command,
        outcome: Outcome,
    ) {
        let message = reply(request, command, outcome);
        self.fresh.push(Answer { tag, message });
    }

    /// Acknowledges a command and says nothing.
    pub(super) fn drop_silently(&mut self, tag: Tag) {
        self.settled.push(tag);
    }

    /// Gives up on what is no command.
    pub(super) fn reject(&mut self, tag: Tag, reason: String) {
        self.rejected.push((tag, reason));
    }

    /// Nothing waits to be sent, and nothing is on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.fresh.is_empty()
            && self.stuck.is_empty()
            && self.settled.is_empty()
            && self.on_their_way == 0
    }

    pub(super) fn is_stuck(&self) -> bool {
        !self.stuck.is_empty()
    }

    /// Tries again what had found no room.
    pub(super) fn retry(&mut self) {
        self.fresh.append(&mut self.stuck);
        self.again = true;
    }

    /// Waits until one of the inboxes may have room again.
    pub(super) async fn room(&self, transport: &Arc<dyn Transport>) {
        let mut inboxes: Vec<_> = self.stuck.iter().map(|it| &it.message.to).collect();
        inboxes.sort_unstable();
        inboxes.dedup();
        let mut rooms: Vec<_> = inboxes.iter().map(|inbox| transport.room(inbox)).collect();
        poll_fn(|context| {
            let some = rooms
                .iter_mut()
                .any(|room| room.as_mut().poll(context).is_ready());
            if some { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// What is to be sent, if there is anything and not too much is on its way.
    pub(super) fn take(&mut self) -> Option<Batch> {
        if self.fresh.is_empty() || self.on_their_way == BATCHES {
            return None;
        }
        self.on_their_way += 1;
        let (sent, messages) = self
            .fresh
            .drain(..)
            .map(|answer| ((answer.message.id, answer.tag), answer.message))
            .unzip();
        let again = std::mem::take(&mut self.again);
        Some(Batch {
            sent,
            messages,
            again,
        })
    }

    /// Learns what became of a batch; the commands that this settles are acknowledged next.
    pub(super) fn sent(&mut self, Sent { sent, again, error }: Sent) {
        self.on_their_way -= 1;
        match error {
            None => self
                .settled
                .extend(sent.into_iter().filter_map(|(_, tag)| tag)),
            Some(error) => self.sort_out(sent, error, again),
        }
    }

    /// Acknowledges and rejects what is settled.
    pub(super) async fn settle(&mut self, consumer: &mut dyn Consumer) {
        // A lost consumer shows when it receives next; its commands are then delivered again and
        // answered from memory.
        for (tag, reason) in self.rejected.drain(..) {
            _ = consumer.nack(tag, &reason, Nack::DeadLetter).await;
        }
        if !self.settled.is_empty() {
            _ = consumer.ack(&self.settled).await;
            self.settled.clear();
        }
    }

    /// What comes back is a part of what was sent, in the same order.
    fn sort_out(&mut self, sent: Vec<(MessageId, Option<Tag>)>, error: PublishError, again: bool) {
        let mut undelivered = error.0.into_iter().peekable();
        for (id, tag) in sent {
            let Some(back) = undelivered.next_if(|back| back.message.id == id) else {
                self.settled.extend(tag);
                continue;
            };
            let message = back.message;
            match back.why {
                why @ (WhyUndelivered::NoSuchQueue | WhyUndelivered::TooLarge) => {
                    let reason = format!("its reply to {} was not taken: {why}", message.to);
                    error!(%id, "a reply cannot be sent: {reason}");
                    self.rejected.extend(tag.map(|tag| (tag, reason)));
                }
                WhyUndelivered::Closed => {}
                why => {
                    if !again {
                        warn!(%id, inbox = %message.to, "a reply waits: {why}");
                    }
                    self.stuck.push(Answer { tag, message });
                }
            }
        }
    }
}

fn reply(request: &Message, command: &Command, outcome: Outcome) -> Message {
    let reply = Reply {
        saga: command.saga.clone(),
        node: command.node.clone(),
        direction: command.direction,
        attempt: command.attempt,
        outcome,
    };
    let content = serde_json::to_string(&reply)
        .expect("a reply is plain text and a payload, which was checked to be JSON");
    let id = reply_id(request.id, &content);
    let from = request.to.clone();
    let to = request.from.clone();
    let mut message = Message::new(id, Kind::Response, from, to, content);
    message.correlation = Some(request.id);
    message.causation = Some(request.id);
    message.priority = request.priority;
    // Whoever takes the answer sees of which trace it is.
    if let Some(details) = &request.details
        && let Some(traceparent) = &details.traceparent
    {
        let answer = message.details.get_or_insert_default();
        answer.traceparent = Some(traceparent.clone());
        answer.tracestate.clone_from(&details.tracestate);
    }
    message
}

/// The first 48 bits of the command's id, where a ULID has its time, then 80 bits of a hash of that
/// id and of what is said: the same answer to the same command is the same message, another answer
/// is another.
pub(crate) fn reply_id(request: MessageId, content: &str) -> MessageId {
    let mut hash = Sha256::new();
    hash.update(request.0.to_be_bytes());
    hash.update(content);
    let hash: [u8; 32] = hash.finalize().into();
    let (head, _) = hash.split_first_chunk().expect("a SHA-256 has 32 bytes");
    let low = u128::from_be_bytes(*head) >> 48;
    MessageId((request.0 >> 80 << 80) | low)
}
