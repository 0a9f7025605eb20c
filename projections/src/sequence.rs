//! The order of what each producer numbers: up to which number everything came, and what came ahead
//! of a gap.

use alloc::{
    collections::{BTreeMap, VecDeque},
    string::String,
    sync::Arc,
    vec::Vec,
};
use core::ops::RangeInclusive;

use sagalog_model::{Payload, log::Time};

use crate::dedup::Content;

/// The producers that number what they send to a saga, in the order in which they first came.
///
/// Nothing is allocated for a saga without one. Bounded: see [`Self::PRODUCERS_MAX`],
/// [`Self::AHEAD_MAX`] and [`Self::AHEAD_BYTES_MAX`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Sequences {
    producers: Vec<Producer>,
    ahead: usize,
    ahead_bytes: usize,
}

/// Place of a producer among those of a saga.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ProducerIndex(pub u32);

/// What is known of one producer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Producer {
    /// Its name.
    pub name: Arc<str>,
    /// Everything up to this number came, or was given up. 0 before the first.
    pub watermark: u64,
    /// What came ahead of the watermark, by number.
    ahead: BTreeMap<u64, Ahead>,
    /// Set while something is missing below what came ahead.
    pub gap: Option<Gap>,
    /// What the newest numbers up to the watermark were: a number that comes again with other
    /// content is an error of its sender.
    contents: VecDeque<Option<Content>>,
    /// The newest ranges below the watermark that were given up.
    given_up: VecDeque<RangeInclusive<u64>>,
}

/// Something that came before the numbers below it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ahead {
    /// The signal's name.
    pub signal: Arc<str>,
    /// What it carries.
    pub payload: Payload,
}

/// Numbers are missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Gap {
    /// Since when.
    pub since: Time,
    /// Until when they are waited for; none once that is over, until something is done about it.
    pub until: Option<Time>,
    /// How often the producer was asked for them.
    pub asked: u32,
}

/// What a number is to a saga.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It is the next one.
    Next,
    /// Others are missing before it.
    Ahead,
    /// It came before.
    Known {
        /// Whether it came with other content than now. Not known of numbers that lie more than
        /// [`Sequences::CONTENTS_MAX`] back.
        differs: bool,
    },
    /// It was given up before it came. Only the newest [`Sequences::GIVEN_UP_MAX`] ranges are told
    /// from what came.
    GivenUp,
}

impl Sequences {
    /// The most producers that may number what they send to one saga.
    pub const PRODUCERS_MAX: usize = 64;

    /// The most signals that a saga keeps ahead of gaps.
    pub const AHEAD_MAX: usize = 256;

    /// The most bytes of their payloads.
    pub const AHEAD_BYTES_MAX: usize = 1024 * 1024;

    /// The highest number: JSON holds every whole number up to it exactly.
    pub const NUMBER_MAX: u64 = (1 << 53) - 1;

    /// Of how many numbers below the watermark it is known what they carried.
    pub const CONTENTS_MAX: usize = 64;

    /// How many ranges of numbers that were given up are known of each producer.
    pub const GIVEN_UP_MAX: usize = 64;

    /// All producers.
    pub fn producers(&self) -> impl Iterator<Item = (ProducerIndex, &Producer)> {
        let producers = self.producers.iter().enumerate();
        producers.map(|(at, producer)| (ProducerIndex(at as u32), producer))
    }

    /// The producer of this name.
    pub fn find(&self, producer: &str) -> Option<(ProducerIndex, &Producer)> {
        self.producers().find(|(_, known)| &*known.name == producer)
    }

    /// A producer.
    pub fn producer(&self, index: ProducerIndex) -> &Producer {
        &self.producers[index.0 as usize]
    }

    /// What this number is.
    pub fn standing(
        &self,
        producer: &str,
        number: u64,
        signal: &str,
        payload: &Payload,
    ) -> Standing {
        match self.find(producer) {
            Some((_, producer)) => producer.standing(number, signal, payload),
            None if number == 1 => Standing::Next,
            None => Standing::Ahead,
        }
    }

    /// How many signals are kept ahead of gaps.
    pub const fn ahead(&self) -> usize {
        self.ahead
    }

    /// Whether one more producer may number.
    pub fn takes_producer(&self, producer: &str) -> bool {
        self.producers.len() < Self::PRODUCERS_MAX || self.find(producer).is_some()
    }

    /// Whether one more may be kept ahead of a gap.
    pub fn takes_ahead(&self, payload: &Payload) -> bool {
        self.ahead < Self::AHEAD_MAX
            && self.ahead_bytes + payload.as_str().len() <= Self::AHEAD_BYTES_MAX
    }

