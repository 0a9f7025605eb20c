//! Batches on their way to the log: the machine assigns positions and versions, the log only checks
//! them (I1).

use alloc::{
    collections::{VecDeque, vec_deque},
    vec::Vec,
};

use sagalog_model::{
    SagaEvent,
    log::{
        Batch, BatchId, Data, InputId, NewEvent, Position, StreamKey, StreamName, StreamState,
        Time, Version,
    },
};
use sha2::{Digest as _, Sha256};

use super::live::Live;
use crate::{input::Identity, rules::Rules};

/// What is decided and not yet durable.
#[derive(Clone)]
pub(super) struct Appending {
    tail: Position,
    durable: Position,
    last_at: Time,
    pending: VecDeque<Batch>,
    /// The streams of the answers that were given to the log and of which nothing is known yet.
    #[cfg(feature = "mutants")]
    pub(super) answers_under_way: Vec<StreamKey>,
}

impl Appending {
    pub(super) const fn new(tail: Position, last_at: Time) -> Self {
        Self {
            tail,
            durable: tail,
            last_at,
            pending: VecDeque::new(),
            #[cfg(feature = "mutants")]
            answers_under_way: Vec::new(),
        }
    }

    /// Position of the newest event, durable or not.
    pub(super) const fn tail(&self) -> Position {
        self.tail
    }

    pub(super) const fn durable(&self) -> Position {
        self.durable
    }

    pub(super) fn committed(&mut self, through: Position) {
        debug_assert!(
            through <= self.tail,
            "the log cannot be ahead of its only writer"
        );
        self.durable = self.durable.max(through);
        #[cfg(feature = "mutants")]
        self.answers_under_way.clear();
    }

    #[cfg(feature = "mutants")]
    pub(super) fn newest(&mut self) -> Option<&mut Batch> {
        self.pending.back_mut()
    }

    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Event time never goes back, whatever the clock does.
    pub(super) fn monotone(&self, now: Time) -> Time {
        now.max(self.last_at)
    }

    /// Takes what was decided for a saga whose state holds it already; gives the last position.
    pub(super) fn push_saga(
        &mut self,
        live: &mut Live,
        events: &[SagaEvent],
        identity: Identity,
        now: Time,
    ) -> Position {
        let count = events.len() as u64;
        let version = Version::new(live.state.version().get() + 1 - count);
        let first = version == Version::new(1);
        let name = live.state.id().stream();
        if first {
            live.key = StreamKey::new(self.tail.get() + 1);
        }
        let id = batch_id(now, name, version, identity.id);
        let state = if live.state.status().is_terminal() {
            StreamState::Closed
        } else {
            StreamState::Open
        };
        self.push(Batch {
            stream: live.key,
            name: first.then(|| name.clone()),
            version,
            position: self.tail.next(),
            at: now,
            id,
            input: identity.id,
            digest: identity.digest,
            state,
            events: events.iter().map(SagaEvent::encode).collect(),
        })
    }

    /// Takes one fact of the system, for a stream that is never recovered as open.
    pub(super) fn push_system(&mut self, head: &mut super::SystemHead, event: NewEvent, now: Time) {
        self.push_system_batch(head, alloc::vec![event], now);
    }

    /// Takes a fact of the system and what was concluded from it.
    pub(super) fn push_system_batch(
        &mut self,
        head: &mut super::SystemHead,
        events: Vec<NewEvent>,
        now: Time,
    ) {
        self.push(system_batch(head, self.tail.next(), events, now));
    }

    fn push(&mut self, batch: Batch) -> Position {
        self.tail = batch.last_position();
        self.last_at = batch.at;
        self.pending.push_back(batch);
        self.tail
    }

    /// The next commit: the oldest batches, within the bounds, at least one if there is one.
    pub(super) fn take(&mut self, rules: &Rules) -> vec_deque::Drain<'_, Batch> {
        let mut bytes = 0;
        let fits = |batch: &Batch| {
            bytes += size(batch);
            bytes <= rules.commit_bytes_max
        };
        let count = self
            .pending
            .iter()
            .take(rules.commit_inputs_max)
            .take_while({
                let mut fits = fits;
                move |batch| fits(batch)
            });
        let count = count.count().max(1).min(self.pending.len());
        #[cfg(feature = "mutants")]
        {
            let taken = self.pending.iter().take(count);
            let answers = taken.filter(|batch| batch.events[0].kind == "AttemptSucceeded");
            self.answers_under_way = answers.map(|batch| batch.stream).collect();
        }
        self.pending.drain(..count)
    }
}

fn size(batch: &Batch) -> usize {
    let of = |event: &NewEvent| {
        event.kind.len()
            + event.control.len()
            + match &event.data {
                Data::Inline(text) => text.len(),
                Data::None | Data::Erased(_) => 0,
            }
    };
    batch.events.iter().map(of).sum()
}

/// A fact of the system and what was concluded from it, as it is appended at this position; the head moves
/// on. Its stream is never recovered as open.
pub fn system_batch(
    head: &mut super::SystemHead,
    position: Position,
    events: Vec<NewEvent>,
    at: Time,
) -> Batch {
    let version = head.version.next();
    let key = *head
        .key
        .get_or_insert_with(|| StreamKey::new(position.get()));
    let digest = sagalog_model::log::Digest(Sha256::digest(events[0].control.as_bytes()).into());
    let (input, _) = digest
        .0
        .split_first_chunk()
        .expect("a SHA-256 has more than sixteen bytes");
    let input = InputId(u128::from_be_bytes(*input));
    head.version = Version::new(head.version.get() + events.len() as u64);
    Batch {
        stream: key,
        name: (version == Version::new(1)).then(|| head.name.clone()),
        version,
        position,
        at,
        id: batch_id(at, &head.name, version, input),
        input,
        digest,
        state: StreamState::Closed,
        events,
    }
}

/// Derived, not drawn: 48 bits of milliseconds, then a hash of stream, version and input.
fn batch_id(now: Time, stream: &StreamName, version: Version, input: InputId) -> BatchId {
    let mut hash = Sha256::new();
    hash.update((stream.as_str().len() as u64).to_be_bytes());
    hash.update(stream.as_str().as_bytes());
    hash.update(version.get().to_be_bytes());
    hash.update(input.0.to_be_bytes());
    let hash: [u8; 32] = hash.finalize().into();
    let (random, _) = hash
        .split_first_chunk()
        .expect("a SHA-256 has more than sixteen bytes");
    let random = u128::from_be_bytes(*random) >> 48;
    let millis = u128::from(now.as_micros() / 1_000) & ((1 << 48) - 1);
    BatchId(millis << 80 | random)
}

impl<E: crate::Evaluate> super::Partition<E> {
    /// The batches of the next commit; none if everything is on its way. Ask only while no append
    /// is under way.
    pub fn poll_append(&mut self) -> impl ExactSizeIterator<Item = Batch> {
        self.appending.take(&self.rules)
    }

    /// Whether enough waits to be appended: take no more inputs until something is durable.
    pub fn is_full(&self) -> bool {
        self.appending.pending() >= self.rules.commit_inputs_max
    }
}
