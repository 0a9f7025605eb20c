//! Start, take-over and recovery: one operation.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet, VecDeque},
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};

use sagalog_model::{
    SagaId,
    breaker::BreakerEvent,
    dead_letter::LetterEvent,
    held_saga::HeldSagaEvent,
    log::{Epoch, PartitionId, Position, StreamKey, StreamName, Time, Version},
    system::{
        LateSuccess, PartitionOwned, SystemEvent, breakers_stream, dead_letters_stream,
        definitions_stream, held_sagas_stream, late_stream, partition_stream,
    },
};

use super::{
    Partition,
    appending::Appending,
    asking::Asks,
    breakers::OpenHere,
    held::HeldHere,
    letters::Letters,
    live::{BadHistory, History, Live, Unreadable, oldest_first},
    registry::Registry,
    timing::Timing,
};
use crate::{admission::Policies, evaluate::Evaluate, rules::Rules};

/// What is known when a partition has been taken: its epoch was raised, its tail and its open
/// streams were read.
pub struct Taken {
    /// The partition.
    pub partition: PartitionId,
    /// The ownership's number.
    pub epoch: Epoch,
    /// Who owns it, for people.
    pub node: String,
    /// Position of the newest event.
    pub tail: Position,
    /// Time of the newest event.
    pub last_at: Time,
    /// Where the system's streams are.
    pub heads: SystemHeads,
    /// The histories of all open sagas.
    pub open: Vec<(SagaId, History)>,
    /// The open sagas whose histories do not read.
    pub unreadable: Vec<(SagaId, Unreadable)>,
    /// The contradictions that were recorded before.
    pub late: Vec<LateSuccess>,
    /// What is on record of the dead letters, from the `oldest` of its newest event on.
    pub letters: Vec<(Version, Time, LetterEvent)>,
    /// What is on record of sagas that cannot be driven, likewise.
    pub held: Vec<(Version, Time, HeldSagaEvent)>,
    /// What is on record of breakers that people opened, likewise.
    pub breakers: Vec<(Version, Time, BreakerEvent)>,
    /// Whether the program has just begun: then it takes nothing over that it is not made for.
    pub is_start: bool,
    /// The time now.
    pub now: Time,
}

/// Where the system's streams are.
#[derive(Clone, Debug)]
pub struct SystemHeads {
    /// `$partition-N`.
    pub partition: SystemHead,
    /// `$definitions`.
    pub definitions: SystemHead,
    /// `$late`.
    pub late: SystemHead,
    /// `$dead-N`.
    pub letters: SystemHead,
    /// `$held-N`.
    pub held: SystemHead,
    /// `$breakers-N`.
    pub breakers: SystemHead,
}

/// Where one of the system's streams is.
#[derive(Clone, Debug)]
pub struct SystemHead {
    /// Its name.
    pub name: StreamName,
    /// Its key, once it exists.
    pub key: Option<StreamKey>,
    /// Version of its newest event.
    pub version: Version,
}

impl SystemHeads {
    /// The heads of a partition without any event.
    pub fn none(partition: PartitionId) -> Self {
        let head = |name| SystemHead {
            name,
            key: None,
            version: Version::new(0),
        };
        Self {
            partition: head(partition_stream(partition)),
            definitions: head(definitions_stream()),
            late: head(late_stream()),
            letters: head(dead_letters_stream(partition)),
            held: head(held_sagas_stream(partition)),
            breakers: head(breakers_stream(partition)),
        }
    }
}

/// Why a partition cannot be driven.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{} of the {open} sagas under way cannot be driven, the first of them `{saga}`: {why}", .count)]
pub struct CannotTakeOver {
    /// How many sagas cannot.
    pub count: usize,
    /// How many are under way.
    pub open: usize,
    /// The first that cannot.
    pub saga: SagaId,
    /// Why.
    pub why: String,
}

impl<E: Evaluate> Partition<E> {
    /// The machine of a partition that was just taken. Its first batch states the ownership; until
    /// that is durable nothing comes out (I5, I16).
    ///
    /// # Errors
    /// [`CannotTakeOver`] if the program has just begun and sagas are under way whose definition it does not
    /// have, or that a later release wrote: better not to start than to leave them. Later on those are held,
    /// and at any time those whose history does not read or fold.
    pub fn take_over(
        taken: Taken,
        registry: Arc<Registry>,
        evaluate: E,
        rules: Rules,
    ) -> Result<Self, CannotTakeOver> {
        #[cfg(feature = "mutants")]
        let taken = crate::mutants::read(&rules, taken);
        let (lives, held) = fold_all(taken.open, taken.unreadable, taken.is_start, &registry)?;
        #[cfg(feature = "mutants")]
        let lives = lives.into_iter().map(|mut live| {
            crate::mutants::recovered(&rules, &mut live.state, taken.now);
            live
        });
        #[cfg(feature = "mutants")]
        let lives = lives.collect();
        let held_until = taken.now.after(rules.overdue_grace);
        let mut partition = Self {
            rules,
            registry,
            evaluate,
            sagas: BTreeMap::new(),
            ending: VecDeque::new(),
            absent: BTreeMap::new(),
            to_look_up: Vec::new(),
            appending: Appending::new(taken.tail, taken.last_at),
            answers: VecDeque::new(),
            asks: Asks::new(Arc::default()),
            timing: Timing::new(taken.now, held_until),
            waiters: 0,
            late: BTreeSet::from_iter(taken.late),
            late_head: taken.heads.late,
            letters: Letters::new(taken.heads.letters, taken.letters),
            held: HeldHere::new(taken.heads.held, taken.held),
            open: OpenHere::new(taken.heads.breakers, taken.breakers),
        };
        let owned = PartitionOwned {
            epoch: taken.epoch,
            node: taken.node.into(),
            engine: env!("CARGO_PKG_VERSION").into(),
            rules: Rules::VERSION,
        };
        partition.record_start(
            owned,
            taken.heads.partition,
            taken.heads.definitions,
            taken.now,
        );
        partition.take_lives(lives, taken.now);
        partition.hold_and_release(&held, taken.now);
        partition.admit_by(Arc::default());
        partition.send_letters_again();
        #[cfg(feature = "mutants")]
        if mutant!(partition.rules, AsksAgainOnlyOnce) && taken.epoch.get() > 2 {
            partition.asks.retain(|_| false);
        }
        Ok(partition)
    }

