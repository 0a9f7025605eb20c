//! Dead letters: messages that nobody can use, on their way into the log and out of it again, and the
//! person who looks after them.

use std::{sync::Arc, time::Duration};

use sagalog_engine::{LetterRequest, LetterWish, Resend, Ticket};
use sagalog_model::{
    Command, Reply, SagaId,
    dead_letter::{Body, Cause, DeadLetter, Died, LetterEvent, LetterId, Sent as SentAgain},
    graph::participant,
    log::{Digest, PartitionId, Time, Version},
};

use super::{
    ClientCall, DOWN, HOP, Happening, LONG_AFTER, Lane, Ownership, Wants, World, log::Row,
    participants,
};
use crate::{
    check::{Broken, Violation},
    fault::Fault,
    site::{Point, Subject},
};

/// Whose owner records what participants could not use.
const DEAD_LETTERS: PartitionId = PartitionId::new(0);

/// How long it takes a person to look after a dead letter.
const LOOKED_AFTER: Duration = Duration::from_millis(100);

/// A queue that owners receive from.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Inbox {
    /// The answers for the sagas of a partition.
    Of(PartitionId),
    /// What participants could not use.
    DeadLetters,
}

impl Inbox {
    /// What the owner of a partition receives from.
    pub(super) fn all_of(partition: PartitionId) -> impl Iterator<Item = Self> {
        let dead = (partition == DEAD_LETTERS).then_some(Self::DeadLetters);
        [Self::Of(partition)].into_iter().chain(dead)
    }
}

/// A message to an owner.
#[derive(Clone, Debug)]
pub(super) enum Incoming {
    /// An answer.
    Reply(Arc<Reply>),
    /// What nobody can use.
    Dead(Arc<Dead>),
}

impl Incoming {
    pub(super) fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Reply(reply) => Some(reply),
            Self::Dead(_) => None,
        }
    }
}

/// A message that nobody can use.
#[derive(Clone, Debug)]
pub(crate) struct Dead {
    pub(crate) letter: DeadLetter,
    body: Arc<str>,
}

/// What was poisoned, as it was meant.
#[derive(Debug)]
pub(crate) struct Poisoned {
    pub(crate) saga: SagaId,
    subject: Subject,
    partition: PartitionId,
    content: Arc<str>,
    is_answer: bool,
}

/// A dead letter that was sent again.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    letter: DeadLetter,
    retry: u32,
    body: Arc<str>,
}

impl World {
    /// An answer comes as bytes that nobody can read.
    pub(super) fn poisons_answer(&mut self, command: &Command, reply: &Reply) {
        let content = serde_json::to_string(reply).expect("a reply is plain data");
        let half = content.floor_char_boundary(content.len() / 2);
        let body = content[..half].into();
        let poisoned = Poisoned {
            saga: reply.saga.clone(),
            subject: participants::subject(command),
            partition: self.setup.partition(&reply.saga),
            content: content.into(),
            is_answer: true,
        };
        let (cause, from) = (Cause::Unreadable, participant(&command.step));
        self.dies_of(poisoned, body, cause, from, None);
    }

    /// A command comes back from its participant as often as the broker allows.
    pub(super) fn poisons_command(&mut self, command: &Command) {
        let content: Arc<str> = serde_json::to_string(command)
            .expect("a command is plain data")
            .into();
        let poisoned = Poisoned {
            saga: command.saga.clone(),
            subject: participants::subject(command),
            partition: DEAD_LETTERS,
            content: content.clone(),
            is_answer: false,
        };
        let cause = Cause::DeliveryLimit;
        self.dies_of(poisoned, content, cause, "engine", Some(command.deadline));
    }

    fn dies_of(
        &mut self,
        poisoned: Poisoned,
        body: Arc<str>,
        cause: Cause,
        from: &str,
        deadline: Option<Time>,
    ) {
        let message = format!("m{}", self.poisoned.len() + 1);
        let id = LetterId::of(&message, Digest([0; 32]));
        let letter = DeadLetter {
            id,
            retries: 0,
            cause,
            reason: "poisoned by a fault of the plan".into(),
            queue: "queue".into(),
            from: from.into(),
            message: message.into(),
            kind: if poisoned.is_answer {
                "response"
            } else {
                "request"
            }
            .into(),
            correlation: None,
            deadline,
            saga: None,
            size: body.len() as u64,
            sha_256: "".into(),
            envelope: None,
        };
        self.poisoned.insert(id, Arc::new(poisoned));
        let dead = Dead { letter, body };
        self.agenda
            .add(self.now.after(HOP), Happening::Dies(Arc::new(dead)));
    }

