//! Sagas that cannot be driven: the partition goes on without them, and what comes for them waits in order.
//!
//! They are driven again, and what waited is processed, by the first owner that can: at its take-over, or when
//! a person asks for it.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use sagalog_model::{
    SagaId,
    held_saga::{HeldSagaEvent, InputWaits, RefusedInput, SagaHeld, SagaReleased},
    log::{Time, Version},
    system::SystemEvent,
};
use sagalog_projections::{HeldSagas, held::HeldInput};

use super::{Answer, Input, Partition, Query, SystemHead, live::Live};
use crate::{
    decide::{
        Refusal, cut,
        held::{other_content, parts, told},
    },
    evaluate::Evaluate,
    input::{SagaInput, Wish},
};

/// What the machine knows of sagas that it cannot drive.
#[derive(Clone)]
pub(super) struct HeldHere {
    fold: HeldSagas,
    head: SystemHead,
}

impl HeldHere {
    /// What the log holds.
    pub(super) fn new(head: SystemHead, events: Vec<(Version, Time, HeldSagaEvent)>) -> Self {
        let mut fold = HeldSagas::default();
        for (version, at, event) in events {
            fold.apply(&event, version, at);
        }
        Self { fold, head }
    }

    pub(super) fn len(&self) -> usize {
        self.fold.len()
    }

    pub(super) fn has(&self, saga: &SagaId) -> bool {
        self.fold.get(saga).is_some()
    }
}

impl<E: Evaluate> Partition<E> {
    /// The sagas that cannot be driven, with what is not durable yet.
    pub const fn held_sagas(&self) -> &HeldSagas {
        &self.held.fold
    }

    /// What cannot be driven is held; whatever was and can be is released.
    pub(super) fn hold_and_release(&mut self, bad: &BTreeMap<SagaId, String>, now: Time) {
        for (saga, reason) in bad {
            let reason = cut(reason, self.rules.reason_max);
            let known = self.held.fold.get(saga);
            if known.is_none_or(|known| known.reason != reason) {
                let held = SagaHeld {
                    saga: saga.clone(),
                    reason,
                    oldest: Version::default(),
                };
                self.record_held(HeldSagaEvent::Held(held), now);
            }
        }
        if mutant!(self.rules, KeepsSagasHeld) {
            return;
        }
        let held = self.held.fold.iter().map(|(saga, _)| saga);
        let free = held.filter(|saga| !bad.contains_key(*saga)).cloned();
        for saga in free.collect::<Vec<_>>() {
            if self.sagas.contains_key(&saga) {
                self.release_saga(&saga, now);
            } else {
                // It ended by what waited, and its owner before that was on record: what is left to be
                // processed may contradict the end.
                self.to_look_up.push(saga.clone());
                self.absent.insert(saga, Vec::new());
            }
        }
    }

    /// Takes an input for a saga that is held. One that says whether it can be driven by now is answered
    /// when that is known.
    pub(super) fn handle_held(&mut self, input: Input, now: Time) {
        if is_release(&input.what) {
            self.to_look_up.push(input.saga.clone());
            self.absent.insert(input.saga.clone(), alloc::vec![input]);
            return;
        }
        let Input { ticket, saga, what } = input;
        match self.waits(&saga, what, now) {
            Ok(()) => self.answer(ticket, Answer::Recorded),
            Err(refusal) => self.refuse(ticket, refusal),
        }
    }

    fn waits(&mut self, saga: &SagaId, what: Query, now: Time) -> Result<(), Refusal> {
        let held = self.held.fold.get(saga);
        let held = held.expect("the caller has looked that it is held");
        let told = match what.told() {
            Ok(SagaInput::Request(_)) | Err(_) => {
                return Err(Refusal::SagaHeld {
                    saga: saga.clone(),
                    why: held.reason.clone(),
                });
            }
            Ok(told) => told,
        };
        self.within_bounds(&told)?;
        let Some((input, content)) = parts(&told) else {
            return Ok(());
        };
        for known in held.inputs.iter().filter(|known| known.input == input) {
            if known.content == content {
                return Ok(());
            } else if !matches!(told, SagaInput::Reply(_)) {
                return Err(other_content(&input));
            }
        }
        if !held.inputs.takes(&content) {
            return Err(Refusal::TooManyHeld);
        }
        if mutant!(self.rules, LetsWhatWaitsGoUnrecorded) {
            return Ok(());
        }
        let waits = InputWaits {
            saga: saga.clone(),
            number: held.inputs.next(),
            input,
            oldest: Version::default(),
        };
        self.record_held(HeldSagaEvent::Waits(waits, content), now);
        Ok(())
    }

