//! Signals: early ones wait, one wait takes one, late ones are recorded as such.

use alloc::{format, string::String, sync::Arc, vec::Vec};

use sagalog_model::{
    Kind, Payload,
    event::{IdKind, SignalLate, SignalReceived},
    log::Time,
};
use sagalog_projections::{Phase, dedup::Content, signals::Signals};

use super::{Context, Decider, Refusal};

impl Decider<'_> {
    pub(super) fn signal(
        &mut self,
        signal: &Arc<str>,
        id: &Arc<str>,
        until: Option<Time>,
        payload: &Payload,
    ) -> Result<(), Refusal> {
        let content = Content::of(signal, payload);
        let standing = self.state.signals().ids().standing(id, until, &content);
        let is_new = self.is_new(standing, id, until)?;
        if !is_new && !mutant!(self.context.rules, TakesSignalsTwice) {
            return Ok(());
        }
        self.not_ended()?;
        self.is_known(signal)?;
        self.has_room(IdKind::Signals, until)?;
        self.may_wait()?;
        self.can_be_read(signal, payload)?;
        #[cfg(feature = "mutants")]
        if mutant!(self.context.rules, DropsEarlySignals) && !self.is_waited_for(signal) {
            return Ok(());
        }
        self.emit(SignalReceived {
            signal: signal.clone(),
            id: id.clone(),
            until,
            payload: payload.clone(),
        });
        self.forget_what_is_over(IdKind::Signals);
        if mutant!(self.context.rules, SignalWakesNobody) {
            return Ok(());
        }
        if self.is_awaited(signal) {
            self.go_on();
        } else {
            self.emit(SignalLate { id: id.clone() });
        }
        Ok(())
    }

    /// Whether one more signal may wait to be consumed.
    pub(super) fn may_wait(&self) -> Result<(), Refusal> {
        let waiting = self.state.signals().waiting() + self.state.sequences().ahead();
        if waiting < Signals::MAX {
            return Ok(());
        }
        Err(Refusal::TooManyWaiting)
    }

    pub(super) fn not_ended(&self) -> Result<(), Refusal> {
        let status = self.state.status();
        if status.is_terminal() {
            return Err(Refusal::Ended {
                saga: self.state.id().clone(),
                status,
            });
        }
        Ok(())
    }

    /// Whether the definition's code can read it; else it is held.
    pub(super) fn can_be_read(&self, signal: &str, payload: &Payload) -> Result<(), Refusal> {
        let Context {
            definition,
            evaluate,
            ..
        } = self.context;
        if self.state.turn().is_some() {
            // It is late, whatever it carries.
            return Ok(());
        }
        let accepted = evaluate.accepts(definition, signal, payload);
        accepted.map_err(|why| Refusal::CannotBeProcessed {
            why: format!("it does not read as what the signal `{signal}` carries: {why}"),
        })
    }

    pub(super) fn is_known(&self, signal: &str) -> Result<(), Refusal> {
        let known = self.known_signals();
        if known.iter().any(|known| **known == *signal) {
            return Ok(());
        }
        Err(Refusal::UnknownSignal {
            signal: signal.into(),
            known,
        })
    }

    fn known_signals(&self) -> Vec<String> {
        let mut known: Vec<_> = self
            .state
            .graph()
            .nodes
            .iter()
            .filter_map(|node| match &node.kind {
                Kind::Signal { signal, .. } => Some(signal.clone()),
                _ => None,
            })
            .collect();
        known.sort();
        known.dedup();
        known
    }

    #[cfg(feature = "mutants")]
    fn is_waited_for(&self, name: &str) -> bool {
        let waits = |index| matches!(self.state.node(index).phase, Phase::Waiting { .. });
        let mut nodes = self.state.graph().iter();
        nodes.any(|(index, node)| {
            waits(index) && matches!(&node.kind, Kind::Signal { signal, .. } if signal == name)
        })
    }

    /// Whether a wait for this name is under way or may still come.
    pub(super) fn is_awaited(&self, name: &str) -> bool {
        self.state.turn().is_none()
            && self
                .state
                .graph()
                .iter()
                .any(|(index, node)| match &node.kind {
                    Kind::Signal { signal, .. } if signal == name => {
                        self.state.node(index).phase != Phase::Done
                            && self.state.is_reachable(index)
                    }
                    _ => false,
                })
    }
}
