//! The dead letters of a partition: the fold of `$dead-N`.
//!
//! As many are here as the engine lets be: it drops the oldest by an event when there is no room for
//! another ([`DeadLetters::to_drop`]). What a person has purged is forgotten here and stays in the log.

use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};

use sagalog_model::{
    dead_letter::{Body, DeadLetter, LetterEvent, LetterId, WhyPurged},
    log::{Time, Version},
};

/// The letters that are there.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DeadLetters {
    letters: BTreeMap<LetterId, Letter>,
    /// Those in each phase, by their place in the stream.
    by_place: [BTreeMap<Version, LetterId>; Phase::COUNT],
    bytes: usize,
    bytes_sending: usize,
}

/// One letter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Letter {
    /// The message, as it died last.
    pub died: DeadLetter,
    /// Its bytes; those that were given for the retry, if any were.
    pub body: Body,
    /// How often it has died.
    pub deaths: u32,
    /// How often it was to be sent again.
    pub retries: u32,
    /// When it died first.
    pub first_at: Time,
    /// When it died last.
    pub at: Time,
    /// Where it is with it.
    pub phase: Phase,
    /// Whether its body is no longer the one that came.
    pub is_edited: bool,
    /// The ids of the newest requests to send it again, at most [`Letter::REQUESTS_MAX`].
    pub requests: Vec<Arc<str>>,
    place: Version,
}

impl Letter {
    /// How many requests are known by their ids: an older one that comes again is a new one.
    pub const REQUESTS_MAX: usize = 16;

    /// How many bytes of it are kept.
    fn kept(&self) -> usize {
        let envelope = self.died.envelope.as_ref();
        self.body.kept() + envelope.map_or(0, |envelope| envelope.kept())
    }
}

/// Where it is with a letter.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Phase {
    /// It waits for a person.
    Waiting,
    /// It is to be sent again.
    Sending,
    /// It was sent again, and has not died since.
    Sent,
}

impl Phase {
    const COUNT: usize = 3;

    /// Its word, the same in every release.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sending => "sending",
            Self::Sent => "sent",
        }
    }
}

/// How often what happened: a fold of its own, for whoever reads the whole stream.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// Messages died.
    pub died: u64,
    /// Letters were to be sent again.
    pub retried: u64,
    /// Letters were sent again.
    pub sent: u64,
    /// Letters were given up by a person.
    pub purged: u64,
    /// Letters were given up because of their age.
    pub expired: u64,
    /// Letters gave way to newer ones.
    pub dropped: u64,
}

impl Totals {
    /// Takes the next event of the stream.
    pub const fn apply(&mut self, event: &LetterEvent) {
        let counted = match event {
            LetterEvent::Died(..) => &mut self.died,
            LetterEvent::Retried(..) => &mut self.retried,
            LetterEvent::Sent(_) => &mut self.sent,
            LetterEvent::Purged(event) => match event.why {
                WhyPurged::Asked { .. } => &mut self.purged,
                WhyPurged::Expired => &mut self.expired,
                WhyPurged::NoRoom => &mut self.dropped,
            },
        };
        *counted += 1;
    }
}

impl DeadLetters {
    /// Takes the next event of the stream, at its version and time. One about a letter that is not here
    /// says nothing: the fold may have begun behind it.
    pub fn apply(&mut self, event: &LetterEvent, place: Version, at: Time) {
        match event {
            LetterEvent::Died(event, body) => {
                self.remove(event.letter.id);
                self.insert(Letter {
                    died: event.letter.clone(),
                    body: body.clone(),
                    deaths: event.deaths,
                    retries: event.letter.retries,
                    first_at: event.first_at,
                    at,
                    phase: Phase::Waiting,
                    is_edited: false,
                    requests: event.requests.clone(),
                    place,
                });
            }
            LetterEvent::Retried(event, edited) => {
                self.change(event.letter, |letter| {
                    letter.phase = Phase::Sending;
                    letter.retries = event.retry;
                    if letter.requests.len() == Letter::REQUESTS_MAX {
                        letter.requests.remove(0);
                    }
                    letter.requests.push(event.id.clone());
                    if let Some(edited) = edited {
                        letter.body = edited.clone();
                        letter.is_edited = true;
                    }
                });
            }
            LetterEvent::Sent(event) => {
                self.change(event.letter, |letter| letter.phase = Phase::Sent);
            }
            LetterEvent::Purged(event) => {
                self.remove(event.letter);
            }
        }
    }

    /// The letter of this id.
    pub fn get(&self, id: LetterId) -> Option<&Letter> {
        self.letters.get(&id)
    }

    /// How many letters are here.
    pub fn len(&self) -> usize {
        self.letters.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    /// How many letters are in a phase.
    pub fn count(&self, phase: Phase) -> usize {
        self.by_place[phase as usize].len()
    }

    /// How many bytes the bodies take, with what else was said.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many bytes the bodies take of those that are to be sent again.
    pub const fn bytes_sending(&self) -> usize {
        self.bytes_sending
    }

    /// The letters, the one that died first being first.
    pub fn iter(&self) -> impl Iterator<Item = &Letter> {
        let places: BTreeMap<_, _> = self.by_place.iter().flatten().collect();
        places.into_values().map(|id| &self.letters[id])
    }

    /// The letters in a phase, the one that died first being first.
    pub fn in_phase(&self, phase: Phase) -> impl Iterator<Item = &Letter> {
        let places = self.by_place[phase as usize].values();
        places.map(|id| &self.letters[id])
    }

    /// Where to begin to read to get what is here, if anything is.
    pub fn oldest(&self) -> Option<Version> {
        let firsts = self.by_place.iter().filter_map(BTreeMap::first_key_value);
        firsts.map(|(place, _)| *place).min()
    }

    /// Of those that may go, the one that has been here for longest.
    pub fn longest_here(&self) -> Option<&Letter> {
        let first = |phase| self.in_phase(phase).next();
        let firsts = [first(Phase::Waiting), first(Phase::Sent)];
        firsts
            .into_iter()
            .flatten()
            .min_by_key(|letter| letter.place)
    }

    /// What gives way to others: the oldest that was sent again, then the oldest that waits. What is to be
    /// sent never does.
    pub fn to_drop(&self) -> Option<&Letter> {
        let first = |phase| self.in_phase(phase).next();
        first(Phase::Sent).or_else(|| first(Phase::Waiting))
    }

    fn insert(&mut self, letter: Letter) {
        let id = letter.died.id;
        self.bytes += letter.kept();
        if letter.phase == Phase::Sending {
            self.bytes_sending += letter.kept();
        }
        self.by_place[letter.phase as usize].insert(letter.place, id);
        self.letters.insert(id, letter);
    }

    fn remove(&mut self, id: LetterId) -> Option<Letter> {
        let letter = self.letters.remove(&id)?;
        self.bytes -= letter.kept();
        if letter.phase == Phase::Sending {
            self.bytes_sending -= letter.kept();
        }
        self.by_place[letter.phase as usize].remove(&letter.place);
        Some(letter)
    }

    fn change(&mut self, id: LetterId, how: impl FnOnce(&mut Letter)) {
        if let Some(mut letter) = self.remove(id) {
            how(&mut letter);
            self.insert(letter);
        }
    }
}