    pub(crate) fn came(&mut self, producer: &Arc<str>, signal: &str, payload: &Payload) {
        let content = Content::of(signal, payload);
        let producer = self.producer_mut(producer);
        producer.pass(Some(content));
        producer.skip_given_up();
    }

    pub(crate) fn keep(&mut self, producer: &Arc<str>, number: u64, ahead: Ahead) {
        self.ahead += 1;
        self.ahead_bytes += ahead.payload.as_str().len();
        self.producer_mut(producer).ahead.insert(number, ahead);
    }

    /// Gives what came ahead and is next now.
    pub(crate) fn admit(&mut self, producer: &str, number: u64) -> Option<Ahead> {
        let producer = self.known_mut(producer).ok()?;
        if producer.watermark + 1 != number {
            return None;
        }
        let ahead = producer.ahead.remove(&number)?;
        producer.pass(Some(Content::of(&ahead.signal, &ahead.payload)));
        producer.skip_given_up();
        self.ahead -= 1;
        self.ahead_bytes -= ahead.payload.as_str().len();
        Some(ahead)
    }

    pub(crate) fn open_gap(&mut self, producer: &str, at: Time, until: Time) -> Result<(), String> {
        let producer = self.known_mut(producer)?;
        if producer.gap.is_some() {
            return Err("a gap of it is open already".into());
        }
        producer.gap = Some(Gap {
            since: at,
            until: Some(until),
            asked: 0,
        });
        Ok(())
    }

    pub(crate) fn time_out(&mut self, producer: &str) -> Result<(), String> {
        let gap = self.known_mut(producer)?.gap.as_mut();
        let gap = gap.filter(|gap| gap.until.is_some());
        gap.ok_or("no gap of it is waited for")?.until = None;
        Ok(())
    }

    pub(crate) fn asked(&mut self, producer: &str, until: Time) -> Result<(), String> {
        let gap = self.known_mut(producer)?.timed_out()?;
        gap.asked += 1;
        gap.until = Some(until);
        Ok(())
    }

    /// What is missing is given up: what came ahead of it is next.
    pub(crate) fn abandon(&mut self, producer: &str) -> Result<(), String> {
        let producer = self.known_mut(producer)?;
        producer.timed_out()?;
        let missing = producer.missing().ok_or("nothing is missing")?;
        let last = *missing.end();
        let remembered = (last - producer.watermark).min(Self::CONTENTS_MAX as u64);
        producer.watermark = last - remembered;
        for _ in 0..remembered {
            producer.pass(None);
        }
        producer.forget(missing);
        Ok(())
    }

    /// A number that a person gave up before it came in.
    pub(crate) fn give_up(&mut self, producer: &Arc<str>, number: u64) {
        let producer = self.producer_mut(producer);
        producer.forget(number..=number);
        producer.skip_given_up();
    }

    /// What came ahead is given up; what is missing may still come.
    pub(crate) fn reject(&mut self, producer: &str) -> Result<(), String> {
        let producer = self.known_mut(producer)?;
        producer.timed_out()?;
        producer.gap = None;
        let given_up = core::mem::take(&mut producer.ahead);
        self.ahead -= given_up.len();
        let bytes = given_up.values().map(|ahead| ahead.payload.as_str().len());
        self.ahead_bytes -= bytes.sum::<usize>();
        Ok(())
    }

    fn known_mut(&mut self, producer: &str) -> Result<&mut Producer, String> {
        let known = |known: &&mut Producer| &*known.name == producer;
        let found = self.producers.iter_mut().find(known);
        found.ok_or_else(|| "the producer has numbered nothing".into())
    }

    fn producer_mut(&mut self, producer: &Arc<str>) -> &mut Producer {
        let at = self
            .producers
            .iter()
            .position(|known| known.name == *producer);
        let at = at.unwrap_or_else(|| {
            self.producers.push(Producer::new(producer.clone()));
            self.producers.len() - 1
        });
        &mut self.producers[at]
    }
}

impl Producer {
    const fn new(name: Arc<str>) -> Self {
        Self {
            name,
            watermark: 0,
            ahead: BTreeMap::new(),
            gap: None,
            contents: VecDeque::new(),
            given_up: VecDeque::new(),
        }
    }

    /// What came ahead of a gap, by number.
    pub const fn ahead(&self) -> &BTreeMap<u64, Ahead> {
        &self.ahead
    }

