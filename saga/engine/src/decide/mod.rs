//! What follows from what happened: a saga's state and one input give events.
//!
//! The input is first recorded as a fact; then whatever the state now calls for is concluded, forward
//! (`forward.rs`) or back (`back.rs`). Both look at nothing but the state, so a restart needs no code of
//! its own: fold the log and go on.

mod asking;
mod back;
mod forward;
pub(crate) mod held;
mod ids;
mod numbered;
mod pause;
mod refusal;
mod reply;
mod request;
mod signal;
mod timer;

use alloc::{format, string::String, vec::Vec};

use sagalog_model::{
    NodeIndex, Payload, SagaEvent, SagaId,
    definition::{AnyDefinition, Expression},
    event::{NodeId, ParkCause, Parked, Started, TurnCause, Turned},
    log::Time,
};
use sagalog_projections::SagaState;

pub use refusal::Refusal;

pub(crate) use asking::fresh_deadline;
pub(crate) use reply::cut;

use crate::{evaluate::Evaluate, input::SagaInput, rules::Rules};

/// What is decided with, besides the state and the input.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The saga's definition: exactly the version that it started with.
    pub definition: &'a AnyDefinition,
    /// Runs the definition's functions.
    pub evaluate: &'a dyn Evaluate,
    /// The bounds.
    pub rules: &'a Rules,
    /// The time, for every deadline that is set and for every event.
    pub now: Time,
}

/// Begins a saga.
pub fn start(id: SagaId, input: Payload, context: Context<'_>) -> (SagaState, Vec<SagaEvent>) {
    let graph = context.definition.graph().clone();
    let started = Started {
        definition: graph.saga.as_str().into(),
        version: graph.version,
        fingerprint: context.definition.fingerprint(),
        deadline: graph.deadline.map(|span| context.now.after(span)),
        input,
    };
    let mut state = SagaState::start(id, graph, &started, context.now);
    let mut decider = Decider {
        state: &mut state,
        context,
        events: Vec::new(),
        decided_bytes: 0,
    };
    let started = started.into();
    let watches = context.evaluate;
    watches.decided(decider.state, &started, context.now);
    decider.events.push(started);
    decider.go_on();
    let events = decider.events;
    (state, events)
}

/// Decides one input. No events means that it says nothing new: a duplicate, or too late to matter.
///
/// The state is changed by exactly the events that are returned.
///
/// # Errors
/// [`Refusal`] if the input is not legal in this state; the state is unchanged then.
pub fn decide(
    state: &mut SagaState,
    input: &SagaInput,
    context: Context<'_>,
) -> Result<Vec<SagaEvent>, Refusal> {
    let mut decider = Decider {
        state,
        context,
        events: Vec::new(),
        decided_bytes: 0,
    };
    decider.input(input)?;
    Ok(decider.events)
}

struct Decider<'a> {
    state: &'a mut SagaState,
    context: Context<'a>,
    events: Vec<SagaEvent>,
    /// What the expressions of this input gave so far.
    decided_bytes: usize,
}

impl Decider<'_> {
    fn input(&mut self, input: &SagaInput) -> Result<(), Refusal> {
        if let SagaInput::Hold(input) = input {
            return self.hold_what_waited(input);
        }
        if self.waits_behind_others(input) {
            return self.hold(input, None);
        }
        match self.process(input) {
            Err(Refusal::CannotBeProcessed { why }) if !matches!(input, SagaInput::Request(_)) => {
                self.hold(input, Some(why))
            }
            processed => processed,
        }
    }

    fn process(&mut self, input: &SagaInput) -> Result<(), Refusal> {
        match input {
            SagaInput::Reply(_)
                if self.state.pause().is_some()
                    && mutant!(self.context.rules, IgnoresAnswersWhilePaused) =>
            {
                Ok(())
            }
            SagaInput::Reply(reply) => self.reply(reply),
            SagaInput::TimerFired { timer, meanwhile } => {
                self.timer_fired(*timer, *meanwhile);
                Ok(())
            }
            SagaInput::Admitted {
                node,
                direction,
                attempt,
            } => {
                self.admitted(*node, *direction, *attempt);
                Ok(())
            }
            SagaInput::Signal {
                signal,
                id,
                until,
                payload,
            } => self.signal(signal, id, *until, payload),
            SagaInput::Numbered(numbered) => self.numbered(numbered),
            SagaInput::Request(request) => self.request(request),
            SagaInput::Hold(input) => self.hold_what_waited(input),
        }
    }

    /// Records an event: the fold is the only way to change the state.
    fn emit(&mut self, event: impl Into<SagaEvent>) {
        let event = event.into();
        let watches = self.context.evaluate;
        watches.decided(self.state, &event, self.context.now);
        if let Err(illegal) = self.state.apply(&event, self.context.now) {
            panic!("the engine concluded an event that its own fold refuses: {illegal}");
        }
        self.events.push(event);
    }

    /// Concludes whatever the state calls for.
    fn go_on(&mut self) {
        if self.state.status().is_terminal() {
            return;
        }
        if self.state.pause().is_some() && !mutant!(self.context.rules, GoesOnWhilePaused) {
            return self.stand_still();
        }
        if self.state.turn().is_none() || mutant!(self.context.rules, GoesForwardAfterTheTurn) {
            self.forward();
        }
        if self.state.turn().is_some() {
            self.take_held_answers();
            if !self.state.status().is_terminal() {
                self.back();
            }
        }
    }

    fn turn(&mut self, cause: TurnCause, node: Option<NodeId>, reason: String) {
        #[cfg(feature = "mutants")]
        let reason = if mutant!(self.context.rules, DrawsANumber) {
            crate::mutants::numbered(&reason)
        } else {
            reason
        };
        self.emit(Turned {
            cause,
            node,
            reason,
        });
    }

    fn park(&mut self, index: NodeIndex, cause: ParkCause, reason: String) {
        self.emit(Parked {
            node: self.id(index),
            cause,
            reason,
        });
    }

    fn id(&self, index: NodeIndex) -> NodeId {
        self.state.graph().node(index).id.clone()
    }

    /// A value of the definition's code; without one the node is parked.
    fn evaluate(&mut self, index: NodeIndex, what: Expression) -> Option<Payload> {
        let context = self.context;
        let value = context
            .evaluate
            .evaluate(context.definition, what, &*self.state)
            .and_then(|value| self.within_bounds(value));
        match value {
            Ok(value) => Some(value),
            Err(reason) => {
                self.park(index, ParkCause::Expression, reason);
                None
            }
        }
    }

    /// The log takes one input's batch whole, so what it may hold has a bound.
    fn within_bounds(&mut self, value: Payload) -> Result<Payload, String> {
        let rules = self.context.rules;
        let bytes = value.as_str().len();
        if bytes > rules.payload_max {
            let max = rules.payload_max;
            return Err(format!(
                "the value has {bytes} bytes, a payload has at most {max}"
            ));
        }
        self.decided_bytes += bytes;
        if self.decided_bytes > rules.decided_bytes_max {
            let max = rules.decided_bytes_max;
            return Err(format!(
                "one input led to more than {max} bytes of values; retry this node to go on"
            ));
        }
        Ok(value)
    }
}
