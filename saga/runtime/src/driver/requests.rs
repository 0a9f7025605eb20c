//! Requests of other processes, which come over the inbox, and their answers.

use std::{num::NonZeroU32, sync::Arc};

use sagalog_engine::{Query, Refusal, Ticket};
use sagalog_model::log::{PartitionId, Time};
use sagalog_transport::{Delivery, Kind, Message, Tag};

use super::{
    Driver,
    inputs::{From, Pending, Told},
    letters::{Burial, cause_of_refusal},
};
use crate::{
    caller::END_WITHIN,
    request::{Answer, AtParticipant, Meant, OwnerName, Refused, Request, Roll},
    worker::reply_id,
};

/// Where the answer to a request goes. Whoever asked asks again if it gets none.
#[derive(Clone)]
pub(super) struct Asker {
    message: Arc<Message>,
}

/// What a request asks for.
enum Read {
    /// Something of the machine.
    Told(Told),
    /// Something of the roll of participants.
    Roll(Roll),
}

impl Driver {
    /// Takes a request. What it records is acknowledged when that is durable; a question at once, as it
    /// would be asked again.
    pub(super) fn take_request(&mut self, delivery: &Delivery, now: Time) {
        let asker = Asker {
            message: delivery.message.clone(),
        };
        let told = match self.read_request(&delivery.message.content) {
            Ok(Read::Told(told)) => told,
            Ok(Read::Roll(roll)) => return self.take_roll(roll, &asker, delivery.tag, now),
            Err(answer) => {
                self.acknowledged.push(delivery.tag);
                return self.answer(&asker, &answer);
            }
        };
        if let Told::Saga(_, Query::State | Query::End) = told {
            self.acknowledged.push(delivery.tag);
            return self.take_question(asker, told, now);
        }
        let from = From::Far(Some(delivery.tag), asker);
        self.feed(Pending { told, from }, now);
    }

    /// What a participant said last stays in the inbox for the next owner.
    fn take_roll(&mut self, roll: Roll, asker: &Asker, tag: Tag, now: Time) {
        let name = match &roll {
            Roll::Announce(said) => Some((said.participant.clone(), said.instance.clone())),
            Roll::Leave {
                participant,
                instance,
            } => {
                let name = (participant.as_str().into(), instance.as_str().into());
                self.acknowledged.extend(self.announced.forget(&name));
                None
            }
            Roll::List { .. } => None,
        };
        let answer = self.roll.answer(roll);
        let done = match (name, &answer) {
            (Some(name), Answer::Done {}) => self.announced.keep(name, tag, now),
            _ => Some(tag),
        };
        self.acknowledged.extend(done);
        self.answer(asker, &answer);
    }

    fn take_question(&mut self, asker: Asker, told: Told, now: Time) {
        let is_end = matches!(told, Told::Saga(_, Query::End));
        let from = From::Far(None, asker);
        let ticket = self.feed(Pending { told, from }, now);
        if is_end {
            self.ends.push_back((now.after(END_WITHIN), ticket));
        }
    }

