//! The inputs of a saga that wait for a person: one that could not be processed, and what came behind it.

use alloc::{collections::VecDeque, string::String};

use sagalog_model::{
    AttemptNumber, Direction, Payload,
    event::{HeldContent, Origin},
    log::Time,
};

/// The held inputs of a saga, in the order in which they came.
///
/// Bounded: see [`Self::MAX`] and [`Self::BYTES_MAX`]. Nothing is allocated for a saga without one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Held {
    queue: VecDeque<HeldInput>,
    bytes: usize,
    newest: u64,
}

/// An input that is held.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HeldInput {
    /// Its number among those that were held of its saga, from 1.
    pub number: u64,
    /// What it is.
    pub input: Origin,
    /// What it carries, as JSON.
    pub content: Payload,
    /// Why it could not be processed; none if it only waits behind one that could not.
    pub reason: Option<String>,
    /// Since when it is held.
    pub since: Time,
}

impl Held {
    /// The most inputs that are held of a saga.
    pub const MAX: usize = 256;

    /// The most bytes of what they carry.
    pub const BYTES_MAX: usize = 1024 * 1024;

    /// Without any, the first of which will have the number behind this one.
    pub(crate) fn numbered_from(newest: u64) -> Self {
        Self {
            newest,
            ..Self::default()
        }
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many are.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// The one that keeps the others waiting.
    pub fn first(&self) -> Option<&HeldInput> {
        self.queue.front()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &HeldInput> {
        self.queue.iter()
    }

    /// The one of this number.
    pub fn find(&self, number: u64) -> Option<&HeldInput> {
        self.queue.iter().find(|held| held.number == number)
    }

    /// The number of the next that is held.
    pub const fn next(&self) -> u64 {
        self.newest + 1
    }

    /// Whether one more may be held that carries this.
    pub fn takes(&self, content: &Payload) -> bool {
        self.queue.len() < Self::MAX && self.bytes + content.as_str().len() <= Self::BYTES_MAX
    }

    /// Whether an answer to this attempt is held: then it is not waited for.
    pub fn answers(&self, of: &str, asked: Direction, number: AttemptNumber) -> bool {
        self.queue.iter().any(|held| match &held.input {
            Origin::Reply {
                node,
                direction,
                attempt,
            } => **node == *of && *direction == asked && *attempt == number,
            Origin::Signal { .. } | Origin::Numbered { .. } => false,
        })
    }

    /// The answers of participants among them.
    pub fn answers_held(&self) -> impl Iterator<Item = &HeldInput> {
        let is_answer = |held: &&HeldInput| matches!(held.input, Origin::Reply { .. });
        self.queue.iter().filter(is_answer)
    }

    pub(crate) fn hold(&mut self, input: Origin, held: HeldContent, at: Time) {
        self.newest += 1;
        self.bytes += held.content.as_str().len();
        self.queue.push_back(HeldInput {
            number: self.newest,
            input,
            content: held.content,
            reason: held.reason,
            since: at,
        });
    }

    /// Takes the first one off.
    pub(crate) fn take(&mut self, number: u64) -> Option<HeldInput> {
        let first = self.queue.pop_front_if(|held| held.number == number)?;
        self.bytes -= first.content.as_str().len();
        Some(first)
    }

    pub(crate) fn drop(&mut self, number: u64) -> Option<HeldInput> {
        let at = self.queue.iter().position(|held| held.number == number)?;
        let dropped = self.queue.remove(at)?;
        self.bytes -= dropped.content.as_str().len();
        Some(dropped)
    }

    /// Whether it may carry this instead.
    pub fn takes_instead(&self, input: &HeldInput, content: &Payload) -> bool {
        self.bytes - input.content.as_str().len() + content.as_str().len() <= Self::BYTES_MAX
    }

    /// Gives it another content; the one that it had.
    pub(crate) fn edit(&mut self, number: u64, content: Payload) -> Option<Payload> {
        let held = self.queue.iter_mut().find(|held| held.number == number)?;
        self.bytes += content.as_str().len();
        self.bytes -= held.content.as_str().len();
        Some(core::mem::replace(&mut held.content, content))
    }

    /// Says why the first one cannot be processed either.
    pub(crate) fn keep(&mut self, number: u64, reason: &str) -> Option<()> {
        let first = self
            .queue
            .front_mut()
            .filter(|held| held.number == number)?;
        first.reason = Some(reason.into());
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString, vec::Vec};

    use super::*;

    fn hold(held: &mut Held, content: &str) {
        let origin = Origin::Signal {
            signal: "approval".into(),
            id: held.next().to_string().into(),
            until: None,
        };
        let content = HeldContent {
            reason: None,
            content: Payload::from_json_text(content),
        };
        held.hold(origin, content, Time::default());
    }

    #[test]
    fn they_keep_their_order_and_their_numbers_whatever_is_dropped() {
        let mut held = Held::default();
        for _ in 0..4 {
            hold(&mut held, "1");
        }
        assert!(held.take(2).is_none(), "it is not the first");
        assert!(held.drop(2).is_some());
        assert!(held.take(1).is_some());
        hold(&mut held, "1");
        let numbers: Vec<_> = held.iter().map(|held| held.number).collect();
        assert_eq!(numbers, [3, 4, 5]);
        assert_eq!(held.bytes, 3);
    }

    #[test]
    fn they_are_bounded_by_count_and_by_bytes() {
        let mut held = Held::default();
        let small = Payload::from_json_text("1");
        for _ in 0..Held::MAX {
            assert!(held.takes(&small));
            hold(&mut held, "1");
        }
        assert!(!held.takes(&small));
        let mut held = Held::default();
        let large = format!("\"{}\"", "x".repeat(Held::BYTES_MAX / 2));
        hold(&mut held, &large);
        assert!(!held.takes(&Payload::from_json_text(large)));
        assert!(held.takes(&small));
    }

    #[test]
    fn an_attempt_is_answered_if_a_reply_to_it_is_held() {
        let mut held = Held::default();
        let origin = Origin::Reply {
            node: "charge".into(),
            direction: Direction::Action,
            attempt: AttemptNumber(2),
        };
        held.hold(origin, HeldContent::default(), Time::default());
        assert!(held.answers("charge", Direction::Action, AttemptNumber(2)));
        assert!(!held.answers("charge", Direction::Probe, AttemptNumber(2)));
        assert!(!held.answers("charge", Direction::Action, AttemptNumber(1)));
    }
}