    /// Who records a letter.
    pub(super) fn partition_of_letter(&self, letter: LetterId) -> PartitionId {
        self.poisoned[&letter].partition
    }

    pub(super) fn dead_letter_arrives(&mut self, dead: Arc<Dead>) {
        let poisoned = &self.poisoned[&dead.letter.id];
        let (partition, is_answer) = (poisoned.partition, poisoned.is_answer);
        let inbox = match is_answer {
            true => Inbox::Of(partition),
            false => Inbox::DeadLetters,
        };
        self.inboxes.arrives(&inbox, Incoming::Dead(dead));
        self.take_deliveries(partition);
    }

    pub(super) fn bury(&mut self, partition: PartitionId, ticket: Ticket, dead: &Dead) {
        let Some(owner) = self.share(partition).owner() else {
            return;
        };
        let now = self.time_of(owner.node());
        let (letter, body) = (dead.letter.clone(), Body::Text(dead.body.clone()));
        if let Some(owner) = self.share_mut(partition).owner_mut() {
            owner.machine.bury(ticket, letter, body, now);
        }
    }

    pub(super) fn feed_letter_request(
        &mut self,
        partition: PartitionId,
        ticket: Ticket,
        request: LetterRequest,
    ) {
        let Some(owner) = self.share(partition).owner() else {
            return;
        };
        let now = self.time_of(owner.node());
        if let Some(owner) = self.share_mut(partition).owner_mut() {
            owner.machine.handle_letter(ticket, request, now);
        }
    }

    /// An owner publishes a dead letter to the queue that it died in.
    pub(super) fn resend(&mut self, by: Ownership, resend: &Resend) {
        // What another has recorded since is not known to one that was taken over.
        if self.is_newest(by) {
            let checked = self.shadow.letter_sent_again(by.partition, resend);
            self.letter_checked(resend.letter.id, checked);
        }
        let poisoned = self.poisoned[&resend.letter.id].clone();
        self.say_of(Lane::World, Some(&poisoned.saga), || {
            format!("letter {} is sent again", poisoned.subject)
        });
        let copy = Arc::new(Copy {
            letter: resend.letter.clone(),
            retry: resend.retry,
            body: resend.body.clone(),
        });
        let at = self.now.after(HOP);
        let subject = Subject::Other("letter".into());
        match self.visit(&poisoned.saga, subject, Point::Deliver) {
            None => self.letter_goes(by, at, copy),
            Some(Fault::Duplicated) => {
                self.letter_goes(by, at, copy.clone());
                self.agenda
                    .add(at.after(DOWN), Happening::LetterArrives(copy));
            }
            Some(Fault::AgainAfterTheEnd) => {
                self.letter_goes(by, at, copy.clone());
                self.agenda
                    .add(at.after(LONG_AFTER), Happening::LetterArrives(copy));
            }
            Some(Fault::Refused) => self.letter_goes(by, at.after(DOWN), copy),
            Some(Fault::BrokerDown) => {
                self.broker_down_until = self.now.after(DOWN);
                self.letter_goes(by, at, copy);
            }
            Some(Fault::CrashBeforePublish) => self.owner_dies(by),
            Some(Fault::CrashAfterPublish) => {
                self.agenda.add(at, Happening::LetterArrives(copy));
                self.owner_dies(by);
            }
            Some(Fault::LeaseLost) => {
                self.owner_is_paused(by);
                let at = self.now.after(3 * DOWN);
                self.agenda.add(at, Happening::LetterArrives(copy));
            }
            Some(other) => unreachable!("{other} does not happen to a dead letter"),
        }
    }

    fn letter_goes(&mut self, by: Ownership, at: Time, copy: Arc<Copy>) {
        self.agenda
            .add(at, Happening::LetterIsSent(by, copy.clone()));
        self.agenda
            .add(at.after(HOP), Happening::LetterArrives(copy));
    }

    pub(super) fn letter_is_sent(&mut self, by: Ownership, copy: &Copy) {
        let now = self
            .owner(by)
            .map_or(self.now, |owner| self.time_of(owner.node()));
        let (letter, retry) = (copy.letter.id, copy.retry);
        self.shadow.letter_is_with_the_broker(letter, retry);
        if let Some(owner) = self.owner_mut(by) {
            owner.machine.letter_sent(letter, retry, now);
        }
    }

