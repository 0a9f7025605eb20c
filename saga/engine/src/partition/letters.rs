//! Dead letters: what the partition records of messages that nobody could use, and what becomes of them.
//!
//! - **I8**: a dead letter leaves the queue that it lies in when its event is durable, as any input.
//! - **I5, I6**: one that is to be sent again is sent when that is durable, and after a take-over once more unless it
//!   is on record that the broker has it.

use alloc::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    vec::Vec,
};

use sagalog_model::{
    dead_letter::{
        Body, DeadLetter, Died, LetterEvent, LetterId, Purged, Retried, Sent, WhyPurged,
    },
    log::{Position, Time, Version},
    system::SystemEvent,
};
use sagalog_projections::{DeadLetters, dead_letters::Phase};

use super::{Answer, Partition, SystemHead, Ticket, bounds::size};
use crate::{
    decide::{Refusal, cut},
    evaluate::Evaluate,
    rules::Rules,
};

/// Letters that are on their way to the broker at one time; further ones stay in state.
const WINDOW: usize = 256;

/// What a person wants of a dead letter. `id` makes it safe to send twice; `by` says who it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LetterRequest {
    /// The letter.
    pub letter: LetterId,
    /// The caller's id for it.
    pub id: Arc<str>,
    /// Who asks.
    pub by: Arc<str>,
    /// What.
    pub wish: LetterWish,
}

/// What can be wanted of a dead letter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LetterWish {
    /// Send it again to the queue it died in.
    Retry {
        /// What to send instead of what came.
        body: Option<Arc<str>>,
    },
    /// Give it up. One that is not there has been already.
    Purge {
        /// Why.
        reason: Arc<str>,
    },
}

/// A dead letter that is to be published again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Resend {
    /// The message as it died.
    pub letter: DeadLetter,
    /// Which time this is: it travels with the message, so that its next death is told from an earlier one.
    pub retry: u32,
    /// What to send.
    pub body: Arc<str>,
    /// Whether it is not what came.
    pub is_edited: bool,
}

/// What the machine knows of dead letters.
#[derive(Clone)]
pub(super) struct Letters {
    fold: DeadLetters,
    head: SystemHead,
    /// What is to be sent, once its position is durable.
    to_send: VecDeque<(Position, LetterId)>,
    /// What was given out to be sent, and is not settled.
    under_way: BTreeSet<LetterId>,
}

impl Letters {
    /// What the log holds.
    pub(super) fn new(head: SystemHead, events: Vec<(Version, Time, LetterEvent)>) -> Self {
        let mut fold = DeadLetters::default();
        for (version, at, event) in events {
            fold.apply(&event, version, at);
        }
        Self {
            fold,
            head,
            to_send: VecDeque::new(),
            under_way: BTreeSet::new(),
        }
    }

    /// The next that is to be sent and may be.
    pub(super) fn poll(&mut self, durable: Position) -> Option<Resend> {
        while self.under_way.len() < WINDOW {
            let (_, id) = self.to_send.pop_front_if(|(gate, _)| *gate <= durable)?;
            let letter = self.fold.get(id);
            let Some(letter) = letter.filter(|letter| letter.phase == Phase::Sending) else {
                continue;
            };
            let Some(body) = letter.body.text() else {
                continue;
            };
            self.under_way.insert(id);
            return Some(Resend {
                letter: letter.died.clone(),
                retry: letter.retries,
                body: body.clone(),
                is_edited: letter.is_edited,
            });
        }
        None
    }

    /// Folds what comes next.
    fn apply(&mut self, events: &[LetterEvent], now: Time) {
        for (index, event) in events.iter().enumerate() {
            self.apply_behind(index, event, now);
        }
    }

    /// Folds what comes behind `index` others of its batch.
    fn apply_behind(&mut self, index: usize, event: &LetterEvent, now: Time) {
        let place = self.head.version.plus(index as u64).next();
        self.fold.apply(event, place, now);
    }

