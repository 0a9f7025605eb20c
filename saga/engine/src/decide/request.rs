//! What people want: cancel, and mending parked nodes. Pauses and deadlines are in `pause.rs`.

use alloc::string::ToString;

use sagalog_model::{
    SagaEvent,
    event::{CancelRequested, IdKind, ResolvedByHand, RetryRequested, SkippedByHand, TurnCause},
};
use sagalog_projections::dedup::Asked;

use super::{Decider, Refusal};
use crate::input::{Request, Wish};

impl Decider<'_> {
    pub(super) fn request(&mut self, request: &Request) -> Result<(), Refusal> {
        let (id, until) = (&request.id, request.until);
        let asked = asked(&request.wish);
        let standing = self.state.requests().standing(id, until, &asked);
        if !self.is_new(standing, id, until)? {
            return Ok(());
        }
        self.not_ended()?;
        self.has_room(IdKind::Requests, until)?;
        match &request.wish {
            Wish::Cancel { reason } => return self.cancel(request, reason),
            Wish::Compensate { reason } => return self.compensate(request, reason),
            Wish::Pause { reason } => return self.pause(request, reason),
            Wish::Resume => return self.resume(request),
            Wish::SetDeadline { deadline, reason } => {
                return self.set_deadline(request, *deadline, reason);
            }
            Wish::Release { number, content } => {
                return self.release(*number, request, content.clone());
            }
            Wish::Drop { number, reason } => {
                return self.give_up_held(*number, request, reason.to_string());
            }
            Wish::Retry { node, reason } => {
                self.parked(node)?;
                self.wished(RetryRequested {
                    node: node.clone(),
                    id: request.id.clone(),
                    by: request.by.clone(),
                    until,
                    reason: reason.as_deref().map(ToString::to_string),
                });
            }
            Wish::Resolve { node, output } => {
                self.parked(node)?;
                self.wished(ResolvedByHand {
                    node: node.clone(),
                    id: request.id.clone(),
                    by: request.by.clone(),
                    until,
                    output: output.clone(),
                });
            }
            Wish::Skip { node, reason } => {
                self.parked(node)?;
                self.wished(SkippedByHand {
                    node: node.clone(),
                    id: request.id.clone(),
                    by: request.by.clone(),
                    until,
                    reason: reason.to_string(),
                });
            }
        }
        self.go_on();
        Ok(())
    }

    /// Records what a person wants, before anything follows from it.
    pub(super) fn wished(&mut self, fact: impl Into<SagaEvent>) {
        self.emit(fact);
        self.forget_what_is_over(IdKind::Requests);
    }

    /// I20: a cancel is either refused, or turns the saga in the same batch.
    fn cancel(&mut self, request: &Request, reason: &str) -> Result<(), Refusal> {
        if self.state.turn().is_some() && !mutant!(self.context.rules, CancelTurnsAgain) {
            return Ok(());
        }
        if self.state.pivot_passed() && !mutant!(self.context.rules, CancelsAfterThePivot) {
            return Err(Refusal::PivotPassed {
                saga: self.state.id().clone(),
            });
        }
        self.wished(CancelRequested {
            id: request.id.clone(),
            by: request.by.clone(),
            until: request.until,
            reason: reason.to_string(),
        });
        if mutant!(self.context.rules, CancelIsOnlyRecorded) {
            return Ok(());
        }
        self.turn(TurnCause::Cancelled, None, reason.to_string());
        self.go_on();
        Ok(())
    }

    fn parked(&self, node: &str) -> Result<(), Refusal> {
        let graph = self.state.graph();
        let index = graph
            .find(node)
            .ok_or_else(|| Refusal::NoSuchNode { node: node.into() })?;
        if self.state.node(index).parked.is_some() {
            return Ok(());
        }
        let parked = self
            .state
            .parked()
            .map(|(index, _)| (*graph.node(index).id).into())
            .collect();
        Err(Refusal::NotParked {
            node: node.into(),
            parked,
        })
    }
}

fn asked(wish: &Wish) -> Asked {
    match wish {
        Wish::Cancel { reason } => Asked::cancel(reason),
        Wish::Compensate { reason } => Asked::compensate(reason),
        Wish::Pause { reason } => Asked::pause(reason),
        Wish::Resume => Asked::resume(),
        Wish::SetDeadline { deadline, reason } => Asked::set_deadline(*deadline, reason),
        Wish::Retry { node, reason } => Asked::retry(node, reason.as_deref()),
        Wish::Resolve { node, output } => Asked::resolve(node, output.as_str()),
        Wish::Skip { node, reason } => Asked::skip(node, reason),
        Wish::Release { number, content } => Asked::release(*number, content.as_ref()),
        Wish::Drop { number, reason } => Asked::drop(*number, reason),
    }
}