    /// What was sent again is used, or dies again.
    pub(super) fn letter_arrives(&mut self, copy: &Copy) {
        let Copy {
            letter,
            retry,
            body,
        } = copy;
        if self.poisoned[&letter.id].is_answer {
            if let Ok(reply) = serde_json::from_str(body) {
                return self.reply_arrives(Arc::new(reply));
            }
        } else if let Ok(command) = serde_json::from_str(body) {
            return self.command_is_here(command);
        }
        let letter = DeadLetter {
            retries: *retry,
            ..letter.clone()
        };
        let body = body.clone();
        self.dead_letter_arrives(Arc::new(Dead { letter, body }));
    }

    /// What became of dead letters is durable: it is looked at, and so does the person who looks after them.
    pub(super) fn letters_are_stored(&mut self, partition: PartitionId, row: &Row) {
        let batch = row.batch();
        for (version, event) in (batch.version.get()..).zip(row.letters()) {
            let poisoned = self.poisoned[&id_of(event)].clone();
            self.say(Lane::Log, || {
                let (saga, subject) = (&poisoned.saga, &poisoned.subject);
                format!("{saga}: letter {subject} {}", in_words(event))
            });
            let place = Version::new(version);
            let checked = self
                .shadow
                .letter_recorded(partition, event, place, batch.at);
            self.letter_checked(id_of(event), checked);
            self.look_after(&poisoned, event);
        }
    }

    /// A person sends a letter again: an answer as it came, and if it dies of that, as it was meant. That one
    /// is given up when it is sent; the others go with their age.
    fn look_after(&mut self, poisoned: &Poisoned, event: &LetterEvent) {
        let letter = id_of(event);
        let (id, wish) = match event {
            LetterEvent::Died(Died { letter, .. }, _) => {
                let is_put_right = poisoned.is_answer && letter.retries > 0;
                let body = is_put_right.then(|| poisoned.content.clone());
                let id = format!("retry-{}-{}", letter.message, letter.retries + 1);
                (id, LetterWish::Retry { body })
            }
            LetterEvent::Sent(SentAgain { retry: 2.., .. }) => {
                let reason = "it is put right".into();
                (format!("purge-{letter}"), LetterWish::Purge { reason })
            }
            LetterEvent::Retried(..) | LetterEvent::Sent(_) | LetterEvent::Purged(_) => return,
        };
        let call = ClientCall {
            after: LOOKED_AFTER,
            saga: poisoned.saga.clone(),
            lifetime: None,
            wants: Wants::Letter(LetterRequest {
                letter,
                id: id.into(),
                by: "simulation".into(),
                wish,
            }),
        };
        let at = self.now.after(LOOKED_AFTER);
        self.agenda.add(at, Happening::Call(Arc::new(call)));
    }

    fn letter_checked(&mut self, letter: LetterId, checked: Result<(), Broken>) {
        let saga = self.saga_of_letter(letter).clone();
        let checked =
            checked.map_err(|(invariant, what)| Violation::of(invariant, self, &saga, what));
        self.checked(checked);
    }

    /// The saga that a letter is about.
    pub(crate) fn saga_of_letter(&self, letter: LetterId) -> &SagaId {
        &self.poisoned[&letter].saga
    }

    /// Which letter a batch is about, and what becomes of it in it.
    pub(super) fn letter_of(&self, row: &Row) -> Option<(SagaId, Subject)> {
        let event = row.letters().first()?;
        let saga = self.saga_of_letter(id_of(event)).clone();
        let word = match event {
            LetterEvent::Died(..) => "letter",
            LetterEvent::Retried(..) => "letter-retry",
            LetterEvent::Sent(_) => "letter-sent",
            LetterEvent::Purged(_) => "letter-purge",
        };
        Some((saga, Subject::Other(word.into())))
    }
}

fn id_of(event: &LetterEvent) -> LetterId {
    match event {
        LetterEvent::Died(event, _) => event.letter.id,
        LetterEvent::Retried(event, _) => event.letter,
        LetterEvent::Sent(event) => event.letter,
        LetterEvent::Purged(event) => event.letter,
    }
}

fn in_words(event: &LetterEvent) -> String {
    match event {
        LetterEvent::Died(event, _) => format!("died: {}", event.letter.cause),
        LetterEvent::Retried(event, None) => format!("is to be sent again ({})", event.retry),
        LetterEvent::Retried(event, Some(_)) => {
            format!("is to be sent again ({}), put right", event.retry)
        }
        LetterEvent::Sent(event) => format!("was sent again ({})", event.retry),
        LetterEvent::Purged(_) => "is given up".into(),
    }
}