    /// The event of a death, unless it is on record.
    fn death(
        &self,
        letter: DeadLetter,
        body: Body,
        now: Time,
        rules: &Rules,
    ) -> Option<LetterEvent> {
        let known = self.fold.get(letter.id);
        let is_known = known.is_some_and(|known| {
            !mutant!(rules, RecordsLettersTwice)
                && (letter.retries < known.retries
                    || letter.retries == known.retries && known.phase == Phase::Waiting)
        });
        if is_known {
            return None;
        }
        let died = Died {
            deaths: known.map_or(1, |known| known.deaths + 1),
            first_at: known.map_or(now, |known| known.first_at),
            requests: known.map_or_else(Vec::new, |known| known.requests.clone()),
            letter,
            oldest: Version::default(),
        };
        Some(LetterEvent::Died(died, body))
    }
}

impl<E: Evaluate> Partition<E> {
    /// Effects are derived from state: what is to be sent is sent again, once the ownership is durable.
    pub(super) fn send_letters_again(&mut self) {
        if mutant!(self.rules, ForgetsRetriesOfLetters) {
            return;
        }
        let gate = self.appending.tail();
        let sending = self.letters.fold.in_phase(Phase::Sending);
        let sending = sending.map(|letter| (gate, letter.died.id));
        self.letters.to_send = sending.collect();
    }

    /// Records a message that died. Its answer comes when that is durable: then it may leave its queue (I8).
    /// One that is on record already is answered like it.
    pub fn bury(&mut self, ticket: Ticket, mut letter: DeadLetter, body: Body, now: Time) {
        let now = self.appending.monotone(now);
        letter.reason = cut(&letter.reason, self.rules.reason_max);
        let id = letter.id;
        if mutant!(self.rules, LetsLettersGoUnrecorded) {
            self.answer(ticket, Answer::Recorded);
        }
        if let Some(died) = self.letters.death(letter, body, now, &self.rules) {
            let mut events = alloc::vec![died];
            self.letters.under_way.remove(&id);
            self.letters.apply(&events, now);
            self.make_room(id, &mut events, now);
            self.record_letters(events, now);
        }
        self.answer(ticket, Answer::Recorded);
    }

    /// Takes what a person wants of a dead letter; answered when it is durable.
    pub fn handle_letter(&mut self, ticket: Ticket, request: LetterRequest, now: Time) {
        match self.tell_letter(request, now) {
            Ok(()) => self.answer(ticket, Answer::Recorded),
            Err(refusal) => self.refuse(ticket, refusal),
        }
    }

    fn tell_letter(&mut self, request: LetterRequest, now: Time) -> Result<(), Refusal> {
        self.rules.id_within_bounds(&request.id)?;
        self.rules.id_within_bounds(&request.by)?;
        let now = self.appending.monotone(now);
        let event = match request.wish {
            LetterWish::Retry { body } => {
                let letter = self.may_retry(request.letter, &request.id, body.as_ref(), now)?;
                let Some(retry) = letter else { return Ok(()) };
                let retried = Retried {
                    letter: request.letter,
                    id: request.id,
                    by: request.by,
                    retry,
                    oldest: Version::default(),
                };
                LetterEvent::Retried(retried, body.map(Body::Text))
            }
            LetterWish::Purge { reason } => {
                if !self.may_purge(request.letter, &reason)? {
                    return Ok(());
                }
                let why = WhyPurged::Asked {
                    id: request.id,
                    by: request.by,
                    reason,
                };
                purged(request.letter, why)
            }
        };
        let sends = matches!(event, LetterEvent::Retried(..));
        let mut events = alloc::vec![event];
        self.letters.apply(&events, now);
        // Another body may be larger.
        self.make_room(request.letter, &mut events, now);
        self.record_letters(events, now);
        if sends {
            let gate = if mutant!(self.rules, SendsLettersBeforeTheAppend) {
                self.appending.durable()
            } else {
                self.appending.tail()
            };
            self.letters.to_send.push_back((gate, request.letter));
        }
        Ok(())
    }

