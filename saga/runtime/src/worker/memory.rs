//! What the latest commands came to, so that a command that is delivered again is answered again
//! and not run again.

use std::collections::{HashMap, VecDeque};

use sagalog_model::{
    AttemptNumber, Command, Direction, FailureClass, IdempotencyKey, Outcome, Payload,
};
use tokio_util::sync::CancellationToken;

/// The outcomes of the latest commands, by the key of their action.
///
/// A success is remembered for every attempt of the same work. A failure is remembered for its
/// attempt only: the next one is asked because it may do better, be it after a delay or because a
/// person has put right what was wrong. So is that an attempt was accepted, until its outcome is
/// known here. Unknown is not remembered, as it says nothing.
///
/// Bounded by count and by size; the oldest keys are forgotten first. What is forgotten is run
/// again when it is delivered again, under the same key.
pub(super) struct Memory {
    records: HashMap<IdempotencyKey, Record>,
    oldest_first: VecDeque<IdempotencyKey>,
    bytes: usize,
    keys_max: usize,
    bytes_max: usize,
}

#[derive(Default)]
struct Record {
    action: Option<Payload>,
    compensation: Option<Payload>,
    alternative: Option<Payload>,
    failures: VecDeque<Failed>,
    /// The newest attempt of the action that was accepted.
    accepted: Option<Accepted>,
}

struct Accepted {
    attempt: AttemptNumber,
    cancelled: CancellationToken,
}

struct Failed {
    direction: Direction,
    attempt: AttemptNumber,
    class: FailureClass,
    reason: String,
}

/// How many failures of one key are remembered.
const FAILURES_MAX: usize = 4;

impl Memory {
    pub(super) fn new(keys_max: usize, bytes_max: usize) -> Self {
        Self {
            records: HashMap::new(),
            oldest_first: VecDeque::new(),
            bytes: 0,
            keys_max,
            bytes_max,
        }
    }

    /// The answer to a command that has been answered, or that must not happen any more.
    pub(super) fn answer(&self, command: &Command) -> Option<Outcome> {
        let record = self.records.get(&command.action_key)?;
        if let Some(payload) = record.success(command.direction)? {
            return Some(Outcome::Succeeded(payload.clone()));
        }
        if command.direction == Direction::Action && record.compensation.is_some() {
            return Some(Outcome::Failed {
                class: FailureClass::Permanent,
                reason: "it was made up for before it came, so it must not happen any more".into(),
            });
        }
        let mut failures = record.failures.iter();
        let same = failures.find(|failed| {
            failed.direction == command.direction && failed.attempt == command.attempt
        });
        let failed = same.map(|same| Outcome::Failed {
            class: same.class,
            reason: same.reason.clone(),
        });
        failed.or_else(|| {
            let accepted = record.accepted.as_ref()?;
            let same =
                command.direction == Direction::Action && command.attempt == accepted.attempt;
            let progress = String::new();
            same.then_some(Outcome::Alive { progress })
        })
    }

    /// Remembers that an action was accepted, and how whoever does it is told that it is not wanted
    /// any more.
    pub(super) fn accept(&mut self, command: &Command, cancelled: CancellationToken) {
        let attempt = command.attempt;
        self.record(command, |record| {
            record.accepted = Some(Accepted { attempt, cancelled });
        });
    }

    /// Tells whoever does what was accepted under this key that it is not wanted any more.
    pub(super) fn withdraw(&self, action_key: &IdempotencyKey) {
        let record = self.records.get(action_key);
        if let Some(accepted) = record.and_then(|record| record.accepted.as_ref()) {
            accepted.cancelled.cancel();
        }
    }

    /// Remembers what a command came to.
    pub(super) fn note(&mut self, command: &Command, outcome: &Outcome) {
        let settled = matches!(outcome, Outcome::Succeeded(_) | Outcome::Failed { .. });
        if !settled || command.direction == Direction::Probe {
            return;
        }
        self.record(command, |record| record.note(command, outcome));
    }

    fn record(&mut self, command: &Command, change: impl FnOnce(&mut Record)) {
        let key = &command.action_key;
        if !self.records.contains_key(key) {
            self.oldest_first.push_back(key.clone());
            self.bytes += key.as_str().len();
        }
        let record = self.records.entry(key.clone()).or_default();
        let before = record.bytes();
        change(record);
        // A failure may have given way, so the record may have become smaller.
        self.bytes = (self.bytes + record.bytes()).saturating_sub(before);
        self.forget_oldest();
    }