    /// What is asked of the machine; or the answer, if it is not for it.
    fn read_request(&self, content: &str) -> Result<Read, Answer> {
        let refused = |code: &'static str, why| Answer::Refused(Refused::new(code, why));
        let request: Request = serde_json::from_str(content)
            .map_err(|why| refused("bad_request", format!("it is not a request: {why}")))?;
        let meant = request
            .meant()
            .map_err(|why| Answer::Refused(Refused::of(&why)))?;
        let partitions = NonZeroU32::new(self.log.partitions()).expect("a log has a partition");
        let (home, what, told) = match meant {
            Meant::Anybody => {
                return Err(Answer::Owner(OwnerName {
                    program: self.node.clone(),
                    pid: std::process::id(),
                    partitions: self.log.partitions(),
                }));
            }
            Meant::Roll(roll) if self.partition == PartitionId::new(0) => {
                return Ok(Read::Roll(roll));
            }
            Meant::Roll(_) => {
                let why = "the roll of participants is kept in partition 0".to_owned();
                return Err(refused("other_partition", why));
            }
            Meant::Saga(saga, query) => {
                let home = PartitionId::of(saga.as_str(), partitions);
                (home, format!("saga `{saga}`"), Told::Saga(saga, query))
            }
            Meant::Breaker(home, request) => {
                let what = format!("partition {home}");
                (home, what, Told::Breaker(request))
            }
            Meant::Breakers(home) => (home, format!("partition {home}"), Told::Breakers),
            Meant::Letter(home, request) => {
                let what = format!("dead letter {}", request.letter);
                (home, what, Told::Letter(request))
            }
        };
        if home == self.partition {
            return Ok(Read::Told(told));
        }
        let why = format!(
            "{what} is in partition {home} of {partitions}, and this is the inbox of partition {}",
            self.partition
        );
        Err(refused("other_partition", why))
    }

    /// Those who asked for ends that have not come in time are told where their sagas stand.
    pub(super) fn end_waiting(&mut self, now: Time) {
        while let Some((_, ticket)) = self.ends.pop_front_if(|(until, _)| *until <= now) {
            self.tell_standing(ticket, now);
        }
    }

    /// So are all the others: nobody waits here any more.
    pub(super) fn end_all_waiting(&mut self) {
        let now = self.clock.now();
        for (_, ticket) in std::mem::take(&mut self.ends) {
            self.tell_standing(ticket, now);
        }
    }

    fn tell_standing(&mut self, ticket: Ticket, now: Time) {
        let Some(Pending {
            told: Told::Saga(saga, _),
            from,
        }) = self.pending.remove(&ticket)
        else {
            return;
        };
        self.machine.forget(&saga, ticket);
        let told = Told::Saga(saga, Query::State);
        self.feed(Pending { told, from }, now);
    }

    /// What the machine answered goes to whoever asked, in another process. What has expired is a dead
    /// letter too: its sender may not look at answers.
    pub(super) fn answer_far(
        &mut self,
        tag: Option<Tag>,
        asker: Asker,
        answer: sagalog_engine::Answer,
    ) {
        let expired = match &answer {
            sagalog_engine::Answer::Refused(refusal @ Refusal::Expired { .. }) => Some(refusal),
            _ => None,
        };
        match (tag, expired) {
            (Some(tag), Some(refusal)) => self.bury_request(tag, asker.message.clone(), refusal),
            (tag, _) => self.acknowledged.extend(tag),
        }
        self.answer(&asker, &Answer::of(answer));
    }

    /// How it stands with the participants goes to whoever asked, in another process.
    pub(super) fn tell_far(&mut self, tag: Option<Tag>, asker: &Asker, all: Vec<AtParticipant>) {
        self.acknowledged.extend(tag);
        self.answer(asker, &Answer::Breakers(all));
    }

    fn bury_request(&mut self, tag: Tag, message: Arc<Message>, refusal: &Refusal) {
        let (cause, reason) = (cause_of_refusal(refusal), refusal.to_string());
        let mut burial = Burial::of(&message, self.inbox.queue(), cause, reason);
        let request: Option<Request> = serde_json::from_str(&message.content).ok();
        burial.letter.saga = request.and_then(|request| request.saga_id().ok()?);
        let now = self.clock.now();
        self.bury(burial, From::Inbox(tag, message), now);
    }

    fn answer(&mut self, asker: &Asker, answer: &Answer) {
        let content = serde_json::to_string(answer).expect("an answer is plain data");
        let mut message = Message::new(
            reply_id(asker.message.id, &content),
            Kind::Response,
            self.inbox.queue().clone(),
            asker.message.from.clone(),
            content,
        );
        message.correlation = Some(asker.message.id);
        self.outgoing.push(message);
    }
}