    /// Which time it would be; none if this very request is on record.
    fn may_retry(
        &self,
        id: LetterId,
        request: &Arc<str>,
        edited: Option<&Arc<str>>,
        now: Time,
    ) -> Result<Option<u32>, Refusal> {
        let Some(letter) = self.letters.fold.get(id) else {
            return Err(Refusal::NoSuchLetter { letter: id });
        };
        let is_on_record = letter.requests.contains(request);
        if is_on_record && !mutant!(self.rules, SendsLettersForEachRequest) {
            return Ok(None);
        }
        if letter.phase == Phase::Sending {
            return Err(Refusal::LetterUnderWay { letter: id });
        }
        if let Some(body) = edited {
            size(body.len(), Body::MAX_BYTES)?;
        } else if letter.body.text().is_none() {
            return Err(Refusal::LetterUnsendable { letter: id });
        } else if letter.died.deadline.is_some_and(|due| due <= now) && !letter.is_edited {
            return Err(Refusal::LetterPast { letter: id });
        }
        // What is to be sent never gives way, so half of the room is for what does.
        let (count, bytes) = (self.rules.letters_max / 2, self.rules.letters_bytes_max / 2);
        let sending = self.letters.fold.count(Phase::Sending);
        if sending >= count.max(1) || self.letters.fold.bytes_sending() > bytes {
            return Err(Refusal::Busy {
                what: "the limit of dead letters that are being sent again".into(),
                max: count.max(1),
            });
        }
        if mutant!(self.rules, CountsRetriesOfLettersAnew) {
            return Ok(Some(1));
        }
        Ok(Some(letter.retries + 1))
    }

    /// Whether it is there.
    fn may_purge(&self, id: LetterId, reason: &Arc<str>) -> Result<bool, Refusal> {
        size(reason.len(), self.rules.reason_max)?;
        match self.letters.fold.get(id).map(|letter| letter.phase) {
            Some(Phase::Sending) => Err(Refusal::LetterUnderWay { letter: id }),
            found => Ok(found.is_some()),
        }
    }

    /// The broker has a letter again. Says nothing if it has died in the meantime.
    pub fn letter_sent(&mut self, letter: LetterId, retry: u32, now: Time) {
        self.letters.under_way.remove(&letter);
        let known = self.letters.fold.get(letter);
        if known.is_none_or(|known| known.phase != Phase::Sending || known.retries != retry) {
            return;
        }
        let now = self.appending.monotone(now);
        let events = alloc::vec![LetterEvent::Sent(Sent {
            letter,
            retry,
            oldest: Version::default(),
        })];
        self.letters.apply(&events, now);
        self.record_letters(events, now);
    }

    /// The dead letters that are here, with what is not durable yet.
    pub const fn dead_letters(&self) -> &DeadLetters {
        &self.letters.fold
    }

    /// When the next one has been here for long enough.
    pub(super) fn next_expiry(&self) -> Option<Time> {
        let letter = self.letters.fold.longest_here()?;
        Some(letter.at.after(self.rules.letter_age_max))
    }

    /// Gives up what has been here for long enough, until enough waits to be appended.
    pub(super) fn expire_letters(&mut self, now: Time) {
        while !self.is_full()
            && self.next_expiry().is_some_and(|due| due <= now)
            && let Some(letter) = self.letters.fold.longest_here()
        {
            let events = alloc::vec![purged(letter.died.id, WhyPurged::Expired)];
            let now = self.appending.monotone(now);
            self.letters.apply(&events, now);
            self.record_letters(events, now);
        }
    }

    /// Drops the oldest while there is not enough room for the newest.
    fn make_room(&mut self, newest: LetterId, events: &mut Vec<LetterEvent>, now: Time) {
        let (count, bytes) = (self.rules.letters_max, self.rules.letters_bytes_max);
        while (self.letters.fold.len() > count || self.letters.fold.bytes() > bytes)
            && let Some(oldest) = self.letters.fold.to_drop().map(|letter| letter.died.id)
            && oldest != newest
        {
            let dropped = purged(oldest, WhyPurged::NoRoom);
            self.letters.apply_behind(events.len(), &dropped, now);
            events.push(dropped);
        }
    }

    /// Appends what is in the fold already.
    fn record_letters(&mut self, mut events: Vec<LetterEvent>, now: Time) {
        let head = &mut self.letters.head;
        let behind = head.version.plus(events.len() as u64).next();
        let from = self.letters.fold.oldest().unwrap_or(behind);
        for event in &mut events {
            *event.oldest_mut() = from;
        }
        let events = events.into_iter().map(SystemEvent::Letter);
        let events = events.map(|event| event.encode()).collect();
        self.appending.push_system_batch(head, events, now);
    }
}

fn purged(letter: LetterId, why: WhyPurged) -> LetterEvent {
    LetterEvent::Purged(Purged {
        letter,
        why,
        oldest: Version::default(),
    })
}
