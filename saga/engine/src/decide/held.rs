//! Held inputs: one that cannot be processed holds what comes behind it, until a person decides.

use alloc::{string::String, vec::Vec};

use sagalog_model::{
    Numbered, Outcome, Payload, Reply, SagaEvent, SagaId,
    event::{
        HeldContent, HeldDropped, HeldReleased, HeldTaken, IdKind, InputHeld, Origin, StillHeld,
    },
};
use sagalog_projections::{SagaState, held::HeldInput, sequence::Standing};

use super::{Decider, Refusal};
use crate::input::{Request, SagaInput};

/// Why an input is held about which a person has decided already.
pub(crate) const WAITED: &str = "somebody has decided about it while the saga could not be driven";

impl Decider<'_> {
    /// Whether an input must wait because others of its saga are held. Operators' requests and
    /// timers pass, and so does what says nothing new. After the turn nothing waits: signals are late,
    /// and answers say what is to be undone.
    pub(super) fn waits_behind_others(&self, input: &SagaInput) -> bool {
        !self.state.held().is_empty()
            && self.state.turn().is_none()
            && !self.state.status().is_terminal()
            && is_news(self.state, input)
            && !mutant!(self.context.rules, OvertakesWhatIsHeld)
    }

    /// Holds an input about which a person has decided while its saga could not be driven, if it says
    /// anything new.
    pub(super) fn hold_what_waited(&mut self, input: &SagaInput) -> Result<(), Refusal> {
        let is_over = self.state.turn().is_some() || self.state.status().is_terminal();
        if is_over || !is_news(self.state, input) {
            return Ok(());
        }
        self.hold(input, Some(WAITED.into()))
    }

    /// Records an input as held: it waits for a person.
    pub(super) fn hold(
        &mut self,
        input: &SagaInput,
        reason: Option<String>,
    ) -> Result<(), Refusal> {
        let Some((origin, content)) = parts(input) else {
            return Ok(());
        };
        let held = self.state.held();
        if let Some(known) = held.iter().find(|held| held.input == origin) {
            let is_reply = matches!(origin, Origin::Reply { .. });
            if known.content == content {
                return Ok(());
            } else if !is_reply {
                return Err(other_content(&origin));
            }
        }
        if !held.takes(&content) {
            return Err(Refusal::TooManyHeld);
        }
        if let SagaInput::Signal { until, .. } = input {
            self.has_room(IdKind::Signals, *until)?;
        }
        if mutant!(self.context.rules, ForgetsWhatCannotBeProcessed) {
            return Ok(());
        }
        self.emit(InputHeld {
            number: held.next(),
            input: origin,
            held: HeldContent { reason, content },
        });
        Ok(())
    }

    /// Processes the first held input, perhaps with another content, and then those behind it as far as
    /// they can be.
    pub(super) fn release(
        &mut self,
        number: u64,
        request: &Request,
        content: Option<Payload>,
    ) -> Result<(), Refusal> {
        let first = self.state.held().first();
        let Some(first) = first.filter(|first| first.number == number) else {
            let first = first.map(|first| first.number);
            return Err(Refusal::NotTheFirstHeld { number, first });
        };
        let carried = content.as_ref().unwrap_or(&first.content);
        let input = told(self.state.id(), &first.input, carried)?;
        let released = HeldReleased {
            number,
            id: request.id.clone(),
            by: request.by.clone(),
            until: request.until,
            content,
        };
        self.tried(released, &input)?;
        self.take_those_behind();
        Ok(())
    }

    /// Gives a held input up; what it kept waiting is processed, as far as it can be. An attempt whose
    /// answer is given up is waited for again.
    pub(super) fn give_up_held(
        &mut self,
        number: u64,
        request: &Request,
        reason: String,
    ) -> Result<(), Refusal> {
        let held = self.state.held();
        let first = held.first().map(|first| first.number);
        let Some(HeldInput { input, .. }) = held.find(number).cloned() else {
            return Err(Refusal::NotHeld { number, first });
        };
        self.wished(HeldDropped {
            number,
            id: request.id.clone(),
            by: request.by.clone(),
            until: request.until,
            reason,
        });
        self.forget_what_is_over(IdKind::Signals);
        if let Origin::Numbered { producer, .. } = input {
            // Its number is given up, so others may be next.
            self.came(&producer, Vec::new());
        }
        if first == Some(number) && self.state.turn().is_none() {
            self.take_those_behind();
        }
        Ok(())
    }

    fn take_those_behind(&mut self) {
        while self.state.turn().is_none()
            && !self.state.status().is_terminal()
            && let Some(HeldInput {
                number,
                input,
                content,
                ..
            }) = self.next_held()
        {
            let taken = told(self.state.id(), &input, &content)
                .and_then(|told| self.tried(HeldTaken { number }, &told));
            let reason = match taken {
                Ok(()) => continue,
                Err(Refusal::CannotBeProcessed { why }) => why,
                Err(refusal) => alloc::format!("{refusal}"),
            };
            return self.emit(StillHeld { number, reason });
        }
    }

    /// Answers that are held when the saga turns are processed: the way back waits for them.
    pub(super) fn take_held_answers(&mut self) {
        if self.state.held().is_empty() {
            return;
        }
        let answers: Vec<_> = self.state.held().answers_held().cloned().collect();
        for answer in answers {
            let number = answer.number;
            if self.state.held().find(number).is_some()
                && let Ok(told) = told(self.state.id(), &answer.input, &answer.content)
            {
                // One that says nothing that is legal any more stays held, on record.
                let _ = self.tried(HeldTaken { number }, &told);
            }
        }
    }

    fn next_held(&self) -> Option<HeldInput> {
        let held = self.state.held();
        #[cfg(feature = "mutants")]
        if mutant!(self.context.rules, ReleasesTheNewestFirst) {
            return crate::mutants::newest_held(held);
        }
        held.first().cloned()
    }

    /// Processes an input that is held no more, if it can be: tried on a copy of the state first, so that
    /// nothing is recorded if not. What a person wants happens seldom, so the copy costs little.
    fn tried(&mut self, fact: impl Into<SagaEvent>, input: &SagaInput) -> Result<(), Refusal> {
        let fact = fact.into();
        let mut state = self.state.clone();
        let mut trial = Decider {
            state: &mut state,
            context: self.context,
            events: Vec::new(),
            decided_bytes: self.decided_bytes,
        };
        trial.wished(fact.clone());
        trial.process(input)?;
        self.wished(fact);
        self.process(input)
    }
}

