//! Sagas that cannot be driven: the partition goes on without them, and what comes for them waits in order.
//!
//! They are driven again, and what waited is processed, by the first owner that can: at its take-over, or when
//! a person asks for it.

use alloc::{boxed::Box, collections::BTreeMap, string::String, vec::Vec};

use sagalog_model::{
    Payload, SagaId,
    held_saga::{
        HeldSagaEvent, InputWaits, RefusedInput, SagaHeld, SagaReleased, WaitingDropped,
        WaitingEdited,
    },
    log::{Time, Version},
    system::SystemEvent,
};
use sagalog_projections::{
    HeldSagas,
    held::HeldInput,
    held_sagas::{Decided, Decision, HeldSaga},
};

use super::{Answer, Input, Partition, Query, SystemHead, live::Live};
use crate::{
    decide::{
        Refusal, cut,
        held::{other_content, parts, told},
    },
    evaluate::Evaluate,
    input::{Request, SagaInput, Wish},
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
        let cannot = || Refusal::SagaHeld {
            saga: saga.clone(),
            why: held.reason.clone(),
        };
        let told = what.told().map_err(|_| cannot())?;
        self.rules.within_bounds(&told)?;
        let event = match &told {
            SagaInput::Request(request) => decision(saga, held, request).ok_or_else(cannot)??,
            told => waiting(saga, held, told)?,
        };
        if mutant!(self.rules, LetsWhatWaitsGoUnrecorded) {
            return Ok(());
        }
        let gives_up = matches!(event, Some(HeldSagaEvent::Dropped(_)));
        if gives_up && mutant!(self.rules, DropsNothingThatWaits) {
            return Ok(());
        }
        if let Some(event) = event {
            self.record_held(event, now);
        }
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
        let Some(held) = self.held.fold.get(saga).cloned() else {
            return;
        };
        if mutant!(self.rules, ReleasesBeforeWhatWaits) {
            self.record_released(saga, Vec::new(), now);
        }
        let dropped = |it: &&Decision| matches!(it.what, Decided::Dropped { .. });
        for decision in held.decisions.iter().filter(dropped) {
            let came_with = held.came_with(decision.number);
            self.do_as_decided(saga, decision, came_with.unwrap_or(&decision.content), now);
        }
        let inputs: Vec<_> = held.inputs.iter().cloned().collect();
        #[cfg(feature = "mutants")]
        let inputs = crate::mutants::processed(&self.rules, inputs);
        let mut refused = Vec::new();
        for input in inputs {
            if let Err(refusal) = self.process_waiting(saga, &held, &input, now) {
                let number = input.number;
                let reason = cut(&alloc::format!("{refusal}"), self.rules.reason_max);
                refused.push(RefusedInput { number, reason });
            }
        }
        if !mutant!(self.rules, ReleasesBeforeWhatWaits) {
            self.record_released(saga, refused, now);
        }
    }

    /// What was edited is held as it came and released as it is now, if nothing is held before it: so the saga
    /// knows both, and who wanted it.
    fn process_waiting(
        &mut self,
        saga: &SagaId,
        held: &HeldSaga,
        waiting: &HeldInput,
        now: Time,
    ) -> Result<(), Refusal> {
        let decisions = held.decisions.iter();
        let edited = decisions.rev().find(|it| it.number == waiting.number);
        if let (Some(edited), Some(came_with)) = (edited, held.came_with(waiting.number))
            && self.holds_nothing(saga)
            && self.do_as_decided(saga, edited, came_with, now)
        {
            return Ok(());
        }
        let told = told(saga, &waiting.input, &waiting.content)?;
        self.tell(saga, &told, now)
    }

    fn holds_nothing(&self, saga: &SagaId) -> bool {
        self.sagas[saga].state.held().is_empty()
    }

    /// Records in the saga's own stream what a person has decided while it was held, so that the input and the
    /// request are known there when they come again. Says whether it is on record.
    fn do_as_decided(
        &mut self,
        saga: &SagaId,
        decision: &Decision,
        content: &Payload,
        now: Time,
    ) -> bool {
        if self.sagas[saga].state.requests().contains(&decision.id) {
            return true;
        }
        let Ok(input) = told(saga, &decision.input, content) else {
            return false;
        };
        // What is refused or says nothing new is not held, and needs no decision.
        let _ = self.tell(saga, &SagaInput::Hold(Box::new(input)), now);
        let held = self.sagas[saga].state.held();
        let Some(held) = held.iter().find(|held| held.input == decision.input) else {
            return false;
        };
        let number = held.number;
        let wish = match &decision.what {
            Decided::Edited(content) => Wish::Release {
                number,
                content: Some(content.clone()),
            },
            Decided::Dropped { reason } => Wish::Drop {
                number,
                reason: reason.as_str().into(),
            },
        };
        let request = Request {
            id: decision.id.clone(),
            by: decision.by.clone(),
            until: decision.until,
            wish,
        };
        // What cannot be processed as it is now stays held, and a person sees why.
        let _ = self.tell(saga, &SagaInput::Request(request), now);
        true
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

/// What is recorded of an input for a held saga; nothing of one that waits already, or was given up.
fn waiting(
    saga: &SagaId,
    held: &HeldSaga,
    told: &SagaInput,
) -> Result<Option<HeldSagaEvent>, Refusal> {
    let Some((input, content)) = parts(told) else {
        return Ok(None);
    };
    let came_with = |it: &HeldInput| held.came_with(it.number).unwrap_or(&it.content).clone();
    let waiting = held.inputs.iter().map(|it| (&it.input, came_with(it)));
    let dropped = held.decisions.iter();
    let dropped = dropped.filter(|it| held.inputs.find(it.number).is_none());
    let dropped = dropped.map(|it| (&it.input, held.came_with(it.number).cloned()));
    let dropped = dropped.map(|(input, content)| (input, content.unwrap_or_else(Payload::null)));
    for (_, known) in waiting.chain(dropped).filter(|(of, _)| **of == input) {
        if known == content {
            return Ok(None);
        } else if !matches!(told, SagaInput::Reply(_)) {
            return Err(other_content(&input));
        }
    }
    if !held.inputs.takes(&content) {
        return Err(Refusal::TooManyHeld);
    }
    let waits = InputWaits {
        saga: saga.clone(),
        number: held.inputs.next(),
        input,
        oldest: Version::default(),
    };
    Ok(Some(HeldSagaEvent::Waits(waits, content)))
}

/// The number of the first that waits for a saga.
const FIRST_THAT_WAITS: u64 = HeldSaga::NUMBERED_FROM + 1;

/// What is recorded of a person's decision about an input that waits; nothing of one that came before. None if
/// it is about the saga itself, or about what the saga holds.
fn decision(
    saga: &SagaId,
    held: &HeldSaga,
    request: &Request,
) -> Option<Result<Option<HeldSagaEvent>, Refusal>> {
    match &request.wish {
        Wish::Release {
            number: number @ FIRST_THAT_WAITS..,
            content: Some(content),
        } => Some(edited(saga, held, request, *number, content)),
        Wish::Drop {
            number: number @ FIRST_THAT_WAITS..,
            reason,
        } => Some(dropped(saga, held, request, *number, reason)),
        _ => None,
    }
}

fn edited(
    saga: &SagaId,
    held: &HeldSaga,
    request: &Request,
    number: u64,
    content: &Payload,
) -> Result<Option<HeldSagaEvent>, Refusal> {
    let what = Decided::Edited(content.clone());
    let Some(input) = decides_about(held, request, number, &what)? else {
        return Ok(None);
    };
    // An answer must be an outcome.
    told(saga, &input.input, content)?;
    if !held.inputs.takes_instead(input, content) {
        return Err(Refusal::TooManyHeld);
    }
    let edited = WaitingEdited {
        saga: saga.clone(),
        number,
        id: request.id.clone(),
        by: request.by.clone(),
        until: request.until,
        oldest: Version::default(),
    };
    Ok(Some(HeldSagaEvent::Edited(edited, content.clone())))
}

fn dropped(
    saga: &SagaId,
    held: &HeldSaga,
    request: &Request,
    number: u64,
    reason: &str,
) -> Result<Option<HeldSagaEvent>, Refusal> {
    let reason = String::from(reason);
    let what = Decided::Dropped {
        reason: reason.clone(),
    };
    let input = decides_about(held, request, number, &what)?;
    Ok(input.map(|_| {
        HeldSagaEvent::Dropped(WaitingDropped {
            saga: saga.clone(),
            number,
            id: request.id.clone(),
            by: request.by.clone(),
            until: request.until,
            reason,
            oldest: Version::default(),
        })
    }))
}

/// The input that a person decides about; none if that very decision is on record.
fn decides_about<'a>(
    held: &'a HeldSaga,
    request: &Request,
    number: u64,
    what: &Decided,
) -> Result<Option<&'a HeldInput>, Refusal> {
    if let Some(known) = held.decision(&request.id) {
        let is_it = (known.number, &known.what, known.until) == (number, what, request.until);
        let id = (*request.id).into();
        return match is_it {
            true => Ok(None),
            false => Err(Refusal::OtherContentOf { id }),
        };
    }
    if held.decisions.len() >= HeldSaga::DECISIONS_MAX {
        return Err(Refusal::TooManyRequests);
    }
    let first = held.inputs.first().map(|first| first.number);
    let input = held.inputs.find(number);
    input.map(Some).ok_or(Refusal::NotHeld { number, first })
}

/// Whether a person asks for a held saga to be driven.
fn is_release(what: &Query) -> bool {
    let Query::Request(request) = what else {
        return false;
    };
    matches!(request.wish, Wish::Release { content: None, .. })
}