    /// Admits commands to participants by these policies, from the beginning on.
    #[must_use]
    pub fn admitting(mut self, policies: Arc<Policies>) -> Self {
        #[cfg(feature = "mutants")]
        let policies = crate::mutants::policies(&self.rules, policies);
        self.admit_by(policies);
        self
    }

    fn record_start(
        &mut self,
        owned: PartitionOwned,
        mut ownership: SystemHead,
        mut definitions: SystemHead,
        now: Time,
    ) {
        let now = self.appending.monotone(now);
        self.appending.push_system(
            &mut ownership,
            SystemEvent::PartitionOwned(owned).encode(),
            now,
        );
        for event in self.registry.unrecorded() {
            self.appending.push_system(&mut definitions, event, now);
        }
    }

    /// Effects are derived from state: what is asked and unanswered is asked again, oldest first.
    pub(super) fn take_lives(&mut self, mut lives: Vec<Live>, now: Time) {
        lives.sort_by_key(oldest_first);
        let gate = self.appending.tail();
        for mut live in lives {
            let saga = live.state.id().clone();
            if !mutant!(self.rules, AsksNothingAgain) {
                self.asks.again(&live, gate, now);
            }
            #[cfg(feature = "mutants")]
            if mutant!(self.rules, AsksNoCompensationAgain) {
                self.asks
                    .retain(|direction| direction != sagalog_model::Direction::Compensation);
            }
            if !mutant!(self.rules, ForgetsTimersInACrash) {
                self.timing.rearm(&saga, &mut live);
            }
            #[cfg(feature = "mutants")]
            if mutant!(self.rules, ForgetsAttemptsTimersInACrash)
                && matches!(
                    live.timer,
                    Some((_, sagalog_projections::Timer::Attempt { .. }))
                )
            {
                self.timing.disarm(&saga, &mut live);
            }
            self.sagas.insert(saga, Box::new(live));
        }
    }

    /// Records a contradiction once. Of more than [`LATE_MAX`] the engine forgets some, and records
    /// one again if its answer comes again.
    pub(super) fn note_late(&mut self, late: Option<LateSuccess>, now: Time) {
        let Some(late) = late else { return };
        if self.late.insert(late.clone()) {
            if self.late.len() > LATE_MAX {
                self.late.pop_first();
            }
            let event = SystemEvent::LateSuccess(late).encode();
            self.appending.push_system(&mut self.late_head, event, now);
        }
    }

    /// How many contradictions are on record.
    pub fn contradictions(&self) -> usize {
        self.late.len()
    }
}

/// How many contradictions are remembered.
const LATE_MAX: usize = 10_000;

/// The sagas that can be driven, and why others cannot.
fn fold_all(
    open: Vec<(SagaId, History)>,
    unreadable: Vec<(SagaId, Unreadable)>,
    is_start: bool,
    registry: &Registry,
) -> Result<(Vec<Live>, BTreeMap<SagaId, String>), CannotTakeOver> {
    let total = open.len() + unreadable.len();
    let mut lives = Vec::with_capacity(open.len());
    let mut held = BTreeMap::new();
    let mut missing = Vec::new();
    for (saga, Unreadable { why, is_newer }) in unreadable {
        if is_newer {
            missing.push(saga.clone());
        }
        held.insert(saga, why);
    }
    for (saga, history) in open {
        match Live::try_fold(&saga, history, registry) {
            Ok(live) => lives.push(live),
            Err(why) => {
                if matches!(why, BadHistory::UnknownDefinition(_)) {
                    missing.push(saga.clone());
                }
                held.insert(saga, why.to_string());
            }
        }
    }
    match missing.first() {
        Some(saga) if is_start => Err(CannotTakeOver {
            count: missing.len(),
            open: total,
            why: held.remove(saga).unwrap_or_default(),
            saga: saga.clone(),
        }),
        _ => Ok((lives, held)),
    }
}