/// Whether an input would change anything if nothing was held.
fn is_news(state: &SagaState, input: &SagaInput) -> bool {
    match input {
        SagaInput::Signal { id, until, .. } => {
            let ids = state.signals().ids();
            !ids.contains(id) && !ids.is_behind(*until)
        }
        SagaInput::Numbered(numbered) => {
            let Numbered {
                signal,
                producer,
                number,
                payload,
            } = numbered;
            let standing = state
                .sequences()
                .standing(producer, *number, signal, payload);
            matches!(standing, Standing::Next | Standing::Ahead)
        }
        SagaInput::Reply(reply) => is_awaited(state, reply),
        SagaInput::TimerFired { .. }
        | SagaInput::Admitted { .. }
        | SagaInput::Request(_)
        | SagaInput::Hold(_) => false,
    }
}

/// Whether an answer settles anything. That an attempt is alive concludes nothing.
fn is_awaited(state: &SagaState, reply: &Reply) -> bool {
    let step = state.graph().find(&reply.node);
    let Some((_, step)) = step.and_then(|node| state.step(node)) else {
        return false;
    };
    let (attempts, number) = (step.attempts(reply.direction), reply.attempt);
    let is_unsettled = attempts.is_open(number) || attempts.is_doubtful(number);
    attempts.was_asked(number)
        && match reply.outcome {
            Outcome::Succeeded(_) => !step.is_settled(reply.direction),
            Outcome::Alive { .. } => false,
            Outcome::Failed { .. } | Outcome::Unknown { .. } | Outcome::NotDone => is_unsettled,
        }
}

/// What an input is and what it carries; nothing of what is never held.
pub(crate) fn parts(input: &SagaInput) -> Option<(Origin, Payload)> {
    match input {
        SagaInput::Signal {
            signal,
            id,
            until,
            payload,
        } => {
            let (signal, id, until) = (signal.clone(), id.clone(), *until);
            Some((Origin::Signal { signal, id, until }, payload.clone()))
        }
        SagaInput::Numbered(numbered) => {
            let origin = Origin::Numbered {
                signal: numbered.signal.clone(),
                producer: numbered.producer.clone(),
                number: numbered.number,
            };
            Some((origin, numbered.payload.clone()))
        }
        SagaInput::Reply(reply) => {
            let origin = Origin::Reply {
                node: reply.node.clone(),
                direction: reply.direction,
                attempt: reply.attempt,
            };
            let outcome = Payload::of(&reply.outcome);
            Some((origin, outcome.expect("an outcome is plain data")))
        }
        SagaInput::TimerFired { .. }
        | SagaInput::Admitted { .. }
        | SagaInput::Request(_)
        | SagaInput::Hold(_) => None,
    }
}

/// The input that was held.
///
/// # Errors
/// What it carries is no outcome of a participant, if it is an answer.
pub(crate) fn told(
    saga: &SagaId,
    origin: &Origin,
    content: &Payload,
) -> Result<SagaInput, Refusal> {
    Ok(match origin {
        Origin::Signal { signal, id, until } => SagaInput::Signal {
            signal: signal.clone(),
            id: id.clone(),
            until: *until,
            payload: content.clone(),
        },
        Origin::Numbered {
            signal,
            producer,
            number,
        } => SagaInput::Numbered(Numbered {
            signal: signal.clone(),
            producer: producer.clone(),
            number: *number,
            payload: content.clone(),
        }),
        Origin::Reply {
            node,
            direction,
            attempt,
        } => {
            let outcome = content.read::<Outcome>();
            let outcome = outcome.map_err(|why| Refusal::CannotBeProcessed {
                why: alloc::format!("it carries no outcome: {why}"),
            })?;
            SagaInput::Reply(Reply {
                saga: saga.clone(),
                node: node.clone(),
                direction: *direction,
                attempt: *attempt,
                outcome,
            })
        }
    })
}

pub(crate) fn other_content(origin: &Origin) -> Refusal {
    match origin {
        Origin::Numbered {
            producer, number, ..
        } => Refusal::OtherContentOfNumber {
            producer: (**producer).into(),
            number: *number,
        },
        Origin::Signal { id, .. } => Refusal::OtherContentOf { id: (**id).into() },
        Origin::Reply { node, .. } => Refusal::OtherContentOf {
            id: (**node).into(),
        },
    }
}