    /// Takes what a look-up found of a saga that is held: perhaps it can be driven by now.
    pub(super) fn found_held(
        &mut self,
        saga: &SagaId,
        found: Result<Live, Refusal>,
        inputs: Vec<Input>,
        now: Time,
    ) {
        let mut has_ended = false;
        let refusal = match found {
            Ok(mut live) => {
                has_ended = live.state.status().is_terminal();
                live.driven_since = self.appending.monotone(now);
                self.take_lives(alloc::vec![live], now);
                self.release_saga(saga, now);
                None
            }
            Err(refusal) => Some(refusal),
        };
        for input in inputs {
            match &refusal {
                Some(refusal) if is_release(&input.what) => {
                    self.refuse(input.ticket, refusal.clone());
                }
                Some(_) => self.handle_held(input, now),
                None if is_release(&input.what) => self.answer(input.ticket, Answer::Recorded),
                None => self.handle_here(input, now),
            }
        }
        if has_ended {
            self.sagas.remove(saga);
        }
    }

    /// Processes what waited for a saga that is driven again, in order. That it is released comes last: after
    /// a crash in between what was processed says nothing new.
    fn release_saga(&mut self, saga: &SagaId, now: Time) {
        let Some(held) = self.held.fold.get(saga) else {
            return;
        };
        let inputs: Vec<_> = held.inputs.iter().cloned().collect();
        #[cfg(feature = "mutants")]
        let inputs = crate::mutants::processed(&self.rules, inputs);
        if mutant!(self.rules, ReleasesBeforeWhatWaits) {
            self.record_released(saga, Vec::new(), now);
        }
        let mut refused = Vec::new();
        for input in inputs {
            if let Err(refusal) = self.process_waiting(saga, &input, now) {
                let number = input.number;
                let reason = cut(&alloc::format!("{refusal}"), self.rules.reason_max);
                refused.push(RefusedInput { number, reason });
            }
        }
        if !mutant!(self.rules, ReleasesBeforeWhatWaits) {
            self.record_released(saga, refused, now);
        }
    }

    fn process_waiting(
        &mut self,
        saga: &SagaId,
        waiting: &HeldInput,
        now: Time,
    ) -> Result<(), Refusal> {
        let told = told(saga, &waiting.input, &waiting.content)?;
        if !self.sagas.contains_key(saga) {
            return Err(Refusal::NoSuchSaga { saga: saga.clone() });
        }
        self.tell(saga, &told, now)
    }

    fn record_released(&mut self, saga: &SagaId, refused: Vec<RefusedInput>, now: Time) {
        let released = SagaReleased {
            saga: saga.clone(),
            refused,
            oldest: Version::default(),
        };
        self.record_held(HeldSagaEvent::Released(released), now);
    }

    fn record_held(&mut self, mut event: HeldSagaEvent, now: Time) {
        let now = self.appending.monotone(now);
        let head = &mut self.held.head;
        let place = head.version.next();
        self.held.fold.apply(&event, place, now);
        *event.oldest_mut() = self.held.fold.oldest().unwrap_or_else(|| place.next());
        let event = SystemEvent::HeldSaga(event).encode();
        self.appending.push_system(head, event, now);
    }
}

/// Whether a person asks for a held saga to be driven.
fn is_release(what: &Query) -> bool {
    let Query::Request(request) = what else {
        return false;
    };
    matches!(request.wish, Wish::Release { content: None, .. })
}