    /// The numbers that are missing before the first that came ahead; none if it is the next, or
    /// nothing came ahead.
    pub fn missing(&self) -> Option<RangeInclusive<u64>> {
        let (first, _) = self.ahead.first_key_value()?;
        let missing = self.watermark + 1..=first - 1;
        (!missing.is_empty()).then_some(missing)
    }

    fn standing(&self, number: u64, signal: &str, payload: &Payload) -> Standing {
        if self.is_given_up(number) {
            return Standing::GivenUp;
        }
        if number <= self.watermark {
            let back = usize::try_from(self.watermark - number).unwrap_or(usize::MAX);
            let content = self.contents.iter().rev().nth(back).copied().flatten();
            let differs = content.is_some_and(|known| known != Content::of(signal, payload));
            return Standing::Known { differs };
        }
        match self.ahead.get(&number) {
            Some(kept) => Standing::Known {
                differs: *kept.signal != *signal || kept.payload != *payload,
            },
            None if number == self.watermark + 1 => Standing::Next,
            None => Standing::Ahead,
        }
    }

    fn forget(&mut self, numbers: RangeInclusive<u64>) {
        if self.given_up.len() == Sequences::GIVEN_UP_MAX {
            self.given_up.pop_front();
        }
        self.given_up.push_back(numbers);
    }

    fn skip_given_up(&mut self) {
        while self.is_given_up(self.watermark + 1) {
            self.pass(None);
        }
    }

    fn is_given_up(&self, number: u64) -> bool {
        self.given_up.iter().any(|range| range.contains(&number))
    }

    /// The gap that was waited for long enough.
    fn timed_out(&mut self) -> Result<&mut Gap, String> {
        let gap = self.gap.as_mut();
        let gap = gap.filter(|gap| gap.until.is_none());
        gap.ok_or_else(|| "no gap of it has timed out".into())
    }

    /// The next number is behind. What is missing now, if anything, is another gap.
    fn pass(&mut self, content: Option<Content>) {
        self.gap = None;
        self.watermark += 1;
        if self.contents.len() == Sequences::CONTENTS_MAX {
            self.contents.pop_front();
        }
        self.contents.push_back(content);
    }
}