    fn forget_oldest(&mut self) {
        while self.records.len() > self.keys_max || self.bytes > self.bytes_max {
            let Some(key) = self.oldest_first.pop_front() else {
                break;
            };
            let record = self.records.remove(&key);
            let bytes = record.map_or(0, |record| record.bytes());
            self.bytes = self.bytes.saturating_sub(bytes + key.as_str().len());
        }
    }
}

impl Record {
    /// The success of a direction, if there was one; nothing for a probe, which has none to keep.
    fn success(&self, direction: Direction) -> Option<&Option<Payload>> {
        match direction {
            Direction::Action => Some(&self.action),
            Direction::Compensation => Some(&self.compensation),
            Direction::Alternative => Some(&self.alternative),
            Direction::Probe => None,
        }
    }

    fn note(&mut self, command: &Command, outcome: &Outcome) {
        match (outcome, command.direction) {
            (Outcome::Succeeded(payload), Direction::Action) => {
                self.action = Some(payload.clone());
            }
            (Outcome::Succeeded(payload), Direction::Compensation) => {
                self.compensation = Some(payload.clone());
            }
            (Outcome::Succeeded(payload), Direction::Alternative) => {
                self.alternative = Some(payload.clone());
            }
            (Outcome::Failed { class, reason }, direction) => {
                if self.failures.len() == FAILURES_MAX {
                    self.failures.pop_front();
                }
                self.failures.push_back(Failed {
                    direction,
                    attempt: command.attempt,
                    class: *class,
                    reason: reason.clone(),
                });
            }
            _ => {}
        }
    }

    fn bytes(&self) -> usize {
        let successes = [&self.action, &self.compensation, &self.alternative];
        let successes = successes.into_iter().flatten();
        let successes: usize = successes.map(|payload| payload.as_str().len()).sum();
        let failures: usize = self.failures.iter().map(|it| it.reason.len()).sum();
        successes + failures
    }
}

#[cfg(test)]
mod tests {
    use sagalog_model::{SagaId, log::Time};

    use super::*;

    #[test]
    fn the_oldest_key_is_forgotten_at_the_bound_of_keys() {
        let mut memory = Memory::new(2, usize::MAX);
        for node in ["a", "b", "a", "c"] {
            memory.note(&action(node), &succeeded(1));
        }
        assert_eq!(memory.answer(&action("a")), None);
        assert_eq!(memory.answer(&action("b")), Some(succeeded(1)));
        assert_eq!(memory.answer(&action("c")), Some(succeeded(1)));
    }

    #[test]
    fn the_oldest_keys_are_forgotten_at_the_bound_of_bytes() {
        let key = action("a").action_key.as_str().len();
        let mut memory = Memory::new(usize::MAX, 2 * (key + 100));
        for node in ["a", "b"] {
            memory.note(&action(node), &succeeded(100));
        }
        assert_eq!(memory.answer(&action("a")), Some(succeeded(100)));
        memory.note(&action("c"), &succeeded(101));
        assert_eq!(memory.answer(&action("a")), None);
        assert_eq!(memory.answer(&action("b")), None);
        assert_eq!(memory.answer(&action("c")), Some(succeeded(101)));
        assert_eq!(memory.bytes, key + 101);
    }

    #[test]
    fn the_oldest_failures_of_a_key_give_way() {
        let mut memory = Memory::new(1, usize::MAX);
        let attempt = |number| Command {
            attempt: AttemptNumber(number),
            ..action("a")
        };
        let failed = Outcome::Failed {
            class: FailureClass::Transient,
            reason: "busy".into(),
        };
        for number in 1..=5 {
            memory.note(&attempt(number), &failed);
        }
        assert_eq!(memory.answer(&attempt(1)), None);
        assert_eq!(memory.answer(&attempt(2)), Some(failed));
        assert_eq!(memory.bytes, "default/order-1/a/action".len() + 4 * 4);
    }

    fn succeeded(bytes: usize) -> Outcome {
        Outcome::Succeeded(Payload::from_json_text("1".repeat(bytes)))
    }

    fn action(node: &str) -> Command {
        let saga = SagaId::new("order-1").expect("a good id");
        let key = IdempotencyKey::of(&saga, node, Direction::Action);
        Command {
            saga,
            node: node.into(),
            step: "payments.charge".into(),
            direction: Direction::Action,
            attempt: AttemptNumber(1),
            deadline: Time::default(),
            action_key: key.clone(),
            key,
            input: Payload::null(),
            output: None,
            heartbeat: None,
        }
    }
}