/// The id under which a numbered signal is known in its saga.
pub fn id_of(producer: &str, number: u64) -> Arc<str> {
    alloc::format!("{producer}#{number}").into()
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    const LAST: u64 = Sequences::NUMBER_MAX;

    fn producer() -> Arc<str> {
        "prices".into()
    }

    fn payload(number: u64) -> Payload {
        Payload::from_json_text(format!("{number}"))
    }

    fn keep(sequences: &mut Sequences, number: u64) {
        let (signal, payload) = ("price".into(), payload(number));
        sequences.keep(&producer(), number, Ahead { signal, payload });
    }

    fn standing(sequences: &Sequences, number: u64) -> Standing {
        sequences.standing("prices", number, "price", &payload(number))
    }

    fn time_out(sequences: &mut Sequences) {
        let (opened, over) = (Time::from_micros(1), Time::from_micros(2));
        assert_eq!(sequences.open_gap("prices", opened, over), Ok(()));
        assert_eq!(sequences.time_out("prices"), Ok(()));
    }

    #[test]
    fn the_first_number_of_a_producer_is_one() {
        let sequences = Sequences::default();
        assert_eq!(standing(&sequences, 1), Standing::Next);
        assert_eq!(standing(&sequences, 2), Standing::Ahead);
    }

    #[test]
    fn what_came_is_known_by_its_number_and_what_it_carried() {
        let mut sequences = Sequences::default();
        sequences.came(&producer(), "price", &payload(1));
        assert_eq!(standing(&sequences, 1), Standing::Known { differs: false });
        let other = sequences.standing("prices", 1, "offer", &payload(1));
        assert_eq!(other, Standing::Known { differs: true });
        assert_eq!(standing(&sequences, 2), Standing::Next);
    }

    #[test]
    fn far_below_the_watermark_a_number_is_known_whatever_it_carries() {
        let mut sequences = Sequences::default();
        for number in 1..=Sequences::CONTENTS_MAX as u64 + 1 {
            sequences.came(&producer(), "price", &payload(number));
        }
        let other = |number| sequences.standing("prices", number, "offer", &payload(number));
        assert_eq!(other(1), Standing::Known { differs: false });
        assert_eq!(other(2), Standing::Known { differs: true });
    }

    #[test]
    fn what_came_ahead_is_admitted_when_it_is_next_only() {
        let mut sequences = Sequences::default();
        keep(&mut sequences, 3);
        keep(&mut sequences, 2);
        let missing = |sequences: &Sequences| sequences.producer(ProducerIndex(0)).missing();
        assert_eq!(missing(&sequences), Some(1..=1));
        assert_eq!(sequences.admit("prices", 2), None);
        sequences.came(&producer(), "price", &payload(1));
        assert_eq!(missing(&sequences), None);
        assert_eq!(sequences.admit("prices", 3), None);
        for number in [2, 3] {
            let admitted = sequences.admit("prices", number).expect("it is next");
            assert_eq!(admitted.payload, payload(number));
        }
        assert_eq!((sequences.ahead, sequences.ahead_bytes), (0, 0));
        assert_eq!(standing(&sequences, 4), Standing::Next);
    }

    #[test]
    fn what_is_abandoned_is_given_up_however_wide_the_gap_is() {
        let mut sequences = Sequences::default();
        sequences.came(&producer(), "price", &payload(1));
        keep(&mut sequences, LAST);
        time_out(&mut sequences);
        assert_eq!(sequences.abandon("prices"), Ok(()));
        let known = sequences.producer(ProducerIndex(0));
        assert_eq!(known.watermark, LAST - 1);
        assert_eq!(known.contents.len(), Sequences::CONTENTS_MAX);
        assert_eq!(standing(&sequences, 2), Standing::GivenUp);
        assert_eq!(standing(&sequences, 1), Standing::Known { differs: false });
        assert!(sequences.admit("prices", LAST).is_some());
    }

    #[test]
    fn only_the_newest_ranges_that_were_given_up_are_told_from_what_came() {
        let mut sequences = Sequences::default();
        for given_up in 0..=Sequences::GIVEN_UP_MAX as u64 {
            keep(&mut sequences, 2 * given_up + 2);
            time_out(&mut sequences);
            assert_eq!(sequences.abandon("prices"), Ok(()));
            assert!(sequences.admit("prices", 2 * given_up + 2).is_some());
        }
        assert_eq!(standing(&sequences, 1), Standing::Known { differs: false });
        assert_eq!(standing(&sequences, 3), Standing::GivenUp);
    }

    #[test]
    fn a_number_that_a_person_gave_up_is_passed_over() {
        let mut sequences = Sequences::default();
        sequences.give_up(&producer(), 2);
        assert_eq!(standing(&sequences, 2), Standing::GivenUp);
        assert_eq!(standing(&sequences, 1), Standing::Next);
        sequences.came(&producer(), "price", &payload(1));
        assert_eq!(standing(&sequences, 3), Standing::Next);
        sequences.give_up(&producer(), 3);
        assert_eq!(standing(&sequences, 4), Standing::Next);
    }

    #[test]
    fn what_is_rejected_may_come_again() {
        let mut sequences = Sequences::default();
        keep(&mut sequences, 2);
        assert_eq!(standing(&sequences, 2), Standing::Known { differs: false });
        time_out(&mut sequences);
        assert_eq!(sequences.reject("prices"), Ok(()));
        assert_eq!((sequences.ahead, sequences.ahead_bytes), (0, 0));
        assert_eq!(standing(&sequences, 2), Standing::Ahead);
        assert_eq!(standing(&sequences, 1), Standing::Next);
    }

    #[test]
    fn the_bounds_hold_for_all_producers_of_a_saga_together() {
        let mut sequences = Sequences::default();
        for number in 0..Sequences::AHEAD_MAX as u64 {
            assert!(sequences.takes_ahead(&payload(1)), "there is room");
            keep(&mut sequences, number + 2);
        }
        assert!(!sequences.takes_ahead(&payload(1)));
        for number in 1..Sequences::PRODUCERS_MAX {
            let producer = format!("producer-{number}");
            assert!(sequences.takes_producer(&producer));
            sequences.came(&producer.into(), "price", &payload(1));
        }
        assert!(!sequences.takes_producer("one more"));
        assert!(sequences.takes_producer("prices"), "it is known");
    }

    #[test]
    fn the_bytes_that_are_kept_ahead_are_bounded() {
        let mut sequences = Sequences::default();
        let half = format!("\"{}\"", "x".repeat(Sequences::AHEAD_BYTES_MAX / 2));
        let payload = Payload::from_json_text(half);
        assert!(sequences.takes_ahead(&payload));
        let signal = "price".into();
        sequences.keep(
            &producer(),
            2,
            Ahead {
                signal,
                payload: payload.clone(),
            },
        );
        assert!(!sequences.takes_ahead(&payload));
    }
}
